"""The last level: readings as they landed, what became of each, and the part of it that counts.

Files of the asked days are read first. Samples that make an interval with one of another day, or an
interval that began weeks ago, are found by reading further, until the parts add up to what the
level above holds or there is nothing more to read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from exporters.explain import facts
from exporters.explain.calculation import canonical_unit
from exporters.explain.figures import (
    EXACT,
    day_bounds,
    from_microseconds,
    instant,
    microseconds,
    number,
    utc_days,
)
from exporters.explain.landed import Interval, intervals, read_readings
from exporters.explain.levels import METERED, local_span
from exporters.explain.model import ExplainError, Level, Row, added
from exporters.explain.parts import Span, overlap, parts
from exporters.landed import LandedFiles
from exporters.marts import Marts

# How far beyond the asked span is read, one after the other.
_REACH: Final = (
    timedelta(hours=2),
    timedelta(days=2),
    timedelta(days=8),
    timedelta(days=45),
    timedelta(days=400),
)


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What is to be taken apart: a span of time, the part of it that counts, and whose."""

    calc: Row
    start: datetime
    end: datetime
    counting: tuple[Span, ...]
    machines: tuple[str, ...]
    shown: frozenset[str]
    title: str
    expected: Decimal | None
    of: str
    is_all: bool
    """whether `expected` is of all time in [start, end), not only of what counts"""


def reading_levels(
    marts: Marts, landed: LandedFiles, calc: Row, *, day: date | None, machine: str | None
) -> list[Level]:
    """Landed readings of a day, of a machine, or of a machine on a day, and their batches.

    Raises ExplainError where the line has no such day or machine, or is not metered.
    """
    if calc["charge_model"] not in METERED:
        raise ExplainError(
            f"line {calc['line_key']} is {calc['charge_model']}: it is not made of readings, so "
            "--day and --machine have nothing to show"
        )
    asked = _asked(marts, calc, day, machine)
    held = facts.responsibilities(marts, calc, asked.machines)
    meters = sorted({row["meter_id"] for row in held})
    units = facts.units(marts)
    found: list[tuple[Interval, str | None, int, int]] = []
    total = 0
    for margin in _REACH:
        dates = utc_days(asked.start - margin, asked.end + margin)
        files = facts.landed_files(marts, "readings", calc["site_id"], dates[0], dates[-1])
        paths = [file["path"] for file in files]
        found = _cut(
            _intervals(marts, landed, calc, meters, asked, margin, paths, units), held, asked
        )
        total = sum(whole if asked.is_all else counted for _, _, counted, whole in found)
        if asked.expected is None or _quantity(total) == asked.expected:
            break
    rows = [
        _row(interval, machine_id, counted, whole, landed)
        for interval, machine_id, counted, whole in found
        # Of an estimate only the part that is the contract's in the period is known here.
        if machine_id in asked.shown and (interval.only is None or whole)
    ]
    return [_level(calc, asked, rows, _quantity(total)), _batches(calc, rows)]


def _asked(marts: Marts, calc: Row, day: date | None, machine: str | None) -> _Asked:
    model = calc["charge_model"]
    clock = "UTC" if model == "index" else calc["billing_timezone"]
    all_machines = {
        row["machine_id"]: row["quantity"]
        for row in facts.machines(marts, calc)
        if row["site_id"] == calc["site_id"] and row["band"] is None
    }
    if machine is not None and machine not in all_machines:
        known = ", ".join(sorted(all_machines)) or "none"
        raise ExplainError(
            f"machine {machine!r} has no usage at {calc['site_id']} behind line "
            f"{calc['line_key']}; it has {known}"
        )
    shown = frozenset(all_machines) if machine is None else frozenset((machine,))
    whole = (microseconds(calc["segment_start"]), microseconds(calc["segment_end"]))
    if day is None:
        assert machine is not None
        return _Asked(
            calc=calc,
            start=calc["segment_start"],
            end=calc["segment_end"],
            counting=_counting(marts, calc, whole, None),
            machines=(machine,),
            shown=shown,
            title=f"Readings of {machine} in the period",
            expected=all_machines[machine],
            of=f"what {machine} used" + (" in all bands" if model == "time_of_use" else ""),
            is_all=model in ("time_of_use", "demand"),
        )
    of_day = next(
        (
            row
            for row in facts.days(marts, calc)
            if row["usage_date"] == day and (model != "time_of_use" or row["band"] == calc["band"])
        ),
        None,
    )
    if of_day is None:
        first, last = local_span(calc["segment_start"], calc["segment_end"], clock)
        raise ExplainError(
            f"line {calc['line_key']} has no usage on {day}; its days run from {first} to {last} "
            f"on the clock of {clock}"
        )
    start, end = day_bounds(day, clock)
    start, end = max(start, calc["segment_start"]), min(end, calc["segment_end"])
    span = (microseconds(start), microseconds(end))
    expected, of = of_day["quantity"], f"the day's quantity at {calc['site_id']}"
    title = f"Readings of {machine or 'all machines'} on {day} ({clock})"
    machines = tuple(sorted(all_machines))
    if model == "demand":
        expected, of = of_day["peak_quantity"], "the day's greatest window"
        title += f", window from {instant(of_day['peak_start'])}"
    elif model == "time_of_use":
        of = f"the day's quantity in band {calc['band']}"
        title += f", band {calc['band']}"
    elif (
        machine is not None
        and model != "index"
        and facts.is_only_term_of_day(marts, calc, *day_bounds(day, clock))
    ):
        row = facts.machine_day(marts, calc, machine, day)
        expected = Decimal(0) if row is None else row["quantity"]
        of, machines = f"what usage_daily has of {machine} that day", (machine,)
    return _Asked(
        calc=calc,
        start=start,
        end=end,
        counting=_counting(marts, calc, span, of_day),
        machines=machines,
        shown=shown,
        title=title,
        expected=expected,
        of=of,
        is_all=False,
    )


