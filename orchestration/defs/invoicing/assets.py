"""Xero: invoices created exactly once, and what Xero says of them since."""

import os

import dagster as dg

from exporters.xero import XeroConfig, publish
from orchestration.dbt import OWNERS
from orchestration.partitions import period_partitions
from orchestration.payments import read_payments_now
from orchestration.rehearsal import refuse_outside_loopback
from orchestration.reports import materialized
from orchestration.resources import DataDirResource
from orchestration.settings import DataDir

POOL = "xero"
_OWNERS = OWNERS["invoicing"]


class PublishConfig(dg.Config):
    """`apply` acts; without it the plan is shown and Xero is only read."""

    apply: bool = False


def invoicing_assets(data_dir: DataDir) -> list[dg.AssetsDefinition]:
    """Monthly invoices, and payments as they come."""

    @dg.asset(
        group_name="invoicing",
        owners=_OWNERS,
        kinds={"xero"},
        partitions_def=period_partitions(data_dir),
        pool=POOL,
        deps=[dg.AssetKey("statement_reports"), dg.AssetKey("issued_statements")],
        description="Each issued statement as one invoice or credit note in Xero, to the cent.",
    )
    def xero_invoices(
        context: dg.AssetExecutionContext, config: PublishConfig, data_dir: DataDirResource
    ) -> dg.MaterializeResult:
        layout = data_dir.layout()
        if config.apply:
            refuse_outside_loopback(os.environ)
        with data_dir.open_ledger(acting_as="publish") as ledger:
            report = publish(
                layout.marts,
                ledger,
                context.partition_key,
                config=XeroConfig.from_environment(os.environ, data_dir=layout.root),
                reports_dir=layout.reports / context.partition_key,
                clock=data_dir.clock(),
                apply=config.apply,
            )
        return materialized(
            report.as_dict(), words=report.describe().splitlines(), exit_code=report.exit_code
        )

    @dg.asset(
        group_name="invoicing",
        owners=_OWNERS,
        kinds={"xero"},
        pool=POOL,
        deps=[dg.AssetKey("xero_invoices")],
        description="What Xero says of every invoice: status, what is due, what was paid and when.",
    )
    def payments_received(data_dir: DataDirResource) -> dg.MaterializeResult:
        with data_dir.open_ledger(acting_as="payments") as ledger:
            report, matched = read_payments_now(data_dir.layout(), ledger, clock=data_dir.clock())
        return materialized(
            {**report.as_dict(), "bank_lines": matched},
            words=[*report.describe().splitlines(), *matched],
            exit_code=report.exit_code,
        )

    return [xero_invoices, payments_received]
