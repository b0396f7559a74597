"""Reminders: what is overdue, told once a stage to who owes it."""

import os

import dagster as dg

from exporters.collections import remind
from exporters.xero import XeroConfig, is_configured, reminders_switched_on
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
    # A plan may be looked at without a connection to Xero; nothing is sent without asking it.
    xero_reminds = (config.apply or is_configured(os.environ)) and reminders_switched_on(
        XeroConfig.from_environment(os.environ, data_dir=layout.root),
        marts_path=layout.marts,
        clock=data_dir.clock(),
    )
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
