"""Builds that compute only what changed, with real dbt on real files: nights, kills and what
readers get must be what a build from nothing gives."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.tables import READINGS
from orchestration import warehouse
from orchestration.settings import DBT_PROJECT, DataDir

FIRST = datetime(2026, 5, 1, tzinfo=UTC)
NOW = datetime(2026, 5, 9, tzinfo=UTC)
BOOK = {
    "sites.csv": "site_id,name,country,region,timezone,tax_jurisdiction,expected_interval_minutes,"
    "default_rated_kw,estimation\n"
    "OSL,Oslo,NO,nordics,Europe/Oslo,NO,60,10,interpolate\n"
    "KTM,Kathmandu,NP,asia,Asia/Kathmandu,NP,60,10,none\n",
    "machines.csv": "machine_id,site_id,meter_id,valid_from,valid_to\n"
    "m1,OSL,a,2026-04-01,\nm2,OSL,b,2026-04-01,\nm3,KTM,c,2026-04-01,\n",
    "customers.csv": "customer_id,name\nacme,Acme\n",
    "payers.csv": "payer_id,name,country,currency,email,payment_terms_days,consolidation,"
    "address_line1,city\nACME,Acme,NO,EUR,acme@example.com,30,one,Street 1,Oslo\n",
    "contracts.csv": "contract_id,customer_id,payer_id,plan_id,billing_timezone,valid_from\n"
    "K,acme,ACME,metered,Europe/Oslo,2026-04-01\n",
    "assignments.csv": "machine_id,contract_id,valid_from,valid_to\n"
    "m1,K,2026-04-01,\nm2,K,2026-04-01,\nm3,K,2026-04-01,\n",
    "tax_rules.csv": "tax_code,rate_percent,valid_from\nNO25,25,2020-01-01\n",
    "plans/metered.yml": """plan_id: metered
description: Metered
currency: EUR
versions:
- version: 1
  valid_from: 2026-01
  charges:
  - {code: energy, model: per_unit, rate: '0.10'}
""",
}
# What a build from nothing cannot know: how it came about, and when.
MEMORIES = ("build_info", "usage_revisions")


@dataclass
class Fleet:
    """A data dir with two sites: hourly intervals in Oslo, a counter in Kathmandu."""

    data_dir: DataDir

    def write_book(self, **changes: str) -> None:
        for name, text in (BOOK | {f"{key}.csv": text for key, text in changes.items()}).items():
            path = self.data_dir.book / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def land(self, site: str, day: int, *, batch: str, seed: int, hours: int = 24) -> None:
        """Land a day of a site as one batch, fetched after those landed before."""
        values = random.Random(seed)
        start = FIRST + timedelta(days=day)
        rows: list[dict[str, Any]] = []
        for meter in {"OSL": ("a", "b"), "KTM": ("c",)}[site]:
            for hour in range(hours):
                begin = start + timedelta(hours=hour)
                counter = site == "KTM"
                watts = values.randint(100, 900)
                rows.append(
                    {
                        "site_id": site,
                        "source": "hand",
                        "meter_id": meter,
                        "metric": "energy",
                        "kind": "register" if counter else "interval",
                        "unit": "Wh",
                        "interval_start": begin,
                        "interval_end": None if counter else begin + timedelta(hours=1),
                        "value": Decimal(1000 * (24 * day + hour) + watts if counter else watts),
                        "quality": "good",
                        "batch_id": batch,
                        "ingested_at": FIRST + timedelta(days=30, hours=int(batch[1:])),
                    }
                )
        folder = self.data_dir.landing / f"readings/site_id={site}/date={start.date()}"
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(
            pa.Table.from_pylist(rows, schema=READINGS.schema), folder / f"{batch}.parquet"
        )

    def prepare(self) -> None:
        warehouse.refresh_book(self.data_dir)
        assert warehouse.refresh_manifest(self.data_dir).refused == ()
        warehouse.refresh_ledger_extract(self.data_dir)
        warehouse.write_context(self.data_dir, now=NOW, also_period=None)
        warehouse.prepare_next_marts(self.data_dir)

    def start_dbt(self) -> subprocess.Popen[str]:
        target = self.data_dir.warehouse
        return subprocess.Popen(
            [
                str(Path(sys.executable).with_name("m2c-dbt")),
                "--no-use-colors",
                "build",
                "--exclude-resource-type=unit_test",
                f"--project-dir={DBT_PROJECT}",
                f"--profiles-dir={DBT_PROJECT}",
                f"--target-path={target / 'target'}",
                f"--log-path={target / 'logs'}",
            ],
            env=os.environ
            | {"M2C_DATA_DIR": str(self.data_dir.root), "M2C_READINGS_AT_ONCE": "30"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def build(self) -> None:
        self.prepare()
        dbt = self.start_dbt()
        said, _ = dbt.communicate()
        assert dbt.returncode == 0, said[-4000:]
        warehouse.swap_marts(self.data_dir)

    def published(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows of all published marts, but for memories."""
        with duckdb.connect(self.data_dir.marts, read_only=True) as marts:
            marts.execute("set TimeZone = 'UTC'")
            names = [
                n for (n,) in marts.execute("select table_name from duckdb_tables()").fetchall()
            ]
            return {
                name: marts.execute(f"select * from {name} order by all").fetchall()
                for name in names
                if name not in MEMORIES
            }

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(self.data_dir.marts, read_only=True) as marts:
            marts.execute("set TimeZone = 'UTC'")
            return marts.execute(query).fetchall()


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    fleet = Fleet(DataDir(tmp_path / "data"))
    fleet.write_book()
    return fleet


