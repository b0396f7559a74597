"""Fleets of any size as data dirs: a book and a landing zone in the public formats.

What a fleet reports looks like the field: every machine has a level of its own that changes by the
hour and the interval, sources give 0 to 3 decimals, single hours and spans of four hours are
missing, some readings are restated, some machines change their contract. All of it follows from
hashes of machine, day and slot, so a fleet is the same whenever it is written. Files are written as
connectors write them. Nothing here measures.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

# Of the data, not of the code that measures it: a higher number writes kept data again.
_FORM = 2
_MARK = "fleet.json"
_NIGHT = "night-"

_INSTANT = pa.timestamp("us", tz="UTC")
_READINGS = pa.schema(
    [(name, pa.string()) for name in ("site_id", "source", "meter_id", "metric", "kind", "unit")]
    + [("interval_start", _INSTANT), ("interval_end", _INSTANT), ("value", pa.decimal128(24, 9))]
    + [("quality", pa.string()), ("batch_id", pa.string()), ("ingested_at", _INSTANT)]
)


_EVENTS = pa.schema(
    [(name, pa.string()) for name in ("event_id", "site_id", "machine_id", "contract_id")]
    + [(name, pa.string()) for name in ("service_code", "classification")]
    + [("occurred_at", _INSTANT), ("quantity", pa.decimal128(18, 6)), ("unit", pa.string())]
    + [("unit_amount", pa.decimal128(18, 6)), ("currency", pa.string())]
    + [("description", pa.string()), ("batch_id", pa.string()), ("ingested_at", _INSTANT)]
)
# One machine in so many has somebody at it on a day.
_EVENT_IN = 50
# One machine in so many, those that leave this rest, moves to another contract in the month.
_MOVE_IN, _MOVES = 50, 7


@dataclass(frozen=True)
class Site:
    """Where machines stand."""

    site_id: str
    country: str
    region: str
    timezone: str


SITES = (
    Site("NO-OSL1", "NO", "nordics", "Europe/Oslo"),
    Site("FI-HEL1", "FI", "nordics", "Europe/Helsinki"),
    Site("ID-JKT1", "ID", "south-east-asia", "Asia/Jakarta"),
    Site("ET-ADD1", "ET", "east-africa", "Africa/Addis_Ababa"),
)


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """`machines` at the first `sites` sites, read every `minutes` for `days` UTC days.

    One reading in `restated` is restated in a second batch of its day.
    """

    machines: int
    minutes: int
    first_day: date
    days: int
    sites: int
    contracts: int
    restated: int

    @property
    def places(self) -> tuple[Site, ...]:
        """The sites of this fleet."""
        return SITES[: self.sites]

    @property
    def end(self) -> date:
        """The first day after the readings."""
        return self.first_day + timedelta(days=self.days)

    @property
    def all_days(self) -> Iterator[date]:
        """Every UTC day with readings."""
        return (self.first_day + timedelta(days=n) for n in range(self.days))


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What is measured: a month of one fleet, and nights of another after little or much history.

    `recent` and `long` are the same machines and end on the same day.
    """

    month: Fleet
    recent: Fleet
    long: Fleet
    nights: int


def _month(*, machines: int, minutes: int, days: int, contracts: int) -> Fleet:
    return Fleet(
        machines=machines,
        minutes=minutes,
        first_day=date(2026, 10, 1),
        days=days,
        sites=4,
        contracts=contracts,
        restated=20,
    )


def _history(*, machines: int, minutes: int, first_day: date) -> Fleet:
    return Fleet(
        machines=machines,
        minutes=minutes,
        first_day=first_day,
        days=(date(2026, 11, 1) - first_day).days,
        sites=2,
        contracts=20,
        restated=200,
    )


SCALES = {
    "small": Scale(
        month=_month(machines=120, minutes=15, days=21, contracts=12),
        recent=_history(machines=20, minutes=15, first_day=date(2026, 10, 1)),
        long=_history(machines=20, minutes=15, first_day=date(2026, 5, 1)),
        nights=3,
    ),
    "medium": Scale(
        month=_month(machines=1_000, minutes=5, days=21, contracts=60),
        recent=_history(machines=100, minutes=5, first_day=date(2026, 10, 1)),
        long=_history(machines=100, minutes=5, first_day=date(2025, 11, 1)),
        nights=3,
    ),
    "full": Scale(
        month=_month(machines=10_000, minutes=5, days=31, contracts=200),
        recent=_history(machines=500, minutes=5, first_day=date(2026, 10, 1)),
        long=_history(machines=500, minutes=5, first_day=date(2023, 11, 1)),
        nights=3,
    ),
}


