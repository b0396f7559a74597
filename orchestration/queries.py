"""What `m2c` reads from the published marts: plain rows, amounts as the marts hold them."""

from __future__ import annotations

from typing import Any

from exporters.marts import Marts

Rows = list[dict[str, Any]]


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


def status(marts: Marts) -> dict[str, Any]:
    """`build_summary`, with sites, statements not issued and open exceptions."""
    return {
        **build_summary(marts),
        "sites": marts.rows(
            """
            select site_id, min(usage_date) as first_day, max(usage_date) as last_day,
                sum(accepted) filter (where metric = 'energy') as accepted_kwh
            from usage_reconciliation group by site_id order by site_id
            """,
        ),
        "open_statements": marts.rows(
            """
            select statement_id, period, total, currency, state, decision, decision_reason
            from statements where state != 'issued' order by period, statement_id
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
