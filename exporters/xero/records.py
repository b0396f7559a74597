"""What the ledger knows and learns of documents in Xero: attempts, recorded ids, observations.

Kinds of intents: `xero.create`, `xero.adopt`, `xero.approve`, `xero.contact`, `xero.attach`,
`xero.allocate`; the subject is the statement number (the payer_id for contacts). A document is
recorded as ours by the `ok` outcome of its create or adopt intent, whose body is what was sent.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Select, Table, select

from exporters.ledger import Ledger, Transaction, tables
from exporters.xero.compare import APPROVED, GONE, id_of
from exporters.xero.facts import SELECT_AT_ONCE, Statement
from exporters.xero.mapping import kind_of, sign_of
from exporters.xero.wire import Json, day, encode, instant, items, money

CREATE, ADOPT, APPROVE = "xero.create", "xero.adopt", "xero.approve"
CONTACT, ATTACH, ALLOCATE = "xero.contact", "xero.attach", "xero.allocate"
OBSERVED = (
    "document_type",
    "xero_id",
    "status",
    "publish_state",
    "problem",
    "total",
    "amount_due",
    "amount_paid",
    "amount_credited",
    "currency",
    "date",
    "due_date",
    "online_url",
)


@dataclass(frozen=True)
class History:
    """What the ledger says of one statement's document.

    xero_id: the recorded one, else None. sent: what was sent for it (or in the last attempt whose
    outcome is unknown). open_creates: attempts without a known outcome, oldest first.
    """

    last: Json | None
    xero_id: str | None
    sent: Json | None
    open_creates: tuple[str, ...]
    attached: frozenset[str]
    tried_to_attach: frozenset[str]
    allocated: bool
    tried_to_allocate: bool

    @property
    def publish_state(self) -> str | None:
        """The last recorded state."""
        return None if self.last is None else str(self.last["publish_state"])

    @property
    def online_url(self) -> str | None:
        """The recorded link."""
        return None if self.last is None else self.last["online_url"]


def numbers_of(ledger: Ledger, xero_ids: list[str]) -> dict[str, str]:
    """Statement numbers by the recorded ids of their documents; only those that are ours."""
    found: dict[str, str] = {}
    for start in range(0, len(xero_ids), SELECT_AT_ONCE):
        statement = (
            select(tables.outcomes.c.external_id, tables.intents.c.subject)
            .join(tables.intents, tables.intents.c.intent_id == tables.outcomes.c.intent_id)
            .where(tables.outcomes.c.external_id.in_(xero_ids[start : start + SELECT_AT_ONCE]))
            .where(tables.outcomes.c.status == "ok")
            .where(tables.intents.c.kind.in_((CREATE, ADOPT)))
            .order_by(tables.outcomes.c.id)
        )
        found |= {row["external_id"]: row["subject"] for row in ledger.query(statement)}
    return found


def exception_id(state: str, number: str, problem: str | None) -> str:
    """The exception that the marts show for a document in this state with this problem (the same
    formula is in the model int_billing__document_exceptions)."""
    words = "|".join((f"invoice_{state}", number, problem or ""))
    return hashlib.sha256(words.encode()).hexdigest()[:16]


def settled_by_hand(ledger: Ledger, exception_ids: Sequence[str]) -> dict[str, str]:
    """Who resolved which of these exceptions, and why."""
    current = tables.current_exception_actions
    found: dict[str, str] = {}
    for start in range(0, len(exception_ids), SELECT_AT_ONCE):
        part = exception_ids[start : start + SELECT_AT_ONCE]
        for row in ledger.query(
            select(current)
            .where(current.c.exception_id.in_(part))
            .where(current.c.action == "resolve")
        ):
            found[row["exception_id"]] = f"settled by {row['by']}: {row['reason']}"
    return found


def read_histories(ledger: Ledger, numbers: list[str]) -> dict[str, History]:
    """The history of each number, in one consistent state of the ledger."""
    with ledger.snapshot() as reader:
        documents = _rows(reader.query, tables.current_documents, "statement_number", numbers)
        intents = _rows(reader.query, tables.intents, "subject", numbers)
        outcomes = _rows(
            reader.query, tables.outcomes, "intent_id", [row["intent_id"] for row in intents]
        )
    last = {row["statement_number"]: row for row in documents}
    newest: dict[str, Json] = {}
    for row in outcomes:
        newest[row["intent_id"]] = row
    by_number: dict[str, list[Json]] = {number: [] for number in numbers}
    for row in intents:
        if row["kind"].startswith("xero.") and row["subject"] in by_number:
            by_number[row["subject"]].append(row)
    return {number: _history(last.get(number), by_number[number], newest) for number in numbers}


def _history(last: Json | None, intents: list[Json], newest: dict[str, Json]) -> History:
    xero_id: str | None = None
    sent: Json | None = None
    unknown: list[Json] = []
    attached: set[str] = set()
    tried: set[str] = set()
    allocated = tried_to_allocate = False
    for row in intents:
        outcome = newest.get(row["intent_id"])
        status = "unknown" if outcome is None else outcome["status"]
        kind, body = row["kind"], json.loads(row["body"])
        if kind in (CREATE, ADOPT):
            if status == "ok" and outcome is not None:
                xero_id, sent = outcome["external_id"], body
            elif status == "unknown":
                unknown.append(row)
        elif kind == ATTACH:
            (attached if status == "ok" else tried).add(str(body["file"]))
        elif kind == ALLOCATE:
            allocated = allocated or status == "ok"
            tried_to_allocate = True
    if xero_id is None and unknown:
        sent = json.loads(unknown[-1]["body"])
    return History(
        last=last,
        xero_id=xero_id,
        sent=sent,
        open_creates=tuple(row["intent_id"] for row in unknown),
        attached=frozenset(attached),
        tried_to_attach=frozenset(tried),
        allocated=allocated,
        tried_to_allocate=tried_to_allocate,
    )


def _rows(query: Any, table: Table, column: str, values: list[str]) -> list[Json]:
    found: list[Json] = []
    for start in range(0, len(values), SELECT_AT_ONCE):
        statement: Select[Any] = select(table).where(
            table.c[column].in_(values[start : start + SELECT_AT_ONCE])
        )
        found += query(statement.order_by(table.c.id))
    return found


def observe(
    tx: Transaction,
    statement: Statement,
    last: Json | None,
    remote: Json | None,
    *,
    state: str,
    problem: str | None = None,
    online_url: str | None = None,
) -> Json:
    """Write down how a document stands, unless the ledger knows it so already; the row's values.

    Amounts carry the statement's sign: what is left of a credit note is a negative amount due.
    """
    row = _observation(statement, remote, state=state, problem=problem)
    row["online_url"] = online_url or (last or {}).get("online_url")
    if last is not None and all(last.get(name) == row.get(name) for name in OBSERVED):
        return last
    tx.record(tables.documents, **row)
    return row


def _observation(
    statement: Statement, remote: Json | None, *, state: str, problem: str | None = None
) -> Json:
    row: Json = {
        "statement_number": statement.number,
        "document_type": "ACCRECCREDIT" if kind_of(statement) == "credit_note" else "ACCREC",
        "publish_state": state,
        "problem": problem,
        "currency": statement.currency,
        **_seen(statement, remote),
    }
    if remote is not None:
        row["updated_at"] = instant(remote.get("UpdatedDateUTC"))
        row["raw"] = encode(remote)
    return row


def adoption(
    statement: Statement, history: History, sent: Json, remote: Json
) -> list[tuple[str, Json]]:
    """The facts, as (table, values), by which a document in Xero is recorded as a statement's: that
    of an attempt whose outcome was not known, if there is one. The last is how it stands."""
    facts: list[tuple[str, Json]] = []
    outcome: Json = {"status": "ok", "external_id": id_of(remote), "answer": encode(remote)}
    if history.open_creates:
        *older, outcome["intent_id"] = history.open_creates
        other = {"status": "failed", "message": "another attempt is in Xero"}
        facts += [(tables.outcomes.name, {"intent_id": intent, **other}) for intent in older]
    else:
        outcome["intent_id"] = uuid.uuid4().hex
        intent = {"kind": ADOPT, "subject": statement.number, "body": sent}
        keys = {"intent_id": outcome["intent_id"], "idempotency_key": outcome["intent_id"]}
        facts.append((tables.intents.name, intent | keys))
    facts.append((tables.outcomes.name, outcome))
    state = "published" if remote.get("Status") in APPROVED else "draft"
    facts.append((tables.documents.name, _observation(statement, remote, state=state)))
    return facts


def _seen(statement: Statement, remote: Json | None) -> Json:
    if remote is None:
        return dict.fromkeys(
            (
                "xero_id",
                "status",
                "total",
                "amount_due",
                "amount_paid",
                "amount_credited",
                "date",
                "due_date",
            )
        )
    sign = sign_of(statement)
    status = remote.get("Status")
    if kind_of(statement) == "credit_note":
        paid = sum(
            (money(p.get("Amount")) or Decimal(0) for p in items(remote, "Payments")), Decimal(0)
        )
        credited = sum(
            (
                money(a.get("Amount")) or Decimal(0)
                for a in items(remote, "Allocations")
                if not a.get("IsDeleted")
            ),
            Decimal(0),
        )
        due = Decimal(0) if status in GONE else money(remote.get("RemainingCredit"))
    else:
        paid = money(remote.get("AmountPaid")) or Decimal(0)
        credited = money(remote.get("AmountCredited")) or Decimal(0)
        due = money(remote.get("AmountDue"))
    return {
        "xero_id": id_of(remote) or None,
        "status": None if status is None else str(status),
        "total": _signed(money(remote.get("Total")), sign),
        "amount_due": _signed(due, sign),
        "amount_paid": _signed(paid, sign),
        "amount_credited": _signed(credited, sign),
        "date": day(remote.get("DateString")) or day(remote.get("Date")),
        "due_date": day(remote.get("DueDateString")) or day(remote.get("DueDate")),
    }


def _signed(value: Decimal | None, sign: int) -> Decimal | None:
    if value is None:
        return None
    return (value * sign if value else value).quantize(Decimal("0.01"))
