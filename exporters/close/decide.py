"""Close: write down, for every statement of a period, what the rules say about it, and approve
those that the rules let pass. The rules themselves are in the marts (`statements.decision`); this
module turns them into facts, so any number of closes of the same numbers leaves the same
ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select

from exporters.close.approvals import (
    Row,
    Standing,
    approvals_by_statement,
    approvers_needed,
    blocked_words,
    is_blocked,
    standing,
)
from exporters.close.completeness import IncompleteSite, incomplete_sites
from exporters.close.periods import check_period, period_end
from exporters.close.stale import require_current
from exporters.ledger import Ledger, Reader, Transaction, tables
from exporters.ledger.types import jsonable
from exporters.ledger.words import money
from exporters.marts import Marts, reading

AUTOMATIC: Final = "m2c close"  # approved_by of automatic approvals


@dataclass(frozen=True)
class Decision:
    """One statement after the close. state: `issued`, `approved`, `needs_approval`, `blocked`, or
    `running` (its month is not over: a preview, nothing is approved automatically).
    `projected_total` is what the total will be if usage goes on as up to `measured_until`."""

    statement_id: str
    payer_id: str
    state: str
    decision: str
    reason: str
    lines: int
    net: Decimal
    tax: Decimal
    total: Decimal
    currency: str
    content_hash: str
    blocking_exceptions: int
    warnings: int
    approved_by: tuple[str, ...]
    projected_total: Decimal | None
    measured_until: datetime | None

    def describe(self) -> str:
        """The statement in one line."""
        return f"{self.statement_id}: {money(self.total, self.currency)}, {self.reason}"


@dataclass(frozen=True)
class CloseReport:
    """What a close found. `decisions_written` and `approvals_written` count facts that are new;
    `incomplete_sites` are those of which the period lacks readings."""

    period: str
    dry_run: bool
    statements: tuple[Decision, ...]
    decisions_written: int
    approvals_written: int
    incomplete_sites: tuple[IncompleteSite, ...] = ()

    @property
    def needs_person(self) -> bool:
        """Whether a blocking exception or an approval waits for somebody."""
        return any(found.state in {"blocked", "needs_approval"} for found in self.statements)

    @property
    def approved_by_rule(self) -> tuple[str, ...]:
        """The statements that nobody but the rules approved and that are not issued yet."""
        return tuple(
            found.statement_id
            for found in self.statements
            if found.state == "approved" and found.approved_by == (AUTOMATIC,)
        )

    def count(self, state: str) -> int:
        """How many statements are in a state."""
        return sum(found.state == state for found in self.statements)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, decimals as strings."""
        plain: dict[str, Any] = jsonable(asdict(self))
        return plain | {"needs_person": self.needs_person}

    def describe(self) -> list[str]:
        """The close in words: a summary, then every statement that needs somebody, and why, and
        every site of which readings are missing."""
        incomplete = [f"  incomplete {site.describe()}" for site in self.incomplete_sites]
        if not self.statements:
            return [f"{self.period}: no statements", *incomplete]
        words = {
            "issued": "issued",
            "approved": "approved",
            "needs_approval": "waiting for approval",
            "blocked": "blocked",
            "running": "previewed (the month is not over)",
        }
        counted = ", ".join(
            f"{self.count(state)} {word}" for state, word in words.items() if self.count(state)
        )
        waiting = [
            found for found in self.statements if found.state in {"blocked", "needs_approval"}
        ]
        count = len(self.statements)
        head = f"{self.period}: {count} statement{'s' * (count != 1)}: {counted}"
        return [
            head + (" (dry run)" if self.dry_run else ""),
            *self._running_totals(),
            *(f"  {found.describe()}" for found in waiting),
            *incomplete,
        ]

    def _running_totals(self) -> list[str]:
        """Of the statements whose month is not over, a line a currency."""
        running = [found for found in self.statements if found.state == "running"]
        lines = []
        for currency in sorted({found.currency for found in running}):
            ours = [found for found in running if found.currency == currency]
            line = f"  so far {money(sum((f.total for f in ours), Decimal(0)), currency)}"
            until = [f.measured_until for f in ours if f.measured_until is not None]
            if until:
                line += f" (measured up to {min(until):%Y-%m-%d %H:%M} UTC)"
            projected = [f.projected_total for f in ours if f.projected_total is not None]
            if len(projected) == len(ours):
                at_end = money(sum(projected, Decimal(0)), currency)
                line += f", at this rate about {at_end} at the end of the month"
            lines.append(line)
        return lines