def prepare(fleet: Fleet, data_dir: Path) -> None:
    """Make `data_dir` hold the fleet's book and landing zone, and nothing else.

    What an earlier run wrote there for the same fleet is used again. Raises SystemExit if the
    folder holds something that this module did not write.
    """
    mark = data_dir / _MARK
    wanted = {"form": _FORM, "fleet": json.loads(json.dumps(asdict(fleet), default=str))}
    if data_dir.exists():
        if not mark.exists():
            raise SystemExit(f"{data_dir} was not written by the bench; name another folder")
        if json.loads(mark.read_text()) == wanted | {"complete": True}:
            _forget_builds(data_dir)
            return
        shutil.rmtree(data_dir)
    data_dir.mkdir(parents=True)
    mark.write_text(json.dumps(wanted | {"complete": False}))
    _write_book(fleet, data_dir / "book")
    with _meters(fleet) as connection:
        for day in fleet.all_days:
            fetched = datetime.combine(day, time(2), UTC) + timedelta(days=1)
            for site in fleet.places:
                first = _Batch(site, day, f"{fetched:%Y%m%dT%H%M%S}Z-first", fetched)
                again = fetched + timedelta(hours=1)
                second = _Batch(site, day, f"{again:%Y%m%dT%H%M%S}Z-again", again, restates=1)
                for batch in (first, second):
                    _write(connection, fleet, batch, data_dir / "landing")
                _write_events(fleet, first, data_dir / "landing")
    mark.write_text(json.dumps(wanted | {"complete": True}))


def land_night(fleet: Fleet, data_dir: Path, number: int) -> None:
    """Land one more day, `number` = 0 being the first after the fleet's readings.

    As a nightly fetch would: the day's batch, and a second one that restates some readings of the
    three days before.
    """
    day = fleet.end + timedelta(days=number)
    fetched = datetime.combine(day, time(2, 30), UTC) + timedelta(days=1)
    again = fetched + timedelta(minutes=10)
    with _meters(fleet) as connection:
        for site in fleet.places:
            batch = _Batch(site, day, f"{_NIGHT}{day:%Y%m%d}-first", fetched)
            _write(connection, fleet, batch, data_dir / "landing")
            _write_events(fleet, batch, data_dir / "landing")
            for back in (1, 2, 3):
                # A night changes by another step than the night before, so each says something new.
                batch = _Batch(
                    site,
                    day - timedelta(days=back),
                    f"{_NIGHT}{day:%Y%m%d}-again",
                    again,
                    restates=2 + number,
                )
                _write(connection, fleet, batch, data_dir / "landing")


def _forget_builds(data_dir: Path) -> None:
    for entry in data_dir.iterdir():
        if entry.is_dir() and entry.name not in ("book", "landing"):
            shutil.rmtree(entry)
        elif entry.is_file() and entry.name != _MARK:
            entry.unlink()
    for path in list((data_dir / "landing").rglob(f"{_NIGHT}*.parquet")):
        path.unlink()
        if not any(path.parent.iterdir()):
            path.parent.rmdir()


# --- readings ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Batch:
    """One file: a site's day as fetched at an instant.

    `restates` = 0 gives the whole day; above that it gives some readings of it again, changed by so
    many of the last digits of the meter.
    """

    site: Site
    day: date
    batch_id: str
    ingested_at: datetime
    restates: int = 0


def _meters(fleet: Fleet) -> duckdb.DuckDBPyConnection:
    """Return a connection with the fleet's meters: their mean mWh an interval and last digit."""
    machines = range(fleet.machines)
    named = pa.table({"machine": machines, "meter_id": [_meter_id(n) for n in machines]})
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    connection.register("named", named)
    for number, site in enumerate(fleet.places):
        connection.execute(
            f"""
            create table "{site.site_id}" as
            select
                machine,
                meter_id,
                (2_000_000 + {_chance(4_000_000, "'level', machine")}) * {fleet.minutes} // 60
                    as mean_mwh,
                (10 ** (machine % 4))::bigint as digit
            from named
            where machine % {fleet.sites} = {number}
            """
        )
    return connection


def _meter_id(machine: int) -> str:
    return f"hall-{machine % 3}:rack-{machine // 40:03d}:outlet-{machine}"


def _chance(number: int, of: str) -> str:
    """Return SQL that gives each thing named by the expressions `of` one of 0 … number - 1."""
    return f"(hash({of}) % {number})::bigint"


