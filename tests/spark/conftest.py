"""Spark for the tests, and which of them are for `make test-spark` alone: whole months on it take
minutes each."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.spark.cluster import LACKING, Cluster

collect_ignore = [] if os.environ.get("M2C_SPARK_ALL") else ["test_scenarios.py", "test_cluster.py"]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One without workers for many tests: its virtual machine is warm after the first."""
    if LACKING:
        pytest.skip(LACKING)
    with Cluster(tmp_path_factory.mktemp("spark")) as running:
        yield running


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One with two workers."""
    if LACKING:
        pytest.skip(LACKING)
    with Cluster(tmp_path_factory.mktemp("cluster"), workers=2) as running:
        yield running
