"""A statement as marts and ledger hold it: its lines, what was issued before it, the ledger's facts
of it, and since when its lines have been what they are."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, func, or_, select

from exporters.ledger import Ledger, Reader, tables
from exporters.line_keys import original_key
from exporters.marts import Marts
from exporters.statements.evidence.inputs import CREDIT, Stated
from exporters.statements.evidence.model import EvidenceError, Row

_AT_ONCE: Final = 500  # bound parameters in one query


def read_stated(
    marts: Marts, ledger: Ledger | None, statement: str
) -> tuple[Stated, datetime | None]:
    """The statement of an id or number, and the instant up to which landed rows were in its lines
    when it was issued (None while it is not).

    Raises EvidenceError if there is none, or if it has no lines.
    """
    found = marts.rows(
        "select * from statements where statement_id = $1 or statement_number = $1 "
        "order by statement_number is not distinct from $1 desc",
        [statement],
    )
    if not found:
        raise EvidenceError(f"no statement {statement!r}; see `m2c statements`")
    (head, *_) = found
    lines = marts.rows(
        "select * from statement_lines where statement_id = $1 order by line_key",
        [head["statement_id"]],
    )
    if not lines:
        raise EvidenceError(f"statement {head['statement_id']} has no lines to be recomputed")
    before: list[Row] = []
    drawn: list[Row] = _drawn_unissued(marts, head, lines)
    facts: list[tuple[object, ...]] = []
    disputes: list[Row] = []
    until: datetime | None = None
    if ledger is not None:
        with ledger.snapshot() as reader:
            issued = reader.first(
                select(tables.issued_statements).where(
                    tables.issued_statements.c.statement_id == head["statement_id"]
                )
            )
            before = _issued_before(reader, head, lines, issued)
            drawn += _drawn_issued(reader, head, lines, issued)
            facts = _facts(reader, head)
            if issued is not None:
                until = _unchanged_since(reader, issued)
            disputes = _disputes(reader, until)
    stated = Stated(
        statement=head,
        lines=lines,
        before=before,
        drawn=drawn,
        facts=facts,
        disputes=disputes,
        units=marts.rows("select * from usage_units"),
    )
    return stated, until


def _disputes(reader: Reader, until: datetime | None) -> list[Row]:
    """The last word on each disputed line and event, as of `until`."""
    said = tables.charge_disputes
    query = select(said).order_by(said.c.id)
    if until is not None:
        query = query.where(said.c.at <= until)
    return list({(row["scope"], row["subject"]): row for row in reader.query(query)}.values())


def _unchanged_since(reader: Reader, issued: Row) -> datetime | None:
    """When the lines that were issued were first decided about: what they are made of had landed
    by then."""
    decisions = tables.close_decisions
    found: datetime | None = reader.scalar(
        select(func.min(decisions.c.at))
        .where(decisions.c.statement_id == issued["statement_id"])
        .where(decisions.c.content_hash == issued["content_hash"])
    )
    return found or issued["at"]


def _issued_before(
    reader: Reader, head: Row, lines: list[dict[str, Any]], issued: Row | None
) -> list[Row]:
    """What the payer had been issued, in statements before this one, of the contracts and months
    that its lines are about."""
    line, statement = tables.issued_lines, tables.issued_statements
    months = {(row["contract_id"], row["adjusts_period"] or row["period"]) for row in lines}
    found: list[Row] = []
    for contracts in _chunks({contract for contract, _ in months}):
        query = (
            select(line)
            .join(statement, statement.c.statement_number == line.c.statement_number)
            .where(line.c.payer_id == head["payer_id"])
            .where(line.c.contract_id.in_(contracts))
            .where(line.c.charge_code != CREDIT)
            .order_by(line.c.id)
        )
        if issued is not None:
            query = query.where(statement.c.id < issued["id"])
        for row in reader.query(query):
            about = row["adjusts_period"] or row["period"]
            if (row["contract_id"], about) in months:
                found.append(row | {"original_key": original_key(row["line_key"])})
    return found


def _drawn_issued(
    reader: Reader, head: Row, lines: list[dict[str, Any]], issued: Row | None
) -> list[Row]:
    line, statement = tables.issued_lines, tables.issued_statements
    earlier: ColumnElement[bool] = line.c.period < head["period"]
    if issued is not None:
        earlier = or_(earlier, statement.c.id < issued["id"])
    found: list[Row] = []
    for contracts in _chunks({row["contract_id"] for row in lines if _is_credit(row)}):
        found += reader.query(
            select(line)
            .join(statement, statement.c.statement_number == line.c.statement_number)
            .where(line.c.contract_id.in_(contracts))
            .where(line.c.charge_code == CREDIT)
            .where(line.c.statement_id != head["statement_id"])
            .where(earlier)
            .order_by(line.c.id)
        )
    return [{**row, "credit_id": _credit_id(row)} for row in found]


def _drawn_unissued(marts: Marts, head: Row, lines: list[dict[str, Any]]) -> list[Row]:
    """Draws of earlier months that are not issued yet: what is left of a balance counts them."""
    contracts = sorted({row["contract_id"] for row in lines if _is_credit(row)})
    if not contracts or head["state"] == "issued":
        return []
    rows = marts.rows(
        """
        select lines.* from statement_lines as lines
        inner join statements on lines.statement_id = statements.statement_id
        where lines.charge_model = 'credit' and statements.state != 'issued'
            and lines.period < $1 and list_contains($2, lines.contract_id)
        order by lines.line_key
        """,
        [head["period"], contracts],
    )
    return [row | {"credit_id": _credit_id(row)} for row in rows]


def _is_credit(line: Row) -> bool:
    return bool(line["charge_model"] == CREDIT)


def _credit_id(line: Row) -> str:
    return str(line["line_key"]).rsplit("/", 1)[-1]


def _facts(reader: Reader, head: Row) -> list[tuple[object, ...]]:
    """What the ledger says of the statement, as it hashed it."""
    by_id = (tables.close_decisions, tables.approvals, tables.issued_statements)
    facts = [
        fact
        for table in (*by_id, tables.issued_lines)
        for fact in reader.chained(table, table.c.statement_id == head["statement_id"])
    ]
    return [
        (
            *(fact.seq, fact.table, fact.row_id, fact.text),
            *(fact.row_hash, fact.prev_hash, fact.hash),
        )
        for fact in sorted(facts, key=lambda fact: fact.seq)
    ]


def _chunks(names: set[str]) -> list[list[str]]:
    ordered = sorted(names)
    return [ordered[start : start + _AT_ONCE] for start in range(0, len(ordered), _AT_ONCE)]
