"""Reminders: what is overdue, told once a stage to who owes it."""

import os

import dagster as dg

from exporters.collections import remind
from exporters.xero import XeroClient, XeroConfig, reminders_enabled
from orchestration.dbt import OWNERS
from orchestration.defs.warehouse.assets import POOL
from orchestration.rehearsal import refuse_outside_loopback
from orchestration.reports import materialized
from orchestration.resources import DataDirResource


class RemindConfig(dg.Config):
    """`apply` sends; without it the plan is shown."""

    apply: bool = False


@dg.asset(
    group_name="collections",
    owners=OWNERS["collections"],
    kinds={"email"},
    pool=POOL,
    deps=[dg.AssetKey("payments_received"), dg.AssetKey("published_marts")],
)
def reminders(config: RemindConfig, data_dir: DataDirResource) -> dg.MaterializeResult:
    """One message a payer and day for what is overdue, each stage once per invoice, ever."""
    layout = data_dir.layout()
    if config.apply:
        refuse_outside_loopback(os.environ)
    xero = XeroConfig.from_environment(os.environ, data_dir=layout.root)
    with XeroClient(xero, clock=data_dir.clock()) as client:
        xero_reminds = reminders_enabled(client)
    with data_dir.open_ledger(acting_as="remind") as ledger:
        report = remind(
            layout.marts,
            ledger,
            clock=data_dir.clock(),
            outbox_dir=layout.outbox,
            smtp_url=os.environ.get("M2C_SMTP_URL"),
            apply=config.apply,
            xero_reminders_on=xero_reminds,
        )
    return materialized(
        report.as_dict(), words=report.describe().splitlines(), exit_code=int(report.needs_person)
    )
