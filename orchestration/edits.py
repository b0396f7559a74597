"""What a proposed edit of readings would touch, as far as the last build and the landed files tell.

Here: counting and wording, for the person who decides. Not here: the rules of the edit (the book's)
and what billing makes of it (the warehouse's): a quantity is shown in the unit that was landed, and
what became of it is what the published exceptions say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow.parquet as pq

from connectors.book.rows import ReadingEditRow
from connectors.book.scalars import CANONICAL_UNIT
from connectors.manifest import list_key
from connectors.tables import READINGS
from exporters.marts import Marts, MartsError, open_marts
from orchestration.settings import DataDir
from orchestration.stores import landing_zone

_ENERGY = ("energy", "power")
_READINGS = """
    with landed as (
        select metric, kind, unit, interval_start, interval_end, value, ingested_at, batch_id
        from read_parquet($files, hive_partitioning = false)
        where site_id = $site_id and meter_id = $meter_id and list_contains($metrics, metric)
            and interval_start < $to_at
            and (interval_start >= $from_at or interval_end > $from_at)
    ),
    kept as (
        select * from landed
        qualify row_number() over (
            partition by metric, kind, interval_start, interval_end
            order by ingested_at desc, batch_id desc
        ) = 1
    )
    select metric, kind, unit, interval_start >= $from_at as starts_inside, count(*) as readings,
        sum(value) filter (where kind = 'interval') as quantity,
        min(interval_start) as first_at, max(interval_start) as last_at
    from kept group by all order by all
"""


class NoEditError(ValueError):
    """An exception from which no edit of readings can be made; the words say what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingsTouched:
    """Landed readings of one metric, kind and unit that begin in a span, superseded ones left out.

    `quantity` is the sum of intervals in `unit`, None for registers and gauges.
    """

    metric: str
    kind: str
    unit: str
    readings: int
    quantity: Decimal | None
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """What of a meter lies in the span of an edit.

    `reaching_in` counts intervals that begin before the span and end in it or after it, `unlisted`
    batches of those days that no build has listed yet, whose readings are not counted. `exceptions`
    are the published ones of the meter on the UTC days of the span; `built_at` is None where
    nothing was published yet.
    """

    readings: tuple[ReadingsTouched, ...]
    reaching_in: int
    unlisted: int
    exceptions: tuple[dict[str, Any], ...]
    built_at: datetime | None

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExceptionSpan:
    """The readings that an exception is about: those of a meter on a UTC day."""

    site_id: str
    meter_id: str
    metric: str
    start: str
    end: str


def touched(data_dir: DataDir, edit: ReadingEditRow) -> Touched:
    """Count what of the edit's meter and metric lies in its span. Nothing is written or locked."""
    first, last = _days(edit.from_, edit.to)
    metrics = _ENERGY if edit.metric == "energy" else (edit.metric,)
    listed, unlisted = _files(data_dir, edit.site_id, first, last)
    found = _query(
        listed,
        _READINGS,
        site_id=edit.site_id,
        meter_id=edit.meter_id,
        metrics=list(metrics),
        from_at=edit.from_,
        to_at=edit.to,
    )
    exceptions: list[dict[str, Any]] = []
    built_at = None
    if data_dir.marts.is_file():
        with open_marts(data_dir.marts) as marts:
            built_at = marts.build_info()["built_at"]
            exceptions = marts.rows(
                """
                select exception_id, kind, day, occurrences, quantity, detail
                from billing_exceptions
                where site_id = $1 and meter_id = $2 and day between $3 and $4
                order by day, kind, exception_id
                """,
                [edit.site_id, edit.meter_id, first, last],
            )
    return Touched(
        readings=tuple(
            ReadingsTouched(**{k: v for k, v in row.items() if k != "starts_inside"})
            for row in found
            if row["starts_inside"]
        ),
        reaching_in=sum(row["readings"] for row in found if not row["starts_inside"]),
        unlisted=unlisted,
        exceptions=tuple(exceptions),
        built_at=built_at,
    )


