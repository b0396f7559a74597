"""Issue: freeze approved statements. What an approver agreed to is copied into the ledger, line by
line, under a number that is given once; nothing here computes an amount. Each statement is issued
in a transaction of its own, in which everything it depends on in the ledger is read again: a
process that dies leaves whole statements, and the next run goes on with the others.

The issue date is the calendar date where the seller is; the due date follows by payment terms.
Numbers are `<payer_id>-0001`, 0002 …, one series a payer without gaps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from sqlalchemy import func, select

from exporters.close.approvals import (
    Row,
    approvals_of,
    approvers_needed,
    blocked_words,
    is_blocked,
    standing,
)
from exporters.close.errors import CloseError
from exporters.close.periods import check_period, local_date, period_end
from exporters.close.stale import require_current
from exporters.ledger import Ledger, Reader, Transaction, restored, tables
from exporters.ledger.types import jsonable
from exporters.ledger.words import money
from exporters.marts import Marts, reading

LINE_COLUMNS: Final = tuple(
    column.name
    for column in tables.issued_lines.columns
    if column.name not in {"id", "at", "actor", "os_user", "host", "statement_number", "line_no"}
)
REQUIRED: Final = tuple(
    name for name in LINE_COLUMNS if not tables.issued_lines.columns[name].nullable
)
KEYS_AT_ONCE: Final = 500  # bound parameters in one query


@dataclass(frozen=True)
class Outcome:
    """One statement after issuing. outcome: `issued`, `planned` (dry run: would be issued, under
    that number if nothing else is), `already_issued`, or `refused`, with the reason."""

    statement_id: str
    payer_id: str
    outcome: str
    statement_number: str | None
    reason: str
    lines: int
    total: Decimal
    currency: str
    content_hash: str
    issue_date: date | None
    due_date: date | None

    def describe(self) -> str:
        """The statement in one line."""
        kind = ", a credit note" if self.total < 0 else ""
        if self.outcome == "refused":
            return f"{self.statement_id}: not issued: {self.reason}"
        words = {
            "issued": "issued as",
            "planned": "would be issued as",
            "already_issued": "was issued before as",
        }[self.outcome]
        amount = money(self.total, self.currency)
        return f"{self.statement_id}: {words} {self.statement_number}, {amount}{kind}"


@dataclass(frozen=True)
class IssueReport:
    """What issuing a period did, or would do. `notes` are about the period as a whole."""

    period: str
    dry_run: bool
    statements: tuple[Outcome, ...]
    notes: tuple[str, ...]

    @property
    def needs_person(self) -> bool:
        """Whether a statement could not be issued."""
        return any(found.outcome == "refused" for found in self.statements)

    def count(self, outcome: str) -> int:
        """How many statements came out so."""
        return sum(found.outcome == outcome for found in self.statements)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, decimals as strings."""
        plain: dict[str, Any] = jsonable(asdict(self))
        return plain | {"needs_person": self.needs_person}

    def describe(self) -> list[str]:
        """The run in words: a summary, notes, then what was issued and what was not, and why."""
        words = {
            "issued": "issued",
            "planned": "to be issued",
            "already_issued": "issued before",
            "refused": "not issued",
        }
        counted = [f"{self.count(name)} {word}" for name, word in words.items() if self.count(name)]
        head = f"{self.period}: {', '.join(counted) or 'no statements'}"
        told = [found for found in self.statements if found.outcome != "already_issued"]
        return [
            head + (" (dry run)" if self.dry_run else ""),
            *(f"  note: {note}" for note in self.notes),
            *(f"  {found.describe()}" for found in told),
        ]


@dataclass(frozen=True)
class _Ready:
    """A statement that can be issued as far as the marts tell."""

    statement: Row
    lines: list[Row]
    inputs: list[Row]
    payer: Row
    seller: Row
    approvers: int


class _Refusal(Exception):  # noqa: N818 - an answer, not an error
    """Why one statement is not issued."""


