"""Drops: one whole file a local day, and the ways in which a drop goes wrong."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from connectors.sandbox.files import HEADER, Drop, DropFolder, drops
from connectors.sandbox.host import Options, make_recordings
from connectors.sandbox.recordings import Recording


@pytest.fixture(scope="module")
def recording(small_book: Path) -> Recording:
    options = Options(
        book_dir=small_book,
        state_dir=small_book,
        seed=1,
        start=date(2026, 10, 1),
        end=date(2026, 11, 1),
    )
    return make_recordings(options)["ET-ADD1"]


def by_name(recording: Recording) -> dict[str, Drop]:
    return {drop.name: drop for drop in drops(recording)}


def test_a_day_is_whole_in_local_time_with_a_footer(recording: Recording) -> None:
    drop = by_name(recording)["ET-ADD1_2026-10-05.csv"]
    lines = drop.text.splitlines()
    assert drop.arrives_at == datetime(2026, 10, 5, 23, tzinfo=UTC)
    assert lines[0] == HEADER
    assert lines[-1] == f"# rows: {4 * 96}"
    rows = list(csv.DictReader(lines[:-1]))
    assert len(rows) == 4 * 96
    assert rows[0]["interval_start"] == "2026-10-05 00:00"
    assert rows[-1]["interval_end"] == "2026-10-06 00:00"


def test_a_cut_off_drop_ends_in_the_middle_of_a_row_and_comes_whole_later(
    recording: Recording,
) -> None:
    found = by_name(recording)
    cut, whole = found["ET-ADD1_2026-10-09.csv"], found["ET-ADD1_2026-10-09_2.csv"]
    assert not cut.text.endswith("\n")
    *rows, last = cut.text.splitlines()
    assert len(rows) == 1 + 13 * 4 * 4
    assert last == "ET-meter-0,2026-10-09 13:00,2026-10-0"[: len(last)]
    assert last.count(",") < 3
    assert whole.arrives_at == datetime(2026, 10, 11, 5, tzinfo=UTC)
    assert whole.text.startswith("\n".join(rows))
    assert len(whole.text.splitlines()) == 1 + 96 * 4 + 1


def test_a_drop_comes_twice_unchanged(recording: Recording) -> None:
    found = by_name(recording)
    first, again = found["ET-ADD1_2026-10-14.csv"], found["ET-ADD1_2026-10-14_again.csv"]
    assert first.text == again.text
    assert again.arrives_at > first.arrives_at


def test_late_drops(recording: Recording) -> None:
    found = by_name(recording)
    late = found["ET-ADD1_2026-10-18.csv"]
    assert late.arrives_at == datetime(2026, 10, 21, 4, tzinfo=UTC)
    of_the_end = found["ET-ADD1_2026-10-30.csv"]
    assert of_the_end.arrives_at == datetime(2026, 11, 3, 4, tzinfo=UTC)


def test_the_folder_fills_as_the_clock_moves(recording: Recording, tmp_path: Path) -> None:
    folder = DropFolder(recording, tmp_path / "drops")
    early = datetime(2026, 10, 10, tzinfo=UTC)
    later = datetime(2026, 10, 12, tzinfo=UTC)
    assert folder.reset(early) == len(list(folder.folder.iterdir()))
    assert not (folder.folder / "ET-ADD1_2026-10-09_2.csv").exists()
    assert folder.advance(early, later) == 3
    resent = folder.folder / "ET-ADD1_2026-10-09_2.csv"
    assert resent.stat().st_mtime == datetime(2026, 10, 11, 5, tzinfo=UTC).timestamp()
    assert folder.reset(early) == 10
    assert not resent.exists()
    assert not list(folder.folder.glob("*.part"))


def test_a_zone_that_changes_its_clocks_writes_the_offset(book_dir: Path) -> None:
    options = Options(
        book_dir=book_dir,
        state_dir=book_dir,
        seed=1,
        start=date(2026, 10, 20),
        end=date(2026, 10, 28),
        kinds={"NO-OSL1": "files"},
        has_faults=False,
    )
    oslo = make_recordings(options)["NO-OSL1"]
    text = by_name(oslo)["NO-OSL1_2026-10-25.csv"].text
    assert len(text.splitlines()) == 1 + 25 * 4 * 3 + 1
    assert "2026-10-25T02:00+02:00" in text
    assert "2026-10-25T02:00+01:00" in text
