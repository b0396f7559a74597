"""Random books on a cluster of one master and two workers: the same marts as on DuckDB, also when
the driver, the client and a worker were killed in the middle."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from exporters.marts import open_marts
from tests.spark.builds import (
    BOOKS,
    SEED,
    build,
    building,
    check_all_are_billed,
    differences,
    keep_marts,
    wait_for_write,
)
from tests.spark.cluster import Cluster
from tests.spark.landed import NUMBERED, write_data_dir


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data dir of random books, for both engines."""
    data_dir = tmp_path_factory.mktemp("books")
    write_data_dir(data_dir, seed=SEED, books=BOOKS)
    return data_dir


def test_random_books_give_the_same_marts_although_the_driver_was_killed(
    books: Path, cluster: Cluster
) -> None:
    cluster.forget_tables()
    with building(books, cluster) as process:
        wait_for_write(cluster, "int_metering__usage_hours", process)
        cluster.kill("server")
        assert process.wait() not in (0, 1)
    assert not (books / "published" / "marts.duckdb").exists()
    # As if it had been killed between writing a table and registering it, too.
    unregistered = cluster.home / "tables" / "marts.db" / "statement_lines"
    unregistered.mkdir()
    (unregistered / "part-0.parquet").write_bytes(b"half")
    cluster.start_server()
    on_spark = build(books, cluster)
    assert differences(build(books), on_spark) == {}
    check_all_are_billed(on_spark)


def test_nothing_stays_of_a_day_without_readings_although_client_and_worker_were_killed(
    books: Path, cluster: Cluster
) -> None:
    days = sorted(books.glob(f"landing/readings/site_id={NUMBERED}/date=*"))
    day = days[len(days) // 2]
    # Usage of the day may reach into it from the day before; what landed for it does not.
    landed = (
        f"select 1 from usage_reconciliation where site_id = '{NUMBERED}'"
        f" and usage_date = '{day.name.removeprefix('date=')}'"
    )
    with open_marts(books / "published" / "marts.duckdb") as marts:
        assert marts.rows(landed)
    shutil.rmtree(day)
    with building(books, cluster) as process:
        wait_for_write(cluster, "int_metering__usage_hours", process)
        process.kill()
    with building(books, cluster) as process:
        wait_for_write(cluster, "int_metering__usage_hours", process)
        cluster.kill("worker-0")
        assert process.wait() == 0
    on_spark = keep_marts(books, "spark")
    cluster.start_worker(0)
    assert differences(build(books), on_spark) == {}
    with open_marts(on_spark) as marts:
        assert marts.rows(landed) == []
