"""All Dagster definitions of one data dir: the code location that the UI, the daemon and `m2c`
load."""

from __future__ import annotations

import os

import dagster as dg

from orchestration.alerts import alert_on_failure
from orchestration.dbt import OWNERS, dbt_resource
from orchestration.defs.billing.assets import billing_assets
from orchestration.defs.care.assets import data_dir_backup
from orchestration.defs.collections.assets import alert_notices, reminders
from orchestration.defs.collections.bounces import returned_mail
from orchestration.defs.collections.machines import machine_resumptions, machine_suspensions
from orchestration.defs.events.assets import webhook_deliveries, webhook_events
from orchestration.defs.invoicing.assets import invoicing_assets
from orchestration.defs.invoicing.bank import bank_files, bank_payments
from orchestration.defs.jobs import (
    JOBS,
    SCHEDULES,
    end_runs_whose_process_is_gone,
    payments_when_xero_calls,
    refresh_marts_after_money,
)
from orchestration.defs.landing.assets import compacted_days, landing_asset, site_specs
from orchestration.defs.warehouse import assets as warehouse
from orchestration.executor import marking_executor
from orchestration.resources import DataDirResource
from orchestration.settings import DataDir

_LEDGER = dg.AssetSpec(
    key="ledger",
    group_name="ledger",
    owners=OWNERS["ledger"],
    kinds={"sqlalchemy"},
    description=(
        "What cannot be derived: issued, approved, sent, answered, paid, reminded, paused. Close, "
        "issue, publish, payments, reminders and suspensions write to it; the warehouse reads it "
        "like any source."
    ),
)


def build_definitions(data_dir: DataDir) -> dg.Definitions:
    """The definitions for one data dir, whose book names the sites."""
    return dg.Definitions(
        assets=[
            *site_specs(data_dir),
            landing_asset(data_dir),
            compacted_days,
            warehouse.book,
            warehouse.landed_batches,
            _LEDGER,
            warehouse.ledger_extract,
            warehouse.build_context,
            warehouse.dbt_models,
            warehouse.published_marts,
            warehouse.remote_marts,
            *billing_assets(data_dir),
            *invoicing_assets(data_dir),
            bank_files,
            bank_payments,
            returned_mail,
            reminders,
            alert_notices,
            machine_suspensions,
            machine_resumptions,
            webhook_events,
            webhook_deliveries,
            data_dir_backup,
        ],
        jobs=JOBS,
        schedules=SCHEDULES,
        sensors=[
            *(refresh_marts_after_money, payments_when_xero_calls, alert_on_failure),
            end_runs_whose_process_is_gone,
        ],
        executor=marking_executor,
        resources={"data_dir": DataDirResource(root=str(data_dir.root)), "dbt": dbt_resource()},
        loggers={"console": _console(os.environ.get("M2C_LOG_LEVEL", "INFO"))},
    )


def _console(level: str) -> dg.LoggerDefinition:
    return dg.colored_console_logger.configured({"log_level": level})


defs = build_definitions(DataDir.from_env())