def _counting(marts: Marts, calc: Row, span: Span, of_day: Row | None) -> tuple[Span, ...]:
    """The time in `span` that counts for the line."""
    if calc["charge_model"] == "time_of_use":
        bands = [
            (microseconds(row["span_start"]), microseconds(row["span_end"]))
            for row in facts.bands(marts, calc)
        ]
        return tuple(overlap(bands, [span]))
    if calc["charge_model"] == "demand":
        peak = calc["peak_start"] if of_day is None else of_day["peak_start"]
        from_us = microseconds(peak)
        window = (from_us, from_us + calc["window_minutes"] * 60_000_000)
        return tuple(overlap([window], [span]))
    return (span,)


def _intervals(
    marts: Marts,
    landed: LandedFiles,
    calc: Row,
    meters: Sequence[str],
    asked: _Asked,
    margin: timedelta,
    paths: Sequence[str],
    units: dict[tuple[str, str], Row],
) -> list[Interval]:
    from_at, until = asked.start - margin, asked.end + margin
    metric, site = calc["metric"], calc["site_id"]
    return intervals(
        read_readings(
            landed.paths(paths),
            meters=meters,
            metric=metric,
            from_us=microseconds(from_at),
            until_us=microseconds(until),
        ),
        set_aside=facts.set_aside(marts, site, meters, metric, from_at, until),
        set_by_hand=facts.set_by_hand(marts, site, meters, metric, asked.start, asked.end),
        estimates=facts.estimates(marts, calc, meters, asked.start, asked.end),
        units=units,
    )


def _cut(
    found: Sequence[Interval], held: Sequence[Row], asked: _Asked
) -> list[tuple[Interval, str | None, int, int]]:
    """Each interval with the machine that it is of, what of it counts, and what lies in the asked
    span whatever counts of it."""
    span = (microseconds(asked.start), microseconds(asked.end))
    spans: dict[str, dict[str, list[Span]]] = defaultdict(lambda: defaultdict(list))
    for row in held:
        spans[row["meter_id"]][row["machine_id"]].append(
            (microseconds(row["span_start"]), microseconds(row["span_end"]))
        )
    cut: list[tuple[Interval, str | None, int, int]] = []
    of_machine = {
        (meter, machine): (overlap(own, [span]), overlap(own, asked.counting))
        for meter, machines in spans.items()
        for machine, own in machines.items()
    }
    for interval in found:
        reaches = max(interval.end, interval.start + 1)
        if interval.start >= span[1] or reaches <= span[0]:
            continue
        for machine, own in spans[interval.meter_id].items():
            if not any(start < reaches and end > interval.start for start, end in own):
                continue
            inside, counting = of_machine[interval.meter_id, machine]
            counts = interval.counts
            cut.append(
                (
                    interval,
                    machine,
                    parts(interval, counting) if counts else 0,
                    parts(interval, inside) if counts else 0,
                )
            )
    return cut


