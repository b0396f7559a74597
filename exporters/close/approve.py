"""Approve one statement by hand: bind a person, a reason, and the account they worked under to the
exact lines they looked at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from sqlalchemy import select

from exporters.close.approvals import (
    approvals_of,
    approvers_needed,
    blocked_words,
    is_blocked,
    standing,
)
from exporters.close.errors import CloseError, RefusedError
from exporters.ledger import Ledger, tables
from exporters.ledger.types import jsonable
from exporters.ledger.words import money
from exporters.marts import Marts, reading


@dataclass(frozen=True)
class ApprovalReport:
    """An approval and where the statement stands with it. `recorded` is False if the same person
    had approved the same lines before; nothing is written then."""

    statement_id: str
    period: str
    content_hash: str
    total: Decimal
    currency: str
    by: str
    recorded: bool
    approved: bool
    standing: str

    @property
    def needs_person(self) -> bool:
        """Whether another approver is still waited for."""
        return not self.approved

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, decimals as strings."""
        plain: dict[str, Any] = jsonable(asdict(self))
        return plain | {"needs_person": self.needs_person}

    def describe(self) -> list[str]:
        """The approval in words."""
        before = "" if self.recorded else " (recorded before)"
        return [f"{self.statement_id}: {money(self.total, self.currency)}, {self.standing}{before}"]


def approve(
    marts: Marts | Path,
    ledger: Ledger,
    statement_id: str,
    *,
    by: str,
    reason: str,
    content_hash: str | None = None,
    period: str | None = None,
) -> ApprovalReport:
    """Approve a statement as it stands in the marts now.

    content_hash: what the approver looked at, if known; another one in the marts is refused.
    period: the month it must be of, if that matters.
    Raises CloseError for an unknown statement (naming near ones) or an empty name or reason,
    RefusedError for one that is issued, blocked, without lines, or changed.
    """
    by, reason = by.strip(), reason.strip()
    if not by or not reason:
        raise CloseError(f"approving {statement_id} needs a name (--by) and a reason (--reason)")
    with reading(marts) as opened:
        statement = opened.statement(statement_id)
        if statement is None:
            raise CloseError(_unknown(opened, statement_id))
        if period is not None and statement["period"] != period:
            raise CloseError(f"{statement_id} is of {statement['period']}, not of {period}")
        payer = opened.payers().get(statement["payer_id"])
        blocking = opened.blocking(statement["period"]).get(statement_id, ())
    if is_blocked(statement):
        raise RefusedError(f"{statement_id} is {blocked_words(statement, blocking)}")
    if statement["lines"] == 0:
        raise RefusedError(f"{statement_id} has no lines: there is nothing to approve")
    if content_hash is not None and content_hash != statement["content_hash"]:
        raise RefusedError(
            f"{statement_id} changed since you looked at it: look again, then approve"
        )
    with ledger.transaction() as tx:
        table = tables.issued_statements
        issued = tx.first(select(table).where(table.c.statement_id == statement_id))
        if issued is not None:
            raise RefusedError(f"{statement_id} is issued already, as {issued['statement_number']}")
        given = tx.query(approvals_of(statement_id))
        recorded = not any(
            row["content_hash"] == statement["content_hash"]
            and row["approved_by"] == by
            and not row["automatic"]
            for row in given
        )
        if recorded:
            tx.record(
                tables.approvals,
                statement_id=statement_id,
                period=statement["period"],
                content_hash=statement["content_hash"],
                automatic=False,
                approved_by=by,
                reason=reason,
            )
        stands = standing(
            statement, tx.query(approvals_of(statement_id)), needed=approvers_needed(payer)
        )
    return ApprovalReport(
        statement_id=statement_id,
        period=statement["period"],
        content_hash=statement["content_hash"],
        total=statement["total"],
        currency=statement["currency"],
        by=by,
        recorded=recorded,
        approved=stands.approved,
        standing=stands.reason,
    )


def _unknown(marts: Marts, statement_id: str) -> str:
    known = [row["statement_id"] for row in marts.rows("SELECT statement_id FROM statements")]
    inside = sorted(name for name in known if statement_id.lower() in name.lower())
    near = list(dict.fromkeys(get_close_matches(statement_id, known, n=5, cutoff=0.6) + inside))
    if near:
        return f"there is no statement {statement_id!r}; did you mean {', '.join(near[:5])}?"
    return (
        f"there is no statement {statement_id!r}; a statement_id is written "
        "<payer_id>/<YYYY-MM>/<group>, and m2c close lists those of a month"
    )