def issue(
    marts: Marts | Path,
    ledger: Ledger,
    period: str,
    *,
    clock: Callable[[], datetime],
    code_version: str,
    dry_run: bool = False,
) -> IssueReport:
    """Issue every approved statement of a period; say of each other one why not.

    code_version: the git commit (or release) that made the marts' numbers. A dry run writes
    nothing. Raises CloseError for a malformed period or an empty code_version, MartsError for
    marts that are missing or stale."""
    check_period(period)
    if not code_version.strip():
        raise CloseError("issuing needs the code version (git commit), which every statement names")
    with reading(marts) as opened:
        statements = opened.statements(period)
        payers, sellers = opened.payers(), opened.sellers()
        zones, blocking = _timezones(opened), opened.blocking(period)
        now = clock()
        notes = _notes(opened, period)
        with ledger.snapshot() as reader:
            require_current(opened, reader, period)
        taken: Counter[str] = Counter()
        outcomes = []
        for statement in statements:
            try:
                with ledger.snapshot() as reader:
                    before = _issued(reader, statement["statement_id"])
                if before is not None:
                    outcomes.append(_already(statement, before))
                    continue
                if is_blocked(statement):
                    raise _Refusal(
                        blocked_words(statement, blocking.get(statement["statement_id"], ()))
                    )
                ready = _prepare(opened, statement, payers, sellers, zones, now)
                if dry_run:
                    with ledger.snapshot() as reader:
                        outcome = _plan(reader, ready, now, taken)
                else:
                    with ledger.transaction() as tx:
                        outcome = _freeze(tx, ready, now, code_version)
            except _Refusal as refusal:
                outcome = _outcome(statement, "refused", reason=str(refusal))
            outcomes.append(outcome)
    return IssueReport(period, dry_run, tuple(outcomes), notes)


def _prepare(
    marts: Marts,
    statement: Row,
    payers: Mapping[str, Row],
    sellers: Mapping[str, Row],
    zones: Mapping[str, str],
    now: datetime,
) -> _Ready:
    """Everything that must hold in the marts before a statement may be issued."""
    lines = marts.lines(statement["statement_id"])
    _check_lines(statement, lines)
    known = {zones[line["contract_id"]] for line in lines if line["contract_id"] in zones}
    end = period_end(statement["period"], known)
    if now < end:
        raise _Refusal(f"its month is not over before {end:%Y-%m-%d %H:%M} UTC")
    payer = payers.get(statement["payer_id"])
    if payer is None:
        raise _Refusal(f"the book has no payer {statement['payer_id']}: add it to payers.csv")
    missing = [name for name in ("address_line1", "city") if not payer[name]]
    if missing:
        raise _Refusal(f"payer {payer['payer_id']} has no {' and no '.join(missing)}: fill it in")
    seller = sellers.get(statement["seller_id"] or payer["seller_id"] or "")
    if seller is None:
        if not sellers:
            raise _Refusal("the book has no seller.yml: a statement must say who issues it")
        raise _Refusal(f"seller {statement['seller_id']!r} is not in seller.yml")
    return _Ready(
        statement,
        lines,
        marts.inputs(statement["statement_id"]),
        payer,
        seller,
        approvers_needed(payer),
    )


def _check_lines(statement: Row, lines: list[Row]) -> None:
    """The lines are those of the statement, whole, and add up to it to the cent."""
    if not lines:
        raise _Refusal("it has no lines")
    for line in lines:
        for name in REQUIRED:
            if line[name] is None:
                raise _Refusal(f"line {line['line_key']} has no {name}")
        for name in ("period", "payer_id", "currency", "statement_kind"):
            if line[name] != statement[name]:
                raise _Refusal(
                    f"line {line['line_key']} has {name} {line[name]}, "
                    f"its statement {statement[name]}"
                )
    net = sum((line["amount"] for line in lines), Decimal(0))
    tax = sum((line["tax_amount"] for line in lines), Decimal(0))
    for name, found in (("net", net), ("tax", tax), ("total", net + tax), ("lines", len(lines))):
        if statement[name] != found:
            raise _Refusal(
                f"its lines give {name} {found}, marts.statements says {statement[name]}: "
                "run m2c build; if it stays so, this is a fault of the program"
            )


def _freeze(tx: Transaction, ready: _Ready, now: datetime, code_version: str) -> Outcome:
    statement = ready.statement
    before = _issued(tx, statement["statement_id"])
    if before is not None:  # another process was faster
        return _already(statement, before)
    # What was issued after the copy was made is not known: a number could be given twice.
    if (why := restored.why_not_reconciled(tx)) is not None:
        raise _Refusal(why)
    planned = _check_ledger(tx, ready, now, ahead=0)
    series_no = _next_number(tx, ready.payer["payer_id"])
    number = planned.statement_number
    tx.record(
        tables.issued_statements,
        statement_id=statement["statement_id"],
        statement_number=number,
        series=ready.payer["payer_id"],
        series_no=series_no,
        period=statement["period"],
        statement_kind=statement["statement_kind"],
        payer_id=statement["payer_id"],
        seller_id=ready.seller["seller_id"],
        currency=statement["currency"],
        net=statement["net"],
        tax=statement["tax"],
        total=statement["total"],
        content_hash=statement["content_hash"],
        book_version=statement["book_version"],
        code_version=code_version,
        issue_date=planned.issue_date,
        due_date=planned.due_date,
    )
    tx.record_many(
        tables.issued_lines,
        (
            {"statement_number": number, "line_no": line_no}
            | {name: line[name] for name in LINE_COLUMNS}
            for line_no, line in enumerate(ready.lines, start=1)
        ),
    )
    tx.record_many(
        tables.issued_inputs, ({"statement_number": number} | noted for noted in ready.inputs)
    )
    return replace(planned, outcome="issued")


