"""The Dagster instance of a data dir: its configuration, and freeing what runs left behind whose
process is gone.

A killed run keeps its pool slot and, in Dagster's own books, runs for ever. Runs started by `m2c`
therefore carry the number and start mark of their process as tags, and every start of `m2c` ends
those whose process no longer exists.
"""

from __future__ import annotations

import os
import socket
from datetime import date
from pathlib import Path

import dagster as dg
import yaml
from dagster import DagsterRunStatus, RunsFilter

from connectors.files import write_atomically
from orchestration.processes import is_alive, start_mark
from orchestration.settings import DataDir

PID_TAG = "m2c/pid"
START_TAG = "m2c/process_start"
HOST_TAG = "m2c/host"
FROM_TERMINAL_TAG = "m2c/command"

_INSTANCE_CONFIG = {
    "event_log_storage": {
        "module": "orchestration.event_log",
        "class": "EventLog",
        "config": {"home": {"env": "DAGSTER_HOME"}},  # not its path: a data dir can be moved
    },
    "telemetry": {"enabled": False},
    "nux": {"enabled": False},  # no newsletter dialog over the asset graph
    "concurrency": {
        "runs": {"max_concurrent_runs": 4},
        "pools": {"granularity": "op", "default_limit": 1},
    },
    "run_monitoring": {
        "enabled": True,
        "poll_interval_seconds": 30,
        "start_timeout_seconds": 180,
        "free_slots_after_run_end_seconds": 60,
    },
    "retention": {"sensor": {"purge_after_days": {"skipped": 7, "success": 30}}},
}

DEFAULT_FIRST_DAY = date(2025, 1, 1)


def prepare_home(data_dir: DataDir) -> Path:
    """Make the instance's home and write its configuration; the folder is returned."""
    home = data_dir.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(_INSTANCE_CONFIG, sort_keys=False)
    config = home / "dagster.yaml"
    if not config.exists() or config.read_text() != text:
        write_atomically(config, text.encode())
    return home


def open_instance(data_dir: DataDir) -> dg.DagsterInstance:
    """The instance of this data dir, with the slots of dead runs freed."""
    home = prepare_home(data_dir)
    os.environ["DAGSTER_HOME"] = str(home)
    instance = dg.DagsterInstance.from_config(str(home))
    end_dead_runs(instance)
    return instance


def process_tags() -> dict[str, str]:
    """The tags by which a run can be told to have lost its process."""
    pid = os.getpid()
    return {
        PID_TAG: str(pid),
        START_TAG: start_mark(pid) or "",
        HOST_TAG: socket.gethostname(),
    }


def end_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs failed whose process on this host is gone and free their pool slots; their ids are
    returned."""
    ended = []
    unfinished = RunsFilter(
        statuses=[
            DagsterRunStatus.NOT_STARTED,
            DagsterRunStatus.STARTING,
            DagsterRunStatus.STARTED,
            DagsterRunStatus.CANCELING,
        ],
        tags={HOST_TAG: socket.gethostname()},
    )
    for run in instance.get_runs(filters=unfinished):
        if is_alive(int(run.tags[PID_TAG]), run.tags[START_TAG]):
            continue
        instance.report_run_failed(run, "The process of this run is gone (killed or crashed).")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        ended.append(run.run_id)
    return ended


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