def decide(
    marts: Marts | Path,
    ledger: Ledger,
    period: str,
    *,
    clock: Callable[[], datetime],
    dry_run: bool = False,
) -> CloseReport:
    """Decide about every statement of a period that is not issued.

    Writes a close_decision where it differs from the last one written, and an automatic approval of
    the content hash where the decision is `auto` and the statement's month is over. All in one
    transaction; a dry run writes nothing and reports the same.
    Raises CloseError for a malformed period, MartsError for marts that are missing or stale.
    """
    check_period(period)
    with reading(marts) as opened:
        statements = opened.statements(period)
        payers = opened.payers()
        blocking = opened.blocking(period)
        incomplete = incomplete_sites(opened, period)
        over = _over(opened, period, clock())
        if dry_run:
            with ledger.snapshot() as reader:
                require_current(opened, reader, period)
                found = [
                    _decision(row, payers, over, blocking, *_known(reader, period), dry_run=True)
                    for row in statements
                ]
            return CloseReport(period, True, tuple(found), 0, 0, incomplete)
        with ledger.transaction() as tx:
            require_current(opened, tx, period)
            issued, given = _known(tx, period)
            waiting = [row for row in statements if row["statement_id"] not in issued]
            decided = _write_decisions(tx, period, waiting)
            approved = _write_approvals(tx, period, waiting, over, given)
            issued, given = _known(tx, period)
            found = [
                _decision(row, payers, over, blocking, issued, given, dry_run=False)
                for row in statements
            ]
    return CloseReport(period, False, tuple(found), decided, approved, incomplete)


def _known(reader: Reader, period: str) -> tuple[dict[str, Row], dict[str, list[Row]]]:
    table = tables.issued_statements
    issued = reader.query(select(table).where(table.c.period == period))
    return {row["statement_id"]: row for row in issued}, approvals_by_statement(reader, period)


def _over(marts: Marts, period: str, now: datetime) -> dict[str, bool]:
    """By statement_id, whether its month is over for all its contracts that the book still has."""
    zones: dict[str, set[str]] = {}
    for row in marts.rows(
        "SELECT DISTINCT l.statement_id, c.billing_timezone FROM statement_lines l "
        "LEFT JOIN contracts c ON c.contract_id = l.contract_id WHERE l.period = ?",
        [period],
    ):
        known = zones.setdefault(row["statement_id"], set())
        if row["billing_timezone"] is not None:
            known.add(row["billing_timezone"])
    return {name: now >= period_end(period, found) for name, found in zones.items()}


def _write_decisions(tx: Transaction, period: str, statements: list[Row]) -> int:
    table = tables.close_decisions
    past = tx.query(select(table).where(table.c.period == period).order_by(table.c.id))
    last = {row["statement_id"]: row for row in past}
    said = ("content_hash", "decision", "reason", "total", "currency")
    new = []
    for row in statements:
        fact = {
            "period": period,
            "statement_id": row["statement_id"],
            "content_hash": row["content_hash"],
            "decision": "blocked" if is_blocked(row) else row["decision"],
            "reason": row["decision_reason"] or "",
            "total": row["total"],
            "currency": row["currency"],
        }
        before = last.get(row["statement_id"])
        if before is None or any(before[name] != fact[name] for name in said):
            new.append(fact)
    tx.record_many(table, new)
    return len(new)


def _write_approvals(
    tx: Transaction,
    period: str,
    statements: list[Row],
    over: dict[str, bool],
    given: dict[str, list[Row]],
) -> int:
    new = [
        {
            "statement_id": row["statement_id"],
            "period": period,
            "content_hash": row["content_hash"],
            "automatic": True,
            "approved_by": AUTOMATIC,
            "reason": row["decision_reason"] or "within the payer's automatic approval",
        }
        for row in statements
        if _passes(row, over)
        and not any(
            past["automatic"] and past["content_hash"] == row["content_hash"]
            for past in given.get(row["statement_id"], [])
        )
    ]
    tx.record_many(tables.approvals, new)
    return len(new)


def _passes(row: Row, over: dict[str, bool]) -> bool:
    return (
        row["decision"] == "auto"
        and not is_blocked(row)
        and row["lines"] > 0
        and over.get(row["statement_id"], False)
    )


def _decision(
    row: Row,
    payers: dict[str, Row],
    over: dict[str, bool],
    blocking: dict[str, list[str]],
    issued: dict[str, Row],
    given: dict[str, list[Row]],
    *,
    dry_run: bool,
) -> Decision:
    statement_id = row["statement_id"]
    needed = approvers_needed(payers.get(row["payer_id"]))
    stands = standing(row, given.get(statement_id, []), needed=needed)
    if dry_run and not stands.approved and _passes(row, over):
        stands = Standing(True, (AUTOMATIC,), row["decision_reason"] or "")
    if statement_id in issued:
        state, reason = "issued", f"issued as {issued[statement_id]['statement_number']}"
    elif is_blocked(row):
        state, reason = "blocked", blocked_words(row, blocking.get(statement_id, ()))
    elif stands.approved:
        state, reason = "approved", stands.reason
    elif row["decision"] == "auto" and not over.get(statement_id, False):
        state, reason = "running", "its month is not over yet"
    else:
        state, reason = "needs_approval", stands.reason
    return Decision(
        statement_id=statement_id,
        payer_id=row["payer_id"],
        state=state,
        decision=row["decision"],
        reason=reason,
        lines=row["lines"],
        net=row["net"],
        tax=row["tax"],
        total=row["total"],
        currency=row["currency"],
        content_hash=row["content_hash"],
        blocking_exceptions=row["blocking_exceptions"],
        warnings=row["warnings"],
        approved_by=stands.by,
        projected_total=row["projected_total"],
        measured_until=row["measured_until"],
    )
