"""Whether marts and ledger belong together. Adjustments, credits and the open period depend on what
was issued: on marts that were built before another month was issued, the same money could be asked
for twice; so it could with a ledger that was put back to an older copy. It is read from the tables
themselves, because a check in the run that built the marts says nothing about the run that uses
them."""

from __future__ import annotations

from sqlalchemy import select

from exporters.ledger import LedgerError, Reader, tables
from exporters.marts import BUILD_FIRST, Marts, MartsError


def require_current(marts: Marts, reader: Reader, period: str) -> None:
    """Raise MartsError unless every statement issued for another period is `issued` in the marts,
    LedgerError unless the ledger holds all that the marts have seen in it.

    Statements of the period itself may be ahead of the marts: issuing part of a period changes
    nothing in the rest of it, and a run that was cut short goes on where it stopped.
    """
    table = tables.issued_statements
    issued = {
        row["statement_id"]: row
        for row in reader.query(
            select(table.c.statement_id, table.c.statement_number, table.c.period)
        )
    }
    seen = {
        row["statement_id"]
        for row in marts.rows("SELECT statement_id FROM statements WHERE state = 'issued'")
    }
    _require_ledger(marts, reader, sorted(seen - issued.keys()))
    unknown = [
        row for name, row in sorted(issued.items()) if row["period"] != period and name not in seen
    ]
    if unknown:
        first = unknown[0]
        raise MartsError(
            f"the published marts do not know {len(unknown)} issued statement"
            f"{'s' * (len(unknown) != 1)}, {first['statement_number']} of {first['period']} the "
            f"first: they are older than the ledger; {BUILD_FIRST}"
        )


def _require_ledger(marts: Marts, reader: Reader, lost: list[str]) -> None:
    remedy = (
        "this is another ledger or an older copy of it; put the right one back, or run "
        f"m2c restore and m2c reconcile, then {BUILD_FIRST.removeprefix('run ')}"
    )
    if lost:
        raise LedgerError(
            f"the marts show {len(lost)} statement{'s' * (len(lost) != 1)} as issued, {lost[0]} "
            f"the first, that the ledger does not hold: {remedy}"
        )
    head = marts.build_info()["ledger_head"]
    if head is not None and not reader.holds(head):
        raise LedgerError(
            f"the marts were built when the ledger's head was {head[:12]}…, which this ledger "
            f"never had: {remedy}"
        )
