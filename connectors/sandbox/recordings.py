"""The readings of one site over time: every version of each, with the moment it can be seen.

A `Recording` is made once from the placements, the load and the faults; a server asks it what can
be seen at the clock's time. The same object says what the product ought to accept in the end
(`accepted_kwh`), by its own short reckoning of the rules for intervals, registers and gauges.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Literal

from connectors.sandbox.faults import Fault
from connectors.sandbox.load import draw, watts
from connectors.sandbox.places import Place, Placement

Shape = Literal["interval", "register", "gauge"]

_MARGIN = timedelta(days=1)
_DROP_DELAY = timedelta(hours=2)
_MAX_GAUGE_GAP = timedelta(minutes=15)
_NINE = Decimal("1e-9")
_SPIKE_TIMES = 25


@dataclass(frozen=True, slots=True)
class Profile:
    """How a kind of site reports: shape, unit and spacing of its readings."""

    shape: Shape
    unit: str
    step: timedelta


PROFILES = {
    "rest_json": Profile("interval", "kWh", timedelta(hours=1)),
    "prometheus": Profile("register", "J", timedelta(minutes=15)),
    "files": Profile("interval", "Wh", timedelta(minutes=15)),
    "sql": Profile("gauge", "W", timedelta(minutes=10)),
}
# Divisors to kWh; a gauge in W is first made an interval in Wh.
_PER_KWH = {"kWh": 1, "Wh": 1000, "W": 1000, "J": 3_600_000}
# A drop that is cut off ends in the middle of the row after this much of the local day.
_CUT_AFTER = timedelta(hours=13)


@dataclass(frozen=True, slots=True)
class Reading:
    """One version of a reading; `end` None for registers and gauges; `value` in the site's unit."""

    meter_id: str
    start: datetime
    end: datetime | None
    value: Decimal
    published_at: datetime


@dataclass(frozen=True)
class Recording:
    """All versions of a site's readings from a day before `start` to a day after `end`."""

    place: Place
    profile: Profile
    start: datetime
    end: datetime
    faults: tuple[Fault, ...]
    versions: tuple[Reading, ...] = field(repr=False)

    def seen_at(self, now: datetime) -> list[Reading]:
        """The newest version of each reading at that time, in order of meter and time."""
        newest: dict[tuple[str, datetime], Reading] = {}
        for reading in self.versions:
            if reading.published_at <= now:
                newest[reading.meter_id, reading.start] = reading
        return [newest[key] for key in sorted(newest)]

    def published_between(self, after: datetime, until: datetime) -> list[Reading]:
        """Versions that appear in (after, until], oldest first."""
        found = [v for v in self.versions if after < v.published_at <= until]
        return sorted(found, key=lambda v: (v.published_at, v.meter_id, v.start))

    def is_down(self, now: datetime) -> bool:
        """Whether the site's server is out of service at that time."""
        return any(f.kind == "outage" and f.from_at <= now < f.to_at for f in self.faults)

    def accepted_kwh(
        self, *, now: datetime, start: datetime | None = None, end: datetime | None = None
    ) -> dict[str, Decimal]:
        """Energy per meter that a reader at `now` should accept, in kWh with 9 decimals.

        Counts the intervals, as read or derived, that start in [start, end) (default: the span of
        the recording), wholly, without the spikes and without what a counter reset hides.
        """
        start, end = start or self.start, end or self.end
        totals = dict.fromkeys(self.place.meter_ids, Decimal(0))
        for meter_id, _, _, kwh in self._accepted(now, start, end):
            totals[meter_id] += kwh
        return totals

    def _accepted(
        self, now: datetime, start: datetime, end: datetime
    ) -> Iterator[tuple[str, datetime, datetime, Decimal]]:
        seen = self.seen_at(now)
        if self.profile.shape == "interval":
            spans = [(r.meter_id, r.start, r.end, r.value) for r in seen if r.end is not None]
        else:
            spans = list(self._derived(seen))
        per_kwh = _PER_KWH[self.profile.unit]
        for meter_id, begins, ends, quantity in spans:
            if not start <= begins < end:
                continue
            kwh = (quantity / per_kwh).quantize(_NINE, rounding="ROUND_HALF_UP")
            hours = Decimal(int((ends - begins).total_seconds())) / 3600
            limit = self._rated_kw(meter_id, begins, ends) * Decimal("1.5") * hours
            if kwh <= limit:
                yield meter_id, begins, ends, kwh

    def _derived(self, seen: list[Reading]) -> Iterator[tuple[str, datetime, datetime, Decimal]]:
        for before, after in pairwise(seen):
            if before.meter_id != after.meter_id:
                continue
            if self.profile.shape == "register":
                if after.value >= before.value:
                    yield before.meter_id, before.start, after.start, after.value - before.value
            elif after.start - before.start <= _MAX_GAUGE_GAP:
                seconds = Decimal(int((after.start - before.start).total_seconds()))
                watt_hours = (before.value + after.value) * seconds / 7200
                yield before.meter_id, before.start, after.start, watt_hours

    def _rated_kw(self, meter_id: str, begins: datetime, ends: datetime) -> Decimal:
        for placement in self.place.placements:
            if (
                placement.meter_id == meter_id
                and placement.valid_from < ends
                and (placement.valid_to is None or placement.valid_to > begins)
            ):
                return placement.rated_kw
        return Decimal(0)


