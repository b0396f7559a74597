"""Dagster's storage and the ledger on one PostgreSQL server: a month from landing to issue by the
commands, a night by Dagster's daemon and its run queue, and `kill -9` of everything in between.

What must come out is what SQLite files give. The daemon here is the one of production, with its
code location and run workers as processes of this machine.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from exporters.ledger import Actor, Ledger
from orchestration.settings import clock_from_env

pytestmark = pytest.mark.needs_postgres

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PERIOD = "2026-10"
CLOSE = "2026-11-04T06:15:00+00:00"
LAST_DAY = "2026-10-31"
UNFINISHED = ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")


@dataclass(frozen=True)
class Production:
    """A data dir whose Dagster and ledger are in PostgreSQL."""

    place: Any
    dagster_url: str
    ledger_url: str

    @property
    def env(self) -> dict[str, str]:
        return {
            "M2C_DAGSTER_URL": self.dagster_url,
            "M2C_LEDGER_URL": self.ledger_url,
            "M2C_NOW": CLOSE,
            "M2C_DATA_DIR": str(self.place.data_dir),
            "DAGSTER_HOME": str(self.place / "dagster"),
        }

    @property
    def password(self) -> str:
        return self.dagster_url.partition("://")[2].partition("@")[0].partition(":")[2]

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """What Dagster's tables hold."""
        with psycopg.connect(self.dagster_url) as connection:
            return connection.execute(sql.encode()).fetchall()

    def runs(self) -> dict[str, str]:
        """The state of each run."""
        return dict(self.ask("select run_id, status from runs"))

    def claimed_slots(self) -> int:
        ((count,),) = self.ask(
            "select count(*) from concurrency_slots where run_id is not null and not deleted"
        )
        return int(count)

    def chain_faults(self) -> tuple[Any, ...]:
        actor = Actor("test", "test", "test")
        with Ledger.open(self.ledger_url, clock=clock_from_env({}), actor=actor) as ledger:
            return tuple(ledger.verify())


@pytest.fixture(scope="module")
def production(
    month: Any, sites: dict[str, str], postgres: Any, tmp_path_factory: pytest.TempPathFactory
) -> Production:
    """The demo's month, whose last day is landed and which is closed and issued, all of it in
    PostgreSQL. The warehouse is not built from nothing: it knows another ledger, and all but what
    that changes."""
    data_dir = tmp_path_factory.mktemp("production") / "data"
    place = type(month.place)(data_dir)
    for name in ("book", "landing", "warehouse"):
        shutil.copytree(month.place / name, place / name)
    for folder in (place / "landing").glob(f"*/*/date={LAST_DAY}"):
        shutil.rmtree(folder)
    made = Production(place, postgres.new_database(), postgres.new_ledger())
    for arguments in (
        ("land", "--from", LAST_DAY, "--to", LAST_DAY),
        ("close", PERIOD),
        ("issue", PERIOD),
    ):
        answer = place.run(*arguments, "--json", **made.env, **sites)
        assert answer.code in (0, 1), answer.err
        assert made.password not in answer.out + answer.err
    return made


def test_a_month_is_the_same_as_with_files(production: Production, month: Any) -> None:
    assert production.place.statements() == month.place.statements()
    assert production.place.lines() == month.place.lines()
    assert production.chain_faults() == ()
    assert set(production.runs().values()) == {"SUCCESS"}
    assert production.claimed_slots() == 0
    assert not (production.place / "dagster" / "history").exists()
    assert not (production.place / "ledger" / "ledger.sqlite").exists()


def test_no_password_is_written_anywhere(production: Production) -> None:
    secret = production.password.encode()
    assert len(secret) > 20
    told = production.place.run("status", **production.env)
    assert production.password not in told.out + told.err
    for path in production.place.data_dir.rglob("*"):
        if path.is_file():
            assert secret not in path.read_bytes(), path


# --- the daemon -----------------------------------------------------------------------------------


def _environment(production: Production, sites: dict[str, str]) -> dict[str, str]:
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("M2C_", "DAGSTER_"))}
    return {**plain, **production.env, **sites}


def _wait(until: Callable[[], bool], *, seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.1)


