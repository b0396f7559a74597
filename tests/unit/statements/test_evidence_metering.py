"""The metering of evidence folders against the reference of the rules: random worlds of registers,
gauges, intervals, duplicates, edits, gaps and moves, each contract's month in a folder of its own
that holds no more readings than it picked."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings

from connectors.book.compiled import SCHEMAS
from connectors.book.localtime import zone_months, zone_spans
from exporters.statements.evidence.inputs import Stated, write_contracts, write_statement
from exporters.statements.evidence.landed import (
    LandedFile,
    Landing,
    write_events,
    write_index_prices,
    write_readings,
)
from exporters.statements.evidence.workshop import Workshop
from tests.unit.metering.test_metering_properties import Reference, worlds
from tests.unit.metering.worlds import World
from tests.unit.statements.evidence_of_packs import land, units

METRICS = {"energy": "kWh", "traffic": "GB"}


def write_book(world: World, folder: Path) -> None:
    """The compiled book of a world, with a plan that prices all that is metered."""
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for name, taken in world.tables().items():
        if name.startswith("book__"):
            rows[name.removeprefix("book__")] = taken
    metrics = {True: "energy", False: "traffic"}
    for row, placement in zip(rows["placements"], world.placements, strict=True):
        row["metrics"] = metrics[placement.gives_energy]
    charge = {"plan_id": "p", "version": 1}
    rows["plans"] = [{"plan_id": "p", "currency": "EUR", "minor_units": 2}]
    rows["plan_versions"] = [charge | {"valid_from_month": "2020-01"}]
    rows["charges"] = [
        charge
        | {"code": metric, "model": "time_of_use", "metric": metric, "unit": unit}
        | {"charge_no": number, "is_site_limited": False}
        for number, (metric, unit) in enumerate(METRICS.items())
    ]
    rows["charge_sites"] = [
        charge | {"code": metric, "site_id": world.site_id} for metric in METRICS
    ]
    zones = {world.timezone} | {term.timezone for term in world.terms}
    rows["zone_spans"] = [
        {"timezone": zone}
        | {name: getattr(span, name) for name in ("from_at", "to_at", "utc_offset_seconds")}
        for zone in zones
        for span in zone_spans(zone)
    ]
    rows["zone_months"] = [
        {"timezone": zone}
        | {name: getattr(month, name) for name in ("period", "start_at", "end_at")}
        for zone in zones
        for month in zone_months(zone)
    ]
    for name, schema in SCHEMAS.items():
        columns = {column: [row.get(column) for row in rows[name]] for column in schema.names}
        pq.write_table(pa.table(columns, schema=schema), folder / f"{name}.parquet")


def usage_by_evidence(
    root: Path, files: list[LandedFile], contract: str, period: str, folder: Path
) -> dict[tuple[Any, ...], tuple[Fraction, Fraction]]:
    """What the folder of one contract's month makes of its readings: by term, metric and machine,
    the quantity and what of it is estimated."""
    line = {"contract_id": contract, "period": period, "adjusts_period": None}
    stated = Stated(
        statement=defaultdict(lambda: None),
        lines=[defaultdict(lambda: None, line | {"charge_model": "per_unit", "site_id": "s"})],
        before=[],
        drawn=[],
        facts=[],
        disputes=[],
        units=units(),
    )
    landing = Landing(root=root, files=files, until=None)
    with Workshop(folder, root / "book") as shop:
        write_statement(shop, stated)
        needs = write_contracts(shop, stated)
        write_events(shop, landing, needs, None)
        write_index_prices(shop, landing, needs)
        write_readings(shop, landing, needs)
        estimating = shop.values(
            "select count(*) from 'data/sites.parquet' where estimation != 'none'"
        )
        estimates = "04_estimates" if needs.meters and estimating[0] else "04_no_estimates"
        steps = ("02_readings", "03_intervals", estimates, "05_usage", "06_quarter_hours")
        shop.run("01_contracts", *steps)
        by_day = shop.rows(
            "select term_no, metric, machine_id, sum(nano) as nano, "
            "coalesce(sum(nano) filter (where is_estimated), 0) as estimated "
            "from usage_days group by all having sum(nano) != 0"
        )
        by_quarter = shop.rows(
            "select term_no, metric, sum(nano) as nano from usage_quarters group by all"
        )
    whole: dict[tuple[Any, ...], int] = defaultdict(int)
    for row in by_day:
        whole[row["term_no"], row["metric"]] += row["nano"]
    assert {key: nano for key, nano in whole.items() if nano} == {
        (row["term_no"], row["metric"]): row["nano"] for row in by_quarter if row["nano"]
    }
    return {
        (row["term_no"], row["metric"], row["machine_id"]): (
            Fraction(int(row["nano"]), 10**9),
            Fraction(int(row["estimated"]), 10**9),
        )
        for row in by_day
    }


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(world=worlds)
def test_a_month_is_metered_as_the_rules_say(world: World) -> None:
    expected: dict[tuple[str, str], dict[tuple[Any, ...], tuple[Fraction, Fraction]]]
    expected = defaultdict(dict)
    for key, quantities in Reference(world).outcome().months.items():
        contract, term_no, period, metric, machine = key
        if metric in METRICS and quantities[0]:
            expected[contract, period][term_no, metric, machine] = quantities
    with TemporaryDirectory() as name:
        root = Path(name)
        (root / "book").mkdir()
        write_book(world, root / "book")
        files = [
            LandedFile(table=table, key=key, date=day, path=path)
            for table, key, day, path in land(root, "readings", world.tables()["landed"])
        ]
        for number, ((contract, period), quantities) in enumerate(sorted(expected.items())):
            folder = root / str(number)
            folder.mkdir()
            found = usage_by_evidence(root, files, contract, period, folder)
            assert found == quantities, (contract, period)
