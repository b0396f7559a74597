"""Everything that collections knows before it decides, read from the ledger and the marts.

What was issued, seen in Xero, paid, reminded, held, promised and disputed comes from the ledger,
which is always current; payers, sellers, policies, holidays and settings from the marts, which are
the book. Nothing is decided here.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from exporters.collections.addresses import is_address
from exporters.collections.letter import Sender
from exporters.collections.model import (
    INVOICE,
    PENDING,
    SENT,
    UNKNOWN,
    Fired,
    Hold,
    Payer,
    Promise,
    Receivable,
    Situation,
)
from exporters.collections.policy import EMAIL, Policy, read_policies
from exporters.collections.texts import Texts, built_in_texts
from exporters.ledger import banking, tables
from exporters.marts import Marts, open_marts
from exporters.statements.formats import formats_for

if TYPE_CHECKING:
    from exporters.ledger import Reader

REMINDER_MAIL = "reminder_mail"
ESCALATION_MAIL = "escalation_mail"
PAYMENTS_POLL = "xero/"
"""Polls of payments are named by this and the organisation."""
BOUNCE_COUNTS_FOR = timedelta(days=30)
"""After this an address that bounced is tried again: the mailbox may have come back."""

# What a payment is called between being started and being booked.
_IN_FLIGHT = frozenset({"PENDING", "SUBMITTED", "PROCESSING", "INITIATED", "IN_FLIGHT"})


@dataclass(frozen=True, kw_only=True)
class Book:
    """What collections needs of the book."""

    payers: Mapping[str, Payer]
    senders: Mapping[str, Sender]
    """by seller_id, and the default seller under the key ''"""
    tenants: Mapping[str, str]
    """organisation in Xero by seller_id, where the book names one"""
    policies: Mapping[str, Policy]
    holidays: frozenset[tuple[str, date]]
    payments_fresh_hours: int

    def sender_for(self, payer: Payer) -> Sender:
        return self.senders.get(payer.seller_id or "") or self.senders[""]


def read_book(marts_path: Path, *, bounce_address: str | None = None) -> Book:
    """The book's part, from the published marts. bounce_address: where undeliverable mail of every
    seller comes back to; see `Sender`."""
    with open_marts(marts_path) as marts:
        hours = marts.settings()["payments_fresh_hours"]
        return Book(
            payers=_payers(marts),
            senders=_senders(marts, bounce_address),
            tenants={
                seller_id: seller["xero_tenant_id"]
                for seller_id, seller in marts.sellers().items()
                if seller["xero_tenant_id"]
            },
            policies=read_policies(marts),
            holidays=frozenset((row["country"], row["date"]) for row in marts.table("holidays")),
            payments_fresh_hours=6 if hours is None else hours,
        )


def _payers(marts: Marts) -> dict[str, Payer]:
    return {
        payer_id: Payer(
            payer_id=payer_id,
            name=row["name"],
            country=row["country"],
            currency=row["currency"],
            email=row["email"] or "",
            language=row["language"],
            dunning_policy=row["dunning_policy"],
            seller_id=row["seller_id"],
        )
        for payer_id, row in marts.payers().items()
    }


def bank_line(account: Mapping[str, Any]) -> str:
    """A bank account of seller.yml (bank, iban, bic, account; None where absent) in one line."""
    parts = (("", "bank"), ("IBAN ", "iban"), ("BIC ", "bic"), ("", "account"))
    return ", ".join(label + account[key] for label, key in parts if account[key])


def letterhead(seller: Mapping[str, Any]) -> tuple[str, ...]:
    """The lines of a seller's address (keys of seller.yml), country and registration."""
    town = " ".join(part for part in (seller["postal_code"], seller["city"]) if part)
    place = f"{town}, {formats_for('en').country(seller['country'])}"
    lines = (seller["address_line1"], seller["address_line2"], place)
    return tuple(line for line in (*lines, seller["registration_number"]) if line)


def _senders(marts: Marts, bounce_address: str | None) -> dict[str, Sender]:
    banks: dict[str, dict[str, str]] = defaultdict(dict)
    for row in marts.table("seller_bank_accounts"):
        banks[row["seller_id"]][row["currency"]] = bank_line(row)
    senders = {"": Sender(name="Accounts receivable", bounce_address=bounce_address)}
    for seller_id, row in marts.sellers().items():
        senders[seller_id] = Sender(
            name=row["legal_name"],
            email=row["email"],
            lines=letterhead(row),
            bank=banks.get(seller_id, {}),
            bounce_address=bounce_address,
        )
        if row["is_default"]:
            senders[""] = senders[seller_id]
    return senders