@pytest.fixture
def from_nothing(tmp_path: Path) -> Fleet:
    """For the same book and landing zone, never built before."""
    return Fleet(DataDir(tmp_path / "again"))


def copy_inputs(fleet: Fleet, other: Fleet) -> None:
    shutil.rmtree(other.data_dir.root, ignore_errors=True)
    shutil.copytree(fleet.data_dir.book, other.data_dir.book)
    shutil.copytree(fleet.data_dir.landing, other.data_dir.landing)


def test_nights_give_what_a_build_from_nothing_gives(fleet: Fleet, from_nothing: Fleet) -> None:
    for site in ("OSL", "KTM"):
        for day in range(3):
            fleet.land(site, day, batch="b1", seed=day)
    fleet.build()

    # A new day, the day before fetched again, a day that had been missed, and one that goes.
    fleet.land("OSL", 3, batch="b2", seed=3)
    fleet.land("OSL", 2, batch="b2", seed=20, hours=12)
    fleet.land("KTM", 5, batch="b2", seed=5)
    shutil.rmtree(fleet.data_dir.landing / "readings/site_id=KTM/date=2026-05-02")
    fleet.build()
    revised = fleet.rows(
        "select distinct site_id, machine_id, usage_date::varchar, why from usage_revisions"
        " order by all"
    )
    copy_inputs(fleet, from_nothing)
    from_nothing.build()
    assert fleet.published() == from_nothing.published()
    # Oslo's 3 May has the hours from 22:00 on of 2 May in UTC and those until 22:00 of 3 May.
    assert ("OSL", "m1", "2026-05-03", "readings") in revised
    assert ("KTM", "m3", "2026-05-02", "readings") in revised
    assert not [row for row in revised if row[2] == "2026-05-04" and row[0] == "OSL"]

    # The book says something else of a part of the time.
    fleet.write_book(
        assignments=BOOK["assignments.csv"].replace(
            "m1,K,2026-04-01,\n", "m1,K,2026-04-01,2026-05-03\n"
        )
    )
    fleet.build()
    by_book = fleet.rows(
        "select distinct machine_id, usage_date::varchar from usage_revisions"
        " where why = 'book' and contract_id = 'K' order by all"
    )
    copy_inputs(fleet, from_nothing)
    from_nothing.build()
    assert fleet.published() == from_nothing.published()
    # 4 May is half there: its UTC days 3 and 4 May have both been computed.
    assert by_book == [("m1", "2026-05-03"), ("m1", "2026-05-04")]

    # Nothing new: nothing is computed, and nothing is revised.
    runs = "select count(*), max(run_no) from usage_revisions"
    told, computed = fleet.rows(runs), computed_days(fleet)
    fleet.build()
    assert fleet.rows(runs) == told
    assert computed_days(fleet) == computed
    assert fleet.published() == from_nothing.published()


def computed_days(fleet: Fleet) -> list[tuple[Any, ...]]:
    file = fleet.data_dir.warehouse / "warehouse.duckdb"
    with duckdb.connect(file, read_only=True) as connection:
        return connection.execute(
            "select site_id, usage_date, run_no from intermediate.int_metering__days order by all"
        ).fetchall()


def test_a_killed_build_goes_on_where_it_was(fleet: Fleet, from_nothing: Fleet) -> None:
    for site in ("OSL", "KTM"):
        for day in range(8):
            fleet.land(site, day, batch="b1", seed=day)
    fleet.build()
    for site in ("OSL", "KTM"):
        for day in range(8):
            fleet.land(site, day, batch="b2", seed=100 + day, hours=20)

    for _ in range(3):
        fleet.prepare()
        dbt = fleet.start_dbt()
        wait_until_computing(dbt)
        time.sleep(random.uniform(0, 1.0))
        dbt.send_signal(signal.SIGKILL)
        dbt.communicate()
    fleet.build()

    copy_inputs(fleet, from_nothing)
    from_nothing.build()
    assert fleet.published() == from_nothing.published()


def wait_until_computing(dbt: subprocess.Popen[str]) -> None:
    assert dbt.stdout is not None
    for line in dbt.stdout:
        if "day_by_day model intermediate.int_metering__days" in line and "START" in line:
            return
    raise AssertionError("dbt ended before it computed days")
