"""What collections talks about: receivables, what was done before, and what is planned. Values
only; the rules are in `plan`, reading the values from ledger and marts is `situation`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from exporters.collections.policy import Policy, Stage

INVOICE = "ACCREC"
OPEN_STATUS = "AUTHORISED"
OVER_STATUSES = frozenset({"PAID", "VOIDED", "DELETED"})

SENT, PENDING, UNKNOWN = "sent", "pending", "unknown"


@dataclass(frozen=True, kw_only=True)
class Payer:
    """The legal entity that pays, as the book has it."""

    payer_id: str
    name: str
    country: str
    currency: str
    email: str
    language: str | None = None
    dunning_policy: str | None = None
    seller_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Receivable:
    """An issued statement as Xero last showed it; `status` None = never seen in Xero.

    `amount_due` is what is outstanding, in `currency`."""

    statement_number: str
    statement_id: str
    payer_id: str
    period: str
    currency: str
    total: Decimal
    amount_due: Decimal
    issue_date: date
    due_date: date
    document_type: str = INVOICE
    status: str | None = OPEN_STATUS
    publish_state: str | None = None
    problem: str | None = None
    online_url: str | None = None

    @property
    def is_outstanding(self) -> bool:
        """Whether something is left to pay of it."""
        return (
            self.document_type == INVOICE
            and self.status not in OVER_STATUSES
            and self.amount_due > 0
        )


@dataclass(frozen=True, kw_only=True)
class Fired:
    """A stage that is in the ledger for an invoice.

    `at` is when it took effect (delivered), else when it was claimed. `state`: `sent`; `unknown`
    (handed to a mail server, answer lost: never repeated); `pending` (claimed, certainly not
    delivered: to be delivered by the next message)."""

    statement_number: str
    stage: str
    at: datetime
    state: str = SENT
    message_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Hold:
    """A manual hold; `scope` is `payer` or `statement` (subject: its number or statement_id)."""

    scope: str
    subject: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Promise:
    """A payer's promise to pay, or a payment plan, that holds reminders through `until_date`."""

    payer_id: str
    until_date: date
    reason: str


@dataclass(frozen=True, kw_only=True)
class Situation:
    """All that decides, at the instant `now` (aware UTC)."""

    now: datetime
    payments_read_at: datetime | None
    payments_fresh_hours: int
    payers: Mapping[str, Payer]
    policies: Mapping[str, Policy]
    receivables: Sequence[Receivable]
    fired: Sequence[Fired] = ()
    holds: Sequence[Hold] = ()
    promises: Sequence[Promise] = ()
    disputed: Mapping[str, str] = field(default_factory=dict)
    """reason by statement_number"""
    in_flight: Mapping[str, str] = field(default_factory=dict)
    """what is on its way, in words, by statement_number"""
    credits: Mapping[tuple[str, str], Decimal] = field(default_factory=dict)
    """credit not yet set against an invoice, by (payer_id, currency)"""
    unreachable: Mapping[str, str] = field(default_factory=dict)
    """why mail cannot reach a payer (its address bounced, or is none), by payer_id"""
    holidays: frozenset[tuple[str, date]] = frozenset()
    """(country, date)"""
    messages: Mapping[str, datetime] = field(default_factory=dict)
    """instant of the last message to each payer"""
    wordless: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """why no mail can be written, by (payer_id, template)"""


@dataclass(frozen=True, kw_only=True)
class OverdueInvoice:
    """An invoice in a message. `stage` is the stage this message fires for it, None if it is only
    listed; `last_stage` is the latest one it had before."""

    receivable: Receivable
    days_overdue: int
    stage: Stage | None
    last_stage: str | None = None
    carried_over: bool = False
    """the stage was claimed by an earlier message that was certainly not delivered"""


@dataclass(frozen=True, kw_only=True)
class Message:
    """One mail to one payer on one day. `invoices` are all its overdue ones that may be chased,
    oldest first; `stage` is the furthest stage among those that fire. Amounts are in `currency`."""

    payer: Payer
    policy_id: str
    local_day: date
    stage: Stage
    currency: str
    invoices: tuple[OverdueInvoice, ...]
    overdue: Decimal
    credit: Decimal
    previous_message_id: str | None = None
    thread: tuple[str, ...] = ()
    """ids of the first messages about the same invoices, the oldest first"""

    @property
    def to_pay(self) -> Decimal:
        """What would settle everything overdue, credit taken off."""
        return self.overdue - self.credit

    @property
    def firing(self) -> tuple[OverdueInvoice, ...]:
        return tuple(i for i in self.invoices if i.stage is not None)


@dataclass(frozen=True, kw_only=True)
class Suspension:
    """A stage that would pause the payer's machines; planned here, performed by `m2c suspend`."""

    payer_id: str
    statement_number: str
    stage: Stage
    policy_id: str
    days_overdue: int
    amount_due: Decimal
    currency: str


@dataclass(frozen=True, kw_only=True)
class HeldBack:
    """An overdue invoice about which nothing is done now, with the reason in words.

    `code`: not_yet, done, disputed, hold, promise, in_flight, balance, bounced, stale_payments,
    no_business_day, said_today, not_in_xero, document, no_payer, no_policy, policy, notice."""

    statement_number: str
    payer_id: str
    days_overdue: int
    stage: str | None
    code: str
    reason: str

    def as_dict(self) -> dict[str, object]:
        return {
            "statement_number": self.statement_number,
            "payer_id": self.payer_id,
            "days_overdue": self.days_overdue,
            "stage": self.stage,
            "code": self.code,
            "reason": self.reason,
        }


@dataclass(frozen=True, kw_only=True)
class Escalation:
    """A payer who cannot be reached by mail: `responsible` is told, once per address."""

    payer: Payer
    address: str
    responsible: str
    invoices: tuple[OverdueInvoice, ...]


@dataclass(frozen=True, kw_only=True)
class DunningPlan:
    now: datetime
    messages: tuple[Message, ...]
    suspensions: tuple[Suspension, ...]
    escalations: tuple[Escalation, ...]
    held: tuple[HeldBack, ...]
    alerts: tuple[str, ...]
