"""Mail that did not arrive: what came back is noted, so that nobody counts as reminded who is
not."""

import os

import dagster as dg

from orchestration.bounces import take_returned_mail
from orchestration.dbt import OWNERS
from orchestration.defs.warehouse.assets import POOL
from orchestration.reports import materialized
from orchestration.resources import DataDirResource


class BouncesConfig(dg.Config):
    """`apply` notes and puts away; without it what would be noted is shown."""

    apply: bool = False


@dg.asset(group_name="collections", owners=OWNERS["collections"], kinds={"email"}, pool=POOL)
def returned_mail(config: BouncesConfig, data_dir: DataDirResource) -> dg.MaterializeResult:
    """Mails that came back, from the drop folder and the mailbox, each noted once."""
    with data_dir.open_ledger(acting_as="bounces") as ledger:
        report = take_returned_mail(
            data_dir.layout(),
            ledger,
            clock=data_dir.clock(),
            env=os.environ,
            apply=config.apply,
        )
    return materialized(report.as_dict(), words=report.describe(), exit_code=report.exit_code)
