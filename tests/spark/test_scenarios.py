"""All golden scenarios on Spark give what they promise."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden.test_golden import (
    NEEDS_A_PERSON,
    PERIODS,
    copy_of,
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
    data_dir = copy_of(scenario, tmp_path_factory)
    server.forget_tables()
    period = PERIODS[scenario]
    code = m2c(data_dir, "close", period, "--dry-run", cluster=server)
    assert code == (1 if scenario in NEEDS_A_PERSON else 0)
    return scenario, period, data_dir / "published" / "marts.duckdb"
