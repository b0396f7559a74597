"""What `m2c` reads from the published marts: plain rows, amounts as the marts hold them."""

from __future__ import annotations

from typing import Any

import duckdb

Rows = list[dict[str, Any]]


def _rows(marts: duckdb.DuckDBPyConnection, sql: str, *parameters: object) -> Rows:
    cursor = marts.execute(sql, list(parameters))
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def build_summary(marts: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Book version, time of build, and per period and currency the statements and totals."""
    (info,) = _rows(marts, "select book_version, code_version, built_at from build_info")
    periods = _rows(
        marts,
        """
        select period, currency, count(*) as statements,
            count(*) filter (where state = 'issued') as issued,
            sum(net) as net, sum(tax) as tax, sum(total) as total
        from statements group by period, currency order by period, currency
        """,
    )
    return {**info, "periods": periods}


def status(marts: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """`build_summary`, with sites, statements not issued and open exceptions."""
    return {
        **build_summary(marts),
        "sites": _rows(
            marts,
            """
            select site_id, min(usage_date) as first_day, max(usage_date) as last_day,
                sum(accepted) filter (where metric = 'energy') as accepted_kwh
            from usage_reconciliation group by site_id order by site_id
            """,
        ),
        "open_statements": _rows(
            marts,
            """
            select statement_id, period, total, currency, state, decision, decision_reason
            from statements where state != 'issued' order by period, statement_id
            """,
        ),
        "exceptions": _rows(
            marts,
            """
            select period, kind, severity, count(*) as rows from billing_exceptions
            group by period, kind, severity order by period, severity, kind
            """,
        ),
    }


def exceptions(marts: duckdb.DuckDBPyConnection, *, period: str | None, with_settled: bool) -> Rows:
    """Exceptions, blocking ones first; those settled by a person only when asked for."""
    return _rows(
        marts,
        """
        select * from billing_exceptions
        where ($1 is null or period = $1) and ($2 or status = 'open')
        order by severity, period, kind, site_id, machine_id, exception_id
        """,
        period,
        with_settled,
    )


def statements(marts: duckdb.DuckDBPyConnection, *, period: str | None) -> Rows:
    """Statements with their state and what Xero says of their invoices."""
    return _rows(
        marts,
        """
        select statements.*, coalesce(invoices.xero_status, invoices.publish_state) as invoice,
            invoices.amount_due, invoices.online_url
        from statements left join invoices using (statement_id)
        where $1 is null or statements.period = $1
        order by statements.period, statement_id
        """,
        period,
    )


def statement_lines(marts: duckdb.DuckDBPyConnection, statement: str) -> Rows:
    """The lines of a statement, named by its id or its number."""
    return _rows(
        marts,
        """
        select statement_lines.* from statement_lines
        join statements using (statement_id)
        where $1 in (statements.statement_id, statements.statement_number)
        order by line_key
        """,
        statement,
    )


def invoices(marts: duckdb.DuckDBPyConnection, *, period: str) -> Rows:
    """A period's issued statements as invoices: what Xero says and the reminders sent."""
    return _rows(
        marts,
        """
        select invoices.*, collections.stage_reached as reminders
        from invoices left join collections using (statement_number)
        where invoices.period = $1 order by statement_number
        """,
        period,
    )
