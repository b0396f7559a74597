"""Data dirs that many tests start from, made once a session, and `m2c` as a person runs it.

Each is made by one process and used by all: with pytest-xdist a file lock in the shared base folder
keeps the others waiting. Nobody writes to them; a test that acts works on a copy.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from filelock import FileLock

from connectors.sandbox import Sandbox
from exporters.ledger import Actor, Ledger
from exporters.xero.sandbox import XeroSandbox, seed_from_book
from orchestration.settings import clock_from_env

ROOT = Path(__file__).resolve().parents[2]
M2C = Path(sys.executable).parent / "m2c"
PERIOD = "2026-10"
CLOSE = "2026-11-04T06:15:00+00:00"


@dataclass(frozen=True)
class Answer:
    """What a command said, and how long it took."""

    code: int
    out: str
    err: str
    seconds: float = 0.0

    def json(self) -> Any:
        """The one document on stdout; anything beside it is an error."""
        return json.loads(self.out)


def environment(**more: str) -> dict[str, str]:
    """The environment without anything of ours, so that a test depends on what it sets."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("M2C_", "DAGSTER_"))}
    return {**plain, **more}


@dataclass(frozen=True)
class Place:
    """A data dir under test: commands are run on it and what they left is looked at."""

    data_dir: Path

    def __truediv__(self, name: str) -> Path:
        return self.data_dir / name

    def start(self, *arguments: str, **env: str) -> subprocess.Popen[str]:
        """`m2c` with these arguments, running."""
        return subprocess.Popen(
            [str(M2C), "--data-dir", str(self.data_dir), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(**env),
            cwd=self.data_dir.parent,
        )

    def run(self, *arguments: str, **env: str) -> Answer:
        """`m2c` with these arguments, finished."""
        started = time.monotonic()
        return finish(self.start(*arguments, **env), started=started)

    def copy_to(self, target: Path) -> Place:
        """A data dir of one's own. The servers' files stay behind: they are made anew."""
        ignored = shutil.ignore_patterns("postgres*", "*.lock")
        shutil.copytree(self.data_dir, target, ignore=ignored)
        return Place(target)

    def published(self, sql: str) -> list[tuple[Any, ...]]:
        path = str(self.data_dir / "published" / "marts.duckdb")
        with duckdb.connect(path, read_only=True) as marts:
            marts.execute("set TimeZone = 'UTC'")
            return marts.execute(sql).fetchall()

    def statements(self) -> list[tuple[Any, ...]]:
        return self.published(
            "select statement_id, total, content_hash from statements order by all"
        )

    def lines(self) -> list[tuple[Any, ...]]:
        return self.published(
            f"""
            select * exclude (book_version) from statement_lines
            where period = '{PERIOD}' order by line_key
            """
        )

    def ledger(self) -> Ledger:
        url = f"sqlite:///{self.data_dir / 'ledger' / 'ledger.sqlite'}"
        return Ledger.open(url, clock=clock_from_env({}), actor=Actor("test", "test", "test"))

    def chain_faults(self) -> tuple[Any, ...]:
        """What verifying the ledger's hash chain finds."""
        with self.ledger() as ledger:
            return tuple(ledger.verify())

    def run_states(self) -> dict[str, int]:
        """How many runs Dagster has in which state."""
        path = self.data_dir / "dagster" / "history" / "runs.db"
        with closing(sqlite3.connect(path)) as store:
            return dict(
                store.execute("select status, count(*) from runs group by status").fetchall()
            )

    def claimed_slots(self) -> int:
        """How many slots of Dagster's pools a run still holds."""
        path = self.data_dir / "dagster" / "history" / "runs" / "index.db"
        with closing(sqlite3.connect(path)) as store:
            (count,) = store.execute(
                "select count(*) from concurrency_slots where run_id is not null"
            ).fetchone()
            return int(count)

    def processes(self) -> set[int]:
        """The processes that work on this data dir: `m2c`, a dbt (Linux only, else none)."""
        marks = {f"M2C_DATA_DIR={self.data_dir}".encode(), str(self.data_dir).encode()}
        found = set()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                said = (folder / "environ").read_bytes() + (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if marks & set(said.split(b"\0")):
                found.add(int(folder.name))
        return found

    @contextmanager
    def xero(self) -> Iterator[XeroSandbox]:
        """A local Xero whose organisation has what the book of this data dir asks for."""
        with XeroSandbox(
            state=self.data_dir / "sandbox" / "xero.sqlite",
            clock=clock_from_env({"M2C_NOW": CLOSE}),
            minute_limit=10_000,
        ) as xero:
            xero.admin.seed(seed_from_book(self.data_dir / "warehouse" / "book"))
            yield xero


def finish(process: subprocess.Popen[str], *, started: float) -> Answer:
    out, err = process.communicate()
    return Answer(process.returncode, out, err, round(time.monotonic() - started, 2))


@dataclass(frozen=True)
class Made:
    """A data dir that tests read and copy, and what the commands that made it said."""

    place: Place
    answers: dict[str, Answer]


class Shared:
    """Makes each data dir once a session, whichever process asks first."""

    def __init__(self, base: Path) -> None:
        self._base = base

    def get(self, name: str, make: Callable[[Place], dict[str, Answer]]) -> Made:
        data_dir = self._base / name / "data"
        told = self._base / name / "answers.json"
        with FileLock(self._base / f"{name}.lock"):
            if not told.exists():
                data_dir.mkdir(parents=True)
                answers = make(Place(data_dir))
                told.write_text(json.dumps({k: asdict(v) for k, v in answers.items()}))
        kept = json.loads(told.read_text())
        return Made(Place(data_dir), {key: Answer(**value) for key, value in kept.items()})


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder = base / "shared"
    folder.mkdir(exist_ok=True)
    return Shared(folder)


@pytest.fixture(scope="session")
def m2c() -> Callable[..., Answer]:
    """`m2c` on any data dir."""
    return lambda data_dir, *arguments, **env: Place(data_dir).run(*arguments, **env)


@pytest.fixture(scope="session")
def demo(shared: Shared) -> Made:
    """The demo after one run. Not to be written to."""

    def make(place: Place) -> dict[str, Answer]:
        shutil.copytree(ROOT / "data" / "book", place / "book")
        return {"demo": place.run("demo")}

    return shared.get("demo", make)


@pytest.fixture(scope="session")
def month(shared: Shared, demo: Made) -> Made:
    """The demo's readings billed command by command up to issue, nothing published yet. Not to be
    written to."""

    def make(place: Place) -> dict[str, Answer]:
        for name in ("book", "landing"):
            shutil.copytree(demo.place / name, place / name)
        why = ("--by", "Kari Nordmann", "--reason", "checked against the contract")
        env = {"M2C_NOW": CLOSE}
        return {
            "close": place.run("close", PERIOD, "--json", **env),
            "approve": place.run("approve", f"ABAY/{PERIOD}/all", *why, "--json", **env),
            "issue": place.run("issue", PERIOD, "--json", **env),
        }

    return shared.get("month", make)


@pytest.fixture(scope="session")
def invoiced(shared: Shared, month: Made) -> Made:
    """The month with its documents in a local Xero. Not to be written to."""

    def make(place: Place) -> dict[str, Answer]:
        place.data_dir.rmdir()
        month.place.copy_to(place.data_dir)
        with place.xero() as xero:
            env = {**xero.environment(), "M2C_NOW": CLOSE}
            return {
                "plan": place.run("publish", PERIOD, "--json", **env),
                "publish": place.run("publish", PERIOD, "--apply", "--json", **env),
            }

    return shared.get("invoiced", make)


@pytest.fixture
def built(demo: Made, tmp_path: Path) -> Place:
    """A copy of the demo's data dir, as after a month."""
    return demo.place.copy_to(tmp_path / "data")


@pytest.fixture
def issued(month: Made, tmp_path: Path) -> Place:
    """A copy of the month before publishing."""
    return month.place.copy_to(tmp_path / "data")


@pytest.fixture(scope="module")
def sites(demo: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The demo's sites on the morning of the close; the environment that names them."""
    with Sandbox(
        book_dir=demo.place / "book",
        state_dir=tmp_path_factory.mktemp("sites"),
        seed=1,
        start=date(2026, 9, 30),
        end=date(2026, 11, 2),
        as_of=datetime(2026, 11, 4, 6, 15, tzinfo=UTC),
    ) as served:
        yield {**served.env, "M2C_STAND_IN_SOURCES": json.dumps(served.sources)}
