"""Builds of data dirs on either engine, and how their marts differ."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

from exporters.marts import open_marts
from tests.spark.cluster import Cluster
from tests.spark.landed import NUMBERED

# Random books: which ones, and how many. `make test` builds a few of them, `make test-spark` all.
SEED = 6
BOOKS = 20 if os.environ.get("M2C_SPARK_ALL") else 4
# What differs between any two builds.
OF_A_BUILD = {
    "build_info": ("built_at", "usage_run_at", "usage_run_no", "code_version"),
    "usage_revisions": ("revised_at", "run_no"),
}


def m2c(data_dir: Path, *arguments: str, cluster: Cluster | None = None) -> int:
    """Run a command, on Spark with a cluster; its exit code. A failure shows what was said."""
    command = [str(Path(sys.executable).with_name("m2c")), "--data-dir", str(data_dir), *arguments]
    environment = os.environ | (cluster.environment if cluster else {})
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.returncode


@contextmanager
def building(data_dir: Path, cluster: Cluster) -> Iterator[subprocess.Popen[str]]:
    """A build under way."""
    command = [str(Path(sys.executable).with_name("m2c")), "--data-dir", str(data_dir), "build"]
    with subprocess.Popen(
        command,
        env=os.environ | cluster.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        yield process


def wait_for_write(cluster: Cluster, table: str, process: subprocess.Popen[str]) -> None:
    """Wait until folders of a table are being replaced."""
    folder = cluster.home / "tables" / "intermediate.db" / table
    while not list(folder.glob(".spark-staging-*")):
        if process.poll() is not None:
            pytest.fail(f"the build ended before: {process.communicate()[0]}")
        time.sleep(0.01)


def build(data_dir: Path, cluster: Cluster | None = None) -> Path:
    """Build on an engine; a copy of the marts."""
    assert m2c(data_dir, "build", cluster=cluster) == 0
    return keep_marts(data_dir, "spark" if cluster else "duckdb")


def keep_marts(data_dir: Path, engine: str) -> Path:
    """A copy of the published marts."""
    kept = data_dir / f"marts-{engine}.duckdb"
    shutil.copyfile(data_dir / "published" / "marts.duckdb", kept)
    return kept


def check_all_are_billed(marts: Path) -> None:
    """Lines of every book are there, and of the site whose name could be a number."""
    with open_marts(marts) as opened:
        assert opened.rows(f"select 1 from statement_lines where site_id = '{NUMBERED}'")
        contracts = opened.rows("select distinct contract_id from statement_lines")
    assert len(contracts) >= BOOKS


def differences(one: Path, other: Path) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of each mart that only one of two files has, but for the times of builds."""
    found = {}
    with duckdb.connect() as db:
        db.execute("set TimeZone = 'UTC'")
        db.execute(f"attach '{one}' as one (read_only); attach '{other}' as other (read_only)")
        tables = {
            database: db.execute(
                "select table_name, list((column_name, data_type) order by column_index)"
                f" from duckdb_columns() where database_name = '{database}'"
                " group by table_name order by table_name"
            ).fetchall()
            for database in ("one", "other")
        }
        assert tables["one"] == tables["other"]
        for name, columns in tables["one"]:
            compared = ", ".join(c for c, _ in columns if c not in OF_A_BUILD.get(name, ()))
            of_one, of_other = (f"select {compared} from {d}.{name}" for d in ("one", "other"))
            rows = db.execute(
                f"select 'one', * from ({of_one} except all {of_other}) union all"
                f" select 'other', * from ({of_other} except all {of_one}) limit 6"
            ).fetchall()
            if rows:
                found[name] = rows
    return found
