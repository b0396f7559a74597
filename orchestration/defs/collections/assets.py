"""Reminders: what is overdue, told once a stage to who owes it. Alerts: usage and cost that
reached a threshold of the book, told once to whoever answers for them."""

import os

import dagster as dg

from exporters.collections import remind
from exporters.xero import XeroConfig, is_configured, reminders_switched_on
from orchestration.alerts import tell_reached_alerts
from orchestration.bounces import bounce_address
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
            texts_dir=layout.mail_texts,
            reports_dir=layout.reports,
            bounce_address=bounce_address(os.environ),
        )
    return materialized(
        report.as_dict(), words=report.describe().splitlines(), exit_code=int(report.needs_person)
    )


@dg.asset(
    group_name="collections",
    owners=OWNERS["collections"],
    kinds={"email"},
    pool=POOL,
    deps=[dg.AssetKey("published_marts")],
)
def alert_notices(data_dir: DataDirResource) -> dg.MaterializeResult:
    """One mail for each alert of the book that is reached (mart `alerts`), ever: to M2C_ALERT_TO,
    or into the outbox. One that does not get out does not fail the build; the next tries again."""
    try:
        report = tell_reached_alerts(data_dir.layout(), clock=data_dir.clock(), env=os.environ)
    except ValueError as error:  # what the environment says cannot be used; the marts are built
        return materialized({}, words=[f"no alert is told: {error}"], exit_code=1)
    return materialized(
        report.as_dict(), words=report.describe(), exit_code=int(report.needs_person)
    )
