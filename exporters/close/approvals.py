"""When a statement counts as approved. An approval names the content hash of the lines it was given
for and holds only for it. An automatic one holds, besides, only as long as the rule that gave it
still says `auto`. A payer whose approval_owner names several people (`anna|bo`) asks for that many
different approvers; they need not be those named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Select, select

from exporters.ledger import Reader, tables

Row = dict[str, Any]
SHOWN: Final = 3  # exceptions told in words; m2c exceptions lists them all


@dataclass(frozen=True)
class Standing:
    """Whether a statement is approved as its lines are now, by whom, and if not, why not."""

    approved: bool
    by: tuple[str, ...]
    reason: str


def approvals_of(statement_id: str) -> Select[Any]:
    """All approvals ever given to a statement, oldest first."""
    table = tables.approvals
    return select(table).where(table.c.statement_id == statement_id).order_by(table.c.id)


def approvals_by_statement(reader: Reader, period: str) -> dict[str, list[Row]]:
    """All approvals of a period, oldest first, by statement_id."""
    table = tables.approvals
    found: dict[str, list[Row]] = {}
    for row in reader.query(select(table).where(table.c.period == period).order_by(table.c.id)):
        found.setdefault(row["statement_id"], []).append(row)
    return found


def approvers_needed(payer: Row | None) -> int:
    """How many different people must approve what is not approved automatically."""
    owners = (payer or {}).get("approval_owner") or ""
    return max(1, len({name.strip() for name in owners.split("|") if name.strip()}))


def is_blocked(statement: Row) -> bool:
    """Whether a blocking exception stands on the statement; no approval helps against that."""
    return bool(statement["decision"] == "blocked" or statement["blocking_exceptions"])


def blocked_words(statement: Row, details: Sequence[str] = ()) -> str:
    """Why it is blocked: the first exceptions of the queue that block it, and how many there
    are."""
    if details:
        shown = "; ".join(details[:SHOWN])
        more = len(details) - SHOWN
        return f"blocked: {shown}" + (f"; and {more} more" if more > 0 else "")
    if statement["decision"] == "blocked" and statement["decision_reason"]:
        return f"blocked: {statement['decision_reason']}"
    count = statement["blocking_exceptions"]
    return f"blocked: {count} blocking exception{'s' * (count != 1)}"


def standing(statement: Row, given: Sequence[Row], *, needed: int) -> Standing:
    """Where a statement stands, from the approvals given to it so far."""
    now = [row for row in given if row["content_hash"] == statement["content_hash"]]
    by_hand = tuple(dict.fromkeys(row["approved_by"] for row in now if not row["automatic"]))
    automatic = next((row for row in now if row["automatic"]), None)
    if len(by_hand) >= needed:
        return Standing(True, by_hand, f"approved by {' and '.join(by_hand)}")
    if automatic and statement["decision"] == "auto":
        return Standing(True, (automatic["approved_by"],), automatic["reason"])
    why = statement["decision_reason"]
    if by_hand:
        return Standing(
            False,
            by_hand,
            f"in review: approved by {' and '.join(by_hand)}; "
            f"the payer asks for {needed} different approvers",
        )
    if automatic:
        return Standing(False, (), f"back in review: approved automatically before, but now: {why}")
    if given:
        last = given[-1]
        return Standing(
            False,
            (),
            f"back in review: its lines changed since {last['approved_by']} approved it "
            f"at {last['at']:%Y-%m-%d %H:%M} UTC",
        )
    if statement["decision"] == "auto":
        return Standing(False, (), "not approved yet: m2c close approves it automatically")
    return Standing(False, (), f"waits for approval: {why}")