def _write(
    connection: duckdb.DuckDBPyConnection, fleet: Fleet, batch: _Batch, landing: Path
) -> None:
    hour = 60 // fleet.minutes
    interval_us = fleet.minutes * 60 * 1_000_000
    key = f"machine, '{batch.day}'"
    again = _chance(fleet.restated, f"'restated', {key}, slot, {batch.restates}") + " = 0"
    rows = connection.sql(
        f"""
        select
            '{batch.site.site_id}' as site_id,
            'bench' as source,
            meter_id,
            'energy' as metric,
            'interval' as kind,
            'Wh' as unit,
            make_timestamptz(start_us) as interval_start,
            make_timestamptz(start_us + {interval_us}) as interval_end,
            ((mwh // digit + {batch.restates}) * digit)::decimal(15, 0)
                * 0.001::decimal(4, 3) as value,
            'good' as quality,
            '{batch.batch_id}' as batch_id,
            timestamptz '{batch.ingested_at}' as ingested_at
        from (
            select
                meter_id,
                digit,
                epoch_us(timestamptz '{batch.day} 00:00:00+00') + slot * {interval_us} as start_us,
                mean_mwh * (900 + {_chance(200, f"'hour', {key}, slot // {hour}")})
                    * (9_500 + {_chance(1_000, f"'slot', {key}, slot")}) // 10_000_000 as mwh
            from "{batch.site.site_id}", range({24 * hour}) as s(slot)
            where
                {_chance(1_000, f"'gap', {key}, slot // {hour}")} <> 0
                and {_chance(1_000, f"'long gap', {key}, slot // {4 * hour}")} <> 0
                and ({batch.restates} = 0 or {again})
        )
        order by meter_id, interval_start
        """
    )
    folder = landing / "readings" / f"site_id={batch.site.site_id}" / f"date={batch.day}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{batch.batch_id}.parquet"
    with pq.ParquetWriter(path, _READINGS, compression="zstd") as writer:
        arrived: Any
        for arrived in rows.to_arrow_reader(100_000):
            writer.write_table(pa.Table.from_batches([arrived]).cast(_READINGS))


_HOSTING = 'code: hosting, model: recurring, per: machine, amount: "42.00"'

# Every charge model; a contract has the plan of its number.
PLANS = {
    "graduated": (
        "code: energy, model: graduated,"
        ' tiers: [{up_to: "10000", rate: "0.0825"}, {rate: "0.079"}]',
        _HOSTING,
    ),
    "day-night": (
        "code: energy, model: time_of_use, calendar: day-night,"
        ' rates: {day: "0.1190", night: "0.0745"}',
        _HOSTING,
        'code: discount, model: discount, percent: "5", charges: [energy], max_amount: "200.00"',
    ),
    "volume": (
        "code: energy, model: volume, per: contract,"
        ' tiers: [{up_to: "50000", rate: "0.0850"}, {rate: "0.0810"}]',
        'code: service, model: percentage, percent: "3.5", charges: [energy]',
        'code: commit, model: minimum_commit, amount: "20000.00", charges: [energy, service]',
    ),
    "spot": (
        'code: energy, model: index, index_id: spot, multiplier: "1.05", adder: "4.20"',
        'code: network, model: demand, window_minutes: 15, rate: "8.50"',
        'code: base, model: recurring, per: site, amount: "150.00"',
    ),
    "blocks": (
        'code: energy, model: per_unit, rate: "0.0050"',
        'code: blocks, model: package, size: "1000", price: "76.00", included: "500"',
        "code: care, model: stairstep,"
        ' tiers: [{up_to: "20000", amount: "90.00"}, {amount: "160.00"}]',
    ),
    "shared": (
        "code: energy, model: graduated, per: contract,"
        ' tiers: [{up_to: "40000", rate: "0.0830"}, {rate: "0.0800"}]',
        "code: fair-use, model: graduated, per: machine,"
        ' tiers: [{up_to: "3000", rate: "0"}, {rate: "0.0100"}]',
        'code: peak, model: demand, window_minutes: 60, rate: "4.00"',
    ),
    "flat": (
        'code: energy, model: per_unit, rate: "0.0815"',
        "code: remote-hands, model: pass_through, service_codes: [remote-hands],"
        ' markup_percent: "10"',
        'code: contract, model: recurring, amount: "99.00"',
    ),
}


