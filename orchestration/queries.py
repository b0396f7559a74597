"""What `m2c` reads from the published marts: plain rows, amounts as the marts hold them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from exporters.marts import Marts

Rows = list[dict[str, Any]]

# A night's reading brings the day before whole, so its last reading is at most a day and some hours
# old until the next one; a site that was not read for a whole night more is late.
LATENESS: Final = timedelta(hours=36)


def build_summary(marts: Marts) -> dict[str, Any]:
    """Book version, time of build, and per period and currency the statements and totals."""
    (info,) = marts.rows("select book_version, code_version, built_at from build_info")
    periods = marts.rows(
        """
        select period, currency, count(*) as statements,
            count(*) filter (where state = 'issued') as issued,
            sum(net) as net, sum(tax) as tax, sum(total) as total
        from statements group by period, currency order by period, currency
        """,
    )
    return {**info, "periods": periods}


def sites(marts: Marts, *, now: datetime, nightly: Collection[str]) -> Rows:
    """Every site of the book or with usage: its days, its last reading, and whether it is late.

    A site of `nightly` (those that sources.yml reads) is late when its last reading is more than
    36 hours older than `now`; another one, filled by hand, when it is that much older than the
    newest reading of any site. A site without a placed energy meter is never late. `hours_silent`
    is in whole hours against the same instant, `hours_late` what of it is beyond the allowance;
    both are null for a site that never landed anything. `last_day_expected` and
    `last_day_received` are machine-hours of the day of the last reading.
    """
    return marts.rows(
        """
        with usage as (
            select site_id, min(usage_date) as first_day, max(usage_date) as last_day,
                sum(accepted) filter (where metric = 'energy') as accepted_kwh
            from usage_reconciliation group by site_id
        ),
        told as (
            select site_id, max(last_reading_at) as last_reading_at,
                arg_max(meters, usage_date) > 0 as is_metered
            from usage_completeness group by site_id
        ),
        judged as (
            select coalesce(sites.site_id, usage.site_id) as site_id, usage.first_day,
                usage.last_day, usage.accepted_kwh, told.last_reading_at,
                coalesce(told.is_metered, false) as is_metered,
                case when list_contains($1, coalesce(sites.site_id, usage.site_id)) then $2
                    else (select max(last_reading_at) from told) end as judged_at
            from sites
            full join usage on sites.site_id = usage.site_id
            left join told on coalesce(sites.site_id, usage.site_id) = told.site_id
        )
        select judged.site_id, judged.first_day, judged.last_day, judged.accepted_kwh,
            judged.last_reading_at,
            judged.is_metered
                and coalesce(judged.judged_at - judged.last_reading_at > $3, true) as is_late,
            greatest(date_sub('hour', judged.last_reading_at, judged.judged_at), 0)
                as hours_silent,
            case when judged.judged_at - judged.last_reading_at > $3
                then date_sub('hour', judged.last_reading_at + $3, judged.judged_at) end
                as hours_late,
            days.usage_date as last_reading_day,
            days.expected_hours as last_day_expected, days.received_hours as last_day_received,
            days.expected_intervals as last_day_expected_intervals,
            days.received_intervals as last_day_received_intervals
        from judged
        left join usage_completeness as days
            on judged.site_id = days.site_id and judged.last_reading_at = days.last_reading_at
        order by judged.site_id
        """,
        [sorted(nightly), now, LATENESS],
    )


def late_in_words(site: Mapping[str, Any]) -> str:
    """A late site in one line."""
    if site["last_reading_at"] is None:
        return f"{site['site_id']}: nothing has landed yet"
    told = (
        f"{site['site_id']}: silent for {site['hours_silent']:,} h, "
        f"last reading {site['last_reading_at']:%Y-%m-%d %H:%M} UTC; "
        f"{site['last_day_received']:,.1f} of {site['last_day_expected']:,.1f} machine-hours "
        f"of {site['last_reading_day']} received"
    )
    if site["last_day_expected_intervals"] is None:
        return told
    return (
        f"{told} ({site['last_day_received_intervals']:,} of "
        f"{site['last_day_expected_intervals']:,} intervals)"
    )


def status(marts: Marts, *, now: datetime, nightly: Collection[str]) -> dict[str, Any]:
    """`build_summary`, with sites, statements not issued, alerts reached, open exceptions. `now`
    and `nightly` as in `sites`."""
    return {
        **build_summary(marts),
        "sites": sites(marts, now=now, nightly=nightly),
        "open_statements": marts.rows(
            """
            select statement_id, period, total, projected_total, currency, measured_until, state,
                decision, decision_reason
            from statements where state != 'issued' order by period, statement_id
            """,
        ),
        "alerts": marts.rows(
            """
            select * from alerts where is_reached order by period, contract_id, measure, threshold
            """,
        ),
        "exceptions": marts.rows(
            """
            select period, kind, severity, count(*) as rows from billing_exceptions
            group by period, kind, severity order by period, severity, kind
            """,
        ),
    }


def exceptions(marts: Marts, *, period: str | None, with_settled: bool) -> Rows:
    """Exceptions, blocking ones first; those settled by a person only when asked for."""
    return marts.rows(
        """
        select * from billing_exceptions
        where ($1 is null or period = $1) and ($2 or status = 'open')
        order by severity, period, kind, site_id, machine_id, exception_id
        """,
        [period, with_settled],
    )


def disputes(marts: Marts, *, with_decided: bool) -> Rows:
    """What is disputed, oldest word first; what is decided only when asked for."""
    return marts.rows(
        "select * from disputes where $1 or state = 'open' order by recorded_at, scope, subject",
        [with_decided],
    )


def statements(marts: Marts, *, period: str | None) -> Rows:
    """Statements with their state and what Xero says of their invoices."""
    return marts.rows(
        """
        select statements.*, coalesce(invoices.xero_status, invoices.publish_state) as invoice,
            invoices.amount_due, invoices.online_url
        from statements left join invoices using (statement_id)
        where $1 is null or statements.period = $1
        order by statements.period, statement_id
        """,
        [period],
    )


def statement_lines(marts: Marts, statement: str) -> Rows:
    """The lines of a statement, named by its id or its number."""
    return marts.rows(
        """
        select statement_lines.* from statement_lines
        join statements using (statement_id)
        where $1 in (statements.statement_id, statements.statement_number)
        order by line_key
        """,
        [statement],
    )


def invoices(marts: Marts, *, period: str) -> Rows:
    """A period's issued statements as invoices: what Xero says and the reminders sent."""
    return marts.rows(
        """
        select invoices.*, collections.last_stage as reminded
        from invoices left join collections using (statement_number)
        where invoices.period = $1 order by statement_number
        """,
        [period],
    )
