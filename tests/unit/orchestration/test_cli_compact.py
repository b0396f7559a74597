"""`m2c compact`: the plan, the merge, and what needs a person, on a folder filled by hand."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.manifest import scan
from connectors.tables import READINGS
from orchestration.locks import hold
from orchestration.settings import DataDir
from orchestration.warehouse import compact_landing

ROOT = Path(__file__).resolve().parents[3]
# The demo's book lands the last three days again every night: October 25 is the last that is over.
NOW = datetime(2026, 10, 29, 6, tzinfo=UTC)


def put(data_dir: DataDir, day: int, batch: str, unit: str = "kWh") -> Path:
    start = datetime(2026, 10, day, tzinfo=UTC)
    row = {
        "site_id": "NO-OSL1",
        "source": "by hand",
        "meter_id": "m-1",
        "metric": "energy",
        "kind": "interval",
        "unit": unit,
        "interval_start": start,
        "interval_end": start + timedelta(hours=1),
        "value": Decimal(1),
        "quality": "good",
        "batch_id": batch,
        "ingested_at": start + timedelta(days=1),
    }
    folder = data_dir.landing / "readings" / "site_id=NO-OSL1" / f"date={start:%Y-%m-%d}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{batch}.parquet"
    pq.write_table(pa.Table.from_pylist([row], schema=READINGS.schema), path)
    return path


@pytest.fixture
def data_dir(tmp_path: Path) -> DataDir:
    shutil.copytree(ROOT / "data" / "book", tmp_path / "book")
    made = DataDir(tmp_path)
    for day in (25, 26, 27):
        for batch in ("b-1", "b-2"):
            put(made, day, batch)
    return made


def m2c(data_dir: DataDir, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).parent / "m2c", "--data-dir", data_dir.root, *arguments],
        env={**os.environ, "M2C_NOW": NOW.isoformat()},
        capture_output=True,
        text=True,
        check=False,
    )


def files(data_dir: DataDir) -> list[int]:
    return [len(list(day.iterdir())) for day in sorted(data_dir.landing.glob("readings/*/*"))]


def test_plan_then_merge_then_nothing(data_dir: DataDir) -> None:
    plan = m2c(data_dir, "compact", "--dry-run", "--json")
    assert plan.returncode == 0, plan.stderr
    said: dict[str, Any] = json.loads(plan.stdout)
    assert (said["before"], said["dry_run"], said["exit_code"]) == ("2026-10-26", True, 0)
    assert [(d["date"], d["files"], d["merged"]) for d in said["days"]] == [("2026-10-25", 2, None)]
    assert files(data_dir) == [2, 2, 2]
    done = m2c(data_dir, "compact")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == (
        "readings NO-OSL1: 1 day (2026-10-25 to 2026-10-25), 2 files"
    )
    assert files(data_dir) == [1, 2, 2]


def test_refused_file_is_named_and_asks_for_a_person(data_dir: DataDir) -> None:
    refused = put(data_dir, 25, "b-3", unit="kwh")
    done = m2c(data_dir, "compact", "--json")
    assert done.returncode == 1, done.stderr
    said = json.loads(done.stdout)
    assert [r["path"] for r in said["refused"]] == [str(refused)]
    assert f"refused {refused}: row 1" in done.stderr
    assert files(data_dir) == [2, 2, 2]
    assert refused.exists()


def test_days_that_are_landed_again_every_night_cannot_be_merged(data_dir: DataDir) -> None:
    done = m2c(data_dir, "compact", "--before", "2026-10-27")
    assert done.returncode == 2
    assert "days before 2026-10-26 can be merged" in done.stderr
    assert files(data_dir) == [2, 2, 2]


def test_earlier_bound_merges_less(data_dir: DataDir) -> None:
    day = datetime(2026, 10, 25, tzinfo=UTC).date()
    done = compact_landing(data_dir, now=NOW, before=day, dry_run=False)
    assert (done.days, files(data_dir)) == ((), [2, 2, 2])


def test_manifest_is_that_of_the_merged_files(data_dir: DataDir) -> None:
    """A build that listed the files before and reads them after must find what it reads."""
    compact_landing(data_dir, now=NOW, before=None, dry_run=False)
    listed = pq.read_table(data_dir.manifest / "readings.parquet")["path"].to_pylist()
    assert [path for path in listed if not Path(path).exists()] == []
    found = scan(data_dir.landing, data_dir.manifest)
    assert (found.new, found.changed, found.removed) == ((), (), ())


@pytest.mark.parametrize("lock", ["warehouse", "dbt"])
def test_nothing_is_merged_under_a_build(data_dir: DataDir, lock: str) -> None:
    program = (
        "import sys; from datetime import datetime; from pathlib import Path\n"
        "from orchestration import locks, warehouse; from orchestration.settings import DataDir\n"
        "hold = locks.hold\n"
        "warehouse.hold = lambda *a, **k: hold(*a, **k, timeout_seconds=0.2)\n"
        "warehouse.compact_landing(DataDir(Path(sys.argv[1])), before=None, dry_run=False,\n"
        "    now=datetime.fromisoformat(sys.argv[2]))\n"
    )
    with hold(data_dir.locks, lock, purpose="a build"):
        done = subprocess.run(
            [sys.executable, "-c", program, data_dir.root, NOW.isoformat()],
            capture_output=True,
            text=True,
            check=False,
        )
    assert f"LockBusyError: the {lock} lock" in done.stderr
    assert files(data_dir) == [2, 2, 2]
