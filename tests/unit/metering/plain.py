"""One machine of one contract on one meter, hour by hour: the world that most tests start from."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

Row = dict[str, Any]
Tables = dict[str, list[Row]]

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
JANUARY = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 12, 31, tzinfo=UTC)


def book(
    *,
    timezone: str = "UTC",
    estimation: str = "none",
    rated_kw: str | None = None,
    site_id: str = "s",
    machine_id: str = "m",
    contract_id: str = "K",
) -> Tables:
    """The book of a machine on meter ``pdu`` since January, billed on its site's clock."""
    placement = {
        "machine_id": machine_id,
        "site_id": site_id,
        "meter_id": "pdu",
        "valid_from_at": JANUARY,
    }
    return {
        "book__sites": [{"site_id": site_id, "timezone": timezone, "estimation": estimation}],
        "book__placements": [{**placement, "rated_kw": rated_kw}],
        "book__placement_metrics": [{**placement, "metric": "energy"}],
        "book__assignments": [
            {"machine_id": machine_id, "contract_id": contract_id, "valid_from_at": JANUARY}
        ],
        "book__contract_terms": [
            {
                "contract_id": contract_id,
                "term_no": 1,
                "plan_id": "p",
                "billing_timezone": timezone,
                "valid_from_at": JANUARY,
                "first_month": "2026-01",
            }
        ],
    }


def reading(
    start: datetime,
    value: str | int | Decimal,
    *,
    kind: str = "interval",
    hours: float = 1,
    metric: str = "energy",
    unit: str = "kWh",
    meter_id: str = "pdu",
    site_id: str = "s",
    batch_id: str = "b",
    ingested_at: datetime = LATER,
) -> Row:
    """One landed reading; hours is the length of an interval."""
    return {
        "site_id": site_id,
        "source": "test",
        "meter_id": meter_id,
        "metric": metric,
        "kind": kind,
        "unit": unit,
        "interval_start": start,
        "interval_end": start + timedelta(hours=hours) if kind == "interval" else None,
        "value": value,
        "quality": "good",
        "batch_id": batch_id,
        "ingested_at": ingested_at,
    }


def registers(start: datetime, values: Iterable[str], *, unit: str = "kWh") -> list[Row]:
    """Counters read on the hour."""
    return [
        reading(start + number * HOUR, value, kind="register", unit=unit)
        for number, value in enumerate(values)
    ]


def merged(*parts: Tables) -> Tables:
    """The rows of several books and landings together."""
    found: Tables = {}
    for part in parts:
        for table, rows in part.items():
            found.setdefault(table, []).extend(rows)
    return found


def unbalanced(metering: Any) -> list[tuple[Any, ...]]:
    """What does not add up, by any of the ways of adding it up: of days, rows, months and dates."""
    return list(
        metering.rows(
            """
            select 'day', site_id, metric, usage_date::varchar from usage_reconciliation
            where accepted != assigned + unassigned
                or rows_landed != rows_accepted + rows_quarantined + rows_rejected
                    + rows_superseded + rows_unused_kind
                or rows_accepted < 0
            union all
            select 'rows', site_id, metric, usage_date::varchar
            from (
                select site_id, case metric when 'power' then 'energy' else metric end as metric,
                    cast(interval_start at time zone 'UTC' as date) as usage_date, count(*) as n
                from landed
                group by all
            )
            full join usage_reconciliation using (site_id, metric, usage_date)
            where coalesce(n, 0) != coalesce(rows_landed, 0)
            union all
            select 'months', site_id, metric, null
            from (
                select site_id, metric, sum(assigned + estimated) as by_day
                from usage_reconciliation group by all
            )
            full join (
                select site_id, metric, sum(quantity) as by_month
                from int_metering__month_usage group by all
            ) using (site_id, metric)
            where coalesce(by_day, 0) != coalesce(by_month, 0)
            union all
            select 'dates', site_id, metric, null
            from (
                select site_id, metric, sum(accepted) as by_day, sum(estimated) as estimated
                from usage_reconciliation group by all
            )
            full join (
                select site_id, metric, sum(metered_quantity) as by_date,
                    sum(estimated_quantity) as estimated_by_date
                from usage_daily group by all
            ) using (site_id, metric)
            where coalesce(by_day, 0) != coalesce(by_date, 0)
                or coalesce(estimated, 0) != coalesce(estimated_by_date, 0)
            """
        )
    )