def read_situation(
    ledger: Reader,
    book: Book,
    *,
    now: datetime,
    settled: Mapping[str, str],
    texts: Texts | None = None,
) -> Situation:
    """All that decides. `settled`: outcome (`ok`, `failed`, `unknown`) by intent_id of attempts
    whose outcome is known to the caller but not written down yet. `texts`: the words that mails are
    written with (None: those built in)."""
    table = tables.intents
    intents = ledger.query(select(table).where(table.c.kind == REMINDER_MAIL).order_by(table.c.id))
    attempts = _attempts(ledger, intents, settled)
    deliveries = ledger.query(select(tables.deliveries).order_by(tables.deliveries.c.id))
    receivables, unused_credit = _receivables(ledger)
    return Situation(
        now=now,
        payments_read_at=_payments_read_at(ledger, book),
        payments_fresh_hours=book.payments_fresh_hours,
        payers=book.payers,
        policies=book.policies,
        receivables=receivables,
        fired=_fired(ledger, attempts, deliveries),
        holds=[
            Hold(scope=row["scope"], subject=row["subject"], reason=row["reason"])
            for row in ledger.query(select(tables.active_holds))
        ],
        promises=[
            Promise(payer_id=row["payer_id"], until_date=row["until_date"], reason=row["reason"])
            for row in ledger.query(select(tables.current_promises))
        ],
        disputed=_disputed(ledger, receivables),
        in_flight=banking.in_flight(ledger)
        | {
            row["statement_number"]: f"{row['amount']} {row['currency']} ({row['status'].lower()})"
            for row in ledger.query(select(tables.current_payments))
            if row["status"].upper() in _IN_FLIGHT
        },
        credits=unused_credit,
        unreachable=_unreachable(book, deliveries, now),
        holidays=book.holidays,
        messages=_last_messages(attempts),
        wordless=_wordless(book, texts or built_in_texts()),
    )


@dataclass(frozen=True, kw_only=True)
class _Attempt:
    payer_id: str
    message_id: str
    claims: frozenset[tuple[str, str]]
    recipient: str
    at: datetime
    status: str | None


def _attempts(
    ledger: Reader, intents: Sequence[Mapping[str, Any]], settled: Mapping[str, str]
) -> list[_Attempt]:
    outcomes = {
        row["intent_id"]: row
        for row in ledger.query(select(tables.outcomes).order_by(tables.outcomes.c.id))
    }
    found = []
    for intent in intents:
        body = json.loads(intent["body"])
        outcome = outcomes.get(intent["intent_id"])
        status = outcome["status"] if outcome else settled.get(intent["intent_id"])
        found.append(
            _Attempt(
                payer_id=intent["subject"],
                message_id=body["message_id"],
                claims=frozenset((number, stage) for number, stage in body["claims"]),
                recipient=body["recipient"],
                at=intent["at"],
                status=status,
            )
        )
    return found


def _fired(
    ledger: Reader, attempts: Sequence[_Attempt], deliveries: Sequence[Mapping[str, Any]]
) -> list[Fired]:
    by_claim: dict[tuple[str, str], _Attempt] = {}
    for attempt in attempts:
        for claim in attempt.claims:
            by_claim[claim] = attempt
    last_delivery = {(d["message_id"], d["recipient"]): d for d in deliveries}
    by_message = {d["message_id"]: d for d in deliveries}
    found = []
    for row in ledger.query(select(tables.reminders).order_by(tables.reminders.c.id)):
        attempt_made = by_claim.get((row["statement_number"], row["stage"]))
        at, message_id = row["at"], row["message_id"]
        if attempt_made is not None:
            state = {"ok": SENT, "failed": PENDING}.get(attempt_made.status or "", UNKNOWN)
            at, message_id = attempt_made.at, attempt_made.message_id
            delivery = last_delivery.get((message_id, attempt_made.recipient))
            # A message that came back did go out, also where the mail server's answer was lost.
            if delivery is not None and delivery["status"] == "bounced" and state != PENDING:
                state = PENDING
        elif message_id is None:
            # Set by `m2c reconcile` after a restore, or by a stage that is no mail.
            state = SENT
        else:
            delivery = by_message.get(message_id)
            state = SENT if delivery is not None and delivery["status"] == "sent" else UNKNOWN
        found.append(
            Fired(
                statement_number=row["statement_number"],
                stage=row["stage"],
                at=at,
                state=state,
                message_id=message_id,
            )
        )
    return found