def _plan(reader: Reader, ready: _Ready, now: datetime, taken: Counter[str]) -> Outcome:
    series = ready.payer["payer_id"]
    planned = _check_ledger(reader, ready, now, ahead=taken[series])
    taken[series] += 1
    return planned


def _check_ledger(reader: Reader, ready: _Ready, now: datetime, *, ahead: int) -> Outcome:
    """Everything that must hold in the ledger; the statement as it would be issued."""
    statement, payer = ready.statement, ready.payer
    given = reader.query(approvals_of(statement["statement_id"]))
    stands = standing(statement, given, needed=ready.approvers)
    if not stands.approved:
        raise _Refusal(stands.reason)
    _refuse_issued_lines(reader, ready.lines)
    lost = restored.lost_statement(reader, statement["statement_id"])
    if lost is not None:
        raise _Refusal(
            f"it was issued as {lost['statement_number']} before the ledger was put back to an "
            "older copy; if it shall go out again under a new number: m2c reconcile --issue-again "
            f"{statement['statement_id']} --by … --reason …"
        )
    issue_date = local_date(now, ready.seller["country"])
    return _outcome(
        statement,
        "planned",
        reason=stands.reason,
        statement_number=statement_number(
            payer["payer_id"], _next_number(reader, payer["payer_id"]) + ahead
        ),
        issue_date=issue_date,
        due_date=issue_date + timedelta(days=payer["payment_terms_days"]),
    )


def statement_number(series: str, series_no: int) -> str:
    """The number printed on a statement."""
    return f"{series}-{series_no:04d}"


def _next_number(reader: Reader, series: str) -> int:
    """One more than the highest number given, or found taken after a restore."""
    highest = 0
    for table in (tables.issued_statements, tables.series_advances):
        found = reader.scalar(select(func.max(table.c.series_no)).where(table.c.series == series))
        highest = max(highest, found or 0)
    return highest + 1


def _refuse_issued_lines(reader: Reader, lines: list[Row]) -> None:
    table = tables.issued_lines
    keys = [line["line_key"] for line in lines]
    for start in range(0, len(keys), KEYS_AT_ONCE):
        found = reader.first(
            select(table.c.line_key, table.c.statement_number)
            .where(table.c.line_key.in_(keys[start : start + KEYS_AT_ONCE]))
            .order_by(table.c.id)
        )
        if found is not None:
            raise _Refusal(
                f"line {found['line_key']} is issued already, on {found['statement_number']}: "
                "run m2c build"
            )


def _issued(reader: Reader, statement_id: str) -> Row | None:
    table = tables.issued_statements
    return reader.first(select(table).where(table.c.statement_id == statement_id))


def _already(statement: Row, issued: Row) -> Outcome:
    """As the ledger froze it, whatever the marts say now."""
    return Outcome(
        statement_id=issued["statement_id"],
        payer_id=issued["payer_id"],
        outcome="already_issued",
        statement_number=issued["statement_number"],
        reason=f"issued at {issued['at']:%Y-%m-%d %H:%M} UTC",
        lines=statement["lines"],
        total=issued["total"],
        currency=issued["currency"],
        content_hash=issued["content_hash"],
        issue_date=issued["issue_date"],
        due_date=issued["due_date"],
    )


def _outcome(
    statement: Row,
    outcome: str,
    *,
    reason: str,
    statement_number: str | None = None,
    issue_date: date | None = None,
    due_date: date | None = None,
) -> Outcome:
    return Outcome(
        statement_id=statement["statement_id"],
        payer_id=statement["payer_id"],
        outcome=outcome,
        statement_number=statement_number,
        reason=reason,
        lines=statement["lines"],
        total=statement["total"],
        currency=statement["currency"],
        content_hash=statement["content_hash"],
        issue_date=issue_date,
        due_date=due_date,
    )


def _timezones(marts: Marts) -> dict[str, str]:
    rows = marts.rows("SELECT DISTINCT contract_id, billing_timezone FROM contracts")
    return {row["contract_id"]: row["billing_timezone"] for row in rows}


def _notes(marts: Marts, period: str) -> tuple[str, ...]:
    """What finance should know before it goes on, though it stops nothing."""
    earlier = marts.rows(
        "SELECT period, count(*) AS open FROM statements "
        "WHERE period < ? AND state <> 'issued' GROUP BY period ORDER BY period",
        [period],
    )
    return tuple(
        f"{row['period']} still has {row['open']} statement{'s' * (row['open'] != 1)} not issued"
        for row in earlier
    )
