"""All golden scenarios on Spark give what they promise."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.golden.test_golden import (
    GOLDEN,
    NEEDS_A_PERSON,
    PERIODS,
    test_every_statement_line_is_exact,
    test_exceptions_are_those_of_the_scenario,
    test_usage_reconciles_on_every_day,
)
from tests.spark.builds import m2c
from tests.spark.cluster import Cluster

__all__ = [
    "test_every_statement_line_is_exact",
    "test_exceptions_are_those_of_the_scenario",
    "test_usage_reconciles_on_every_day",
]


@pytest.fixture(scope="module", params=sorted(PERIODS))
def built(
    request: pytest.FixtureRequest, server: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, str, Path]:
    """A scenario, its period and the marts built from a copy of it on Spark."""
    scenario = str(request.param)
    if not (GOLDEN / scenario).is_dir():
        pytest.skip(f"no golden scenario at {GOLDEN / scenario}")
    data_dir = tmp_path_factory.mktemp(scenario)
    shutil.copytree(
        GOLDEN / scenario / "data", data_dir, dirs_exist_ok=True, copy_function=shutil.copyfile
    )
    server.forget_tables()
    period = PERIODS[scenario]
    code = m2c(data_dir, "close", period, "--dry-run", cluster=server)
    assert code == (1 if scenario in NEEDS_A_PERSON else 0)
    return scenario, period, data_dir / "published" / "marts.duckdb"