def _receivables(
    ledger: Reader,
) -> tuple[list[Receivable], dict[tuple[str, str], Decimal]]:
    """What was issued and is owed, and what payers have with us beyond it by payer and currency:
    what is left of credit notes, overpayments and prepayments."""
    documents = {
        row["statement_number"]: row for row in ledger.query(select(tables.current_documents))
    }
    receivables = []
    unused_credit: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    issued = select(tables.issued_statements).order_by(tables.issued_statements.c.id)
    for row in ledger.query(issued):
        document = documents.get(row["statement_number"], {})
        kind = document.get("document_type") or (INVOICE if row["total"] >= 0 else "ACCRECCREDIT")
        currency = document.get("currency") or row["currency"]
        amount_due = document.get("amount_due")
        if kind != INVOICE:
            if document.get("status") == "AUTHORISED" and amount_due:
                unused_credit[row["payer_id"], currency] += abs(amount_due)
            continue
        receivables.append(
            Receivable(
                statement_number=row["statement_number"],
                statement_id=row["statement_id"],
                payer_id=row["payer_id"],
                period=row["period"],
                currency=currency,
                total=row["total"],
                amount_due=row["total"] if amount_due is None else amount_due,
                issue_date=row["issue_date"],
                due_date=document.get("due_date") or row["due_date"],
                document_type=kind,
                status=document.get("status"),
                publish_state=document.get("publish_state"),
                problem=document.get("problem"),
                online_url=document.get("online_url"),
            )
        )
    for credit in ledger.query(select(tables.current_payer_credits)):
        unused_credit[credit["payer_id"], credit["currency"]] += credit["remaining"]
    return receivables, dict(unused_credit)


def _payments_read_at(ledger: Reader, book: Book) -> datetime | None:
    """When payments were last read. Of several organisations that we issued for, the one that was
    read longest ago counts."""
    newest: dict[str, datetime] = {}
    for row in ledger.query(select(tables.current_poll_cursors)):
        if row["name"].startswith(PAYMENTS_POLL):
            newest[row["name"].removeprefix(PAYMENTS_POLL)] = row["at"]
    sellers = ledger.query(select(tables.issued_statements.c.seller_id).distinct())
    read_at: list[datetime] = []
    for row in sellers:
        tenant = book.tenants.get(row["seller_id"])
        # A seller without an organisation of its own is in the one that the environment names.
        at = newest.get(tenant) if tenant else max(newest.values(), default=None)
        if at is None:
            return None
        read_at.append(at)
    return min(read_at, default=None)


def _disputed(ledger: Reader, receivables: Collection[Receivable]) -> dict[str, str]:
    """Reason by statement number; a dispute names a statement, by number or id, or one line."""
    subjects = {row["subject"]: row["reason"] for row in ledger.query(select(tables.open_disputes))}
    found = {
        r.statement_number: subjects[name]
        for r in receivables
        for name in (r.statement_id, r.statement_number)
        if name in subjects
    }
    if subjects:
        lines = select(tables.issued_lines.c.statement_number, tables.issued_lines.c.line_key)
        for row in ledger.query(lines.where(tables.issued_lines.c.line_key.in_(list(subjects)))):
            found.setdefault(
                row["statement_number"], f"line {row['line_key']}: {subjects[row['line_key']]}"
            )
    return found


def _unreachable(
    book: Book, deliveries: Sequence[Mapping[str, Any]], now: datetime
) -> dict[str, str]:
    last = {d["recipient"]: d for d in deliveries}
    found = {}
    for payer in book.payers.values():
        delivery = last.get(payer.email)
        if not is_address(payer.email):
            found[payer.payer_id] = f"{payer.email!r} is not an e-mail address"
        elif (
            delivery is not None
            and delivery["status"] == "bounced"
            and now - delivery["at"] < BOUNCE_COUNTS_FOR
        ):
            found[payer.payer_id] = f"mail to {payer.email} bounced on {delivery['at']:%Y-%m-%d}"
    return found


def _wordless(book: Book, texts: Texts) -> dict[tuple[str, str], str]:
    found = {}
    for payer in book.payers.values():
        policy = book.policies.get(payer.dunning_policy or "")
        for stage in policy.stages if policy else ():
            template = stage.template or stage.stage
            if stage.action == EMAIL and (why := texts.why_not(payer.language, template)):
                found[payer.payer_id, template] = why
    return found


def _last_messages(attempts: Sequence[_Attempt]) -> dict[str, datetime]:
    found: dict[str, datetime] = {}
    for attempt in attempts:
        if attempt.status in ("ok", "unknown"):
            found[attempt.payer_id] = max(attempt.at, found.get(attempt.payer_id, attempt.at))
    return found
