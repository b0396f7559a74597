"""Readings as they landed, what became of each, and the intervals that they make.

Of the rules of metering only these are followed here, on the rows of a few meters: one kind a day,
the latest of a key, two samples in a row make an interval, units. What was set aside is looked up
in the mart, not judged again. The parts that count are then cut by `parts`, and whoever asked
compares their sum with what was billed: that is the proof, and a difference is told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import duckdb

from exporters.explain.figures import EXACT, microseconds, nearest
from exporters.explain.model import Row
from exporters.marts import BUILD_FIRST, MartsError

_KINDS: Final = {"interval": 1, "register": 2, "gauge": 3}
_LONGEST_BETWEEN_GAUGES_US: Final = 15 * 60 * 1_000_000
_HOUR_US: Final = 3_600_000_000
_DAY_US: Final = 24 * _HOUR_US
_IMPOSSIBLE: Final = ("future_reading", "absurd_value")

_READINGS = """
select source, meter_id, metric, kind, unit, epoch_us(interval_start), epoch_us(interval_end),
    value, quality, batch_id, epoch_us(ingested_at), filename
from read_parquet($files, hive_partitioning = false, filename = true)
where list_contains($meters, meter_id) and list_contains($metrics, metric)
    and epoch_us(interval_start) < $until_us
    and (epoch_us(interval_start) >= $from_us or epoch_us(interval_end) > $from_us)
order by meter_id, interval_start, ingested_at, batch_id
"""

_EVENTS = """
select event_id, batch_id, epoch_us(ingested_at) as fetched_us, filename as file, classification,
    epoch_us(occurred_at) as occurred_us, quantity, unit, unit_amount, currency, description
from read_parquet($files, hive_partitioning = false, filename = true)
where list_contains($events, event_id)
order by event_id, ingested_at, batch_id
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """A landed row. Instants are microseconds since 1970 UTC, `end` None for registers and gauges;
    `value` is in `unit`, as the source gave it; `file` is its path."""

    source: str
    meter_id: str
    metric: str
    kind: str
    unit: str
    start: int
    end: int | None
    value: Decimal
    quality: str | None
    batch_id: str
    ingested: int
    file: str


@dataclass(frozen=True, slots=True)
class Interval:
    """A quantity over [start, end), or a landed row that makes none.

    `quantity` is in 10^-9 of the canonical unit, None where there is none. `origin` is interval,
    register, gauge, set or estimate; `fate` is accepted or why it does not count. Of an estimate
    only what lies in `only` counts.
    """

    meter_id: str
    origin: str
    start: int
    end: int
    quantity: int | None
    fate: str
    readings: tuple[Reading, ...]
    note: str | None = None
    only: tuple[int, int] | None = None

    @property
    def counts(self) -> bool:
        """Whether it is usage."""
        return self.fate == "accepted"


def read_readings(
    files: Sequence[Path], *, meters: Sequence[str], metric: str, from_us: int, until_us: int
) -> list[Reading]:
    """Rows of the meters for usage of `metric` that lie in [from_us, until_us) or reach into it.

    Raises MartsError if a file cannot be read.
    """
    metrics = ["energy", "power"] if metric == "energy" else [metric]
    rows = _query(
        files,
        _READINGS,
        meters=list(meters),
        metrics=metrics,
        from_us=from_us,
        until_us=until_us,
    )
    return [Reading(*row.values()) for row in rows]