def _row(
    interval: Interval, machine_id: str | None, counted: int, whole: int, landed: LandedFiles
) -> dict[str, Any]:
    last = interval.readings[-1] if interval.readings else None
    return {
        "machine_id": machine_id,
        "meter_id": interval.meter_id,
        "kind": interval.origin,
        "start": from_microseconds(interval.start),
        "end": from_microseconds(interval.end),
        "landed": " → ".join(number(reading.value) for reading in interval.readings) or None,
        "unit": last.unit if last else None,
        "quantity": None if interval.quantity is None else _quantity(interval.quantity),
        "used": _quantity(whole),
        "counted": _quantity(counted),
        "fate": interval.fate,
        "note": interval.note,
        "batch_id": last.batch_id if last else None,
        "fetched_at": from_microseconds(last.ingested) if last else None,
        "source": last.source if last else None,
        "readings": [
            {
                "at": from_microseconds(reading.start),
                "metric": reading.metric,
                "value": reading.value,
                "unit": reading.unit,
                "quality": reading.quality,
                "source": reading.source,
                "batch_id": reading.batch_id,
                "fetched_at": from_microseconds(reading.ingested),
                "file": landed.name(reading.file),
            }
            for reading in interval.readings
        ],
    }


def _level(calc: Row, asked: _Asked, rows: list[dict[str, Any]], total: Decimal) -> Level:
    unit = canonical_unit(calc)
    column = "used" if asked.is_all else "counted"
    shown = added(rows, column)
    others = total - shown
    notes: list[str] = []
    fates: dict[str, int] = defaultdict(int)
    for row in rows:
        if row["fate"] != "accepted":
            fates[row["fate"]] += 1
    if fates:
        said = ", ".join(f"{count:,} {fate}" for fate, count in sorted(fates.items()))
        notes.append(f"Not counted: {said}.")
    estimated = added([row for row in rows if row["kind"] == "estimate"], "counted")
    if estimated:
        notes.append(f"{number(estimated)} {unit} of it is estimated.")
    if asked.is_all:
        notes.append(f"Of it counts for this line: {number(added(rows, 'counted'))} {unit}.")
    expected = None if asked.expected is None else asked.expected - others
    if expected is not None and shown != expected:
        notes.append(
            f"The readings found in the landed files come to {number(shown)} {unit}; "
            f"{number(expected - shown)} {unit} are not found in them."
        )
    return Level(
        name="intervals",
        title=asked.title,
        columns=(
            *(("machine_id",) if len(asked.shown) > 1 else ()),
            *("meter_id", "start", "end", "kind", "landed", "unit"),
            *(("used",) if asked.is_all else ()),
            *("counted", "fate", "note", "batch_id", "fetched_at"),
        ),
        rows=rows,
        unit=unit,
        sum_column=column,
        sum=shown,
        of=asked.of + (f" less {number(others)} {unit} of the other machines" if others else ""),
        expected=expected,
        agrees=None if expected is None else shown == expected,
        notes=notes,
    )


def _batches(calc: Row, rows: Sequence[Row]) -> Level:
    """The batches of the readings shown, and what of them counts. What two batches made between
    them counts where its last reading lies."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    without: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        if not row["readings"]:
            without[row["kind"]] += row["counted"]
        for reading in row["readings"]:
            batch = found.setdefault(
                (reading["file"], reading["batch_id"]),
                {
                    "batch_id": reading["batch_id"],
                    "file": reading["file"],
                    "fetched_at": reading["fetched_at"],
                    "source": reading["source"],
                    "readings": set(),
                    "counted": Decimal(0),
                },
            )
            batch["readings"].add((row["meter_id"], reading["metric"], reading["at"]))
        if row["readings"]:
            last = row["readings"][-1]
            found[last["file"], last["batch_id"]]["counted"] += row["counted"]
    batches = [{**batch, "readings": len(batch["readings"])} for _, batch in sorted(found.items())]
    names = {"set": "set by hand in the book", "estimate": "estimated"}
    batches += [
        {
            **dict.fromkeys(("batch_id", "file", "fetched_at", "readings")),
            "source": names[kind],
            "counted": counted,
        }
        for kind, counted in sorted(without.items())
    ]
    total, shown = added(batches, "counted"), added(rows, "counted")
    return Level(
        name="batches",
        title="Landed batches",
        columns=("batch_id", "fetched_at", "source", "readings", "counted", "file"),
        rows=batches,
        unit=canonical_unit(calc),
        sum_column="counted",
        sum=total,
        of="the parts that count above",
        expected=shown,
        agrees=total == shown,
    )


def _quantity(nano: int) -> Decimal:
    return Decimal(nano).scaleb(-9, context=EXACT)
