"""Jobs and the schedules that start them. Schedules are off until somebody switches them on."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import timedelta

import dagster as dg

from connectors.book import load_book
from exporters.xero import wakes
from orchestration.defs.warehouse.assets import (
    SAME_PERIODS_TAG,
    dbt_models,
    ledger_extract,
)
from orchestration.instance import FROM_TERMINAL_TAG, end_dead_runs
from orchestration.partitions import SITES, landing_key
from orchestration.queues import queue_tags
from orchestration.resources import DataDirResource
from orchestration.webhooks import something_to_send

_RANGE_START = "dagster/asset_partition_range_start"
_RANGE_END = "dagster/asset_partition_range_end"

_UNDER_WAY = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]

_inputs = dg.AssetSelection.assets("book", "landed_batches", "ledger_extract", "build_context")
_marts = dg.AssetSelection.assets("published_marts", "remote_marts")
_models = dg.AssetSelection.assets(dbt_models)
_build = _inputs | _models | _marts

land = dg.define_asset_job(
    "land",
    dg.AssetSelection.assets(dg.AssetKey(["landing", "readings"])),
    description="Read one site's days into the landing zone.",
)
compact = dg.define_asset_job(
    "compact",
    dg.AssetSelection.assets("compacted_days"),
    description="Merge the landed files of days that are over, one file a day.",
    tags=queue_tags("compact"),
)
build = dg.define_asset_job(
    "build",
    _build | dg.AssetSelection.assets("alert_notices", "webhook_events"),
    description="Rebuild the warehouse, replace the published marts, tell of alerts reached.",
    tags=queue_tags("build"),
)
close = dg.define_asset_job(
    "close",
    _build | dg.AssetSelection.assets("close_decisions", "review_sheet"),
    description="Rate a month, check it, decide per statement, and write the review sheet.",
    tags=queue_tags("close"),
)
approve = dg.define_asset_job(
    "approve",
    dg.AssetSelection.assets("approvals"),
    description="Approve statements of a month as they stand: name them, who approves, and why.",
)
issue = dg.define_asset_job(
    "issue",
    dg.AssetSelection.assets("issued_statements"),
    description="Freeze a month's approved statements under their numbers.",
    tags=queue_tags("issue"),
)
reports = dg.define_asset_job(
    "reports",
    dg.AssetSelection.assets("statement_reports"),
    description="Render a month's issued statements as PDF, HTML and XLSX.",
)
refresh = dg.define_asset_job(
    "refresh",
    dg.AssetSelection.assets("ledger_extract", "build_context")
    | (dg.AssetSelection.assets(ledger_extract).downstream() & _models)
    | _marts,
    description="Bring the marts up to date with the ledger, without reading usage again.",
    # A month closed before its first reading stays in the marts until it is issued.
    tags={**queue_tags("refresh"), SAME_PERIODS_TAG: "yes"},
)
publish = dg.define_asset_job(
    "publish",
    dg.AssetSelection.assets("xero_invoices"),
    description="Plan or make a month's invoices in Xero.",
    tags=queue_tags("publish"),
)
payments = dg.define_asset_job(
    "payments",
    dg.AssetSelection.assets("payments_received"),
    description="Read from Xero what was paid.",
    tags=queue_tags("payments"),
)
bank = dg.define_asset_job(
    "bank",
    dg.AssetSelection.assets("bank_files"),
    description="Take files of the bank from the drop folder, and match what Xero shows already.",
    tags=queue_tags("bank"),
)
post_payments = dg.define_asset_job(
    "post_payments",
    dg.AssetSelection.assets("bank_payments"),
    description="Plan or make the payments in Xero that people confirmed from bank lines.",
    tags=queue_tags("post_payments"),
)
remind = dg.define_asset_job(
    "remind",
    dg.AssetSelection.assets("reminders"),
    description="Plan or send the reminders that are due.",
    tags=queue_tags("remind"),
)
bounces = dg.define_asset_job(
    "bounces",
    dg.AssetSelection.assets("returned_mail"),
    description="Show or note which mails came back.",
    tags=queue_tags("bounces"),
)
suspend = dg.define_asset_job(
    "suspend",
    dg.AssetSelection.assets("machine_suspensions"),
    description="Plan or make the pausing of machines that is due; what is paid runs again first.",
)
resume = dg.define_asset_job(
    "resume",
    dg.AssetSelection.assets("machine_resumptions"),
    description="Plan or make machines run again whose payer owes nothing overdue any more.",
)
webhooks = dg.define_asset_job(
    "webhooks",
    dg.AssetSelection.assets("webhook_deliveries"),
    description="Plan or send what other systems are told (webhooks.yml).",
    tags=queue_tags("webhooks"),
)

backup = dg.define_asset_job(
    "backup",
    dg.AssetSelection.assets("data_dir_backup"),
    description="Copy ledger, landing zone and book as one set to M2C_BACKUP_DIR.",
)

JOBS = [
    *(land, compact, build, close, approve, issue, reports, refresh, publish, payments, remind),
    *(bank, post_payments, bounces, suspend, resume, webhooks, backup),
]
CHANGES_THE_LEDGER = [
    *(close, approve, issue, publish, payments, bank, post_payments),
    *(remind, bounces, suspend, resume),
]


def landing_range_tags(*, site_id: str, first: str, last: str) -> dict[str, str]:
    """The tags of one run that lands the days `first` to `last` (UTC, inclusive) of one site."""
    return {
        _RANGE_START: str(landing_key(day=first, site_id=site_id)),
        _RANGE_END: str(landing_key(day=last, site_id=site_id)),
    }


@dg.schedule(job=land, cron_schedule="30 1 * * *", execution_timezone="UTC")
def nightly_landing(
    context: dg.ScheduleEvaluationContext, data_dir: DataDirResource
) -> Iterator[dg.RunRequest]:
    """Every night, per site, the days whose data may still have changed."""
    book = load_book(data_dir.layout().book)
    last = context.scheduled_execution_time.date() - timedelta(days=1)
    first = last - timedelta(days=book.settings.lookback_days - 1)
    context.instance.add_dynamic_partitions(str(SITES.name), book.sites_read)
    for site_id in book.sites_read:
        yield dg.RunRequest(
            run_key=f"{site_id}/{last}",
            tags=landing_range_tags(site_id=site_id, first=str(first), last=str(last)),
        )


@dg.schedule(job=build, cron_schedule="0 4 * * *", execution_timezone="UTC")
def nightly_build(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Every night, after landing: the open month is rated, and readers get the new marts."""
    return dg.RunRequest(run_key=str(context.scheduled_execution_time.date()))


