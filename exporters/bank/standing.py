"""How bank lines and documents stand, read from the ledger: what matching and people's decisions go
by. Nothing is decided here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from exporters.bank.matching import Document, Line, Payment
from exporters.bank.model import OurAccount
from exporters.ledger import Reader, tables
from exporters.ledger.banking import Match, account_name, matches

GONE = ("VOIDED", "DELETED")


@dataclass(frozen=True)
class Standing:
    """rows: every bank line as the ledger has it, by line_id. live: matches that hold, by line_id.
    documents: by number, what is on its way taken off."""

    lines: Mapping[str, Line]
    rows: Mapping[str, Mapping[str, Any]]
    live: Mapping[str, Sequence[Match]]
    dismissed: Mapping[str, str]
    rejected: frozenset[tuple[str, str]]
    documents: dict[str, Document]
    payments: list[Payment]
    seen_accounts: Mapping[str, frozenset[str]]

    def is_decided(self, line_id: str) -> bool:
        """Whether a line was matched or dismissed."""
        return bool(self.live.get(line_id)) or line_id in self.dismissed

    @property
    def undecided(self) -> list[Line]:
        """Lines that nobody and nothing has explained, by day."""
        found = [line for line_id, line in self.lines.items() if not self.is_decided(line_id)]
        return sorted(found, key=lambda line: (line.booked_on, line.line_id))

    def left_of(self, line_id: str) -> Decimal:
        """What of a line is for no statement yet."""
        taken = sum((match.amount for match in self.live.get(line_id, ())), Decimal(0))
        return self.lines[line_id].amount - taken


def read_standing(
    reader: Reader, payer_names: Mapping[str, str], accounts: Iterable[OurAccount]
) -> Standing:
    """Everything as it is now. payer_names: by payer_id, of the book."""
    rows = {
        row["line_id"]: row
        for row in reader.query(select(tables.bank_lines).order_by(tables.bank_lines.c.id))
    }
    live: dict[str, list[Match]] = defaultdict(list)
    held = matches(reader)
    for match in held:
        live[match.line_id].append(match)
    dismissals = reader.query(select(tables.current_bank_dismissals))
    current = tables.current_bank_matches
    rejected = reader.query(select(current).where(current.c.state == "rejected"))
    issued = {
        row["statement_number"]: row
        for row in reader.query(
            select(tables.issued_statements).order_by(tables.issued_statements.c.id)
        )
    }
    return Standing(
        lines={line_id: _line(row) for line_id, row in rows.items()},
        rows=rows,
        live=live,
        dismissed={row["line_id"]: row["reason"] for row in dismissals if row["dismissed"]},
        rejected=frozenset((row["line_id"], row["statement_number"]) for row in rejected),
        documents=_documents(reader, issued, held, payer_names, list(accounts)),
        payments=_payments(reader, issued, held, payer_names),
        seen_accounts=_seen(rows, issued, held),
    )


def _line(row: Mapping[str, Any]) -> Line:
    return Line(
        line_id=row["line_id"],
        account=row["account"],
        currency=row["currency"],
        booked_on=row["booked_on"],
        amount=row["amount"],
        counterparty_name=row["counterparty_name"] or "",
        counterparty_account=account_name(row["counterparty_account"]),
        text="\n".join(row[name] for name in ("remittance", "end_to_end_id") if row[name]),
        reversal=row["reversal"],
    )


def _documents(
    reader: Reader,
    issued: Mapping[str, Mapping[str, Any]],
    held: Sequence[Match],
    payer_names: Mapping[str, str],
    accounts: Sequence[OurAccount],
) -> dict[str, Document]:
    """Sales documents, and what of each is due and not on its way."""
    shown = {row["statement_number"]: row for row in reader.query(select(tables.current_documents))}
    coming: dict[str, Decimal] = defaultdict(Decimal)
    for match in held:
        if match.in_flight:
            coming[match.statement_number] += match.amount
    found = {}
    for number, row in issued.items():
        document = shown.get(number)
        if row["total"] < 0:
            continue
        due = row["total"]
        if document is not None and document["amount_due"] is not None:
            due = document["amount_due"]
        if document is not None and document["status"] in GONE:
            due = Decimal(0)
        found[number] = Document(
            number=number,
            payer_id=row["payer_id"],
            payer_name=payer_names.get(row["payer_id"], row["payer_id"]),
            currency=row["currency"],
            open_amount=max(due - coming[number], Decimal(0)),
            due_date=row["due_date"],
            accounts=frozenset(
                one.account
                for one in accounts
                if (one.seller_id, one.currency) == (row["seller_id"], row["currency"])
            ),
        )
    return found


def _payments(
    reader: Reader,
    issued: Mapping[str, Mapping[str, Any]],
    held: Sequence[Match],
    payer_names: Mapping[str, str],
) -> list[Payment]:
    """Payments that Xero shows, that were not posted from here, and that no line explains."""
    current = tables.current_payments
    posted = {row["payment_id"] for row in reader.query(select(tables.bank_payments))}
    linked = {match.payment_id for match in held if match.payment_id} | posted
    return [
        Payment(
            payment_id=row["payment_id"],
            number=row["statement_number"],
            payer_id=issued[row["statement_number"]]["payer_id"],
            payer_name=payer_names.get(
                issued[row["statement_number"]]["payer_id"],
                issued[row["statement_number"]]["payer_id"],
            ),
            amount=row["amount"],
            currency=row["currency"],
            paid_on=row["paid_on"],
        )
        for row in reader.query(select(current).order_by(current.c.id))
        if row["status"] == "AUTHORISED"
        and row["amount"] > 0
        and row["payment_id"] not in linked
        and row["statement_number"] in issued
    ]


def _seen(
    rows: Mapping[str, Mapping[str, Any]],
    issued: Mapping[str, Mapping[str, Any]],
    held: Sequence[Match],
) -> dict[str, frozenset[str]]:
    """Payers by the accounts that matched lines came from."""
    found: dict[str, set[str]] = defaultdict(set)
    for match in held:
        account = account_name(rows[match.line_id]["counterparty_account"])
        if account and match.statement_number in issued:
            found[account].add(issued[match.statement_number]["payer_id"])
    return {account: frozenset(payers) for account, payers in found.items()}
