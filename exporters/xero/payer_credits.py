"""Money that payers have with us beyond their invoices: overpaid, or paid in advance.

Only what belongs to a payer of ours (by its contact number) is written down. Where it cannot be
read (the app may lack the scope for it), only documents and their payments are known, and the next
poll asks again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Final

from sqlalchemy import select

from exporters.ledger import Ledger, Transaction, tables
from exporters.xero.client import Answer, CreditKind, XeroClient
from exporters.xero.compare import GONE
from exporters.xero.errors import AccessDeniedError, RefusedError, UnavailableError
from exporters.xero.report import CreditSeen, PaymentsReport
from exporters.xero.wire import Json, day, encode, items, money

CURSOR: Final = "xero-credits/"
KINDS: Final[dict[CreditKind, str]] = {"overpayment": "Overpayments", "prepayment": "Prepayments"}
_IDS: Final = {"overpayment": "OverpaymentID", "prepayment": "PrepaymentID"}


def poll_credits(
    client: XeroClient, ledger: Ledger, since: datetime | None, report: PaymentsReport
) -> datetime | None:
    """Record the overpayments and prepayments that changed; the server's time at the first answer,
    None if they cannot be read."""
    first: datetime | None = None
    contacts: dict[str, str | None] = {}
    for kind, name in KINDS.items():
        try:
            for answer in _answers(client, kind, since):
                first = first or answer.server_time
                found = [body for body in items(answer.content, name) if _is_ours(body)]
                contacts |= _contacts(client, found, contacts)
                if found:
                    with ledger.transaction() as tx:
                        _record(tx, kind, found, contacts, report)
        except (AccessDeniedError, RefusedError, UnavailableError) as error:
            report.notes.append(f"{name.lower()} are not known: {error}")
            return None
    return first


def _answers(client: XeroClient, kind: CreditKind, since: datetime | None) -> Iterator[Answer]:
    """Of everything, when the server's clock is before our cursor."""
    for answer in client.credits(kind, since):
        if since is not None and answer.server_time < since:
            yield from client.credits(kind, None)
            return
        yield answer


def _is_ours(body: Json) -> bool:
    """Money received; what was paid too much to a supplier is of no concern here."""
    return str(body.get("Type", "")).startswith("RECEIVE")


def _contact_of(body: Json) -> str:
    contact = body.get("Contact")
    return str(contact.get("ContactID") or "").lower() if isinstance(contact, dict) else ""


def _contacts(
    client: XeroClient, found: list[Json], known: dict[str, str | None]
) -> dict[str, str | None]:
    """Contact numbers, which are payer_ids, by contact: asked once a poll, together."""
    missing = sorted({contact for body in found if (contact := _contact_of(body))} - set(known))
    numbers: dict[str, str | None] = dict.fromkeys(missing)
    for answered in client.contacts_by_id(missing):
        number = answered.get("ContactNumber")
        contact_id = str(answered.get("ContactID", "")).lower()
        numbers[contact_id] = None if number is None else str(number)
    return numbers


def _record(
    tx: Transaction,
    kind: CreditKind,
    found: list[Json],
    contacts: dict[str, str | None],
    report: PaymentsReport,
) -> None:
    current, issued = tables.current_payer_credits, tables.issued_statements
    for body in found:
        payer_id = contacts.get(_contact_of(body))
        credit_id = body.get(_IDS[kind])
        if payer_id is None or not credit_id:
            continue
        if tx.first(select(issued.c.id).where(issued.c.payer_id == payer_id)) is None:
            continue
        total, remaining, on = (
            money(body.get("Total")),
            money(body.get("RemainingCredit")),
            day(body.get("DateString")) or day(body.get("Date")),
        )
        if total is None or remaining is None or on is None:
            report.notes.append(f"{kind} {credit_id} of {payer_id} has no amount or date")
            continue
        status = str(body.get("Status") or "")
        seen = CreditSeen(
            credit_id=str(credit_id),
            kind=kind,
            payer_id=payer_id,
            currency=str(body.get("CurrencyCode") or ""),
            date=on,
            total=total,
            remaining=Decimal(0) if status in GONE else remaining,
            status=status,
        )
        row = asdict(seen)
        last = tx.first(select(current).where(current.c.credit_id == seen.credit_id))
        if last is None or any(last[name] != value for name, value in row.items()):
            tx.record(tables.payer_credits, **row, raw=encode(body))
            report.credits.append(seen)
