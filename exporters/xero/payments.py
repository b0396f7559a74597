"""Reading back from Xero: what was paid, credited, voided or edited since the last poll.

Xero sends no events for payments, so documents changed since a cursor are read. The cursor is the
server's time at the first answer of the last wholly successful poll, minus five minutes; a failed
poll does not move it. Nothing is ever written to Xero here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import httpx
from sqlalchemy import select

from exporters.ledger import Ledger, Transaction, tables
from exporters.xero import payer_credits, records
from exporters.xero.client import Answer, Kind, XeroClient
from exporters.xero.compare import APPROVED, GONE, differences, id_of
from exporters.xero.config import XeroConfig
from exporters.xero.errors import XeroConfigError, XeroError
from exporters.xero.facts import Statement, read_book, read_numbered
from exporters.xero.mapping import sign_of
from exporters.xero.report import DocumentState, PaymentSeen, PaymentsReport
from exporters.xero.visit import visiting
from exporters.xero.wire import Json, day, encode, items, money

OVERLAP = timedelta(minutes=5)
CURSOR = "xero/"


@dataclass(frozen=True)
class _Known:
    """A document that the ledger records as ours."""

    statement: Statement
    history: records.History


def organisations(config: XeroConfig, marts_path: Path | None) -> list[str]:
    """The tenant ids to talk to: that of the environment and those of the book's sellers.

    Raises XeroConfigError if there is none.
    """
    tenants = {config.tenant_id} if config.tenant_id else set()
    if marts_path is not None:
        tenants |= set(read_book(marts_path).tenants.values())
    if not tenants:
        raise XeroConfigError(
            "no Xero organisation: set M2C_XERO_TENANT_ID, or xero_tenant_id in seller.yml"
        )
    return sorted(tenants)


def poll_payments(
    ledger: Ledger,
    *,
    config: XeroConfig,
    clock: Callable[[], datetime],
    marts_path: Path | None = None,
    sleep: Callable[[float], None] = time.sleep,
    timer: Callable[[], float] = time.monotonic,
    http: httpx.Client | None = None,
) -> PaymentsReport:
    """Record in the ledger how our documents stand in Xero, and their payments.

    marts_path: for the sellers' organisations; without it `config.tenant_id` is the only one.
    Failures of Xero are in the report, with an exit code.
    """
    report = PaymentsReport()
    try:
        tenants = organisations(config, marts_path)
    except XeroConfigError as error:
        report.failure, tenants = str(error), []
    for tenant in tenants:
        with visiting(
            tenant,
            report,
            config,
            among_others=len(tenants) > 1,
            clock=clock,
            sleep=sleep,
            timer=timer,
            http=http,
        ) as client:
            _poll(client, ledger, report)
    report.documents = document_states(ledger)
    report.drifted = _drifted(ledger)
    return report


def document_states(ledger: Ledger) -> list[DocumentState]:
    """How each document stands that was found or put into Xero, by number."""
    current = tables.current_documents
    rows = ledger.query(
        select(current).where(current.c.xero_id.is_not(None)).order_by(current.c.statement_number)
    )
    return [
        DocumentState(
            number=row["statement_number"],
            status=row["status"],
            total=row["total"],
            amount_due=row["amount_due"],
            amount_paid=row["amount_paid"],
            amount_credited=row["amount_credited"],
        )
        for row in rows
    ]


def _drifted(ledger: Ledger) -> list[str]:
    """What people changed in Xero, and nobody has settled."""
    current = tables.current_documents
    rows = {
        records.exception_id("drifted", row["statement_number"], row["problem"]): row
        for row in ledger.query(
            select(current)
            .where(current.c.publish_state == "drifted")
            .order_by(current.c.statement_number)
        )
    }
    settled = records.settled_by_hand(ledger, list(rows))
    return [
        f"{row['statement_number']}: drifted - {row['problem']}"
        for exception_id, row in rows.items()
        if exception_id not in settled
    ]


def _known(ledger: Ledger, remotes: list[Json]) -> list[tuple[_Known, Json]]:
    """Of these documents in Xero those that are recorded as ours."""
    numbers = records.numbers_of(ledger, [id_of(remote) for remote in remotes])
    wanted = sorted(set(numbers.values()))
    histories, statements = records.read_histories(ledger, wanted), read_numbered(ledger, wanted)
    return [
        (_Known(statements[number], histories[number]), remote)
        for remote in remotes
        if (number := numbers.get(id_of(remote))) is not None
        and histories[number].xero_id == id_of(remote)
    ]


def _poll(client: XeroClient, ledger: Ledger, report: PaymentsReport) -> None:
    name = CURSOR + client.tenant
    first: datetime | None = None
    kinds: list[Kind] = ["invoice"]
    documents = tables.documents
    if ledger.first(select(documents.c.id).where(documents.c.document_type == "ACCRECCREDIT")):
        kinds.append("credit_note")
    since = _cursor(ledger, name)
    for kind in kinds:
        for answer in _answers(client, kind, since):
            first = first or answer.server_time
            found = items(answer.content, "Invoices") + items(answer.content, "CreditNotes")
            if ours := _known(ledger, found):
                with ledger.transaction() as tx:
                    _record(tx, ours, report)
    _move_cursor(ledger, name, first)
    name = payer_credits.CURSOR + client.tenant
    _move_cursor(
        ledger, name, payer_credits.poll_credits(client, ledger, _cursor(ledger, name), report)
    )


def _cursor(ledger: Ledger, name: str) -> datetime | None:
    cursors = tables.current_poll_cursors
    row = ledger.first(select(cursors.c.cursor_at).where(cursors.c.name == name))
    return None if row is None else row["cursor_at"]


def _move_cursor(ledger: Ledger, name: str, first: datetime | None) -> None:
    if first is not None:
        ledger.record(tables.poll_cursors, name=name, cursor_at=first - OVERLAP)


def _answers(client: XeroClient, kind: Kind, since: datetime | None) -> Iterator[Answer]:
    """Pages of what changed; of everything, when the server's clock is before our cursor (it was
    set back, or is another server): then the cursor says nothing."""
    for answer in client.modified(kind, since):
        if since is not None and answer.server_time < since:
            yield from client.modified(kind, None)
            return
        yield answer


def _record(tx: Transaction, found: Iterable[tuple[_Known, Json]], report: PaymentsReport) -> None:
    current = tables.current_documents
    for known, remote in found:
        statement = known.statement
        last = tx.first(select(current).where(current.c.statement_number == statement.number))
        state, problem = _state(known, last, remote)
        row = records.observe(tx, statement, last, remote, state=state, problem=problem)
        if row is not last:
            report.changed.append(statement.number)
        report.payments += _record_payments(tx, statement, remote)


def _state(known: _Known, last: Json | None, remote: Json) -> tuple[str, str | None]:
    """Drift is what a person changed; payments, credits and due dates are not."""
    before = None if last is None else str(last["publish_state"])
    status = remote.get("Status")
    if status in GONE:
        return "drifted", f"a person {str(status).lower()} it in Xero; it is not sent again"
    changed = differences(known.history.sent or {}, known.statement, remote)
    if before in ("draft", "quarantined"):
        # Not approved by us yet: publishing goes on with it, or has told why it does not.
        return before, None if last is None else last["problem"]
    if changed:
        return "drifted", "; ".join(changed)
    return ("published" if status in APPROVED else before or "draft"), None


def _record_payments(tx: Transaction, statement: Statement, remote: Json) -> list[PaymentSeen]:
    """New payments, changed ones, and those that are no longer there (taken back)."""
    current = tables.current_payments
    before = {
        row["payment_id"]: row
        for row in tx.query(
            select(current)
            .where(current.c.statement_number == statement.number)
            .order_by(current.c.id)
        )
    }
    sign = sign_of(statement)
    seen: list[PaymentSeen] = []
    there: set[str] = set()
    for payment in items(remote, "Payments"):
        if payment.get("Status") == "DELETED":
            continue
        payment_id, amount = payment.get("PaymentID"), money(payment.get("Amount"))
        paid_on = day(payment.get("Date"))
        if not payment_id or amount is None or paid_on is None:
            raise XeroError(
                f"{statement.number}: Xero answers a payment without id, amount or date: {payment}"
            )
        there.add(str(payment_id))
        old = before.get(str(payment_id))
        amount = (amount * sign).quantize(Decimal("0.01"))
        if old is not None and (old["amount"], old["paid_on"], old["status"]) == (
            amount,
            paid_on,
            "AUTHORISED",
        ):
            continue
        row = {
            "payment_id": str(payment_id),
            "statement_number": statement.number,
            "amount": amount,
            "currency": statement.currency,
            "paid_on": paid_on,
            "status": "AUTHORISED",
            "reference": str(payment.get("Reference") or "") or None,
            "raw": encode(payment),
        }
        tx.record(tables.payments, **row)
        seen.append(_seen(row))
    for payment_id, old in before.items():
        if payment_id not in there and old["status"] == "AUTHORISED":
            row = {
                name: old[name]
                for name in (
                    "payment_id",
                    "statement_number",
                    "amount",
                    "currency",
                    "paid_on",
                    "reference",
                )
            }
            tx.record(tables.payments, **row, status="DELETED", raw=None)
            seen.append(_seen({**row, "status": "DELETED"}))
    return seen


def _seen(row: Json) -> PaymentSeen:
    return PaymentSeen(
        payment_id=row["payment_id"],
        number=row["statement_number"],
        amount=row["amount"],
        currency=row["currency"],
        paid_on=row["paid_on"],
        status=row["status"],
    )
