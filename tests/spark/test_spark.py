"""The warehouse on Spark, through Spark Connect.

All golden scenarios give the lines that they promise, and random books the same marts as on DuckDB:
on a cluster of one master and two workers, also after readings of a day are gone and a worker, the
driver and the client were killed in the middle.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest

from exporters.marts import open_marts
from tests.golden.test_golden import (
    GOLDEN,
    NEEDS_A_PERSON,
    PERIODS,
    test_every_statement_line_is_exact,
    test_exceptions_are_those_of_the_scenario,
    test_usage_reconciles_on_every_day,
)
from tests.spark.cluster import LACKING, Cluster
from tests.spark.landed import NUMBERED, write_data_dir
from tests.unit.warehouse.templates import Project

__all__ = [
    "test_every_statement_line_is_exact",
    "test_exceptions_are_those_of_the_scenario",
    "test_usage_reconciles_on_every_day",
]
pytestmark = pytest.mark.skipif(LACKING is not None, reason=str(LACKING))

# All, or those that are named.
SCENARIOS = os.environ.get("M2C_SPARK_SCENARIOS", " ".join(sorted(PERIODS))).split()
SEED, BOOKS = 6, 20
# What differs between any two builds.
OF_A_BUILD = {"build_info": ("built_at", "usage_run_at", "usage_run_no", "code_version")}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One without workers for many tests: its virtual machine is warm after the first."""
    with Cluster(tmp_path_factory.mktemp("spark")) as running:
        yield running


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One with two workers."""
    with Cluster(tmp_path_factory.mktemp("cluster"), workers=2) as running:
        yield running


def m2c(data_dir: Path, *arguments: str, cluster: Cluster | None = None) -> int:
    """Run a command, on Spark with a cluster; its exit code. A failure shows what was said."""
    command = [str(Path(sys.executable).with_name("m2c")), "--data-dir", str(data_dir), *arguments]
    environment = os.environ | (cluster.environment if cluster else {})
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.returncode


@pytest.fixture(scope="module", params=SCENARIOS)
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


# --- exact arithmetic -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A call of a macro over columns, each a type, its decimals and how many bits its last decimals
    take at most, and what the call must give."""

    call: str
    columns: Mapping[str, tuple[str, int, int]]
    expected: Callable[..., Fraction]


def rounded(value: Fraction, digits: int) -> Fraction:
    """A value rounded half away from zero."""
    scaled = abs(value) * 10**digits
    whole = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    return Fraction(whole if value >= 0 else -whole, 10**digits)


def written(value: Fraction, decimals: int) -> str:
    """A value of so many decimals as a decimal number."""
    digits = str(int(abs(value) * 10**decimals)).rjust(decimals + 1, "0")
    whole, rest = digits[: len(digits) - decimals], digits[len(digits) - decimals :]
    return f"{'-' if value < 0 else ''}{whole}{'.' if rest else ''}{rest}"


WHOLE = "decimal(38, 0)"
CASES = {
    "whole numbers divide towards zero": Case(
        "whole_div('cast(a as ' ~ whole_type() ~ ')', 'cast(b as ' ~ whole_type() ~ ')')",
        {"a": (WHOLE, 0, 125), "b": (WHOLE, 0, 100)},
        lambda a, b: Fraction(int(a / b)),
    ),
    "quotients are rounded once": Case(
        "divide_round('a', 9, 'b', 0, 6)",
        {"a": ("decimal(38, 9)", 9, 94), "b": (WHOLE, 0, 80)},
        lambda a, b: rounded(a / b, 6),
    ),
    "parts of an interval": Case(
        "prorate('a', 'b', 'c')",
        {"a": ("decimal(38, 9)", 9, 70), "b": ("bigint", 0, 50), "c": ("bigint", 0, 50)},
        lambda a, b, c: rounded(a * b / c, 9),
    ),
    "products": Case(
        "exact_product('a', 9, 'b', 6)",
        {"a": ("decimal(38, 9)", 9, 80), "b": ("decimal(38, 6)", 6, 44)},
        lambda a, b: a * b,
    ),
    "shares of money": Case(
        "share_of_money('a', 'b', 'b + c', '2')",
        {"a": ("decimal(24, 9)", 9, 65), "b": ("bigint", 0, 50), "c": ("bigint", 0, 60)},
        lambda a, b, c: rounded(a * b / (b + c), 2),
    ),
    "shares of quantities": Case(
        "share_of_quantity('abs(a)', 'b', 'cast(b + c as decimal(38, 12))')",
        dict.fromkeys("abc", ("decimal(38, 12)", 12, 80)),
        lambda a, b, c: rounded(abs(a) * b / (b + c), 6),
    ),
    "amounts in minor units": Case(
        "to_minor_unit('a', '2')",
        {"a": ("decimal(38, 22)", 22, 116)},
        lambda a: rounded(a, 2),
    ),
    "digits of a decimal": Case(
        "digits_integer('a', 22)",
        {"a": ("decimal(38, 22)", 22, 126)},
        lambda a: a * 10**22,
    ),
}