@dg.schedule(job=close, cron_schedule="0 6 * * *", execution_timezone="UTC")
def monthly_close(
    context: dg.ScheduleEvaluationContext, data_dir: DataDirResource
) -> dg.RunRequest | dg.SkipReason:
    """The close of last month, `close_grace_days` days after it ended."""
    today = context.scheduled_execution_time.date()
    grace = load_book(data_dir.layout().book).settings.close_grace_days
    if today.day != 1 + grace:
        return dg.SkipReason(f"The close is due on day {1 + grace} of the month.")
    period = (today.replace(day=1) - timedelta(days=1)).strftime("%Y-%m")
    return dg.RunRequest(run_key=period, partition_key=period)


@dg.schedule(job=payments, cron_schedule="15 * * * *", execution_timezone="UTC")
def hourly_payments(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Every hour: what was paid."""
    return dg.RunRequest(run_key=context.scheduled_execution_time.isoformat())


@dg.sensor(job=payments, minimum_interval_seconds=15, default_status=dg.DefaultSensorStatus.RUNNING)
def payments_when_xero_calls(
    context: dg.SensorEvaluationContext, data_dir: DataDirResource
) -> dg.RunRequest | dg.SkipReason:
    """When a webhook told that something changed in Xero (m2c xero webhooks): what was paid."""
    marks = wakes.waiting(data_dir.layout().xero_wakes)
    if not marks:
        return dg.SkipReason("Nobody told of a change in Xero since the last poll.")
    running = dg.RunsFilter(job_name=payments.name, statuses=_UNDER_WAY)
    if context.instance.get_runs(running, limit=1):
        return dg.SkipReason("Payments are being read; what came since then is looked at next.")
    # The oldest mark names the run: whatever comes until it is answered is the same run. One that
    # failed left its marks, and is asked for again under the number of the attempt.
    oldest = marks[0]
    return dg.RunRequest(run_key=f"{oldest.name}/{wakes.attempt(oldest, now=time.time())}")


@dg.schedule(job=bank, cron_schedule="45 * * * *", execution_timezone="UTC")
def hourly_bank(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Every hour: files of the bank that were dropped."""
    return dg.RunRequest(run_key=context.scheduled_execution_time.isoformat())


@dg.schedule(job=remind, cron_schedule="0 8 * * *", execution_timezone="UTC")
def daily_reminders(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Every day: the reminders that are due are sent."""
    return dg.RunRequest(
        run_key=str(context.scheduled_execution_time.date()),
        run_config={"ops": {"reminders": {"config": {"apply": True}}}},
    )


@dg.schedule(job=bounces, cron_schedule="50 * * * *", execution_timezone="UTC")
def hourly_bounces(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Every hour, before reminders and suspensions: which mails came back."""
    return dg.RunRequest(
        run_key=context.scheduled_execution_time.isoformat(),
        run_config={"ops": {"returned_mail": {"config": {"apply": True}}}},
    )


@dg.schedule(job=suspend, cron_schedule="0 9 * * *", execution_timezone="UTC")
def daily_suspensions(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Every day, after the reminders: machines are paused where the notices are over."""
    return dg.RunRequest(
        run_key=str(context.scheduled_execution_time.date()),
        run_config={"ops": {"machine_suspensions": {"config": {"apply": True}}}},
    )


@dg.schedule(job=resume, cron_schedule="30 * * * *", execution_timezone="UTC")
def hourly_resumptions(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Every hour, after payments were read: machines run again whose payer owes nothing overdue."""
    return dg.RunRequest(
        run_key=context.scheduled_execution_time.isoformat(),
        run_config={"ops": {"machine_resumptions": {"config": {"apply": True}}}},
    )


@dg.schedule(job=webhooks, cron_schedule="*/5 * * * *", execution_timezone="UTC")
def frequent_webhooks(
    context: dg.ScheduleEvaluationContext, data_dir: DataDirResource
) -> dg.RunRequest | dg.SkipReason:
    """Every five minutes, if anything is to be sent: what other systems are told."""
    if not something_to_send(data_dir.layout(), clock=data_dir.clock()):
        return dg.SkipReason("Nothing happened that anybody is to be told, and no retry is due.")
    running = dg.RunsFilter(job_name=webhooks.name, statuses=_UNDER_WAY)
    if context.instance.get_runs(running, limit=1):
        return dg.SkipReason("Events are being sent; the next time goes on.")
    return dg.RunRequest(
        run_key=context.scheduled_execution_time.isoformat(),
        run_config={"ops": {"webhook_deliveries": {"config": {"apply": True}}}},
    )


@dg.schedule(job=backup, cron_schedule="0 5 * * *", execution_timezone="UTC")
def nightly_backup(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Every night, after landing and build: a backup, where M2C_BACKUP_DIR names a folder."""
    if not os.environ.get("M2C_BACKUP_DIR"):
        return dg.SkipReason("M2C_BACKUP_DIR names no folder to back up to.")
    return dg.RunRequest(run_key=str(context.scheduled_execution_time.date()))


SCHEDULES = [
    *(nightly_landing, nightly_build, monthly_close, hourly_payments, hourly_bank),
    *(daily_reminders, hourly_bounces, daily_suspensions, hourly_resumptions),
    *(frequent_webhooks, nightly_backup),
]


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitored_jobs=CHANGES_THE_LEDGER,
    request_job=refresh,
    name="refresh_marts_after_money",
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def refresh_marts_after_money(
    context: dg.RunStatusSensorContext,
) -> dg.RunRequest | dg.SkipReason:
    """After a run that wrote to the ledger, let the marts show it."""
    if FROM_TERMINAL_TAG in context.dagster_run.tags:
        return dg.SkipReason("m2c refreshes the marts itself.")
    return dg.RunRequest(run_key=context.dagster_run.run_id)


@dg.sensor(minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def end_runs_whose_process_is_gone(
    context: dg.SensorEvaluationContext, data_dir: DataDirResource
) -> dg.SkipReason:
    """Ends runs that were killed, also on machines that are gone, so that nothing waits for
    them."""
    ended = end_dead_runs(context.instance, data_dir.layout())
    return dg.SkipReason(
        f"Ended, their processes being gone: {', '.join(ended)}."
        if ended
        else "Every run that is started has its process."
    )
