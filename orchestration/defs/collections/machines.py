"""Machines of payers who do not pay: paused after the notices of the policy, resumed when nothing
overdue is left."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import dagster as dg

from exporters.ledger import Ledger
from exporters.suspension import Post, SwitchReport, resume, suspend
from exporters.xero import is_configured
from orchestration.bounces import bounce_address
from orchestration.dbt import OWNERS
from orchestration.payments import read_payments_now
from orchestration.power import sites_of
from orchestration.rehearsal import refuse_outside_loopback, refuse_sites_outside_loopback
from orchestration.reports import materialized
from orchestration.resources import DataDirResource
from orchestration.settings import Clock, DataDir

POOL = "machines"


class SwitchConfig(dg.Config):
    """`apply` switches; without it the plan is shown. `verify_seconds`: how long machines are
    waited for after their orders."""

    apply: bool = False
    verify_seconds: float = 60


class ResumeConfig(SwitchConfig):
    """`payer`: let this one's machines run whatever it owes, as `by` says for a `reason`."""

    payer: str = ""
    by: str = ""
    reason: str = ""


@dg.asset(
    group_name="collections",
    owners=OWNERS["collections"],
    kinds={"power"},
    pool=POOL,
    deps=[dg.AssetKey("payments_received"), dg.AssetKey("reminders")],
)
def machine_suspensions(config: SwitchConfig, data_dir: DataDirResource) -> dg.MaterializeResult:
    """Machines of payers who were given notice and did not pay, paused; those of payers who owe
    nothing overdue any more resumed before. Payments are read right before anything is switched."""
    return _switched(config, data_dir, suspend, acting_as="suspend", reads_payments=True)


@dg.asset(
    group_name="collections",
    owners=OWNERS["collections"],
    kinds={"power"},
    pool=POOL,
    deps=[dg.AssetKey("payments_received"), dg.AssetKey("machine_suspensions")],
)
def machine_resumptions(config: ResumeConfig, data_dir: DataDirResource) -> dg.MaterializeResult:
    """Machines that run again: their payer owes nothing overdue any more, or a person said so."""
    ordered: dict[str, Any] = {"payer_id": config.payer, "by": config.by, "reason": config.reason}
    return _switched(
        config,
        data_dir,
        partial(resume, **(ordered if config.payer else {})),
        acting_as=config.by or "resume",
    )


def _switched(
    config: SwitchConfig,
    data_dir: DataDirResource,
    work: Callable[..., SwitchReport],
    *,
    acting_as: str,
    reads_payments: bool = False,
) -> dg.MaterializeResult:
    layout, clock = data_dir.layout(), data_dir.clock()
    with (
        sites_of(layout, env=os.environ, clock=clock) as sites,
        data_dir.open_ledger(acting_as=acting_as) as ledger,
    ):
        if config.apply:
            refuse_outside_loopback(os.environ)
            refuse_sites_outside_loopback(sites.hosts(), os.environ)
            why = _why_not_read(layout, ledger, clock) if reads_payments else None
            if why is not None:
                return _told(SwitchReport(now=clock(), applied=False, alerts=(why,)))
        return _told(
            work(
                layout.marts,
                ledger,
                sites,
                clock=clock,
                lock_path=layout.locks / "switching.lock",
                post=_post(layout),
                apply=config.apply,
                verify_seconds=config.verify_seconds,
            )
        )


def _post(layout: DataDir) -> Post:
    return Post(
        outbox_dir=layout.outbox,
        smtp_url=os.environ.get("M2C_SMTP_URL"),
        texts_dir=layout.mail_texts,
        bounce_address=bounce_address(os.environ),
    )


def _why_not_read(layout: DataDir, ledger: Ledger, clock: Clock) -> str | None:
    """Read payments; why they could not be. Without a connection to Xero what was read last has to
    be fresh."""
    if not is_configured(os.environ):
        return None
    report, _ = read_payments_now(layout, ledger, clock=clock)
    if report.failure is not None:
        return f"nothing is switched, payments could not be read: {report.failure}"
    if report.deferred_until is not None:
        return (
            "nothing is switched, payments could not be read: Xero takes no more calls until "
            f"{report.deferred_until:%Y-%m-%d %H:%M} UTC"
        )
    return None


def _told(report: SwitchReport) -> dg.MaterializeResult:
    return materialized(
        report.as_dict(), words=report.describe().splitlines(), exit_code=int(report.needs_person)
    )
