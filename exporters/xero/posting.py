"""Payments that people confirmed from bank lines, made in Xero, each exactly once; off unless the
book switches it on for a bank account.

The order is that of publishing: look at the invoice as Xero holds it → write the intent down → send
→ write down what came back. A payment is known again by the bank line's id in its reference, so
after an answer that never came the invoice is looked at before anything is sent again. Never more
than what is due is sent, and nothing to a document that is not as it was published, nor to an
account that may get the bank's own lines: there a payment from here would be the second record of
the same money.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final, Literal

import httpx
from sqlalchemy import select

from exporters.ledger import Ledger, banking, tables
from exporters.ledger.banking import Match
from exporters.reconcile.gate import require_reconciled
from exporters.xero import records
from exporters.xero.bank_accounts import Account, read_accounts, why_not_posted
from exporters.xero.client import XeroClient
from exporters.xero.compare import differences, element_errors, id_of
from exporters.xero.config import XeroConfig
from exporters.xero.errors import (
    NotDoneError,
    RefusedError,
    UncertainError,
    XeroError,
)
from exporters.xero.facts import Statement, read_book, read_numbered
from exporters.xero.lock import publisher_lock
from exporters.xero.publishing.run import ATTEMPTS, new_key
from exporters.xero.report import Visited
from exporters.xero.visit import visiting
from exporters.xero.wire import Json, day, encode, items, money

POST: Final = "xero.payment"
SAME_PAYMENT_WITHIN: Final = timedelta(days=31)
Action = Literal["post", "adopt", "refused"]


@dataclass
class PostLine:
    """One confirmed payment: what is to be done, why not, and what came of it."""

    statement_number: str
    line_id: str
    booked_on: str
    amount: Decimal
    currency: str
    account_code: str
    action: Action = "post"
    detail: str = ""
    payment_id: str | None = None

    def as_dict(self) -> Json:
        """JSON-ready."""
        return {**vars(self), "amount": str(self.amount)}

    def describe(self) -> str:
        """One line for people; always names the statement number."""
        words = (
            f"{self.statement_number}: {self.currency} {self.amount:,.2f} of {self.booked_on} "
            f"({self.line_id}) on account {self.account_code}: {self.action}"
        )
        words += f" - {self.detail}" if self.detail else ""
        return words + (f" [payment {self.payment_id}]" if self.payment_id else "")


@dataclass
class PostReport(Visited):
    """A posting run. Exit code: 0 done, 1 a person is needed, 3 a failure."""

    applied: bool
    lines: list[PostLine] = field(default_factory=list)
    off: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """For the command line."""
        if self.failure is not None:
            return 3
        refused = any(line.action == "refused" for line in self.lines)
        return 1 if refused or self.busy is not None else 0

    def as_dict(self) -> Json:
        """JSON-ready."""
        return {
            "applied": self.applied,
            "payments": [line.as_dict() for line in self.lines],
            "posting_off": dict(self.off),
            "notes": list(self.notes),
            "busy": self.busy,
            "failure": self.failure,
            "deferred_until": None if self.deferred_until is None else str(self.deferred_until),
            "calls": self.calls,
            "writes": self.writes,
            "exit_code": self.exit_code,
        }

    def describe(self) -> list[str]:
        """The report for people."""
        title = "Posted" if self.applied else "Plan (nothing sent; --apply acts)"
        words = [f"{title}: {len(self.lines) or 'no'} confirmed payments to make in Xero"]
        words += [f"  {line.describe()}" for line in self.lines]
        words += [
            f"  {count} confirmed payments on {account}, whose posting is off (post_payments in "
            "seller.yml): a person enters them in Xero"
            for account, count in sorted(self.off.items())
        ]
        words += [f"  note: {note}" for note in self.notes]
        if self.deferred_until is not None:
            words.append(f"deferred until {self.deferred_until:%Y-%m-%d %H:%M} UTC (day limit)")
        return words + [one for one in (self.busy, self.failure) if one is not None]


def post_payments(
    marts_path: Path,
    ledger: Ledger,
    *,
    config: XeroConfig | Callable[[], XeroConfig],
    clock: Callable[[], datetime],
    apply: bool = False,
    sleep: Callable[[float], None] = time.sleep,
    timer: Callable[[], float] = time.monotonic,
    http: httpx.Client | None = None,
) -> PostReport:
    """Show which confirmed payments would be made in Xero, or make them.

    config: or what gives it, asked for only when there is something to post. Raises
    NotReconciledError before anything is sent if the ledger was put back to an older copy. Failures
    of Xero are in the report, with an exit code.
    """
    report = PostReport(applied=apply)
    if apply:
        require_reconciled(ledger, marts_path)
    accounts = read_accounts(marts_path)
    with ledger.snapshot() as reader:
        waiting = [m for m in banking.matches(reader) if m.in_flight and m.posted is None]
    chosen: list[Match] = []
    for match in waiting:
        account = accounts.get((match.account, match.currency))
        if account is not None and account.posts:
            chosen.append(match)
        else:
            report.off[match.account] = report.off.get(match.account, 0) + 1
    if not chosen:
        return report
    connection = (config() if callable(config) else config).for_posting()
    facts = read_book(marts_path)
    statements = read_numbered(ledger, sorted({m.statement_number for m in chosen}))
    groups: dict[str, list[Match]] = {}
    for match in chosen:
        seller = statements[match.statement_number].seller_id
        groups.setdefault(facts.tenant_of(seller, connection.tenant_id), []).append(match)
    for tenant, group in sorted(groups.items()):
        with visiting(
            tenant,
            report,
            connection,
            among_others=len(groups) > 1,
            clock=clock,
            sleep=sleep,
            timer=timer,
            http=http,
        ) as client:
            run = _Run(client, ledger, report, statements, accounts)
            if apply:
                with publisher_lock(connection.locks_dir, tenant):
                    # Another run may have posted some while this one waited to begin.
                    run.plan(_still_waiting(ledger, group))
                    run.apply()
            else:
                run.plan(group)
    return report


def _still_waiting(ledger: Ledger, group: Sequence[Match]) -> list[Match]:
    wanted = {match.match_id for match in group}
    with ledger.snapshot() as reader:
        return [
            match
            for match in banking.matches(reader)
            if match.match_id in wanted and match.in_flight and match.posted is None
        ]


@dataclass
class _Item:
    """A confirmed payment on its way."""

    match: Match
    account: Account
    statement: Statement
    line: PostLine
    invoice_id: str = ""

    @property
    def subject(self) -> str:
        return f"{self.match.statement_number}/{self.match.line_id}"

    @property
    def reference(self) -> str:
        return f"Bank line {self.match.line_id}"

    @property
    def body(self) -> Json:
        return {
            "Invoice": {"InvoiceID": self.invoice_id},
            "Account": {"Code": self.line.account_code},
            "Date": self.match.booked_on,
            "Amount": self.match.amount,
            "Reference": self.reference,
        }

    def refuse(self, why: str) -> None:
        self.line.action, self.line.detail = "refused", why


class _Run:
    """One run against one organisation."""

    def __init__(
        self,
        client: XeroClient,
        ledger: Ledger,
        report: PostReport,
        statements: Mapping[str, Statement],
        accounts: Mapping[tuple[str, str], Account],
    ) -> None:
        self._client, self._ledger, self._report = client, ledger, report
        self._statements, self._accounts = statements, accounts
        self._items: list[_Item] = []

    def plan(self, matches: Sequence[Match]) -> None:
        """Decide for each payment what is to be done. Reads only."""
        for match in matches:
            account = self._accounts[match.account, match.currency]
            line = PostLine(
                statement_number=match.statement_number,
                line_id=match.line_id,
                booked_on=str(match.booked_on),
                amount=match.amount,
                currency=match.currency,
                account_code=str(account.code),
            )
            statement = self._statements[match.statement_number]
            self._items.append(_Item(match, account, statement, line))
        self._report.lines += [item.line for item in self._items]
        if not self._items:
            return
        problems = why_not_posted(self._client, {item.account for item in self._items})
        numbers = sorted({item.match.statement_number for item in self._items})
        histories = records.read_histories(self._ledger, numbers)
        invoices = {id_of(one): one for one in self._client.by_number("invoice", numbers)}
        ours = self._our_payments()
        room: dict[str, Decimal] = {}
        for item in self._items:
            self._classify(item, histories[item.match.statement_number], invoices)
            if item.line.action == "post":
                invoice = invoices[item.invoice_id]
                self._hold_back(item, invoice, room, ours, problems[item.account])

    def _classify(
        self, item: _Item, history: records.History, invoices: Mapping[str, Json]
    ) -> None:
        """Whether the invoice is there as it was published, and the payment not made already."""
        if history.xero_id is None or history.publish_state != "published":
            state = history.publish_state or "not there"
            item.refuse(f"the invoice is {state} in Xero, not published: see m2c publish")
            return
        invoice = invoices.get(history.xero_id) or self._client.by_id("invoice", history.xero_id)
        if invoice is None or invoice.get("Status") not in ("AUTHORISED", "PAID"):
            status = "gone" if invoice is None else str(invoice.get("Status")).lower()
            item.refuse(f"the invoice is {status} in Xero")
            return
        item.invoice_id = history.xero_id
        made = _made_for(item, invoice)
        if made is not None:
            item.line.action, item.line.detail = "adopt", "it is in Xero already"
            item.line.payment_id = str(made.get("PaymentID"))
            return
        changed = differences(history.sent or {}, item.statement, invoice)
        if changed:
            item.refuse("a person changed the invoice in Xero: " + "; ".join(changed))

    def _our_payments(self) -> set[str]:
        """Payments in Xero that bank lines are known to be."""
        with self._ledger.snapshot() as reader:
            made = {row["payment_id"] for row in reader.query(select(tables.bank_payments))}
            return made | {m.payment_id for m in banking.matches(reader) if m.payment_id}

    def _hold_back(
        self,
        item: _Item,
        invoice: Json,
        room: dict[str, Decimal],
        ours: set[str],
        problem: str | None,
    ) -> None:
        """Why a payment that is not there yet is not made."""
        due = room.setdefault(item.invoice_id, money(invoice.get("AmountDue")) or Decimal(0))
        alike = _alike(item, invoice, ours)
        if problem is not None:
            item.refuse(problem)
        elif alike is not None:
            item.refuse(
                f"Xero has a payment of this amount on {day(alike.get('Date'))} "
                f"({alike.get('PaymentID')}), perhaps the same: m2c payments and m2c bank "
                "proposals take it up; if it is another, a person enters this one"
            )
        elif item.match.amount > due:
            item.refuse(
                f"only {due:,.2f} is due in Xero; a person decides what the rest is "
                f"(m2c bank release {item.match.line_id})"
            )
        else:
            room[item.invoice_id] = due - item.match.amount

    # Acting --------------------------------------------------------------------------------------

    def apply(self) -> None:
        """Make the payments, one after the other."""
        for item in self._items:
            if item.line.action == "adopt":
                self._record(item, str(item.line.payment_id), self._open_intent(item), None)
            elif item.line.action == "post":
                self._post(item)

    def _open_intent(self, item: _Item) -> str | None:
        found = self._ledger.open_intents(POST, subject=item.subject)
        return found[-1].intent_id if found else None

    def _intent(self, item: _Item) -> tuple[str, str]:
        """The intent to send under, and its key: that of an attempt of which nothing came back,
        else a new one."""
        for intent in self._ledger.open_intents(POST, subject=item.subject):
            answers = self._ledger.query(
                select(tables.outcomes.c.answer).where(
                    tables.outcomes.c.intent_id == intent.intent_id
                )
            )
            if not any(row["answer"] for row in answers) and _same(intent.body, item.body):
                return intent.intent_id, intent.idempotency_key
            self._ledger.outcome(
                intent.intent_id, "failed", message="not found in Xero; tried anew"
            )
        key = new_key()
        intent_id = self._ledger.intent(
            POST, subject=item.subject, body=item.body, idempotency_key=key
        )
        return intent_id, key

    def _post(self, item: _Item) -> None:
        for _ in range(ATTEMPTS):
            intent_id, key = self._intent(item)
            try:
                answer = self._client.create_payment(item.body, key)
            except UncertainError as error:
                self._ledger.outcome(
                    intent_id, "unknown", answer=error.raw or None, message=str(error)
                )
                if self._found(item, intent_id):
                    return
                continue
            except RefusedError as error:
                self._ledger.outcome(intent_id, "failed", message=str(error))
                item.refuse(f"Xero refused it: {error}")
                return
            except NotDoneError as error:
                self._ledger.outcome(intent_id, "failed", message=str(error))
                raise
            made = next(iter(items(answer.content, "Payments")), {})
            if wrong := element_errors(made):
                why = "; ".join(wrong)
                self._ledger.outcome(intent_id, "failed", answer=answer.text, message=why)
                item.refuse(f"Xero refused it: {why}")
                return
            payment_id = str(made.get("PaymentID") or "")
            if not payment_id.strip("0-"):
                self._ledger.outcome(
                    intent_id, "unknown", answer=answer.text, message="an answer without PaymentID"
                )
                if self._found(item, intent_id):
                    return
                continue
            self._record(item, payment_id, intent_id, answer.text)
            item.line.detail = "made"
            return
        raise XeroError(
            f"{item.match.statement_number}: whether the payment of {item.match.line_id} was made "
            "is not known; the next run looks again"
        )

    def _found(self, item: _Item, intent_id: str) -> bool:
        """Look whether a payment was made after all; if so, write it down."""
        invoice = self._client.by_id("invoice", item.invoice_id)
        made = None if invoice is None else _made_for(item, invoice)
        if made is None:
            return False
        self._record(item, str(made.get("PaymentID")), intent_id, encode(made))
        item.line.detail = "made; its answer was lost"
        return True

    def _record(
        self, item: _Item, payment_id: str, intent_id: str | None, answer: str | None
    ) -> None:
        item.line.payment_id = payment_id
        with self._ledger.transaction() as tx:
            chosen = intent_id or tx.intent(POST, subject=item.subject, body=item.body)
            tx.outcome(chosen, "ok", external_id=payment_id, answer=answer)
            tx.record(
                tables.bank_payments,
                payment_id=payment_id,
                match_id=item.match.match_id,
                line_id=item.match.line_id,
                statement_number=item.match.statement_number,
            )


def _made_for(item: _Item, invoice: Json) -> Json | None:
    """The payment that carries the bank line's id."""
    return next(
        (
            payment
            for payment in items(invoice, "Payments")
            if item.match.line_id in str(payment.get("Reference"))
            and payment.get("Status") != "DELETED"
        ),
        None,
    )


def _alike(item: _Item, invoice: Json, ours: set[str]) -> Json | None:
    """A payment that a person may have entered for the same money."""
    for payment in items(invoice, "Payments"):
        on = day(payment.get("Date"))
        if (
            money(payment.get("Amount")) == item.match.amount
            and payment.get("Status") != "DELETED"
            and str(payment.get("PaymentID")) not in ours
            and "Bank line bl-" not in str(payment.get("Reference"))
            and (on is None or abs(on - item.match.booked_on) <= SAME_PAYMENT_WITHIN)
        ):
            return payment
    return None


def _same(kept: Json, body: Json) -> bool:
    """Whether an intent's body is the one to be sent: a key stands for one body."""
    return {key: str(value) for key, value in kept.items()} == {
        key: str(value) for key, value in body.items()
    }