def describe(edit: ReadingEditRow, lies: Touched) -> list[str]:
    """What the edit would do, in sentences."""
    meter = f"meter {edit.meter_id} at {edit.site_id}"
    count = sum(group.readings for group in lies.readings)
    some = "1 landed reading" if count == 1 else f"{count:,} landed readings"
    if not count:
        words = [f"Nothing of {edit.metric} of {meter} lies in the landed files of that span."]
    else:
        accepts = f"{some} of {meter} {'begins' if count == 1 else 'begin'} in that span:"
        words = [accepts if edit.action == "accept" else f"It takes out {some} of {meter}:"]
        words += [_group(group) for group in lies.readings]
    if edit.action == "set" and edit.quantity is not None:
        place = "in their place" if count else "there"
        words.append(
            f"It puts one interval of {_number(edit.quantity)} "
            f"{CANONICAL_UNIT[edit.metric]} {place}, "
            f"{_instant(edit.from_)} to {_instant(edit.to)}, accepted whatever the checks say."
        )
    if edit.action == "accept":
        words += _accepted(lies)
    if lies.reaching_in:
        words.append(_reaching_in(edit, lies.reaching_in))
    if lies.unlisted:
        batches = "batch" if lies.unlisted == 1 else "batches"
        words.append(
            f"{lies.unlisted:,} landed {batches} of those days no build has listed yet: not "
            "counted here, though the edit reaches them; `m2c build` lists them."
        )
    if lies.built_at is None:
        words.append("Nothing is published yet, so what the checks say of it is not known.")
    elif lies.exceptions:
        words.append(f"Exceptions of this meter on those UTC days, {_as_of(lies.built_at)}:")
        words += [f"  {e['kind']}: {e['detail']}" for e in lies.exceptions]
    else:
        words.append(f"No exception of this meter on those UTC days, {_as_of(lies.built_at)}.")
    return words


def span_of_exception(data_dir: DataDir, exception_id: str, *, metric: str | None) -> ExceptionSpan:
    """The site, meter, metric and UTC day that a published exception is about.

    A spike is one of energy; of other kinds the metric is the one that the meter has landed
    readings of on that day. Raises NoEditError where the exception names no meter or its metric is
    not certain, MartsError if nothing is published.
    """
    with open_marts(data_dir.marts) as marts:
        row = _exception(marts, exception_id)
    if row["meter_id"] is None or row["day"] is None:
        raise NoEditError(_no_meter(row, data_dir))
    start = datetime.combine(row["day"], time(), UTC)
    end = start + timedelta(days=1)
    if metric is None:
        found = ["energy"] if row["kind"] == "spike" else _metrics(data_dir, row, start, end)
        if len(found) != 1:
            has = ", ".join(found) or "none that a build has listed"
            raise NoEditError(
                f"exception {exception_id} does not say which metric of meter {row['meter_id']} it "
                f"is about (landed that day: {has}); name one: energy, power, runtime, traffic or "
                "fuel"
            )
        (metric,) = found
    return ExceptionSpan(
        site_id=row["site_id"],
        meter_id=row["meter_id"],
        metric=metric,
        start=_instant(start),
        end=_instant(end),
    )


def _exception(marts: Marts, exception_id: str) -> dict[str, Any]:
    found = marts.rows(
        """
        select kind, site_id, meter_id, machine_id, period, day from billing_exceptions
        where exception_id = $1
        """,
        [exception_id],
    )
    if not found:
        raise NoEditError(f"there is no exception {exception_id!r}; see `m2c exceptions --all`")
    return found[0]


def _no_meter(row: dict[str, Any], data_dir: DataDir) -> str:
    if row["kind"] != "missing_readings":
        return f"an exception of kind {row['kind']} is about no readings of a meter"
    with open_marts(data_dir.marts) as marts:
        meters = marts.rows(
            """
            select distinct meter_id from machines
            where site_id = $1 and machine_id = $2 order by meter_id
            """,
            [row["site_id"], row["machine_id"]],
        )
    names = ", ".join(repr(meter["meter_id"]) for meter in meters) or "none of the book"
    return (
        f"missing_readings is about machine {row['machine_id']} at {row['site_id']} in all of "
        f"{row['period']} and names no meter (its meters: {names}). Land those days again with "
        "`m2c land`; if the site has no more, put what was used with `m2c edit set SITE METER "
        "energy --from … --to … --quantity …`"
    )


