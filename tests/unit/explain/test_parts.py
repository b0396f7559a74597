"""Cutting conserves: parts of an interval add up to it, whatever else is cut."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from exporters.explain.landed import Interval
from exporters.explain.parts import overlap, part, parts


def _interval(start: int, end: int, quantity: int, only: tuple[int, int] | None = None) -> Interval:
    return Interval("m", "interval", start, end, quantity, "accepted", (), only=only)


@given(
    start=st.integers(0, 10**9),
    length=st.integers(1, 10**9),
    quantity=st.integers(0, 10**15),
    cuts=st.lists(st.integers(0, 2 * 10**9), max_size=8),
)
def test_parts_add_up_to_the_interval(
    start: int, length: int, quantity: int, cuts: list[int]
) -> None:
    interval = _interval(start, start + length, quantity)
    bounds = sorted({0, 3 * 10**9, *cuts})
    spans = list(pairwise(bounds))
    assert sum(part(interval, *span) for span in spans) == quantity
    assert parts(interval, spans) == quantity


def test_a_part_is_rounded_half_away_from_zero_at_its_bounds() -> None:
    # An hour of 0.000000001: half of it lies in [0, 30), rounded up, and nothing is left.
    interval = _interval(0, 60, 1)
    assert (part(interval, 0, 30), part(interval, 30, 60)) == (1, 0)
    assert (part(interval, 0, 29), part(interval, 29, 60)) == (0, 1)


def test_a_reading_of_two_hours_is_shared_as_rule_6_says() -> None:
    # 1 kWh from 10:00 to 12:00, of which the contract has 7 min 30 s: 450 / 7200.
    interval = _interval(0, 7200, 10**9)
    assert part(interval, 0, 450) == 62_500_000


def test_of_an_estimate_only_the_contracts_part_counts() -> None:
    interval = _interval(0, 100, 1000, only=(50, 100))
    assert parts(interval, [(0, 60), (60, 200)]) == 500


def test_spans_before_and_after_the_interval_do_not_count() -> None:
    interval = _interval(100, 200, 1000)
    assert parts(interval, [(0, 50), (90, 150), (170, 180), (200, 300)]) == 600
    assert parts(interval, []) == 0


def test_overlap_keeps_what_both_have() -> None:
    assert overlap([(0, 10), (20, 30)], [(5, 25)]) == [(5, 10), (20, 25)]
    assert overlap([(0, 10)], [(10, 20)]) == []
