"""Local time, from the IANA database as Python's zoneinfo reads it: the product's one authority.

Everything that SQL needs to know about local time is computed here and handed over as tables, so
that two engines with two time zone databases can never bill two different hours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

FIRST_YEAR = 2000
END_YEAR = 2060
_STEP = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ZoneSpan:
    """A stretch [from_at, to_at) of constant offset from UTC."""

    from_at: datetime
    to_at: datetime
    utc_offset_seconds: int


@dataclass(frozen=True, slots=True)
class ZoneMonth:
    """A local calendar month [start_at, end_at) as instants."""

    period: str
    start_at: datetime
    end_at: datetime


@cache
def known_zones() -> frozenset[str]:
    """Names of the IANA database."""
    return frozenset(available_timezones()) - {"localtime", "posixrules", "Factory"}


@lru_cache(maxsize=100_000)
def local_midnight(day: date, zone: str) -> datetime:
    """The instant (UTC) at which the local day begins.

    Where midnight does not exist (clocks go forward over it) it is the first instant of that local
    day; where it comes twice, the first. OverflowError if the instant is outside years 1 to 9999.
    """
    tz = ZoneInfo(zone)
    wall = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - a wall clock, by intention
    first = wall.replace(tzinfo=tz, fold=0).astimezone(UTC)
    if first.astimezone(tz).replace(tzinfo=None) == wall:
        return first
    before = wall.replace(tzinfo=tz, fold=1).astimezone(UTC)
    return _change_between(before, first, tz)


def local_day(instant: datetime, zone: str) -> date:
    """The calendar date on the wall at that instant."""
    return instant.astimezone(ZoneInfo(zone)).date()


def local_month(instant: datetime, zone: str) -> str:
    """The month `YYYY-MM` on the wall at that instant."""
    return local_day(instant, zone).strftime("%Y-%m")


def month_before(month: str) -> str:
    """`2027-01` gives `2026-12`."""
    year, number = int(month[:4]), int(month[5:])
    return f"{year - 1:04d}-12" if number == 1 else f"{year:04d}-{number - 1:02d}"


def last_local_day(end: datetime, zone: str) -> date:
    """The calendar date of the last instant before `end`."""
    return local_day(end - timedelta(microseconds=1), zone)


@cache
def zone_spans(zone: str) -> tuple[ZoneSpan, ...]:
    """Spans of constant offset that cover 2000-01-01 to 2060-01-01 UTC without gap or overlap."""
    tz = ZoneInfo(zone)
    spans: list[ZoneSpan] = []
    start = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)
    end = datetime(END_YEAR, 1, 1, tzinfo=UTC)
    here, offset = start, _offset(start, tz)
    while here < end:
        ahead = min(here + _STEP, end)
        if ahead < end and _offset(ahead, tz) != offset:
            change = _change_between(here, ahead, tz)
            spans.append(ZoneSpan(start, change, offset))
            start, here, offset = change, change, _offset(change, tz)
        else:
            here = ahead
    spans.append(ZoneSpan(start, end, offset))
    return tuple(spans)


@cache
def zone_months(zone: str) -> tuple[ZoneMonth, ...]:
    """All local months 2000-01 to 2059-12."""
    starts = [(day, local_midnight(day, zone)) for day in _month_starts()]
    return tuple(
        ZoneMonth(day.strftime("%Y-%m"), start, end) for (day, start), (_, end) in pairwise(starts)
    )


def _month_starts() -> Iterator[date]:
    for year in range(FIRST_YEAR, END_YEAR):
        for month in range(1, 13):
            yield date(year, month, 1)
    yield date(END_YEAR, 1, 1)


def _offset(instant: datetime, tz: ZoneInfo) -> int:
    offset = instant.astimezone(tz).utcoffset()
    if offset is None:  # pragma: no cover - zoneinfo always knows the offset of an instant
        raise ValueError(f"no offset known for {instant.isoformat()} in {tz.key}")
    return int(offset.total_seconds())


def _change_between(low: datetime, high: datetime, tz: ZoneInfo) -> datetime:
    """First second in (low, high] whose offset differs from that at `low` (one change at most)."""
    offset = _offset(low, tz)
    below, above = 0, int((high - low).total_seconds())
    while above - below > 1:
        middle = (below + above) // 2
        if _offset(low + timedelta(seconds=middle), tz) == offset:
            below = middle
        else:
            above = middle
    return low + timedelta(seconds=above)
