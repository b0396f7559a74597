"""Whether the marts know what the ledger has issued. Adjustments, credits and the open period
depend on it: on marts that were built before another month was issued, the same money could be
asked for twice. It is read from the tables themselves, because a check in the run that built the
marts says nothing about the run that uses them."""

from __future__ import annotations

from sqlalchemy import select

from exporters.ledger import Reader, tables
from exporters.marts import BUILD_FIRST, Marts, MartsError


def require_current(marts: Marts, reader: Reader, period: str) -> None:
    """Raise MartsError unless every statement issued for another period is `issued` in the marts.

    Statements of the period itself may be ahead of the marts: issuing part of a period changes
    nothing in the rest of it, and a run that was cut short goes on where it stopped.
    """
    table = tables.issued_statements
    issued = reader.query(
        select(table.c.statement_id, table.c.statement_number, table.c.period).where(
            table.c.period != period
        )
    )
    if not issued:
        return
    known = {
        row["statement_id"]
        for row in marts.rows("SELECT statement_id FROM statements WHERE state = 'issued'")
    }
    unknown = [row for row in issued if row["statement_id"] not in known]
    if unknown:
        first = unknown[0]
        raise MartsError(
            f"the published marts do not know {len(unknown)} issued statement"
            f"{'s' * (len(unknown) != 1)}, {first['statement_number']} of {first['period']} the "
            f"first: they are older than the ledger; {BUILD_FIRST}"
        )
