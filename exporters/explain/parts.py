"""Cutting intervals in proportion to time, exactly, as metering does.

With cum(t) = round(q × (t − start) ÷ (end − start), 9), half away from zero, the part [t1, t2) of
an interval is cum(t2) − cum(t1): it does not depend on what else is cut, and the parts of an
interval add up to it. Quantities are whole 10^-9 of the canonical unit, time is in whole
microseconds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from exporters.explain.figures import nearest
from exporters.explain.landed import Interval

Span = tuple[int, int]


def part(interval: Interval, start: int, end: int) -> int:
    """What of an interval lies in [start, end)."""
    if interval.quantity is None:
        return 0
    start, end = max(start, interval.start), min(end, interval.end)
    if interval.only is not None:
        start, end = max(start, interval.only[0]), min(end, interval.only[1])
    if start >= end:
        return 0
    return _cum(interval, end) - _cum(interval, start)


def parts(interval: Interval, spans: Sequence[Span]) -> int:
    """What of an interval lies in spans, which are in order and do not overlap."""
    first = max(bisect_right(spans, (interval.start,)) - 1, 0)
    total = 0
    for start, end in spans[first:]:
        if start >= interval.end:
            break
        total += part(interval, start, end)
    return total


def overlap(spans: Sequence[Span], others: Sequence[Span]) -> list[Span]:
    """The time that both have, both being in order and without overlaps."""
    found: list[Span] = []
    i = j = 0
    while i < len(spans) and j < len(others):
        start, end = max(spans[i][0], others[j][0]), min(spans[i][1], others[j][1])
        if start < end:
            found.append((start, end))
        if spans[i][1] < others[j][1]:
            i += 1
        else:
            j += 1
    return found


def _cum(interval: Interval, at: int) -> int:
    quantity = interval.quantity or 0
    if at == interval.end:
        return quantity
    return nearest(quantity * (at - interval.start), interval.end - interval.start)
