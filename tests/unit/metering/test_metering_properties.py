"""The metering models against the rules read literally, on worlds that hypothesis makes up.

The reference below follows the page on metering sentence by sentence, in fractions, comparing
everything with everything; the models must give the same pieces, reconciliation and exceptions to
the last decimal, whatever the order of arrival.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.metering.worlds import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Assignment,
    Placement,
    Reading,
    Term,
    World,
    at,
    day_of,
    nine,
    us_of,
    world_of,
)


@dataclass(frozen=True)
class Interval:
    meter_id: str
    metric: str
    origin: str
    start: int
    end: int
    quantity: Fraction
    allowed: bool = False


@dataclass(frozen=True)
class Piece:
    """A part of an interval or an estimate under one responsibility."""

    interval: Interval
    low: int
    high: int
    machine: str | None
    contract: str | None
    term_no: int | None
    period: str | None
    timezone: str
    estimated: bool

    def quantity(self, low: int, high: int) -> Fraction:
        return cum(self.interval, high) - cum(self.interval, low)

    def parts(self, cuts: Sequence[int]) -> Iterator[tuple[int, Fraction]]:
        """The piece cut at more moments: where each part begins, and its quantity."""
        moments = sorted({self.low, self.high, *(c for c in cuts if self.low < c < self.high)})
        for low, high in pairwise(moments):
            yield low, self.quantity(low, high)


def cum(interval: Interval, t: int) -> Fraction:
    span = interval.end - interval.start
    return nine(interval.quantity * Fraction(t - interval.start, span))


@dataclass
class Outcome:
    """What metering makes of a world."""

    pieces: list[Piece] = field(default_factory=list)
    months: dict[tuple[Any, ...], tuple[Fraction, Fraction]] = field(default_factory=dict)
    dates: dict[tuple[Any, ...], tuple[Fraction, Fraction]] = field(default_factory=dict)
    quarters: dict[tuple[Any, ...], Fraction] = field(default_factory=dict)
    fates: dict[str, int] = field(default_factory=dict)
    days: dict[tuple[str, date], dict[str, Fraction]] = field(default_factory=dict)
    exceptions: dict[tuple[Any, ...], tuple[int, Fraction | None]] = field(default_factory=dict)

    def total(self) -> None:
        """Add the pieces up as the warehouse does."""
        months: dict[tuple[Any, ...], list[Fraction]] = defaultdict(lambda: [Fraction(0)] * 2)
        dates: dict[tuple[Any, ...], list[Fraction]] = defaultdict(lambda: [Fraction(0)] * 2)
        quarters: dict[tuple[Any, ...], Fraction] = defaultdict(Fraction)
        for piece in self.pieces:
            metric = piece.interval.metric
            if piece.contract is not None:
                segment = (piece.contract, piece.term_no, piece.period, metric)
                whole = piece.quantity(piece.low, piece.high)
                months[*segment, piece.machine][0] += whole
                months[*segment, piece.machine][1] += whole if piece.estimated else 0
                step = 15 * MINUTE
                grid = range(piece.low // step * step, piece.high + step, step)
                for low, quantity in piece.parts(grid):
                    quarters[*segment, low // step] += quantity
            zone = ZoneInfo(piece.timezone)
            first = at(piece.low).astimezone(zone).date()
            midnights = [
                us_of(datetime(day.year, day.month, day.day, tzinfo=zone))
                for day in (
                    first + timedelta(days=n) for n in range((piece.high - piece.low) // DAY + 3)
                )
            ]
            for low, quantity in piece.parts(midnights):
                local = at(low).astimezone(zone).date()
                key = (piece.machine, piece.contract, local, metric)
                dates[key][1 if piece.estimated else 0] += quantity
        self.months = {key: (total, estimated) for key, (total, estimated) in months.items()}
        self.dates = {key: (measured, estimated) for key, (measured, estimated) in dates.items()}
        self.quarters = dict(quarters)


class Reference:
    """The rules, read literally."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.zones = {row.timezone for row in world.terms} | {world.timezone}
        self.months = {zone: list(self._months(zone)) for zone in self.zones}

    @staticmethod
    def _months(zone: str) -> Iterator[tuple[str, int, int]]:
        info = ZoneInfo(zone)
        for month in range(1, 13):
            following = (2027, 1) if month == 12 else (2026, month + 1)
            yield (
                f"2026-{month:02}",
                us_of(datetime(2026, month, 1, tzinfo=info)),
                us_of(datetime(*following, 1, tzinfo=info)),
            )

    def outcome(self) -> Outcome:
        world = self.world
        out = Outcome()
        fate: dict[int, str] = {}
        faults: list[tuple[str, str, str, int, int, Fraction | None]] = []
        quarantined: list[tuple[str, int, Fraction]] = []
        possible: dict[int, Reading] = {}
        for number, row in enumerate(world.readings):
            last = row.start if row.end is None else row.end
            value = nine(row.canonical)
            kind = None
            if last > row.ingested + HOUR:
                kind = "future_reading"
            elif abs(value) >= 10**12:
                kind = "absurd_value"
            if kind is None:
                possible[number] = row
                continue
            fate[number] = "quarantined"
            quantity = value if row.kind == "interval" else None
            faults.append((kind, row.meter_id, row.usage_metric, row.start, last, quantity))
            if quantity is not None:
                quarantined.append((row.usage_metric, row.start, quantity))
        # One kind a day.
        order = ["interval", "register", "gauge"]
        for number, row in possible.items():
            kinds = {
                other.kind
                for other in possible.values()
                if (other.meter_id, other.usage_metric, day_of(other.start))
                == (row.meter_id, row.usage_metric, day_of(row.start))
            }
            if row.kind != min(kinds, key=order.index):
                fate[number] = "unused_kind"
        # Deduplicate.
        for number, row in possible.items():
            if number in fate:
                continue
            for other_number, other in possible.items():
                same = (other.meter_id, other.metric, other.kind, other.start, other.end) == (
                    row.meter_id,
                    row.metric,
                    row.kind,
                    row.start,
                    row.end,
                ) and fate.get(other_number) != "unused_kind"
                if same and (other.ingested, other.batch_id) > (row.ingested, row.batch_id):
                    fate[number] = "superseded"
        # Edits.
        allowed = set()
        for number, row in possible.items():
            if number in fate:
                continue
            for edit in world.edits:
                reaches = (
                    edit.meter_id == row.meter_id
                    and edit.metric in (row.metric, row.usage_metric)
                    and edit.start <= row.start < edit.end
                )
                if reaches and edit.action == "accept":
                    allowed.add(number)
                elif reaches:
                    fate[number] = "rejected"
        used = {number: row for number, row in possible.items() if number not in fate}
        intervals, begins = self._intervals(used, allowed, faults)
        verdicts = self._verdicts(intervals)
        accepted = [i for i, verdict in zip(intervals, verdicts, strict=True) if verdict is None]
        for interval, verdict in zip(intervals, verdicts, strict=True):
            if verdict is not None:
                faults.append(
                    (verdict, interval.meter_id, interval.metric, interval.start, interval.end,
                     interval.quantity)
                )  # fmt: skip
                quarantined.append((interval.metric, interval.start, interval.quantity))
        for number in used:
            beginning = begins.get(number)
            bad = beginning is not None and verdicts[beginning] is not None
            fate[number] = "quarantined" if bad else "accepted"
        estimates, missing = self._gaps(accepted)
        self._write(out, accepted, estimates, fate, quarantined)
        self._write_exceptions(out, faults, accepted, missing)
        return out

    def _intervals(
        self,
        used: Mapping[int, Reading],
        allowed: set[int],
        faults: list[tuple[str, str, str, int, int, Fraction | None]],
    ) -> tuple[list[Interval], dict[int, int]]:
        intervals: list[Interval] = []
        begins: dict[int, int] = {}

        def add(number: int, row: Reading, end: int, quantity: Fraction) -> None:
            begins[number] = len(intervals)
            intervals.append(
                Interval(
                    row.meter_id, row.usage_metric, row.kind, row.start, end, nine(quantity),
                    number in allowed,
                )
            )  # fmt: skip

        for number, row in used.items():
            if row.kind == "interval":
                assert row.end is not None
                add(number, row, row.end, row.canonical)
                continue
            later = [
                other
                for other in used.values()
                if other.meter_id == row.meter_id
                and other.usage_metric == row.usage_metric
                and other.start > row.start
            ]
            same = [other for other in later if other.kind == row.kind]
            if not same:
                continue
            following = min(same, key=lambda other: other.start)
            if any(o.kind != row.kind and o.start < following.start for o in later):
                continue
            span = following.start - row.start
            if row.kind == "register":
                if following.canonical < row.canonical:
                    faults.append(
                        ("register_reset", row.meter_id, row.usage_metric, row.start,
                         following.start, None)
                    )  # fmt: skip
                else:
                    add(number, row, following.start, following.canonical - row.canonical)
            elif span <= 15 * MINUTE:
                mean = (row.canonical + following.canonical) / 2
                add(number, row, following.start, mean * Fraction(span, HOUR))
        for edit in self.world.edits:
            if edit.action == "set":
                assert edit.quantity is not None
                intervals.append(
                    Interval(
                        edit.meter_id, edit.metric, "set", edit.start, edit.end,
                        Fraction(edit.quantity), True,
                    )
                )  # fmt: skip
        return intervals, begins

    def _placements_of(self, meter_id: str, start: int, end: int) -> list[Placement]:
        found = [
            row
            for row in self.world.placements
            if row.meter_id == meter_id and row.start < end and (row.end is None or row.end > start)
        ]
        return sorted(found, key=lambda row: row.start)

    def _verdicts(self, intervals: Sequence[Interval]) -> list[str | None]:
        verdicts: list[str | None] = []
        for interval in intervals:
            verdict = None
            placements = self._placements_of(interval.meter_id, interval.start, interval.end)
            rated = None
            if placements:
                rated = placements[0].rated_kw
                if rated is None:
                    rated = self.world.default_rated_kw
            if interval.origin == "set":
                pass
            elif interval.quantity < 0:
                verdict = "negative_quantity"
            elif any(
                other is not interval
                and (other.origin == "set" or other.quantity >= 0)
                and (other.meter_id, other.metric) == (interval.meter_id, interval.metric)
                and other.start < interval.end
                and other.end > interval.start
                for other in intervals
            ):
                verdict = "overlapping_intervals"
            elif (
                interval.metric == "energy"
                and rated is not None
                and not interval.allowed
                and interval.quantity
                > Fraction(3, 2) * Fraction(rated) * Fraction(interval.end - interval.start, HOUR)
            ):
                verdict = "spike"
            elif not placements:
                verdict = "unknown_meter"
            verdicts.append(verdict)
        return verdicts

    def _parts(
        self, meter_id: str, start: int, end: int
    ) -> list[tuple[int, int, str | None, Term | None, str | None]]:
        """Cut a span of a meter by everything: machine, term and period of every part."""
        cuts = {start, end}
        rows: list[Placement | Assignment | Term] = [
            *self.world.placements,
            *self.world.assignments,
            *self.world.terms,
        ]
        for row in rows:
            cuts |= {row.start} | ({row.end} if row.end is not None else set())
        for months in self.months.values():
            for _, month_start, month_end in months:
                cuts |= {month_start, month_end}
        ordered = sorted(cut for cut in cuts if start <= cut <= end)
        parts: list[tuple[int, int, str | None, Term | None, str | None]] = []
        for low, high in pairwise(ordered):
            machine = next(
                (
                    row.machine_id
                    for row in self.world.placements
                    if row.meter_id == meter_id
                    and row.start <= low
                    and (row.end is None or row.end > low)
                ),
                None,
            )
            contract = next(
                (
                    row.contract_id
                    for row in self.world.assignments
                    if row.machine_id == machine
                    and row.start <= low
                    and (row.end is None or row.end > low)
                ),
                None,
            )
            term = next(
                (
                    row
                    for row in self.world.terms
                    if row.contract_id == contract
                    and row.start <= low
                    and (row.end is None or row.end > low)
                ),
                None,
            )
            period = None
            if term is not None:
                period = next(name for name, s, e in self.months[term.timezone] if s <= low < e)
            last = parts[-1] if parts else None
            if last is not None and last[1] == low and last[2:] == (machine, term, period):
                parts[-1] = (last[0], high, machine, term, period)
            else:
                parts.append((low, high, machine, term, period))
        return parts

    def _gaps(
        self, accepted: Sequence[Interval]
    ) -> tuple[list[tuple[Interval, str | None]], dict[tuple[str, str, str], int]]:
        possible = [row for row in self.world.readings if not self._impossible(row)]
        estimates: list[tuple[Interval, str | None]] = []
        missing: dict[tuple[str, str, str], int] = defaultdict(int)
        if not possible:
            return estimates, missing
        newest = max(row.start for row in possible)
        first = min(row.start for row in possible)
        last_day = (newest // DAY + 1) * DAY
        energy = [interval for interval in accepted if interval.metric == "energy"]
        for placement in self.world.placements:
            if not placement.gives_energy:
                continue
            forever = 10**18
            limit = forever if placement.end is None else placement.end
            inside = sorted(
                (i for i in energy if i.meter_id == placement.meter_id
                 and i.start < limit and i.end > placement.start),
                key=lambda i: i.start,
            )  # fmt: skip
            position = placement.start
            before: Interval | None = None
            gaps: list[tuple[int, int, Interval | None, Interval | None]] = []
            for interval in inside:
                if interval.start > position:
                    gaps.append((position, interval.start, before, interval))
                position = max(position, interval.end)
                before = interval
            if position < limit:
                gaps.append((position, limit, before, None))
            for start, end, previous, following in gaps:
                if following is not None:
                    self._fill(placement, start, end, previous, following, None, accepted,
                               estimates, missing, first)  # fmt: skip
                    continue
                for zone in sorted({term.timezone for term in self.world.terms}):
                    over = max((e for _, _, e in self.months[zone] if e <= newest), default=0)
                    horizon = min(end, max(over, last_day))
                    if start < horizon:
                        self._fill(placement, start, horizon, previous, None, zone, accepted,
                                   estimates, missing, first)  # fmt: skip
        return estimates, missing

    @staticmethod
    def _impossible(row: Reading) -> bool:
        last = row.start if row.end is None else row.end
        return last > row.ingested + HOUR or abs(nine(row.canonical)) >= 10**12

    def _fill(
        self,
        placement: Placement,
        start: int,
        end: int,
        before: Interval | None,
        after: Interval | None,
        zone: str | None,
        accepted: Sequence[Interval],
        estimates: list[tuple[Interval, str | None]],
        missing: dict[tuple[str, str, str], int],
        first: int,
    ) -> None:
        filled: list[tuple[int, int, Fraction]] = []
        policy = self.world.estimation
        short = before is not None and after is not None and end - start <= 2 * HOUR
        if policy != "none" and short:
            assert before is not None
            assert after is not None
            kw = [i.quantity / Fraction(i.end - i.start, HOUR) for i in (before, after)]
            filled.append(
                (start, end, nine(sum(kw, Fraction(0)) / 2 * Fraction(end - start, HOUR)))
            )
        elif policy == "like_day":
            for low, high, hours in self._local_hours(start, min(end, start + 40 * DAY)):
                usages = [
                    usage
                    for hour in hours
                    if (usage := self._usage(placement, hour, accepted)) is not None
                ]
                if len(usages) >= 2:
                    mean = sum(usages, Fraction(0)) / len(usages)
                    filled.append((low, high, nine(mean * Fraction(high - low, HOUR))))
        for low, high, quantity in filled:
            estimates.append(
                (Interval(placement.meter_id, "energy", "estimate", low, high, quantity), zone)
            )
        for low, high, machine, term, period in self._parts(placement.meter_id, start, end):
            if term is None or machine is None or period is None:
                continue
            if zone is not None and term.timezone != zone:
                continue
            if next(e for name, _, e in self.months[term.timezone] if name == period) <= first:
                continue
            rest = high - low - sum(max(0, min(high, b) - max(low, a)) for a, b, _ in filled)
            missing[machine, term.contract_id, period] += rest

    def _local_hours(self, start: int, end: int) -> Iterator[tuple[int, int, list[int]]]:
        """The local clock hours that a span touches, with the starts of their model hours."""
        zone = ZoneInfo(self.world.timezone)

        def offset(us: int) -> int:
            delta = at(us).astimezone(zone).utcoffset()
            assert delta is not None
            return int(delta.total_seconds()) * SECOND

        position = start
        while position < end:
            local = position + offset(position)
            low = position
            high = min(end, position + HOUR - local % HOUR)
            label = local // HOUR
            models = []
            for weeks in (1, 2, 3, 4):
                wall = (label - weeks * 7 * 24) * HOUR
                offsets = {offset(wall - 14 * HOUR), offset(wall + 14 * HOUR), offset(wall)}
                models += [
                    wall - o
                    for o in offsets
                    if offset(wall - o) == o and offset(wall - o + HOUR - 1) == o
                ]
            yield low, high, models
            position = high

    def _usage(
        self, placement: Placement, hour: int, accepted: Sequence[Interval]
    ) -> Fraction | None:
        total = Fraction(0)
        covered = 0
        for row in self.world.placements:
            if (row.machine_id, row.meter_id) != (placement.machine_id, placement.meter_id):
                continue
            for interval in accepted:
                if (interval.meter_id, interval.metric) != (placement.meter_id, "energy"):
                    continue
                low = max(interval.start, hour, row.start)
                high = min(interval.end, hour + HOUR, 10**18 if row.end is None else row.end)
                if low < high:
                    covered += high - low
                    total += cum(interval, high) - cum(interval, low)
        return total if covered == HOUR else None

    def _write(
        self,
        out: Outcome,
        accepted: Sequence[Interval],
        estimates: Sequence[tuple[Interval, str | None]],
        fate: Mapping[int, str],
        quarantined: Sequence[tuple[str, int, Fraction]],
    ) -> None:
        def day(metric: str, us: int) -> dict[str, Fraction]:
            return out.days.setdefault(
                (metric, day_of(us)),
                dict.fromkeys(
                    ("accepted", "assigned", "unassigned", "estimated", "quarantined"), Fraction(0)
                ),
            )

        for interval in accepted:
            day(interval.metric, interval.start)["accepted"] += interval.quantity
        for interval, zone in [(i, None) for i in accepted] + list(estimates):
            estimated = interval.origin == "estimate"
            for low, high, machine, term, period in self._parts(
                interval.meter_id, interval.start, interval.end
            ):
                if estimated and (term is None or (zone is not None and term.timezone != zone)):
                    continue
                quantity = cum(interval, high) - cum(interval, low)
                column = "estimated" if estimated else "unassigned" if term is None else "assigned"
                day(interval.metric, interval.start)[column] += quantity
                out.pieces.append(
                    Piece(
                        interval, low, high, machine,
                        None if term is None else term.contract_id,
                        None if term is None else term.term_no,
                        period,
                        self.world.timezone if term is None else term.timezone,
                        estimated,
                    )
                )  # fmt: skip
        for metric, start, quantity in quarantined:
            day(metric, start)["quarantined"] += quantity
        for number in fate:
            row = self.world.readings[number]
            day(row.usage_metric, row.start)
        counted: dict[str, int] = defaultdict(int)
        for name in fate.values():
            counted[name] += 1
        out.fates = dict(counted)
        out.total()

    def _write_exceptions(
        self,
        out: Outcome,
        faults: Sequence[tuple[str, str, str, int, int, Fraction | None]],
        accepted: Sequence[Interval],
        missing: Mapping[tuple[str, str, str], int],
    ) -> None:
        gathered: dict[tuple[Any, ...], list[tuple[str, Fraction | None]]] = defaultdict(list)
        for kind, meter_id, metric, start, end, quantity in faults:
            parts = self._parts(meter_id, start, max(end, start + 1))
            machine = next((part[2] for part in parts if part[2] is not None), None)
            under = next((part for part in parts if part[3] is not None), None)
            contract = under[3].contract_id if under is not None and under[3] is not None else None
            period = under[4] if under is not None else at(start).strftime("%Y-%m")
            key = (kind, meter_id, machine, contract, period, day_of(start))
            gathered[key].append((metric, quantity))
        for interval in accepted:
            parts = self._parts(interval.meter_id, interval.start, interval.end)
            by_machine: dict[str | None, Fraction] = defaultdict(Fraction)
            for low, high, machine, term, _ in parts:
                if term is None:
                    by_machine[machine] += cum(interval, high) - cum(interval, low)
            for machine, quantity in by_machine.items():
                if quantity > 0:
                    key = (
                        "unassigned_usage", interval.meter_id, machine, None,
                        at(interval.start).strftime("%Y-%m"), day_of(interval.start),
                    )  # fmt: skip
                    gathered[key].append((interval.metric, quantity))
        for key, found in gathered.items():
            quantities = [quantity for _, quantity in found if quantity is not None]
            total = sum(quantities, Fraction(0)) if quantities else None
            if len({metric for metric, _ in found}) > 1:
                total = None
            out.exceptions[key] = (len(found), total)
        for (machine, contract, period), rest in missing.items():
            if rest > 0:
                missed = ("missing_readings", None, machine, contract, period, None)
                out.exceptions[missed] = (1, nine(Fraction(rest, HOUR)))


worlds = st.integers(min_value=0, max_value=2**32 - 1).map(world_of)


# -- comparison --------------------------------------------------------------------------------


def found_in(metering: Any) -> Outcome:
    out = Outcome()
    for (
        metric,
        machine,
        contract,
        term_no,
        period,
        low,
        high,
        start,
        end,
        quantity,
        estimated,
    ) in metering.rows(
        "select metric, machine_id, contract_id, term_no, period, epoch_us(piece_start),"
        " epoch_us(piece_end), epoch_us(interval_start), epoch_us(interval_end),"
        " interval_quantity, is_estimated from int_metering__pieces"
        " where contract_id is not null"
    ):
        interval = Interval("", metric, "", start, end, Fraction(quantity))
        out.pieces.append(
            Piece(interval, low, high, machine, contract, term_no, period, "UTC", estimated)
        )
    out.total()
    quarters: dict[tuple[Any, ...], Fraction] = defaultdict(Fraction, out.quarters)
    for *key, quantity in metering.rows(
        "select contract_id, term_no, period, metric, quarter_no, quantity"
        " from int_metering__usage_quarters"
    ):
        quarters[tuple(key)] += Fraction(quantity)
    out.quarters = dict(quarters)
    out.months = {
        tuple(key): (Fraction(quantity), Fraction(estimated))
        for *key, quantity, estimated in metering.rows(
            "select contract_id, term_no, period, metric, machine_id, quantity, estimated_quantity"
            " from int_metering__month_usage"
        )
    }
    out.dates = {
        tuple(key): (Fraction(metered), Fraction(estimated))
        for *key, metered, estimated in metering.rows(
            "select machine_id, contract_id, usage_date, metric, metered_quantity,"
            " estimated_quantity from usage_daily"
        )
    }
    out.fates = {
        fate: rows
        for fate, rows in metering.rows(
            "unpivot (select sum(rows_accepted) as accepted, sum(rows_quarantined) as quarantined,"
            " sum(rows_rejected) as rejected, sum(rows_superseded) as superseded,"
            " sum(rows_unused_kind) as unused_kind from usage_reconciliation)"
            " on * into name fate value rows"
        )
        if rows > 0
    }
    for metric, day, *columns in metering.rows(
        "select metric, usage_date, accepted, assigned, unassigned, estimated, quarantined"
        " from usage_reconciliation"
    ):
        names = ("accepted", "assigned", "unassigned", "estimated", "quarantined")
        out.days[metric, day] = dict(zip(names, map(Fraction, columns), strict=True))
    for *key, occurrences, quantity in metering.rows(
        "select kind, meter_id, machine_id, contract_id, period, day, occurrences, quantity"
        " from int_metering__exceptions"
    ):
        assert tuple(key) not in out.exceptions
        out.exceptions[tuple(key)] = (occurrences, None if quantity is None else Fraction(quantity))
    return out


def assert_same(found: Outcome, expected: Outcome) -> None:
    assert found.fates == expected.fates
    assert found.days == expected.days
    assert found.months == expected.months
    assert found.dates == expected.dates
    assert found.quarters == expected.quarters
    assert found.exceptions == expected.exceptions


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large,
                           HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(world=worlds)
def test_the_models_do_what_the_rules_say(metering: Any, world: World) -> None:
    expected = Reference(world).outcome()

    metering.run(world.tables(), years=(2026,))

    assert_same(found_in(metering), expected)
    named = metering.rows(
        "select count(*), count(distinct exception_id), count(detail), count(first_seen)"
        " from billing_exceptions"
    )
    assert set(named[0]) == {len(expected.exceptions)}
