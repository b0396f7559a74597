"""How bank lines stand to statements: the reading that matching, reminders and posting share.

A confirmed match is on its way until Xero shows its payment: that which was posted for it, or one
that a person entered (then the match is explained by it)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Select, select

from exporters.ledger import tables
from exporters.ledger.store import Reader

CONFIRMED: Final = "confirmed"
EXPLAINED: Final = "explained"
LIVE: Final = (CONFIRMED, EXPLAINED)
_SEPARATORS: Final = re.compile(r"[^0-9A-Za-z]+")


@dataclass(frozen=True, kw_only=True)
class Match:
    """What of a bank line is for a statement. posted: the payment made for it in Xero. shown: the
    status of its payment there as last seen, None as long as none was."""

    match_id: int
    line_id: str
    statement_number: str
    amount: Decimal
    currency: str
    state: str
    account: str
    booked_on: date
    counterparty_name: str
    by: str
    reason: str
    payment_id: str | None
    posted: str | None
    shown: str | None

    @property
    def in_flight(self) -> bool:
        """Whether the money has come and Xero does not show it."""
        return self.state == CONFIRMED and self.shown is None

    @property
    def taken_back(self) -> bool:
        """Whether the payment made for it was deleted in Xero."""
        return self.posted is not None and self.shown not in (None, "AUTHORISED")

    def describe(self) -> str:
        """The match in words."""
        sender = f" from {self.counterparty_name}" if self.counterparty_name else ""
        return f"{self.amount} {self.currency} on {self.booked_on}{sender} ({self.line_id})"


def matches(reader: Reader) -> list[Match]:
    """The matches that hold, confirmed or explained, in the order of their making. One whose
    payment a person took back in Xero explains nothing any more, and is left out."""
    current, lines = tables.current_bank_matches, tables.bank_lines
    found: Select[Any] = (
        select(
            current,
            lines.c.account,
            lines.c.booked_on,
            lines.c.counterparty_name,
        )
        .join(lines, lines.c.line_id == current.c.line_id)
        .where(current.c.state.in_(LIVE))
        .order_by(current.c.id)
    )
    payments = {row["payment_id"]: row for row in reader.query(select(tables.current_payments))}
    posted = {
        row["match_id"]: row["payment_id"] for row in reader.query(select(tables.bank_payments))
    }
    made = []
    for row in reader.query(found):
        payment_id = posted.get(row["id"])
        shown = payments.get(row["payment_id"] or payment_id)
        if row["state"] == EXPLAINED and (shown is None or shown["status"] != "AUTHORISED"):
            continue
        made.append(
            Match(
                match_id=row["id"],
                line_id=row["line_id"],
                statement_number=row["statement_number"],
                amount=row["amount"],
                currency=row["currency"],
                state=row["state"],
                account=row["account"],
                booked_on=row["booked_on"],
                counterparty_name=row["counterparty_name"] or "",
                by=row["by"],
                reason=row["reason"],
                payment_id=row["payment_id"],
                posted=payment_id,
                shown=None if shown is None else shown["status"],
            )
        )
    return made


def in_flight(reader: Reader) -> dict[str, str]:
    """Confirmed payments that Xero does not show yet, in words, by statement number."""
    found: dict[str, list[str]] = {}
    for match in matches(reader):
        if match.in_flight:
            found.setdefault(match.statement_number, []).append(match.describe())
    return {
        number: ", ".join(words) + " is at the bank, not yet in Xero"
        for number, words in found.items()
    }


def account_name(written: str | None) -> str:
    """An account without separators, in capitals: banks write it in groups or not."""
    return _SEPARATORS.sub("", written or "").upper()
