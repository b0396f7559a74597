"""The unit tests of the dbt project, run by dbt itself.

dbt learns the types of a test's rows from the relations that they stand for, so the models are
built beside their tests, on the book in `data` and an empty landing zone.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import yaml

from orchestration import warehouse
from orchestration.settings import DBT_PROJECT, DataDir

REPOSITORY = Path(__file__).resolve().parents[3]


def _written() -> set[str]:
    """The unit tests that the project's files hold, as `model.test`."""
    found = set()
    for path in (DBT_PROJECT / "models").rglob("*.yml"):
        tests = yaml.safe_load(path.read_text(encoding="utf-8")).get("unit_tests", [])
        found |= {f"{test['model']}.{test['name']}" for test in tests}
    return found


def test_all_unit_tests_of_the_models_pass(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path)
    shutil.copytree(REPOSITORY / "data" / "book", data_dir.book)
    warehouse.refresh_book(data_dir)
    warehouse.refresh_manifest(data_dir)
    warehouse.refresh_ledger_extract(data_dir)
    warehouse.write_context(data_dir, now=datetime(2026, 6, 1, tzinfo=UTC), also_period=None)
    warehouse.prepare_next_marts(data_dir)
    target = data_dir.warehouse / "target"

    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("m2c-dbt")),
            "--no-use-colors",
            "build",
            # Tests of data have nothing to look at.
            "--exclude-resource-type=test",
            f"--project-dir={DBT_PROJECT}",
            f"--profiles-dir={DBT_PROJECT}",
            f"--target-path={target}",
            f"--log-path={data_dir.warehouse / 'logs'}",
        ],
        env=os.environ | {"M2C_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    results = json.loads((target / "run_results.json").read_text(encoding="utf-8"))["results"]
    statuses = {
        # unit_test.<project>.<model>.<test>
        result["unique_id"].split(".", 2)[2]: result["status"]
        for result in results
        if result["unique_id"].startswith("unit_test.")
    }
    assert {name for name, status in statuses.items() if status != "pass"} == set()
    assert set(statuses) == _written()
    # More than one of them, and of every layer that has rules.
    for layer in ("int_metering__", "int_rating__", "int_billing__", "usage_", "statements"):
        assert any(name.startswith(layer) for name in statuses), layer
