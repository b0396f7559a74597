"""Which sites a period lacks readings of, from the marts: expected against received machine-hours,
and the days on which a whole site told nothing. What that means for a statement is decided in the
marts (`statements.decision`); this module names sites, days and statements for people.

A UTC day belongs to the month of its date.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from exporters.marts import Marts

SHOWN: Final = 5  # days told in words; the JSON has them all

# Incomplete: a day without anything, or less than 95 % of the expected hours of the days so far.
_INCOMPLETE: Final = """
with days as (
    select * from usage_completeness where strftime(usage_date, '%Y-%m') = $1
),
sites as (
    select
        site_id,
        coalesce(
            list(usage_date order by usage_date) filter (where status = 'nothing'), []
        ) as unmeasured_days,
        count(*) filter (where status = 'partial') as partial_days,
        sum(expected_hours) as expected_hours,
        sum(received_hours) as received_hours,
        sum(missing_hours) as missing_hours,
        sum(expected_intervals) as expected_intervals,
        sum(received_intervals) as received_intervals,
        max(last_reading_at) as last_reading_at
    from days group by site_id
)
select
    sites.* exclude (missing_hours),
    -- Whole tenths of a percent, by integers: a share to look at, not to bill by.
    cast(
        0.1 * cast(
            cast(missing_hours * 1000000 as hugeint) * 1000
            // cast(expected_hours * 1000000 as hugeint) as decimal(9, 0)
        ) as decimal(9, 1)
    ) as missing_percent,
    coalesce((
        select list(distinct statement_lines.statement_id order by statement_lines.statement_id)
        from statement_lines
        where statement_lines.period = $1 and statement_lines.site_id = sites.site_id
    ), []) as statement_ids
from sites
where expected_hours > 0 and (len(unmeasured_days) > 0 or missing_hours * 20 > expected_hours)
order by site_id
"""
_POORLY_MEASURED: Final = """
select statement_id, missing_or_estimated_share
from statements
where period = $1 and missing_or_estimated_share > 0.05
order by statement_id
"""


@dataclass(frozen=True)
class IncompleteSite:
    """A site of which a period lacks readings. Hours are those of its energy meters, summed;
    intervals are None where the book does not say how long they are; `unmeasured_days` are UTC days
    on which nothing of the site was measured; `statement_ids` are those with lines of the site."""

    site_id: str
    expected_hours: Decimal
    received_hours: Decimal
    missing_percent: Decimal
    expected_intervals: int | None
    received_intervals: int | None
    unmeasured_days: tuple[date, ...]
    partial_days: int
    last_reading_at: datetime | None
    statement_ids: tuple[str, ...]

    def describe(self) -> str:
        """The site in one line."""
        told = (
            f"{self.site_id}: {self.received_hours:,.1f} of {self.expected_hours:,.1f} "
            f"machine-hours received, {self.missing_percent} % missing"
        )
        if self.expected_intervals is not None:
            told += f" ({self.received_intervals:,} of {self.expected_intervals:,} intervals)"
        if self.unmeasured_days:
            days = ", ".join(str(day) for day in self.unmeasured_days[:SHOWN])
            more = len(self.unmeasured_days) - SHOWN
            told += f"; nothing on {days}" + (f" and {more} more days" if more > 0 else "")
        count = len(self.statement_ids)
        return f"{told}; {count} statement{'s have' if count != 1 else ' has'} lines of it"


def incomplete_sites(marts: Marts, period: str) -> tuple[IncompleteSite, ...]:
    """The sites with a day without any measurement, or with less than 95 % of their expected
    machine-hours, over the UTC days of a month that have begun to land."""
    return tuple(
        IncompleteSite(
            site_id=row["site_id"],
            expected_hours=row["expected_hours"],
            received_hours=row["received_hours"],
            missing_percent=row["missing_percent"],
            expected_intervals=_whole(row["expected_intervals"]),
            received_intervals=_whole(row["received_intervals"]),
            unmeasured_days=tuple(row["unmeasured_days"]),
            partial_days=row["partial_days"],
            last_reading_at=row["last_reading_at"],
            statement_ids=tuple(row["statement_ids"]),
        )
        for row in marts.rows(_INCOMPLETE, [period])
    )


def poorly_measured(marts: Marts, period: str, statement_ids: Iterable[str]) -> dict[str, Decimal]:
    """Of these statements those with more than 5 % of their machine-hours missing or estimated,
    with that share."""
    asked = set(statement_ids)
    return {
        row["statement_id"]: row["missing_or_estimated_share"]
        for row in marts.rows(_POORLY_MEASURED, [period])
        if row["statement_id"] in asked
    }


def _whole(value: Decimal | int | None) -> int | None:
    return None if value is None else int(value)
