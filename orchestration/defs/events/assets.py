"""What other systems are told: events made of what is new, and their deliveries."""

import os

import dagster as dg

from orchestration.dbt import OWNERS
from orchestration.defs.warehouse.assets import POOL as WAREHOUSE
from orchestration.reports import materialized
from orchestration.resources import DataDirResource
from orchestration.webhooks import note_new, send_waiting


class SendConfig(dg.Config):
    """`apply` sends; without it the plan is shown."""

    apply: bool = False


@dg.asset(
    group_name="events",
    owners=OWNERS["ledger"],
    kinds={"sqlalchemy"},
    pool=WAREHOUSE,
    deps=[dg.AssetKey("published_marts")],
)
def webhook_events(data_dir: DataDirResource) -> dg.MaterializeResult:
    """Events of what is new in ledger and marts, owed to the endpoints of webhooks.yml; an endpoint
    that is new is told what happens from here on."""
    noted, why_not = note_new(data_dir.layout())
    data = {"events": noted.events, "deliveries": noted.deliveries}
    words = [f"no events are made: {why_not}"] if why_not else []
    if noted.events:
        words.append(f"events: {noted.events} made of what is new, {noted.deliveries} to be sent")
    words += [f"events: {name} is told what happens from now on" for name in noted.new_endpoints]
    return materialized(data, words=words, exit_code=int(why_not is not None))


@dg.asset(
    group_name="events",
    owners=OWNERS["ledger"],
    kinds={"webhook"},
    pool="webhooks",
    deps=[webhook_events],
)
def webhook_deliveries(config: SendConfig, data_dir: DataDirResource) -> dg.MaterializeResult:
    """What is owed to each endpoint, sent and signed, until it has it."""
    report = send_waiting(
        data_dir.layout(), clock=data_dir.clock(), env=os.environ, apply=config.apply
    )
    return materialized(report.as_dict(), words=report.describe(), exit_code=report.exit_code)