def _write_events(fleet: Fleet, batch: _Batch, landing: Path) -> None:
    """Write a day's charge events of a site: work at some machines whose contracts pay for it."""
    number = fleet.places.index(batch.site)
    priced = list(PLANS).index("flat")
    visited = [
        machine
        for machine in range(number, fleet.machines, fleet.sites)
        if _contract(fleet, machine) % len(PLANS) == priced
        and (machine // fleet.sites + batch.day.toordinal()) % _EVENT_IN == 0
        and machine % _MOVE_IN != _MOVES
    ]
    if not visited:
        return
    columns = {
        "event_id": [f"visit-{batch.day:%Y%m%d}-{machine}" for machine in visited],
        "machine_id": [f"m{machine}" for machine in visited],
        "quantity": [Decimal(1 + machine % 8) / 4 for machine in visited],
        "unit_amount": [Decimal(90 + machine % 20) for machine in visited],
        "occurred_at": [datetime.combine(batch.day, time(9), UTC) for _ in visited],
    }
    same = {
        "site_id": batch.site.site_id,
        "contract_id": None,
        "service_code": "remote-hands",
        "classification": "variable",
        "unit": "h",
        "currency": "EUR",
        "description": "Remote hands",
        "batch_id": batch.batch_id,
        "ingested_at": batch.ingested_at,
    }
    columns |= {name: [value] * len(visited) for name, value in same.items()}
    folder = landing / "charge_events" / f"site_id={batch.site.site_id}" / f"date={batch.day}"
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.table({name: columns[name] for name in _EVENTS.names}, schema=_EVENTS)
    pq.write_table(table, folder / f"{batch.batch_id}.parquet", compression="zstd")


# --- the book ------------------------------------------------------------------------------------


def _write_book(fleet: Fleet, book: Path) -> None:
    """A sound book: every machine metered and assigned, one in fifty to another contract later."""
    (book / "plans").mkdir(parents=True)
    first, month = f"{fleet.first_day}T00:00:00Z", f"{fleet.first_day:%Y-%m}"
    files = {
        "sites.csv": [
            "site_id,name,country,region,timezone,tax_jurisdiction,expected_interval_minutes,"
            "estimation",
            *(
                f"{s.site_id},{s.site_id},{s.country},{s.region},{s.timezone},{s.country},"
                f"{fleet.minutes},like_day"
                for s in fleet.places
            ),
        ],
        "machines.csv": [
            "machine_id,site_id,meter_id,valid_from,rated_kw",
            *(
                f"m{n},{fleet.places[n % fleet.sites].site_id},{_meter_id(n)},{first},7.5"
                for n in range(fleet.machines)
            ),
        ],
        "customers.csv": [
            "customer_id,name",
            *(f"customer-{n},Customer {n}" for n in range(fleet.contracts)),
        ],
        "payers.csv": [
            "payer_id,name,country,currency,email,payment_terms_days,consolidation,"
            "address_line1,city",
            *(
                f"P-{n},Payer {n},NO,EUR,payer-{n}@example.com,30,one,Main Street {n},Oslo"
                for n in range((fleet.contracts + 3) // 4)
            ),
        ],
        "contracts.csv": [
            "contract_id,customer_id,payer_id,plan_id,billing_timezone,valid_from",
            *(
                f"K-{n},customer-{n},P-{n // 4},{list(PLANS)[n % len(PLANS)]},"
                f"{_home(fleet, n).timezone},{fleet.first_day}"
                for n in range(fleet.contracts)
            ),
        ],
        "assignments.csv": ["machine_id,contract_id,valid_from,valid_to", *_assignments(fleet)],
        "tax_rules.csv": ["tax_code,rate_percent,valid_from", "NO-25,25,2020-01-01"],
        "calendars.yml": [
            "- calendar_id: day-night",
            "  default_band: night",
            "  bands:",
            '    - {band: day, days: [mon, tue, wed, thu, fri], from: "07:00", to: "22:00"}',
        ],
        "index_prices.csv": ["index_id,hour_start,price,currency", *_prices(fleet)],
    }
    for name, lines in files.items():
        (book / name).write_text("\n".join(lines) + "\n")
    for plan_id, charges in PLANS.items():
        head = f"plan_id: {plan_id}\ncurrency: EUR\nversions:\n- version: 1\n"
        text = f"{head}  valid_from: {month}\n  charges:\n"
        text += "".join(f"  - {{{charge}}}\n" for charge in charges)
        (book / "plans" / f"{plan_id}.yml").write_text(text)


def _prices(fleet: Fleet) -> Iterator[str]:
    """Rows of index_prices.csv for every hour of the fleet and of the nights that may follow."""
    first = datetime.combine(fleet.first_day, time(), UTC)
    for hour in range(24 * (fleet.days + 7)):
        price = 40 + hour * 7 % 61
        yield f"spot,{first + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ},{price}.{hour % 10},EUR"


def _contract(fleet: Fleet, machine: int) -> int:
    """Return the contract of a machine: neighbours in number share one, so it has two sites."""
    return machine // 2 % fleet.contracts


def _home(fleet: Fleet, contract: int) -> Site:
    """Return the site whose time zone the contract is billed in: one of its two."""
    return fleet.places[(2 * contract + contract // 2 % 2) % fleet.sites]


def _assignments(fleet: Fleet) -> Iterator[str]:
    first = f"{fleet.first_day}T00:00:00Z"
    moved = f"{fleet.end - timedelta(days=min(fleet.days, 31) // 2)}T09:00:00Z"
    for n in range(fleet.machines):
        contract = _contract(fleet, n)
        if n % _MOVE_IN == _MOVES:
            yield f"m{n},K-{contract},{first},{moved}"
            yield f"m{n},K-{(contract + 1) % fleet.contracts},{moved},"
        else:
            yield f"m{n},K-{contract},{first},"