def _metrics(data_dir: DataDir, row: dict[str, Any], start: datetime, end: datetime) -> list[str]:
    listed, _ = _files(data_dir, row["site_id"], row["day"], row["day"])
    found = _query(
        listed,
        """
        select distinct case metric when 'power' then 'energy' else metric end as metric
        from read_parquet($files, hive_partitioning = false)
        where site_id = $site_id and meter_id = $meter_id
            and interval_start >= $from_at and interval_start < $to_at
        order by all
        """,
        site_id=row["site_id"],
        meter_id=row["meter_id"],
        from_at=start,
        to_at=end,
    )
    return [found_row["metric"] for found_row in found]


def _files(data_dir: DataDir, site_id: str, first: date, last: date) -> tuple[list[str], int]:
    """Files of a site that the last build used, of those days and the one before, from which an
    interval may reach in; and how many of those days it did not list."""
    since = first - timedelta(days=1)
    manifest = data_dir.manifest / "readings.parquet"
    refused: dict[str, bool] = {}
    if manifest.is_file():
        rows = pq.read_table(
            manifest,
            columns=["path", "refused"],
            filters=[("partition_key", "=", site_id), ("date", ">=", since), ("date", "<=", last)],
        )
        refused = {row["path"]: row["refused"] for row in rows.to_pylist()}
    used: list[str] = []
    unlisted = 0
    for file in list_key(READINGS, landing_zone(data_dir), site_id):
        if file.refused or file.date is None or not since <= file.date <= last:
            continue
        path = str(file.path)
        if path not in refused:
            unlisted += file.date >= first
        elif not refused[path]:
            used.append(path)
    return used, unlisted


def _query(files: Sequence[str], sql: str, **parameters: object) -> list[dict[str, Any]]:
    if not files:
        return []
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        try:
            cursor = connection.execute(sql, {"files": list(files), **parameters})
        except duckdb.IOException as error:
            raise MartsError(f"a landed file cannot be read: {error}") from error
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _days(start: datetime, end: datetime) -> tuple[date, date]:
    return start.date(), (end - timedelta(microseconds=1)).date()


def _accepted(lies: Touched) -> list[str]:
    if lies.built_at is None:
        return ["Accepting lets intervals that begin there pass the check of spikes, no other."]
    spikes = [e for e in lies.exceptions if e["kind"] == "spike"]
    if not spikes:
        return [
            "Accepting lets intervals pass the check of spikes and no other, and the last build "
            "found no spike of this meter on those days: it would change nothing."
        ]
    count = sum(e["occurrences"] for e in spikes)
    quantity = sum((e["quantity"] for e in spikes), Decimal(0))
    many = "1 quarantined spike" if count == 1 else f"{count:,} quarantined spikes"
    return [
        f"It lets what begins in the span pass the check of spikes: on those UTC days {many} of "
        f"{_number(quantity)} kWh."
    ]


def _reaching_in(edit: ReadingEditRow, count: int) -> str:
    many = count > 1
    words = (
        f"{count:,} {'intervals begin' if many else 'interval begins'} before the span and "
        f"{'reach' if many else 'reaches'} into it. An edit goes by where an interval begins, so "
        f"{'they are' if many else 'it is'} not part of it"
    )
    if edit.action == "set":
        words += ", but what overlaps the interval that is put there is quarantined"
    return words + "."


def _as_of(built_at: datetime) -> str:
    return f"as of the build of {built_at:%Y-%m-%d %H:%M} UTC"


def _group(group: ReadingsTouched) -> str:
    kinds = {"interval": "intervals", "register": "registers", "gauge": "gauges"}
    kind = group.kind if group.readings == 1 else kinds[group.kind]
    amount = "" if group.quantity is None else f", {_number(group.quantity)} {group.unit}"
    first, last = _instant(group.first_at), _instant(group.last_at)
    when = f"at {first}" if first == last else f"beginning {first} to {last}"
    return f"  {group.readings:,} {kind} of {group.metric}{amount}, {when}"


def _number(number: Decimal) -> str:
    return f"{number.normalize():,f}"


def _instant(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