@pytest.mark.parametrize("engine", ["duckdb", "spark"])
@pytest.mark.parametrize("name", sorted(CASES))
def test_macros_are_exact_far_beyond_64_bits(name: str, engine: str, server: Cluster) -> None:
    case = CASES[name]
    dice = Random(name)

    def drawn(column: str, decimals: int, bits: int) -> Fraction:
        sign = dice.choice((1, -1)) if column == "a" else 1
        return Fraction(sign * dice.randint(1, 2 ** dice.randint(1, bits)), 10**decimals)

    rows = [
        [drawn(column, decimals, bits) for column, (_, decimals, bits) in case.columns.items()]
        for _ in range(400)
    ]
    texts = [
        [written(value, spec[1]) for value, spec in zip(row, case.columns.values(), strict=True)]
        for row in rows
    ]
    values = ", ".join(f"({n}, {', '.join(map(repr, row))})" for n, row in enumerate(texts))
    typed = ", ".join(f"cast({name} as {spec[0]}) as {name}" for name, spec in case.columns.items())
    project = Project(None, (), engine=engine)
    query = (
        f"select cast({project.expression(case.call)} as string) from (select n, {typed} from"
        f" (values {values}) as given (n, {', '.join(case.columns)})) as rows_given order by n"
    )
    found = [Fraction(text) for text in answers(query, project, server, engine)]
    assert found == [Fraction(case.expected(*row)) for row in rows]


@pytest.mark.parametrize("engine", ["duckdb", "spark"])
def test_what_does_not_fit_is_an_error_and_never_another_number(
    engine: str, server: Cluster
) -> None:
    project = Project(None, (), engine=engine)
    product = project.expression("exact_product('a', 9, 'a', 9)")
    query = f"select cast({product} as string) from (select cast('1e14' as decimal(38, 0)) as a)"
    with pytest.raises(Exception, match=r"(?i)overflow|out of range|cannot be represented"):
        answers(query, project, server, engine)


def answers(query: str, project: Project, server: Cluster, engine: str) -> list[str]:
    """The first column of a query."""
    if engine == "duckdb":
        with duckdb.connect() as connection:
            return [row[0] for row in connection.execute(query).fetchall()]
    from orchestration.spark import EXACT

    with server.session() as session:
        for setting, value in EXACT.items():
            session.conf.set(setting, value)
        session.sql("create schema if not exists main")
        for statement in project.macros.spark_functions():
            session.sql(statement)
        return [row[0] for row in session.sql(query).collect()]


# --- random books ---------------------------------------------------------------------------------


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
    with open_marts(on_spark) as marts:
        assert marts.rows(f"select 1 from statement_lines where site_id = '{NUMBERED}'")
        contracts = marts.rows("select distinct contract_id from statement_lines")
    assert len(contracts) >= BOOKS


def test_nothing_stays_of_a_day_without_readings_although_client_and_worker_were_killed(
    books: Path, cluster: Cluster
) -> None:
    days = sorted(books.glob(f"landing/readings/site_id={NUMBERED}/date=*"))
    day = days[len(days) // 2]
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
        of_day = (
            f"select 1 from usage_daily where site_id = '{NUMBERED}'"
            f" and usage_date = '{day.name.removeprefix('date=')}'"
        )
        assert marts.rows(of_day) == []


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
