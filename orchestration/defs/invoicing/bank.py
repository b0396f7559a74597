"""The bank's side of what was paid: its files, and payments made in Xero from what people
confirmed."""

import os

import dagster as dg

from exporters.xero import XeroConfig
from exporters.xero.posting import post_payments
from orchestration.bank import take_files
from orchestration.dbt import OWNERS
from orchestration.defs.warehouse.assets import POOL as WAREHOUSE
from orchestration.rehearsal import refuse_outside_loopback
from orchestration.reports import materialized
from orchestration.resources import DataDirResource


class PostConfig(dg.Config):
    """`apply` acts; without it the plan is shown and Xero is only read."""

    apply: bool = False


@dg.asset(
    group_name="invoicing",
    owners=OWNERS["invoicing"],
    kinds={"file"},
    pool=WAREHOUSE,
    deps=[dg.AssetKey("published_marts")],
)
def bank_files(data_dir: DataDirResource) -> dg.MaterializeResult:
    """Files of the bank in the drop folder, taken up line by line."""
    with data_dir.open_ledger(acting_as="bank") as ledger:
        report = take_files(data_dir.layout(), ledger, [])
    return materialized(report.as_dict(), words=report.describe(), exit_code=report.exit_code)


@dg.asset(
    group_name="invoicing",
    owners=OWNERS["invoicing"],
    kinds={"xero"},
    pool="xero",
    deps=[bank_files, dg.AssetKey("payments_received")],
)
def bank_payments(config: PostConfig, data_dir: DataDirResource) -> dg.MaterializeResult:
    """Payments in Xero of what people confirmed from bank lines, each once; off by default."""
    layout = data_dir.layout()
    if config.apply:
        refuse_outside_loopback(os.environ)
    with data_dir.open_ledger(acting_as="post") as ledger:
        report = post_payments(
            layout.marts,
            ledger,
            config=lambda: XeroConfig.from_environment(os.environ, data_dir=layout.root),
            clock=data_dir.clock(),
            apply=config.apply,
        )
    return materialized(report.as_dict(), words=report.describe(), exit_code=report.exit_code)
