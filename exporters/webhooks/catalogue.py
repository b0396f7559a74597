"""Which facts are events that others are told, and what is said of each: an entry of `FROM_FACTS`
for each table of the ledger, two functions for what the marts alone know (exceptions, alerts). Here
the events are made; who is told and when they are sent is not decided here.

An event says ids, amounts, dates and codes; an exception or alert also its sentence. Who said
something and why, and what other systems answered, is not in it: that is for `m2c story` to tell.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from exporters.ledger.types import jsonable
from exporters.webhooks.facts import Facts

Row = Mapping[str, Any]

TYPES: Final[dict[str, str]] = {
    "invoice.issued": "a statement was issued under its number",
    "invoice.published": "it is in Xero, approved, and can be paid",
    "invoice.partly_paid": "some of it was paid or credited",
    "invoice.paid": "nothing of it is due any more",
    "invoice.voided": "it was voided or deleted in Xero",
    "invoice.overdue_stage_reached": "it is overdue, and a stage of the dunning policy was reached",
    "credit_note.issued": "a statement below zero was issued under its number",
    "credit_note.published": "it is in Xero, approved",
    "credit_note.voided": "it was voided or deleted in Xero",
    "payment.reversed": "a payment was taken back",
    "machines.suspended": "machines of a payer who is overdue are to be paused",
    "machines.resumed": "a suspension is over, and its machines are to run again",
    "machine.state_changed": "a machine of a suspension was seen off, on, or not to be told",
    "statement.needs_approval": "a closed statement waits for somebody to approve it",
    "dispute.opened": "a statement, a line or a charge event is disputed",
    "dispute.resolved": "the dispute was decided",
    "exception.opened": "the data or the book has something that needs a look",
    "exception.resolved": "it is gone, or somebody settled it",
    "alert.reached": "usage or cost of a month reached a threshold of alerts.csv",
}
"""Every type of event, and when it happens."""

GONE: Final = frozenset({"VOIDED", "DELETED"})
_ZERO: Final = Decimal(0)


@dataclass(frozen=True, kw_only=True)
class Happening:
    """An event before it has its id.

    key: what it is about, the same whenever the same thing is found again. once: it happens to that
    at most once, ever; what may happen again is numbered. subject: events about one subject reach
    an endpoint in order.
    """

    type: str
    key: str
    subject: str
    at: datetime
    data: Row
    payer_id: str | None = None
    customer_ids: Sequence[str] = ()
    once: bool = False

    def event_id(self, number: int = 1) -> str:
        """The id of its `number`-th time. It has no full stop in it, which the signature needs."""
        words = f"{self.type}|{self.key}|{number}"
        return f"evt_{hashlib.sha256(words.encode()).hexdigest()[:32]}"

    def payload(self) -> str:
        """What is sent: compact JSON, decimals and dates as strings."""
        content = {"type": self.type, "timestamp": self.at, "data": self.data}
        return json.dumps(jsonable(content), ensure_ascii=False, separators=(",", ":"))


def of_fact(facts: Facts, table: str, row: Row) -> Iterable[Happening]:
    """The events that follow from a fact; none for most."""
    handler = FROM_FACTS.get(table)
    return handler(facts, row) if handler else ()


# --- statements ---


def _of_statement(
    statement: Row, kind: str, row: Row, data: Row, *, key: str | None = None, once: bool = False
) -> Happening:
    """An event about an issued statement; `data` besides what is said of each."""
    number = statement["statement_number"]
    return Happening(
        type=kind,
        key=key or number,
        subject=number,
        at=row["at"],
        payer_id=statement["payer_id"],
        customer_ids=statement["customer_ids"],
        once=once,
        data={
            "statement_number": number,
            "statement_id": statement["statement_id"],
            "period": statement["period"],
            "payer_id": statement["payer_id"],
            "customer_ids": list(statement["customer_ids"]),
            "currency": statement["currency"],
            "total": statement["total"],
            "due_date": statement["due_date"],
            **data,
        },
    )


def _document_of(statement: Row) -> str:
    return "credit_note" if statement["total"] < 0 else "invoice"


def _issued(facts: Facts, row: Row) -> Iterator[Happening]:
    statement = facts.statement(row["statement_number"])
    if statement is not None:
        names = ("seller_id", "statement_kind", "net", "tax", "issue_date")
        data = {name: row[name] for name in names}
        yield _of_statement(statement, f"{_document_of(statement)}.issued", row, data, once=True)


def _seen_in_xero(facts: Facts, row: Row) -> Iterator[Happening]:
    statement = facts.statement(row["statement_number"])
    if statement is None:
        return
    before: Row = facts.document_before(row) or {}
    document, status = _document_of(statement), row["status"]
    is_invoice = document == "invoice"
    data = {
        "status": status,
        "due_date": row["due_date"] or statement["due_date"],
        "amount_due": row["amount_due"],
        "amount_paid": row["amount_paid"],
        "amount_credited": row["amount_credited"],
        "payment_url": row["online_url"],
    }
    # The link is read after the approval. One that never comes must not hide the invoice.
    complete = not is_invoice or row["online_url"] is not None or status == "PAID"
    if row["publish_state"] == "published" and complete:
        yield _of_statement(statement, f"{document}.published", row, data, once=True)
    if status in GONE and before.get("status") not in GONE:
        yield _of_statement(statement, f"{document}.voided", row, data)
    if not is_invoice or status in GONE:
        return
    if status == "PAID":
        if before.get("status") != "PAID":
            yield _of_statement(statement, "invoice.paid", row, data)
    elif _settled(row) > _settled(before) and (row["amount_due"] or _ZERO) > 0:
        yield _of_statement(statement, "invoice.partly_paid", row, data)


def _settled(document: Row) -> Decimal:
    paid = document.get("amount_paid") or _ZERO
    return Decimal(paid + (document.get("amount_credited") or _ZERO))


def _payment(facts: Facts, row: Row) -> Iterator[Happening]:
    statement = facts.statement(row["statement_number"])
    if statement is not None and row["status"] == "DELETED":
        data = {name: row[name] for name in ("payment_id", "amount", "paid_on")}
        yield _of_statement(statement, "payment.reversed", row, data, key=row["payment_id"])


def _reminded(facts: Facts, row: Row) -> Iterator[Happening]:
    statement = facts.statement(row["statement_number"])
    if statement is None:
        return
    document: Row = facts.document_at(row["statement_number"], row["at"]) or {}
    data = {
        "stage": row["stage"],
        "policy_id": row["policy_id"],
        "due_date": document.get("due_date") or statement["due_date"],
        "amount_due": document.get("amount_due"),
        "payment_url": document.get("online_url"),
    }
    key = f"{row['statement_number']}|{row['stage']}"
    yield _of_statement(statement, "invoice.overdue_stage_reached", row, data, key=key, once=True)


def _closed(_: Facts, row: Row) -> Iterator[Happening]:
    if row["decision"] != "needs_approval":
        return
    payer_id = row["statement_id"].split("/", 1)[0]  # as statement ids begin
    names = ("statement_id", "period", "currency", "total", "reason", "content_hash")
    yield Happening(
        type="statement.needs_approval",
        key=f"{row['statement_id']}|{row['content_hash']}",
        subject=row["statement_id"],
        at=row["at"],
        payer_id=payer_id,
        once=True,
        data={"payer_id": payer_id, **{name: row[name] for name in names}},
    )


# --- machines ---


def _suspended(facts: Facts, row: Row) -> Iterator[Happening]:
    yield _of_suspension(facts, "machines.suspended", row, row)


def _resumed(facts: Facts, row: Row) -> Iterator[Happening]:
    suspension = facts.suspension(row["suspension_id"])
    if suspension is not None:
        yield _of_suspension(facts, "machines.resumed", row, suspension)


def _of_suspension(facts: Facts, kind: str, row: Row, suspension: Row) -> Happening:
    machines = facts.suspended_machines(suspension["suspension_id"])
    customers = facts.customers_of_contracts({one["contract_id"] for one in machines})
    return Happening(
        type=kind,
        key=suspension["suspension_id"],
        subject=suspension["suspension_id"],
        at=row["at"],
        payer_id=suspension["payer_id"],
        customer_ids=customers,
        once=True,
        data={
            "suspension_id": suspension["suspension_id"],
            "payer_id": suspension["payer_id"],
            "customer_ids": list(customers),
            "statement_numbers": json.loads(suspension["statement_numbers"]),
            "policy_id": suspension["policy_id"],
            "stage": suspension["stage"],
            "machines": [
                {name: one[name] for name in ("machine_id", "site_id", "contract_id")}
                for one in machines
            ],
        },
    )


def _machine_seen(facts: Facts, row: Row) -> Iterator[Happening]:
    suspension = facts.suspension(row["suspension_id"])
    if suspension is None:
        return
    mine = [
        one
        for one in facts.suspended_machines(row["suspension_id"])
        if (one["machine_id"], one["site_id"]) == (row["machine_id"], row["site_id"])
    ]
    customers = facts.customers_of_contracts({one["contract_id"] for one in mine})
    names = ("suspension_id", "machine_id", "site_id", "wanted", "state", "switched")
    yield Happening(
        type="machine.state_changed",
        key=f"{row['suspension_id']}|{row['site_id']}|{row['machine_id']}",
        subject=row["suspension_id"],
        at=row["at"],
        payer_id=suspension["payer_id"],
        customer_ids=customers,
        data={
            "payer_id": suspension["payer_id"],
            "customer_ids": list(customers),
            **{name: row[name] for name in names},
        },
    )


# --- disputes ---


def _disputed(facts: Facts, row: Row) -> Iterator[Happening]:
    yield _dispute(facts, row, "statement", facts.statement(row["subject"]))


def _charge_disputed(facts: Facts, row: Row) -> Iterator[Happening]:
    yield _dispute(facts, row, row["scope"], facts.statement_with(row["subject"]))


def _dispute(facts: Facts, row: Row, scope: str, statement: Row | None) -> Happening:
    opened = row["state"] == "open"
    of_statement: Row = statement or {}
    customers = facts.customers_of(row["subject"]) if scope != "statement" else None
    if customers is None:
        customers = of_statement.get("customer_ids", ())
    data = {
        "scope": scope,
        "subject": row["subject"],
        "statement_number": of_statement.get("statement_number"),
        "statement_id": of_statement.get("statement_id"),
        "period": of_statement.get("period"),
        "payer_id": of_statement.get("payer_id"),
        "customer_ids": list(customers),
    }
    if not opened:
        data["outcome"] = None if row["state"] == "resolved" else row["state"]
    return Happening(
        type="dispute.opened" if opened else "dispute.resolved",
        key=f"{scope}|{row['subject']}",
        subject=of_statement.get("statement_number") or row["subject"],
        at=row["at"],
        payer_id=of_statement.get("payer_id"),
        customer_ids=customers,
        data=data,
    )


# --- exceptions and alerts ---

_OF_EXCEPTIONS: Final = (
    *("exception_id", "kind", "severity", "period", "site_id", "meter_id", "machine_id"),
    *("contract_id", "event_id", "payer_id", "statement_id", "day", "detail", "first_seen"),
)


def _settled_exception(facts: Facts, row: Row) -> Iterator[Happening]:
    opened = facts.open_exception(row["exception_id"])
    if row["action"] == "resolve" and opened is not None:
        yield _closing(facts, opened, row["at"], how="settled")


def of_exceptions(
    facts: Facts, exceptions: Iterable[Row], customers: Mapping[str, Sequence[str]], *, at: datetime
) -> Iterator[Happening]:
    """What is new among exceptions, and which of those told are gone.

    exceptions: rows of the mart. customers: customer_ids by contract. at: when the marts were made.
    """
    facts.open_exceptions()
    there = set()
    for row in exceptions:
        exception_id = row["exception_id"]
        there.add(exception_id)
        if (
            row["status"] == "resolved"
            or facts.open_exception(exception_id) is not None
            or facts.is_settled_by_hand(exception_id)
        ):
            continue
        found = Happening(
            type="exception.opened",
            key=exception_id,
            subject=exception_id,
            at=at,
            payer_id=row["payer_id"],
            customer_ids=customers.get(row["contract_id"] or "", ()),
            data={name: row[name] for name in _OF_EXCEPTIONS},
        )
        facts.note_exception(found.subject, _as_told(found))
        yield found
    for exception_id, opened in facts.open_exceptions().items():
        if exception_id not in there:
            yield _closing(facts, opened, at, how="gone")


def _closing(facts: Facts, opened: Row, at: datetime, *, how: str) -> Happening:
    facts.note_exception(opened["subject"], None)
    data = json.loads(opened["payload"])["data"]
    return Happening(
        type="exception.resolved",
        key=opened["subject"],
        subject=opened["subject"],
        at=at,
        payer_id=opened["payer_id"],
        customer_ids=json.loads(opened["customer_ids"]),
        data={**data, "how": how},
    )


def _as_told(found: Happening) -> Row:
    return {
        "subject": found.subject,
        "payload": found.payload(),
        "payer_id": found.payer_id,
        "customer_ids": json.dumps(list(found.customer_ids)),
    }


_OF_ALERTS: Final = (
    *("alert_key", "period", "contract_id", "customer_id", "measure", "unit", "measured_until"),
    "detail",
)


def of_alerts(alerts: Iterable[Row], *, at: datetime) -> Iterator[Happening]:
    """The alerts that are reached (rows of the mart); each is told once, ever."""
    for row in alerts:
        amounts = {name: _plain(row[name]) for name in ("threshold", "value", "projected_value")}
        yield Happening(
            type="alert.reached",
            key=row["alert_key"],
            subject=row["alert_key"],
            at=at,
            customer_ids=[row["customer_id"]] if row["customer_id"] else (),
            once=True,
            data={**{name: row[name] for name in _OF_ALERTS}, **amounts},
        )


def _plain(value: Decimal) -> str:
    """Without the zeros that fill the mart's column."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


FROM_FACTS: Final[dict[str, Callable[[Facts, Row], Iterable[Happening]]]] = {
    "issued_statements": _issued,
    "documents": _seen_in_xero,
    "payments": _payment,
    "reminders": _reminded,
    "suspensions": _suspended,
    "resumptions": _resumed,
    "machine_states": _machine_seen,
    "close_decisions": _closed,
    "disputes": _disputed,
    "charge_disputes": _charge_disputed,
    "exception_actions": _settled_exception,
}
"""By table of the ledger, what makes events of its facts."""
