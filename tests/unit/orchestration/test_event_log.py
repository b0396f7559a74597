"""The event log of a data dir is Dagster's own, with its files kept open."""

from __future__ import annotations

from pathlib import Path

import pytest
from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    AssetKey,
    DagsterEventType,
    DagsterInstance,
    Definitions,
    MaterializeResult,
    asset,
    define_asset_job,
)

from orchestration.event_log import EventLog
from orchestration.instance import open_instance
from orchestration.settings import DataDir


@asset(check_specs=[AssetCheckSpec("is_sound", asset="measured")])
def measured() -> MaterializeResult:
    return MaterializeResult(metadata={"rows": 7}, check_results=[AssetCheckResult(passed=True)])


_JOB = Definitions(assets=[measured], jobs=[define_asset_job("measure")]).resolve_job_def("measure")


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataDir:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    return DataDir(tmp_path)


def _event_log(instance: DagsterInstance) -> EventLog:
    # The instance wraps what dagster.yaml names; the methods used here are the wrapped ones.
    storage = instance.event_log_storage
    assert isinstance(storage, EventLog)
    return storage


def _as_by_dagster(data_dir: DataDir) -> DagsterInstance:
    """The same home read with Dagster's own configuration."""
    (data_dir.dagster_home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    return DagsterInstance.from_config(str(data_dir.dagster_home))


def _kinds(instance: DagsterInstance, run_id: str) -> list[DagsterEventType]:
    events = [entry.dagster_event for entry in instance.all_logs(run_id)]
    return [event.event_type for event in events if event is not None]


def test_dagsters_own_reads_what_this_one_wrote(data_dir: DataDir) -> None:
    with open_instance(data_dir) as instance:
        _event_log(instance)
        run_id = _JOB.execute_in_process(instance=instance).run_id
        kinds = _kinds(instance, run_id)
    assert kinds.count(DagsterEventType.ASSET_MATERIALIZATION) == 1
    assert kinds.count(DagsterEventType.ASSET_CHECK_EVALUATION) == 1
    assert kinds[-1] == DagsterEventType.RUN_SUCCESS

    with _as_by_dagster(data_dir) as plain:
        assert not isinstance(plain.event_log_storage, EventLog)
        assert _kinds(plain, run_id) == kinds
        latest = plain.get_latest_materialization_event(AssetKey("measured"))
        assert latest is not None
        assert latest.run_id == run_id
        assert latest.asset_materialization is not None
        assert latest.asset_materialization.metadata["rows"].value == 7


def test_what_dagsters_own_wrote_is_read_and_gone_on_with(data_dir: DataDir) -> None:
    open_instance(data_dir).dispose()
    with _as_by_dagster(data_dir) as plain:
        before = _JOB.execute_in_process(instance=plain).run_id
    with open_instance(data_dir) as instance:
        after = _JOB.execute_in_process(instance=instance).run_id
        assert _kinds(instance, before) == _kinds(instance, after)
        latest = instance.get_latest_materialization_event(AssetKey("measured"))
    assert latest is not None
    assert latest.run_id == after


def test_another_process_s_events_are_seen_while_the_files_are_open(data_dir: DataDir) -> None:
    with open_instance(data_dir) as reader, open_instance(data_dir) as writer:
        first = _JOB.execute_in_process(instance=writer).run_id
        assert _kinds(reader, first)[-1] == DagsterEventType.RUN_SUCCESS
        second = _JOB.execute_in_process(instance=writer).run_id
        latest = reader.get_latest_materialization_event(AssetKey("measured"))
    assert latest is not None
    assert latest.run_id == second


def test_few_files_are_open_however_many_runs_are_looked_at(data_dir: DataDir) -> None:
    with open_instance(data_dir) as instance:
        runs = [_JOB.execute_in_process(instance=instance).run_id for _ in range(12)]
        assert all(_kinds(instance, run_id) for run_id in runs)
        shared = data_dir.dagster_home / "history" / "runs"
        # A write-ahead log lies beside a file for as long as the file is open.
        assert 2 <= len(list(shared.glob("*.db-wal"))) <= 8
    assert not list(shared.glob("*.db-wal"))


def test_a_wiped_log_is_empty_and_takes_new_events(data_dir: DataDir) -> None:
    with open_instance(data_dir) as instance:
        old = _JOB.execute_in_process(instance=instance).run_id
        instance.event_log_storage.wipe()
        assert _kinds(instance, old) == []
        assert instance.get_latest_materialization_event(AssetKey("measured")) is None
        new = _JOB.execute_in_process(instance=instance).run_id
        assert _kinds(instance, new)[-1] == DagsterEventType.RUN_SUCCESS


def test_a_moved_data_dir_takes_its_log_along(
    data_dir: DataDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_instance(data_dir) as instance:
        run_id = _JOB.execute_in_process(instance=instance).run_id
    moved = data_dir.dagster_home.rename(tmp_path / "elsewhere")
    monkeypatch.setenv("DAGSTER_HOME", str(moved))
    with DagsterInstance.from_config(str(moved)) as instance:
        assert _kinds(instance, run_id)[-1] == DagsterEventType.RUN_SUCCESS
    assert not data_dir.dagster_home.exists()
