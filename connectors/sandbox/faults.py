"""What goes wrong at the stand-ins, where and when: a fixed list for a book and a span of days.

Every fault is one the field has shown: data that comes late, twice, cut off or corrected, counters
that start again at zero, meters that fall silent, sites that are down. The list depends only on the
book's meters and the days served. Faults stand on fixed days of one month, that of the middle of
the days served; what is put right after the month is counted from its end: some of it in time for a
close on the fourth, some not. A fault that reaches outside the days served is left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from connectors.sandbox.places import Place

FaultKind = Literal[
    "counter_reset",  # the counter starts again at zero at from_at; the meter goes on counting
    "cut_off",  # the drop of that local day ends in the middle of a row; sent whole at published_at
    "gap",  # the meter has no readings that start in the span, for ever
    "late",  # readings that start in the span are there only from published_at on
    "lost",  # the whole site has no readings that start in the span, for ever
    "outage",  # the server answers 503 (or refuses) while the clock is in the span
    "restated",  # readings that start in the span are 10 % higher from published_at on
    "sent_twice",  # the drop of that local day comes again, unchanged, at published_at
    "spike",  # one sample at from_at is 25 times the rated power
]


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: half-open span [from_at, to_at) in UTC; `meter_id` None = the whole site."""

    site_id: str
    kind: FaultKind
    meter_id: str | None
    from_at: datetime
    to_at: datetime
    published_at: datetime | None = None

    def covers(self, meter_id: str, at: datetime) -> bool:
        """Whether a reading of that meter that starts at `at` is hit."""
        return self.meter_id in (None, meter_id) and self.from_at <= at < self.to_at

    def describe(self) -> str:
        """One plain sentence fragment for people."""
        who = f"meter {self.meter_id}" if self.meter_id else "whole site"
        text = f"{self.site_id}: {self.kind} ({who}), {self.from_at:%Y-%m-%d %H:%M}"
        if self.to_at > self.from_at:
            text += f" to {self.to_at:%Y-%m-%d %H:%M}"
        if self.published_at is not None:
            text += f", put right on {self.published_at:%Y-%m-%d %H:%M}"
        return text + " UTC"


@dataclass(frozen=True, slots=True)
class _Month:
    start: datetime
    end: datetime

    @classmethod
    def of_span(cls, start: datetime, end: datetime) -> _Month:
        first = (start + (end - start) / 2).replace(day=1, hour=0, minute=0, second=0)
        return cls(first, (first + timedelta(days=31)).replace(day=1))

    def day(self, number: int, hours: float = 0) -> datetime:
        return self.start + timedelta(days=number - 1, hours=hours)

    def last(self, days: int, hours: float = 0) -> datetime:
        """Days before the end: 1 is the midnight at which the last day begins."""
        return self.end - timedelta(days=days) + timedelta(hours=hours)

    def after(self, days: int, hours: float = 0) -> datetime:
        return self.end + timedelta(days=days, hours=hours)


def plan_faults(places: Iterable[Place], *, start: datetime, end: datetime) -> tuple[Fault, ...]:
    """The faults of these sites in [start, end) (UTC midnights), in order of site and time."""
    month = _Month.of_span(start, end)
    of_kind = {
        "rest_json": _of_rest_json,
        "prometheus": _of_prometheus,
        "files": _of_files,
        "sql": _of_sql,
    }
    faults: list[Fault] = []
    for place in places:
        faults += of_kind[place.kind](place, _steady_meters(place, start=start, end=end), month)
    inside = [fault for fault in faults if start <= fault.from_at and fault.to_at <= end]
    return tuple(sorted(inside, key=lambda fault: (fault.site_id, fault.from_at, fault.kind)))


def _steady_meters(place: Place, *, start: datetime, end: datetime) -> tuple[str, ...]:
    """Meters one machine holds throughout: a fault of theirs does not blur with a move."""
    return tuple(
        sorted(
            placement.meter_id
            for placement in place.placements
            if placement.valid_from <= start
            and (placement.valid_to is None or placement.valid_to >= end)
        )
    )


def _meter(meters: tuple[str, ...], number: int) -> str | None:
    return meters[number % len(meters)] if meters else None


def _of_rest_json(place: Place, meters: tuple[str, ...], month: _Month) -> list[Fault]:
    site = place.site_id
    faults = [Fault(site, "outage", None, month.day(12, 6), month.day(12, 14))]
    if meters:
        faults += [
            Fault(site, "gap", _meter(meters, 2), month.day(8, 9), month.day(8, 14)),
            Fault(site, "late", _meter(meters, 1), month.last(3), month.last(2), month.after(2, 6)),
            Fault(
                site,
                "restated",
                _meter(meters, 0),
                month.last(2, 10),
                month.last(2, 13),
                month.after(2, 6),
            ),
        ]
    return faults


def _of_prometheus(place: Place, meters: tuple[str, ...], month: _Month) -> list[Fault]:
    site = place.site_id
    faults = [
        # Nothing was scraped, but the counters went on: the usage is in the one long difference.
        Fault(site, "lost", None, month.day(22, 1), month.day(22, 5)),
        Fault(site, "outage", None, month.day(22, 1), month.day(22, 5)),
    ]
    if meters:
        reset = month.day(16, 3.625)
        faults.append(Fault(site, "counter_reset", _meter(meters, 0), reset, reset))
    return faults


def _of_files(place: Place, meters: tuple[str, ...], month: _Month) -> list[Fault]:
    site = place.site_id

    def local_day(midnight: datetime) -> tuple[datetime, datetime]:
        """The whole local day with the date of that UTC midnight."""
        first = datetime(midnight.year, midnight.month, midnight.day, tzinfo=place.zone)
        following = midnight + timedelta(days=1)
        last = datetime(following.year, following.month, following.day, tzinfo=place.zone)
        return first.astimezone(UTC), last.astimezone(UTC)

    faults = [
        Fault(site, "cut_off", None, *local_day(month.day(9)), month.day(11, 5)),
        Fault(site, "sent_twice", None, *local_day(month.day(14)), month.day(15, 9)),
        Fault(site, "late", None, *local_day(month.day(18)), month.day(21, 4)),
        Fault(site, "late", None, *local_day(month.last(2)), month.after(2, 4)),
    ]
    if meters:
        faults.append(Fault(site, "gap", _meter(meters, 1), month.day(6, 4), month.day(6, 10)))
    return faults


def _of_sql(place: Place, meters: tuple[str, ...], month: _Month) -> list[Fault]:
    site = place.site_id
    faults = [Fault(site, "lost", None, month.day(23, 11), month.day(23, 17))]
    if meters:
        spike = month.day(5, 7)
        faults += [
            Fault(site, "gap", _meter(meters, 1), month.day(11, 2), month.day(11, 6)),
            Fault(site, "spike", _meter(meters, 0), spike, spike),
            Fault(
                site,
                "restated",
                _meter(meters, 2),
                month.day(17, 8),
                month.day(17, 10),
                month.day(19, 1),
            ),
            # Too late for a close on the fourth: the difference comes as an adjustment.
            Fault(
                site, "late", _meter(meters, 3), month.last(1, 6), month.last(1, 12),
                month.after(5, 1),
            ),
        ]  # fmt: skip
    return faults
