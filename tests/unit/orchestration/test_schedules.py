"""What the schedules ask for on a given day."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from exporters.xero import wakes
from orchestration.defs.jobs import (
    daily_reminders,
    hourly_bank,
    hourly_bounces,
    hourly_payments,
    monthly_close,
    nightly_backup,
    nightly_build,
    nightly_landing,
    payments_when_xero_calls,
    refresh_marts_after_money,
)
from orchestration.instance import FROM_TERMINAL_TAG, open_instance
from orchestration.partitions import SITES
from orchestration.resources import DataDirResource
from orchestration.settings import DataDir

SITE_IDS = ["ET-ADD1", "FI-HEL1", "ID-JKT1", "NO-OSL1"]


Tick = Callable[..., Any]


@pytest.fixture
def tick(
    definitions: dg.Definitions, billed_data_dir: DataDir, instance: dg.DagsterInstance
) -> Tick:
    """What a schedule asks for at an instant."""

    def evaluate(
        schedule: dg.ScheduleDefinition, at: datetime, data_dir: DataDir = billed_data_dir
    ) -> Any:
        needed = {"data_dir": DataDirResource(root=str(data_dir.root))}
        with dg.build_schedule_context(
            instance=instance,
            scheduled_execution_time=at,
            repository_def=definitions.get_repository_def(),
            resources={name: needed[name] for name in schedule.required_resource_keys},
        ) as context:
            return schedule.evaluate_tick(context)

    return evaluate


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    with open_instance(DataDir(tmp_path)) as made:
        yield made


def test_each_site_is_read_every_night(tick: Tick, instance: dg.DagsterInstance) -> None:
    at = datetime(2026, 11, 4, 1, 30, tzinfo=UTC)
    asked = tick(nightly_landing, at).run_requests or []
    assert [request.run_key for request in asked] == [f"{s}/2026-11-03" for s in SITE_IDS]
    for site_id, request in zip(SITE_IDS, asked, strict=True):
        start = request.tags["dagster/asset_partition_range_start"]
        end = request.tags["dagster/asset_partition_range_end"]
        # The book's three days of lookback; the last is the day that is over in UTC.
        assert (start, end) == (f"2026-11-01|{site_id}", f"2026-11-03|{site_id}")
    assert sorted(instance.get_dynamic_partitions(str(SITES.name))) == SITE_IDS


@pytest.mark.parametrize("day", [1, 2, 3, 5, 28])
def test_no_close_before_or_after_the_grace_period(tick: Tick, day: int) -> None:
    asked = tick(monthly_close, datetime(2026, 11, day, 6, tzinfo=UTC))
    assert not asked.run_requests
    assert "day 4" in (asked.skip_message or "")


@pytest.mark.parametrize(
    ("year", "month", "period"), [(2026, 11, "2026-10"), (2027, 1, "2026-12"), (2028, 3, "2028-02")]
)
def test_last_month_is_closed_when_its_grace_period_is_over(
    tick: Tick, year: int, month: int, period: str
) -> None:
    at = datetime(year, month, 4, 6, tzinfo=UTC)
    [request] = tick(monthly_close, at).run_requests or []
    assert (request.run_key, request.partition_key) == (period, period)


def test_the_book_says_how_long_the_grace_period_is(
    tick: Tick, billed_data_dir: DataDir, tmp_path: Path
) -> None:
    shutil.copytree(billed_data_dir.book, tmp_path / "book")
    settings = tmp_path / "book" / "settings.yml"
    settings.write_text(settings.read_text().replace("close_grace_days: 3", "close_grace_days: 0"))
    at = datetime(2026, 11, 1, 6, tzinfo=UTC)
    [request] = tick(monthly_close, at, DataDir(tmp_path)).run_requests or []
    assert request.partition_key == "2026-10"


def test_reminders_are_sent_and_not_only_planned(tick: Tick) -> None:
    at = datetime(2026, 12, 9, 8, tzinfo=UTC)
    [request] = tick(daily_reminders, at).run_requests or []
    assert request.run_key == "2026-12-09"
    assert request.run_config == {"ops": {"reminders": {"config": {"apply": True}}}}


def test_returned_mail_is_taken_every_hour(tick: Tick) -> None:
    at = datetime(2026, 12, 9, 8, 30, tzinfo=UTC)
    [request] = tick(hourly_bounces, at).run_requests or []
    assert request.run_key == "2026-12-09T08:30:00+00:00"
    assert request.run_config == {"ops": {"returned_mail": {"config": {"apply": True}}}}


def test_a_backup_is_made_every_night_where_a_folder_is_named(
    tick: Tick, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = datetime(2026, 11, 4, 5, tzinfo=UTC)
    monkeypatch.delenv("M2C_BACKUP_DIR", raising=False)
    assert "M2C_BACKUP_DIR" in (tick(nightly_backup, at).skip_message or "")
    monkeypatch.setenv("M2C_BACKUP_DIR", "/mnt/nas/m2c")
    [request] = tick(nightly_backup, at).run_requests or []
    assert request.run_key == "2026-11-04"


@pytest.mark.parametrize("schedule", [nightly_build, hourly_payments, hourly_bank])
def test_a_tick_asks_for_one_run(schedule: dg.ScheduleDefinition, tick: Tick) -> None:
    first = datetime(2026, 11, 4, 4, 0, tzinfo=UTC)
    again = tick(schedule, first).run_requests or []
    [request] = tick(schedule, first).run_requests or []
    assert [r.run_key for r in again] == [request.run_key]
    next_day = datetime(2026, 11, 5, 4, 0, tzinfo=UTC)
    [later] = tick(schedule, next_day).run_requests or []
    assert later.run_key != request.run_key


def _sensor_context(instance: dg.DagsterInstance, tags: dict[str, str]) -> Any:
    @dg.op
    def nothing() -> None: ...

    @dg.job(name="issue")
    def issue() -> None:
        nothing()

    done = issue.execute_in_process(instance=instance, tags=tags)
    return dg.build_run_status_sensor_context(
        sensor_name="refresh_marts_after_money",
        dagster_event=done.get_run_success_event(),
        dagster_instance=instance,
        dagster_run=done.dagster_run,
    )


def test_marts_follow_the_ledger_after_a_run_of_the_ui(instance: dg.DagsterInstance) -> None:
    context = _sensor_context(instance, {})
    asked = refresh_marts_after_money(context)
    assert isinstance(asked, dg.RunRequest)
    assert asked.run_key == context.dagster_run.run_id


def test_marts_are_not_refreshed_twice_after_a_run_of_m2c(instance: dg.DagsterInstance) -> None:
    context = _sensor_context(instance, {FROM_TERMINAL_TAG: "m2c issue"})
    asked = refresh_marts_after_money(context)
    assert isinstance(asked, dg.SkipReason)


def _wake_context(instance: dg.DagsterInstance, root: Path) -> Any:
    return dg.build_sensor_context(
        instance=instance, resources={"data_dir": DataDirResource(root=str(root))}
    )


def test_a_storm_of_changes_in_xero_is_one_run(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    context, marks = _wake_context(instance, tmp_path), DataDir(tmp_path).xero_wakes
    assert isinstance(payments_when_xero_calls(context), dg.SkipReason)
    at = datetime(2026, 11, 4, tzinfo=UTC)
    first = wakes.leave(marks, at=at, tenants=[])
    asked = payments_when_xero_calls(context)
    for second in range(1, 20):
        wakes.leave(marks, at=at + timedelta(seconds=second), tenants=[])
    again = payments_when_xero_calls(context)
    assert asked.run_key == again.run_key == f"{first.name}/0"
    os.utime(first, (time.time() - 200,) * 2)
    assert payments_when_xero_calls(context).run_key == f"{first.name}/1"
    wakes.answered([first])
    assert not payments_when_xero_calls(context).run_key.startswith(first.name)


def test_no_second_poll_is_asked_for_while_one_is_under_way(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    context = _wake_context(instance, tmp_path)
    wakes.leave(DataDir(tmp_path).xero_wakes, at=datetime(2026, 11, 4, tzinfo=UTC), tenants=[])

    @dg.op
    def nothing() -> None: ...

    @dg.job(name="payments")
    def payments() -> None:
        nothing()

    run = instance.create_run_for_job(payments, status=dg.DagsterRunStatus.STARTED)
    assert isinstance(payments_when_xero_calls(context), dg.SkipReason)
    instance.report_run_failed(run)
    assert isinstance(payments_when_xero_calls(context), dg.RunRequest)
