"""Windows: half-open, in UTC, cut without gap or overlap."""

from __future__ import annotations

import datetime as dt
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import Window

START = dt.datetime(2026, 5, 10, tzinfo=dt.UTC)


def test_days() -> None:
    window = Window.of_days(dt.date(2026, 5, 10), dt.date(2026, 5, 12))
    assert str(window) == "2026-05-10T00:00:00+00:00/2026-05-12T00:00:00+00:00"
    assert window.contains(window.start)
    assert not window.contains(window.end)


def test_other_offsets_become_utc() -> None:
    east = dt.timezone(dt.timedelta(hours=3))
    window = Window(START.astimezone(east), START + dt.timedelta(hours=1))
    assert window.start.utcoffset() == dt.timedelta(0)
    assert window.start == START


def test_lookback() -> None:
    window = Window(START, START + dt.timedelta(days=1)).with_lookback(3)
    assert window.start == START - dt.timedelta(days=3)


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (START, START, "ends after it starts"),
        (START, START - dt.timedelta(seconds=1), "ends after it starts"),
        (START.replace(tzinfo=None), START, "start of a window needs a UTC offset"),
        (START, START.replace(tzinfo=None), "end of a window needs a UTC offset"),
    ],
)
def test_faults(start: dt.datetime, end: dt.datetime, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Window(start, end)


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_pieces_cover_the_window(seconds: int, piece: int) -> None:
    piece = max(piece, seconds // 500 + 1)
    window = Window(START, START + dt.timedelta(seconds=seconds))
    pieces = list(window.pieces(dt.timedelta(seconds=piece)))
    assert pieces[0].start == window.start
    assert pieces[-1].end == window.end
    assert all(a.end == b.start for a, b in itertools.pairwise(pieces))


def test_pieces_have_a_length() -> None:
    with pytest.raises(ValueError, match="longer than nothing"):
        list(Window(START, START + dt.timedelta(1)).pieces(dt.timedelta(0)))
