"""Number series that go on behind numbers which a restored ledger does not know to be taken."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from exporters.ledger import Reader, tables


def number_in(series: str, statement_number: str) -> int | None:
    """Which number of a series that is; None if it is of another."""
    found, _, number = statement_number.rpartition("-")
    return int(number) if found == series and number.isdecimal() else None


def advance(
    reader: Reader, series: str, statement_number: str, reason: str
) -> tuple[tuple[str, dict[str, Any]], str] | None:
    """The fact, as (table, values), by which a series goes on behind a number, and the same in
    words; None if the ledger is as far."""
    series_no = number_in(series, statement_number)
    known = max(
        reader.scalar(select(func.max(table.c.series_no)).where(table.c.series == series)) or 0
        for table in (tables.issued_statements, tables.series_advances)
    )
    if series_no is None or series_no <= known:
        return None
    values = {"series": series, "series_no": series_no, "reason": reason}
    words = f"the numbers of {series} go on behind {statement_number}; the ledger had {known}"
    return (tables.series_advances.name, values), words