def record(
    place: Place, *, seed: int, start: datetime, end: datetime, faults: Iterable[Fault] = ()
) -> Recording:
    """All readings of a site for [start, end), with a day either side for other time zones."""
    profile = PROFILES[place.kind]
    own = tuple(fault for fault in faults if fault.site_id == place.site_id)
    versions: list[Reading] = []
    for meter_id in place.meter_ids:
        slots = _slots(place, meter_id, profile.step, start - _MARGIN, end + _MARGIN)
        powers = [
            (at, watts(seed, site_id=place.site_id, meter_id=meter_id, at=at, rated_kw=rated))
            for at, rated in slots
        ]
        if profile.shape == "interval":
            plain = _intervals(place, meter_id, profile, powers)
        elif profile.shape == "register":
            first = draw(seed, "counter", place.site_id, meter_id) % 10**12
            plain = _registers(meter_id, profile, powers, own, first)
        else:
            plain = _gauges(place, meter_id, profile, powers, own)
        versions.extend(_as_published(plain, own))
    versions.sort(key=lambda v: (v.meter_id, v.start, v.published_at))
    return Recording(
        place=place, profile=profile, start=start, end=end, faults=own, versions=tuple(versions)
    )


def _slots(
    place: Place, meter_id: str, step: timedelta, start: datetime, end: datetime
) -> list[tuple[datetime, Decimal]]:
    """Slots of the meter that lie wholly inside a placement, with the machine's rated power."""
    slots: list[tuple[datetime, Decimal]] = []
    for placement in place.placements:
        if placement.meter_id != meter_id:
            continue
        at = _aligned(max(start, placement.valid_from), step)
        until = min(end, placement.valid_to) if placement.valid_to else end
        while at + step <= until:
            slots.append((at, placement.rated_kw))
            at += step
    return slots


def _aligned(at: datetime, step: timedelta) -> datetime:
    """The first slot start not before `at`."""
    seconds, width = int(at.timestamp()), int(step.total_seconds())
    if at.microsecond:
        seconds += 1
    return datetime.fromtimestamp(-(-seconds // width) * width, UTC)


def drop_time(place: Place, at: datetime) -> datetime:
    """When the daily drop with a reading of that time arrives: two hours after the local day."""
    local = at.astimezone(place.zone).date() + timedelta(days=1)
    return datetime.combine(local, time(), place.zone).astimezone(UTC) + _DROP_DELAY


def _intervals(
    place: Place, meter_id: str, profile: Profile, powers: list[tuple[datetime, int]]
) -> Iterator[Reading]:
    for at, power in powers:
        end = at + profile.step
        watt_hours = Decimal(power) * int(profile.step.total_seconds()) / 3600
        value = watt_hours / 1000 if profile.unit == "kWh" else watt_hours
        published = drop_time(place, at) if place.kind == "files" else end
        yield Reading(meter_id, at, end, value, published)


def _registers(
    meter_id: str,
    profile: Profile,
    powers: list[tuple[datetime, int]],
    faults: tuple[Fault, ...],
    first: int,
) -> Iterator[Reading]:
    seconds = int(profile.step.total_seconds())
    resets = [f.from_at for f in faults if f.kind == "counter_reset" and f.meter_id == meter_id]
    total, previous_end = first, None
    for at, power in powers:
        if previous_end != at:
            yield Reading(meter_id, at, None, Decimal(total), at)
        previous_end = at + profile.step
        total += power * seconds
        for reset in resets:
            if at <= reset < previous_end:
                total = power * int((previous_end - reset).total_seconds())
        yield Reading(meter_id, previous_end, None, Decimal(total), previous_end)


def _gauges(
    place: Place,
    meter_id: str,
    profile: Profile,
    powers: list[tuple[datetime, int]],
    faults: tuple[Fault, ...],
) -> Iterator[Reading]:
    spikes = {f.from_at for f in faults if f.kind == "spike" and f.meter_id == meter_id}
    previous_end, last = None, 0
    for at, power in powers:
        if previous_end is not None and previous_end != at:
            yield Reading(meter_id, previous_end, None, Decimal(last), previous_end)
        value = Decimal(power)
        if at in spikes:
            value = _rated_at(place.placements, meter_id, at) * 1000 * _SPIKE_TIMES
        yield Reading(meter_id, at, None, value, at)
        previous_end, last = at + profile.step, power
    if previous_end is not None:
        yield Reading(meter_id, previous_end, None, Decimal(last), previous_end)


def _rated_at(placements: tuple[Placement, ...], meter_id: str, at: datetime) -> Decimal:
    for placement in placements:
        is_over = placement.valid_to is not None and placement.valid_to <= at
        if placement.meter_id == meter_id and placement.valid_from <= at and not is_over:
            return placement.rated_kw
    return Decimal(1)


def _as_published(readings: Iterable[Reading], faults: tuple[Fault, ...]) -> Iterator[Reading]:
    """Each reading as the site lets it out: lost, late, or corrected later."""
    for reading in readings:
        hits = [f for f in faults if f.covers(reading.meter_id, reading.start)]
        if any(f.kind in ("gap", "lost") for f in hits):
            continue
        published = reading.published_at
        for fault in hits:
            is_late = fault.kind == "late" or (
                fault.kind == "cut_off" and reading.start >= fault.from_at + _CUT_AFTER
            )
            if is_late and fault.published_at is not None:
                published = max(published, fault.published_at)
        yield Reading(reading.meter_id, reading.start, reading.end, reading.value, published)
        for fault in hits:
            if fault.kind == "restated" and fault.published_at is not None:
                corrected = reading.value * Decimal("1.1")
                yield Reading(
                    reading.meter_id, reading.start, reading.end, corrected, fault.published_at
                )
