"""Credit notes credit the invoices of the periods they adjust; what is left stays as credit."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import select

from exporters.ledger import tables
from exporters.xero import records
from exporters.xero.compare import id_of, number_of
from exporters.xero.errors import NotDoneError, RefusedError, UncertainError
from exporters.xero.facts import read_numbered
from exporters.xero.publishing.run import ATTEMPTS, Item, Run, new_key
from exporters.xero.records import ALLOCATE
from exporters.xero.wire import Json, items, money


def allocate(run: Run, item: Item) -> None:
    """Credit the invoices of the adjusted periods, else the payer's oldest open one; the rest
    stays as credit. The note is read anew before each attempt."""
    for _ in range(ATTEMPTS):
        note = run.client.by_id(item.kind, str(item.xero_id))
        if note is None:
            return
        item.remote = note
        live = [a for a in items(note, "Allocations") if not a.get("IsDeleted")]
        remaining = money(note.get("RemainingCredit")) or Decimal(0)
        target = None
        if not (live and item.history.tried_to_allocate) and remaining > 0:
            target = _allocation_target(run, item)
        if target is None:
            _record_allocated(run, item, note, body={"note": "nothing more to allocate"})
            return
        invoice, due = target
        amount = min(remaining, due)
        body: Json = {
            "Invoice": {"InvoiceID": id_of(invoice)},
            "Amount": amount,
            "Date": item.statement.issue_date.isoformat(),
        }
        key = new_key()
        intent = run.ledger.intent(ALLOCATE, subject=item.number, body=body, idempotency_key=key)
        try:
            answer = run.client.allocate(str(item.xero_id), body, key)
        except UncertainError as error:
            run.uncertain([intent], error)
            again = run.client.by_id(item.kind, str(item.xero_id))
            if again is not None and items(again, "Allocations"):
                _record_allocated(run, item, again, intent=intent)
                return
            continue
        except RefusedError as error:
            run.ledger.outcome(intent, "failed", message=str(error))
            item.turn("quarantined", f"Xero refused to allocate it: {error}")
            return
        except NotDoneError as error:
            run.not_sent([intent], error)
            raise
        again = run.client.by_id(item.kind, str(item.xero_id))
        _record_allocated(run, item, again or note, intent=intent, answer=answer.text)
        item.line.done.append(
            f"allocated {item.statement.currency} {amount} to {number_of(invoice)}"
        )
        return
    run.unsure.add(item.number)
    run.report.notes.append(f"{item.number}: allocation unknown; the next run looks again")


def _record_allocated(
    run: Run,
    item: Item,
    note: Json,
    *,
    intent: str | None = None,
    body: Json | None = None,
    answer: str | None = None,
) -> None:
    with run.ledger.transaction() as tx:
        chosen = intent or tx.intent(ALLOCATE, subject=item.number, body=body or {})
        tx.outcome(chosen, "ok", answer=answer)
        run.observe(tx, item, note, state="published")


def _allocation_target(run: Run, item: Item) -> tuple[Json, Decimal] | None:
    """The invoice to credit, as Xero holds it now, with what is due on it."""
    statement = item.statement
    adjusted = {line.adjusts_period for line in statement.lines if line.adjusts_period}
    issued = tables.issued_statements
    rows = run.ledger.query(
        select(issued.c.statement_number, issued.c.period)
        .where(issued.c.payer_id == statement.payer_id)
        .where(issued.c.currency == statement.currency)
        .where(issued.c.seller_id == statement.seller_id)
        .order_by(issued.c.issue_date, issued.c.series_no)
    )
    others = [row["statement_number"] for row in rows if row["statement_number"] != item.number]
    known = records.read_histories(run.ledger, others)
    candidates = read_numbered(
        run.ledger,
        [
            number
            for number in others
            if known[number].xero_id and (known[number].last or {}).get("status") == "AUTHORISED"
        ],
    )
    numbers = [n for n in others if n in candidates and candidates[n].total > 0]
    remotes = {id_of(r): r for r in run.client.by_number("invoice", numbers)}
    open_now: list[tuple[bool, Json, Decimal]] = []
    for number in numbers:
        remote = remotes.get(str(known[number].xero_id))
        due = money((remote or {}).get("AmountDue"))
        if remote is not None and remote.get("Status") == "AUTHORISED" and due:
            open_now.append((candidates[number].period in adjusted, remote, due))
    preferred = [o for o in open_now if o[0]] or open_now
    return (preferred[0][1], preferred[0][2]) if preferred else None
