"""The Dagster instance of a data dir, and freeing what runs left behind whose process is gone.

A killed run keeps its pool slot and, in Dagster's own books, runs for ever. Every start of `m2c`,
and a sensor, end those whose process no longer shows that it lives.
"""

from __future__ import annotations

import os
import socket
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter

from connectors.files import write_atomically
from orchestration import liveness
from orchestration.settings import DAGSTER_URL, DataDir, StorageUnreachableError

if TYPE_CHECKING:
    from dagster._core.storage.dagster_run import RunRecord

# For people: where a run is or was executed.
PID_TAG = "m2c/pid"
HOST_TAG = "m2c/host"
FROM_TERMINAL_TAG = "m2c/command"

# A run that is started and has no mark was killed in the moment before it made one.
_MARKS_WITHIN = timedelta(minutes=5)

DEFAULT_FIRST_DAY = date(2025, 1, 1)


def prepare_home(data_dir: DataDir) -> Path:
    """Make the instance's home and write its configuration; the folder is returned. Raises
    SettingsError for a configuration that cannot be used."""
    from orchestration import instance_config  # a second to load

    home = data_dir.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    instance_config.write(home)
    return home


def open_instance(data_dir: DataDir) -> dg.DagsterInstance:
    """The instance of this data dir, with the slots of dead runs freed.

    Raises SettingsError, StorageUnreachableError.
    """
    home = prepare_home(data_dir)
    os.environ["DAGSTER_HOME"] = str(home)
    instance = _open(home)
    end_dead_runs(instance, data_dir)
    return instance


def _open(home: Path) -> dg.DagsterInstance:
    if not os.environ.get(DAGSTER_URL):
        return dg.DagsterInstance.from_config(str(home))
    from dagster_postgres.utils import DagsterPostgresException

    try:
        return dg.DagsterInstance.from_config(str(home))
    except DagsterPostgresException as error:
        # What the server or the network said; it names host and user, never the password.
        said = str(getattr(error.__cause__, "orig", error)).strip()
        raise StorageUnreachableError(
            f"Dagster's database cannot be used ({DAGSTER_URL}): {said}"
        ) from error


def process_tags() -> dict[str, str]:
    """The tags that tell people where a run is executed."""
    return {PID_TAG: str(os.getpid()), HOST_TAG: socket.gethostname()}


def end_dead_runs(
    instance: dg.DagsterInstance, data_dir: DataDir, *, now: datetime | None = None
) -> list[str]:
    """Mark runs failed whose process is gone, on whatever machine it was, and free their pool
    slots; their ids are returned."""
    ended = []
    for run_id in liveness.dead(data_dir.locks):
        run = instance.get_run_by_id(run_id)
        if run is not None and not run.is_finished:
            _end(instance, run)
            ended.append(run_id)
        else:  # Dagster failed it when its worker went, and leaves the slots for later
            instance.event_log_storage.free_concurrency_slots_for_run(run_id)
        liveness.forget(data_dir.locks, run_id)
    for record in _without_mark(instance, data_dir, now=now or datetime.now(UTC)):
        _end(instance, record.dagster_run)
        ended.append(record.dagster_run.run_id)
    return ended


def _without_mark(
    instance: dg.DagsterInstance, data_dir: DataDir, *, now: datetime
) -> list[RunRecord]:
    started = RunsFilter(statuses=[DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING])
    records = list(instance.get_run_records(started))
    marks = liveness.marked(data_dir.locks)
    return [
        record
        for record in records
        if record.dagster_run.run_id not in marks
        and record.start_time is not None
        and record.start_time < (now - _MARKS_WITHIN).timestamp()
        and not _is_finished(instance, record)
    ]


def _is_finished(instance: dg.DagsterInstance, record: RunRecord) -> bool:
    run = instance.get_run_by_id(record.dagster_run.run_id)
    return run is None or run.is_finished


def _end(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    instance.report_run_failed(run, "The process of this run is gone (killed or crashed).")
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def first_day(data_dir: DataDir) -> date:
    """The first day of the landing partitions of this data dir."""
    try:
        return date.fromisoformat(_first_day_file(data_dir).read_text().strip())
    except FileNotFoundError:
        return DEFAULT_FIRST_DAY


def begin_partitions_at(data_dir: DataDir, day: date) -> None:
    """Let a data dir's partitions begin at `day`, unless they begin somewhere already."""
    path = _first_day_file(data_dir)
    if not path.exists():
        write_atomically(path, day.isoformat().encode())


def extend_partitions_to(data_dir: DataDir, day: date) -> None:
    """Let partitions begin at `day`'s month if they begin later now.

    Takes effect where definitions are loaded afterwards.
    """
    if day < first_day(data_dir):
        path = _first_day_file(data_dir)
        write_atomically(path, day.replace(day=1).isoformat().encode())


def _first_day_file(data_dir: DataDir) -> Path:
    return data_dir.dagster_home / "first_day"
