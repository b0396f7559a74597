"""A run whose process is gone is ended, and its pool slot is free again."""

from __future__ import annotations

from pathlib import Path

import pytest
from dagster import DagsterRunStatus, job, op

from orchestration.instance import (
    HOST_TAG,
    PID_TAG,
    START_TAG,
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


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataDir:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    return DataDir(tmp_path)


def test_the_slot_of_a_dead_run_is_freed(data_dir: DataDir) -> None:
    instance = open_instance(data_dir)
    storage = instance.event_log_storage
    storage.initialize_concurrency_limit_to_default("warehouse")
    dead = instance.create_run_for_job(
        idle, tags={**process_tags(), PID_TAG: "1", START_TAG: "another life"}
    )
    instance.report_run_canceling(dead)
    assert storage.claim_concurrency_slot("warehouse", dead.run_id, "nothing").is_claimed
    alive = instance.create_run_for_job(idle, tags=process_tags())
    assert not storage.claim_concurrency_slot("warehouse", alive.run_id, "nothing").is_claimed

    assert end_dead_runs(instance) == [dead.run_id]

    ended = instance.get_run_by_id(dead.run_id)
    assert ended is not None
    assert ended.status == DagsterRunStatus.FAILURE
    assert storage.claim_concurrency_slot("warehouse", alive.run_id, "nothing").is_claimed


def test_runs_of_other_hosts_are_left_alone(data_dir: DataDir) -> None:
    instance = open_instance(data_dir)
    tags = {**process_tags(), PID_TAG: "1", START_TAG: "x", HOST_TAG: "elsewhere"}
    instance.create_run_for_job(idle, tags=tags)
    assert end_dead_runs(instance) == []


def test_partitions_reach_back_to_the_earliest_day(data_dir: DataDir) -> None:
    from datetime import date

    default = first_day(data_dir)
    extend_partitions_to(data_dir, date(2030, 1, 1))
    assert first_day(data_dir) == default
    extend_partitions_to(data_dir, date(2012, 3, 9))
    assert first_day(data_dir) == date(2012, 3, 1)