def _kill(pids: set[int]) -> None:
    """At once, as when the machine goes: none may tidy up after another."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


@contextmanager
def daemon(production: Production, sites: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Dagster's daemon with its code location, until the block ends; then nothing is left."""
    log = production.place.data_dir.parent / "daemon.log"
    with log.open("ab") as file:
        process = subprocess.Popen(
            [BIN / "dagster-daemon", "run", "-m", "orchestration.definitions"],
            env=_environment(production, sites),
            cwd=ROOT,
            stdout=file,
            stderr=file,
        )
        try:
            yield process
        finally:
            _kill(_present(production.place.processes()))
            process.wait()


def _present(pids: set[int]) -> set[int]:
    return {pid for pid in pids if Path(f"/proc/{pid}").exists()}


LAUNCH = """
mutation Night($run: ExecutionParams!) {
  first: launchRun(executionParams: $run) { ...told }
  second: launchRun(executionParams: $run) { ...told }
  third: launchRun(executionParams: $run) { ...told }
}
fragment told on LaunchRunResult {
  __typename
  ... on LaunchRunSuccess { run { runId } }
  ... on PythonError { message }
}
"""


def launch_three(production: Production, sites: dict[str, str], job: str) -> list[str]:
    """Put three runs of a job in the queue, as the UI would; their ids, the oldest first. Their
    steps are executed by one process, because one for each takes longer than all of them do."""
    run = {
        "selector": {
            "repositoryLocationName": "orchestration.definitions",
            "repositoryName": "__repository__",
            "jobName": job,
        },
        "runConfigData": {"execution": {"config": {"in_process": {}}}},
    }
    answer = production.place.data_dir.parent / "launched.json"
    done = subprocess.run(
        [
            *(BIN / "dagster-graphql", "-m", "orchestration.definitions"),
            *("--text", LAUNCH, "--variables", json.dumps({"run": run}), "--output", answer),
        ],
        env=_environment(production, sites),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(answer.read_text())["data"]
    assert {launched["__typename"] for launched in told.values()} == {"LaunchRunSuccess"}, told
    return [told[name]["run"]["runId"] for name in ("first", "second", "third")]


def _dbt_runs(production: Production) -> bool:
    for pid in production.place.processes():
        try:
            if b"m2c-dbt" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return True
        except OSError:
            continue
    return False


def test_the_daemon_takes_the_night_from_the_queue_and_kills_leave_nothing_behind(
    production: Production, sites: dict[str, str]
) -> None:
    statements, lines = production.place.statements(), production.place.lines()

    runs = launch_three(production, sites, "build")

    def states() -> list[str]:
        now = production.runs()
        return [now[run] for run in runs]

    assert states() == ["QUEUED"] * 3
    with daemon(production, sites):
        _wait(lambda: _dbt_runs(production), seconds=300, what="a build to run")
        # Builds wait for each other in the queue, though four runs might run.
        assert states() == ["STARTED", "QUEUED", "QUEUED"]
        assert production.claimed_slots() == 1
        _kill(production.place.processes())
    assert states() == ["STARTED", "QUEUED", "QUEUED"]
    assert production.claimed_slots() == 1
    assert production.place.lines() == lines  # readers still have what was published

    # The machine is back. Its sensor ends what died, which frees the slot and the queue.
    with daemon(production, sites):
        _wait(
            lambda: states()[:2] == ["FAILURE", "STARTED"] and _dbt_runs(production),
            seconds=300,
            what="the dead run to end and the next one to run",
        )
        _kill({_worker(production)})
        _wait(
            lambda: not any(state in UNFINISHED for state in states()),
            seconds=600,
            what="the run of the killed worker to end, and the last one",
        )
        assert states() == ["FAILURE", "FAILURE", "SUCCESS"]
    assert production.claimed_slots() == 0
    assert production.place.statements() == statements
    assert production.place.lines() == lines
    assert production.chain_faults() == ()
    log = (production.place.data_dir.parent / "daemon.log").read_text()
    assert production.password not in log


def _worker(production: Production) -> int:
    """The process that executes the started run, by the run's own tag."""
    ((pid,),) = production.ask(
        "select t.value from run_tags t join runs r on r.run_id = t.run_id "
        "where t.key = 'm2c/pid' and r.status = 'STARTED'"
    )
    return int(pid)
