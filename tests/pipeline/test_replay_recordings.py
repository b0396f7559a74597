"""Recorded real readings through the whole chain: what was recorded is billed, holes are not.

The recordings are not part of this repository: `M2C_REALDATA` says where they are, else
`../shared/realdata` beside it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from connectors.sandbox.replay.recorded import Recorded, read_recorded

ROOT = Path(__file__).resolve().parents[2]
REALDATA = Path(os.environ.get("M2C_REALDATA", ROOT.parent / "shared" / "realdata"))

pytestmark = pytest.mark.skipif(
    not (REALDATA / "harvard_ipmi").is_dir(),
    reason=f"no recordings in {REALDATA}; set M2C_REALDATA to their folder",
)


@pytest.fixture(scope="module")
def recorded() -> Recorded:
    return read_recorded(REALDATA)


@pytest.fixture(scope="module")
def marts(
    m2c: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[duckdb.DuckDBPyConnection]:
    data_dir = tmp_path_factory.mktemp("replayed")
    answer = m2c(data_dir, "demo", "--replay", str(REALDATA))
    # 1: the research statement waits for a person, most of its day being missing.
    assert answer.code in (0, 1), answer.out + answer.err
    published = data_dir / "replay" / "published" / "marts.duckdb"
    with duckdb.connect(str(published), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        yield connection


def test_every_machine_is_billed_what_its_meters_recorded(
    marts: duckdb.DuckDBPyConnection, recorded: Recorded
) -> None:
    node_of = {a.meter_id: a.node for a in recorded.judgement.accepted}
    expected: dict[tuple[str, str], Decimal] = {}
    for (site_id, meter_id), kwh in recorded.accepted_kwh().items():
        machine = (site_id, node_of.get(meter_id, "front-electric-meter"))
        expected[machine] = expected.get(machine, Decimal(0)) + kwh
    rows = marts.execute(
        """
        select site_id, machine_id, sum(metered_quantity) from usage_daily
        where contract_id is not null group by all
        """
    ).fetchall()
    assert {(site, machine): kwh for site, machine, kwh in rows} == expected


def test_refused_sensors_are_billed_to_nobody(
    marts: duckdb.DuckDBPyConnection, recorded: Recorded
) -> None:
    accepted = {a.meter_id for a in recorded.judgement.accepted}
    refused = {f"{r.node}/{r.sensor}" for r in recorded.judgement.refused}
    placed = {meter for (meter,) in marts.execute("select meter_id from machines").fetchall()}
    assert accepted < placed
    assert not refused & placed


def test_holes_are_missing_and_nothing_is_estimated(
    marts: duckdb.DuckDBPyConnection, recorded: Recorded
) -> None:
    nodes = {a.node for a in recorded.judgement.accepted}
    missing = marts.execute(
        """
        select machine_id, sum(quantity) from billing_exceptions
        where kind = 'missing_readings' group by all
        """
    ).fetchall()
    hours = dict(missing)
    assert set(hours) == nodes
    # The site was powered down for nineteen hours; half of it was silent from then on.
    assert sum(value > 19 for value in hours.values()) > 850
    estimated = marts.execute("select sum(estimated_quantity) from usage_daily").fetchall()
    assert estimated == [(Decimal(0),)]


def test_the_house_is_billed_exactly_its_feed(
    marts: duckdb.DuckDBPyConnection, recorded: Recorded
) -> None:
    rows = marts.execute(
        "select quantity, amount from statement_lines where period = '2012-03' order by quantity"
    ).fetchall()
    assert sum(quantity for quantity, _ in rows) == Decimal(sum(recorded.feed.watt_hours)) / 1000
    assert [amount for _, amount in rows] == [Decimal("53.27"), Decimal("119.00")]


def test_what_nobody_claims_is_set_aside_not_lost(marts: duckdb.DuckDBPyConnection) -> None:
    rows = marts.execute(
        """
        select site_id, sum(rows_landed), sum(rows_accepted + rows_quarantined),
            sum(accepted - assigned - unassigned)
        from usage_reconciliation group by all order by all
        """
    ).fetchall()
    assert all(landed == told and rest == 0 for _, landed, told, rest in rows)
    assert [site for site, *_ in rows] == ["US-GBT1", "US-HLY1", "US-HLY2", "US-HLY3"]
