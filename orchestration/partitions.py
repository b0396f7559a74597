"""Partitions: landing by day and site, money by month."""

from __future__ import annotations

import dagster as dg

from orchestration.instance import first_day
from orchestration.settings import DataDir

SITES = dg.DynamicPartitionsDefinition(name="sites")


def landing_partitions(data_dir: DataDir) -> dg.MultiPartitionsDefinition:
    """UTC day × site. Sites are added as the book names them."""
    days = dg.DailyPartitionsDefinition(start_date=first_day(data_dir).isoformat(), end_offset=1)
    return dg.MultiPartitionsDefinition({"date": days, "site": SITES})


def period_partitions(data_dir: DataDir) -> dg.MonthlyPartitionsDefinition:
    """Periods, `YYYY-MM`, with the running month, which can be previewed before it is over."""
    start = first_day(data_dir).replace(day=1)
    return dg.MonthlyPartitionsDefinition(
        start_date=start.strftime("%Y-%m"), fmt="%Y-%m", end_offset=1
    )


def landing_key(*, day: str, site_id: str) -> dg.MultiPartitionKey:
    return dg.MultiPartitionKey({"date": day, "site": site_id})
