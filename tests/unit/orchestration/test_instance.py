"""A run whose process is gone is ended, and its pool slot is free again; with Dagster's storage in
SQLite files and in PostgreSQL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter, job, op

from orchestration import liveness
from orchestration.instance import (
    HOST_TAG,
    end_dead_runs,
    extend_partitions_to,
    first_day,
    open_instance,
    process_tags,
)
from orchestration.settings import DataDir


@op(pool="warehouse")
def nothing() -> None: ...


@job
def idle() -> None:
    nothing()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs_postgres)])
def data_dir(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> DataDir:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    if request.param == "postgresql":
        database = request.getfixturevalue("postgres").new_database()
        monkeypatch.setenv("M2C_DAGSTER_URL", database)
    return DataDir(tmp_path)


_EXECUTE = """
import sys, time
from pathlib import Path
from orchestration.liveness import alive
with alive(Path(sys.argv[1]), sys.argv[2]):
    print("alive", flush=True)
    time.sleep(60)
"""


class Execution:
    """A process that shows that it executes a run."""

    def __init__(self, data_dir: DataDir, run_id: str) -> None:
        command = [sys.executable, "-c", _EXECUTE, str(data_dir.locks), run_id]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"alive\n"

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def _status(instance: DagsterInstance, run_id: str) -> DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def test_the_slot_of_a_killed_run_is_freed_whatever_host_it_ran_on(data_dir: DataDir) -> None:
    with open_instance(data_dir) as instance:
        storage = instance.event_log_storage
        storage.initialize_concurrency_limit_to_default("warehouse")
        pod = {**process_tags(), HOST_TAG: "a-pod-that-is-gone"}
        dead = instance.create_run_for_job(idle, tags=pod, status=DagsterRunStatus.STARTED)
        assert storage.claim_concurrency_slot("warehouse", dead.run_id, "nothing").is_claimed
        living = instance.create_run_for_job(idle, status=DagsterRunStatus.STARTED)
        assert not storage.claim_concurrency_slot("warehouse", living.run_id, "nothing").is_claimed
        first, second = Execution(data_dir, dead.run_id), Execution(data_dir, living.run_id)
        try:
            assert end_dead_runs(instance, data_dir) == []
            first.kill()
            assert end_dead_runs(instance, data_dir) == [dead.run_id]

            assert _status(instance, dead.run_id) == DagsterRunStatus.FAILURE
            assert _status(instance, living.run_id) == DagsterRunStatus.STARTED
            assert storage.claim_concurrency_slot("warehouse", living.run_id, "nothing").is_claimed
            assert liveness.marked(data_dir.locks) == {living.run_id}
            assert end_dead_runs(instance, data_dir) == []
        finally:
            first.kill()
            second.kill()


def test_a_run_killed_before_it_showed_that_it_lives_is_ended_later(data_dir: DataDir) -> None:
    with open_instance(data_dir) as instance:
        run = instance.create_run_for_job(idle)
        instance.report_engine_event("a sign of life", run)
        from dagster import DagsterEvent, DagsterEventType

        begun = DagsterEvent(DagsterEventType.RUN_START.value, job_name="idle")
        instance.report_dagster_event(begun, run.run_id)
        assert _status(instance, run.run_id) == DagsterRunStatus.STARTED
        assert end_dead_runs(instance, data_dir) == []
        with liveness.alive(data_dir.locks, run.run_id):
            later = datetime.now(UTC) + timedelta(minutes=6)
            assert end_dead_runs(instance, data_dir, now=later) == []
        assert end_dead_runs(instance, data_dir, now=later) == [run.run_id]
        assert _status(instance, run.run_id) == DagsterRunStatus.FAILURE


def test_runs_that_did_not_begin_are_left_alone(data_dir: DataDir) -> None:
    with open_instance(data_dir) as instance:
        waiting = instance.create_run_for_job(idle)
        later = datetime.now(UTC) + timedelta(days=1)
        assert end_dead_runs(instance, data_dir, now=later) == []
        assert _status(instance, waiting.run_id) == DagsterRunStatus.NOT_STARTED


def test_a_mark_whose_run_had_ended_goes(data_dir: DataDir) -> None:
    with open_instance(data_dir) as instance:
        done = instance.create_run_for_job(idle, status=DagsterRunStatus.SUCCESS)
        storage = instance.event_log_storage
        storage.initialize_concurrency_limit_to_default("warehouse")
        # A killed worker's run is failed by Dagster at once, and keeps its slot.
        assert storage.claim_concurrency_slot("warehouse", done.run_id, "nothing").is_claimed
        for run_id in (done.run_id, "never-made"):
            Execution(data_dir, run_id).kill()
        assert end_dead_runs(instance, data_dir) == []
        assert liveness.marked(data_dir.locks) == set()
        assert _status(instance, done.run_id) == DagsterRunStatus.SUCCESS
        assert storage.claim_concurrency_slot("warehouse", "next", "nothing").is_claimed


def test_runs_are_dated_in_utc_whatever_the_servers_zone(data_dir: DataDir) -> None:
    with open_instance(data_dir) as instance:
        run = instance.create_run_for_job(idle)
        near = timedelta(minutes=5)
        now = datetime.now(UTC)
        for dated in (
            RunsFilter(updated_after=now - near, updated_before=now + near),
            RunsFilter(created_after=now - near, created_before=now + near),
        ):
            assert [found.run_id for found in instance.get_runs(filters=dated)] == [run.run_id]


def test_a_mark_until_exit_goes_with_its_process_and_is_taken_away(data_dir: DataDir) -> None:
    ends = (
        "import sys\nfrom pathlib import Path\nfrom orchestration.liveness import *\n"
        "alive_until_exit(Path(sys.argv[1]), sys.argv[2])\nassert dead(Path(sys.argv[1])) == []\n"
    )
    with open_instance(data_dir) as instance:
        done = instance.create_run_for_job(idle, status=DagsterRunStatus.SUCCESS)
        command = [sys.executable, "-c", ends, str(data_dir.locks), done.run_id]
        subprocess.run(command, check=True)
        assert liveness.dead(data_dir.locks) == [done.run_id]
        assert end_dead_runs(instance, data_dir) == []
        assert liveness.marked(data_dir.locks) == set()
        assert _status(instance, done.run_id) == DagsterRunStatus.SUCCESS


def test_a_mark_is_never_found_free_while_its_process_lives(tmp_path: Path) -> None:
    """Another process looks all the time while marks come and go."""
    looks = (
        "import sys, time\nfrom pathlib import Path\nfrom orchestration.liveness import dead\n"
        "print('looking', flush=True)\nfound = set()\n"
        "while not Path(sys.argv[1], 'done').exists(): found |= set(dead(Path(sys.argv[1])))\n"
        "print(sorted(found))\n"
    )
    looker = subprocess.Popen(
        [sys.executable, "-c", looks, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert looker.stdout is not None
    assert looker.stdout.readline() == "looking\n"
    until = time.monotonic() + 1
    while time.monotonic() < until:
        for run_id in "abcd":
            with liveness.alive(tmp_path, run_id):
                os.sched_yield()
    (tmp_path / "done").touch()
    assert looker.communicate()[0] == "[]\n"


def test_partitions_reach_back_to_the_earliest_day(data_dir: DataDir) -> None:
    from datetime import date

    default = first_day(data_dir)
    extend_partitions_to(data_dir, date(2030, 1, 1))
    assert first_day(data_dir) == default
    extend_partitions_to(data_dir, date(2012, 3, 9))
    assert first_day(data_dir) == date(2012, 3, 1)