def read_events(files: Sequence[Path], event_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Landed versions of charge events, the oldest first."""
    return _query(files, _EVENTS, events=list(event_ids))


def intervals(
    readings: Iterable[Reading],
    *,
    set_aside: Sequence[Row],
    set_by_hand: Sequence[Row],
    estimates: Sequence[Row],
    units: Mapping[tuple[str, str], Row],
) -> list[Interval]:
    """What the readings make, with estimates and intervals set by hand, by meter and time."""
    aside = _Aside(set_aside)
    by_meter: dict[str, list[Reading]] = defaultdict(list)
    for reading in readings:
        by_meter[reading.meter_id].append(reading)
    found: list[Interval] = []
    for rows in by_meter.values():
        found += _of_meter(rows, aside, units)
    for row in set_by_hand:
        start, end = microseconds(row["from_at"]), microseconds(row["to_at"])
        found.append(
            Interval(
                row["meter_id"],
                "set",
                start,
                end,
                _nano(row["quantity"]),
                "accepted",
                (),
                note=f"set by {row['decided_by']}: {row['reason']}",
            )
        )
    for row in estimates:
        found.append(
            Interval(
                row["meter_id"],
                "estimate",
                microseconds(row["estimate_start"]),
                microseconds(row["estimate_end"]),
                _nano(row["estimate_quantity"]),
                "accepted",
                (),
                note=f"estimated: {row['method']}",
                only=(microseconds(row["interval_start"]), microseconds(row["interval_end"])),
            )
        )
    return sorted(found, key=lambda one: (one.meter_id, one.start, one.end, one.fate))


class _Aside:
    """What is set aside, by how it is found again."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.impossible: dict[tuple[str, int, str], str] = {}
        self.rejected: dict[tuple[str, int, int, str], str | None] = {}
        self.spans: dict[tuple[str, int, int], str] = {}
        for row in rows:
            start, end = microseconds(row["interval_start"]), microseconds(row["interval_end"])
            if row["reason"] in _IMPOSSIBLE:
                self.impossible[row["meter_id"], start, row["batch_id"]] = row["reason"]
            elif row["reason"] == "rejected":
                key = (row["meter_id"], start, end, row["batch_id"])
                self.rejected[key] = row["edit_reason"]
            else:
                self.spans[row["meter_id"], start, end] = row["reason"]


def _of_meter(
    rows: Sequence[Reading], aside: _Aside, units: Mapping[tuple[str, str], Row]
) -> list[Interval]:
    found: list[Interval] = []
    possible: list[Reading] = []
    for row in rows:
        reason = aside.impossible.get((row.meter_id, row.start, row.batch_id))
        if reason is None:
            possible.append(row)
        else:
            found.append(_not_used(row, reason))
    best: dict[int, int] = {}
    for row in possible:
        day = row.start // _DAY_US
        best[day] = min(best.get(day, 9), _KINDS[row.kind])
    latest: dict[tuple[str, str, int, int | None], Reading] = {}
    used_kind: list[Reading] = []
    for row in possible:
        if _KINDS[row.kind] > best[row.start // _DAY_US]:
            found.append(_not_used(row, "unused_kind"))
            continue
        used_kind.append(row)
        key = (row.metric, row.kind, row.start, row.end)
        held = latest.get(key)
        if held is None or (row.ingested, row.batch_id) > (held.ingested, held.batch_id):
            latest[key] = row
    used: list[Reading] = []
    for row in used_kind:
        winner = latest[row.metric, row.kind, row.start, row.end]
        if winner is not row:
            found.append(_not_used(row, "superseded", f"by batch {winner.batch_id}"))
            continue
        key_of_edit = (row.meter_id, row.start, row.end or row.start, row.batch_id)
        if key_of_edit in aside.rejected:
            found.append(_not_used(row, "rejected", aside.rejected[key_of_edit]))
        else:
            used.append(row)
    used.sort(key=lambda row: (row.start, row.end or row.start))
    paired: set[int] = set()
    for row in used:
        if row.end is not None:
            unit = units[row.metric, row.unit]
            quantity = nearest(_nano(row.value) * unit["numerator"], unit["denominator"])
            found.append(_judged(row.kind, row.start, row.end, quantity, (row,), aside))
    for one, two in pairwise(used):
        if one.end is not None or two.end is not None or one.kind != two.kind:
            continue
        if one.kind == "gauge" and two.start - one.start > _LONGEST_BETWEEN_GAUGES_US:
            continue
        found.append(_between(one, two, units, aside))
        paired |= {id(one), id(two)}
    found += [
        _not_used(row, "no interval", "no other sample in reach makes one with it")
        for row in used
        if row.end is None and id(row) not in paired
    ]
    return found


def _between(
    one: Reading, two: Reading, units: Mapping[tuple[str, str], Row], aside: _Aside
) -> Interval:
    # In parts of the unit's common denominator, so that two samples may differ in unit.
    first, second = units[one.metric, one.unit], units[two.metric, two.unit]
    first_parts = _nano(one.value) * first["numerator"]
    second_parts = _nano(two.value) * second["numerator"]
    if one.kind == "register":
        parts, whole = second_parts - first_parts, first["denominator"]
    else:
        parts = (first_parts + second_parts) * (two.start - one.start)
        whole = 2 * first["denominator"] * _HOUR_US
    quantity = nearest(parts, whole)
    return _judged(one.kind, one.start, two.start, quantity, (one, two), aside)


def _nano(value: Decimal) -> int:
    return int(value.scaleb(9, context=EXACT))


def _judged(
    origin: str,
    start: int,
    end: int,
    quantity: int,
    readings: tuple[Reading, ...],
    aside: _Aside,
) -> Interval:
    meter_id = readings[0].meter_id
    fate = aside.spans.get((meter_id, start, end), "accepted")
    return Interval(meter_id, origin, start, end, quantity, fate, readings)


def _not_used(row: Reading, fate: str, note: str | None = None) -> Interval:
    return Interval(
        row.meter_id, row.kind, row.start, row.end or row.start, None, fate, (row,), note=note
    )


def _query(files: Sequence[Path], sql: str, **parameters: object) -> list[dict[str, Any]]:
    if not files:
        return []
    gone = next((file for file in files if not file.is_file()), None)
    if gone is not None:
        raise MartsError(
            f"{gone} is not there any more: its day may have been merged since; {BUILD_FIRST}"
        )
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        try:
            cursor = connection.execute(sql, {"files": [str(f) for f in files], **parameters})
        except duckdb.IOException as error:
            raise MartsError(f"a landed file cannot be read: {error}") from error
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
