"""What publishing and polling report: plain results with words for people and JSON for programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from exporters.xero.wire import Json

Action = Literal["create", "adopt", "finish", "already there", "drifted", "conflict", "quarantined"]
UNRESOLVED: tuple[Action, ...] = ("drifted", "conflict", "quarantined")


@dataclass(kw_only=True)
class Visited:
    """What came of talking to organisations, one after the other. busy: another process was at it.
    deferred_until: when the last of their day limits opens again (UTC)."""

    busy: str | None = None
    failure: str | None = None
    deferred_until: datetime | None = None
    calls: int = 0
    writes: int = 0


@dataclass
class PlanLine:
    """One document: what is to be done, why, and what came of it.

    settled: who settled what is in its way by hand, and why; then no person is needed any more.
    done: what was done so far in this run, in order (`created`, `approved`, `attached x.pdf` …).
    """

    statement_number: str
    statement_id: str
    payer_id: str
    document_type: str
    currency: str
    total: Decimal
    action: Action
    detail: str = ""
    xero_id: str | None = None
    settled: str | None = None
    done: list[str] = field(default_factory=list)

    def as_dict(self) -> Json:
        """JSON-ready."""
        return {
            "number": self.statement_number,
            "statement_id": self.statement_id,
            "payer_id": self.payer_id,
            "document_type": self.document_type,
            "currency": self.currency,
            "total": str(self.total),
            "action": self.action,
            "detail": self.detail,
            "xero_id": self.xero_id,
            "settled": self.settled,
            "done": list(self.done),
        }

    def describe(self) -> str:
        """One line for people; always names the statement number."""
        words = f"{self.statement_number}: {self.action}, {self.currency} {self.total:,.2f}"
        if self.detail:
            words += f" - {self.detail}"
        if self.settled:
            words += f" ({self.settled})"
        if self.done:
            words += f" [{', '.join(self.done)}]"
        return words


@dataclass
class PublishReport(Visited):
    """A publishing run. Exit code: 0 done, 1 a person is needed, 3 a failure."""

    period: str
    applied: bool
    lines: list[PlanLine] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def unresolved(self) -> list[PlanLine]:
        """Documents that need a person."""
        return [line for line in self.lines if line.action in UNRESOLVED and not line.settled]

    @property
    def exit_code(self) -> int:
        """For the command line."""
        if self.failure is not None:
            return 3
        return 1 if self.busy is not None or self.unresolved else 0

    def counts(self) -> dict[str, int]:
        """Documents by action."""
        found: dict[str, int] = {}
        for line in self.lines:
            found[line.action] = found.get(line.action, 0) + 1
        return found

    def as_dict(self) -> Json:
        """JSON-ready."""
        return {
            "period": self.period,
            "applied": self.applied,
            "documents": [line.as_dict() for line in self.lines],
            "counts": self.counts(),
            "notes": list(self.notes),
            "busy": self.busy,
            "failure": self.failure,
            "deferred_until": _text(self.deferred_until),
            "calls": self.calls,
            "writes": self.writes,
            "exit_code": self.exit_code,
        }

    def describe(self) -> str:
        """The report for people."""
        title = "Published" if self.applied else "Plan (nothing sent; --apply acts)"
        counts = ", ".join(f"{count} {action}" for action, count in sorted(self.counts().items()))
        words = [f"{title} {self.period}: {counts or 'no issued statements'}"]
        words += [f"  {line.describe()}" for line in self.lines]
        words += [f"  note: {note}" for note in self.notes]
        if self.deferred_until is not None:
            words.append(
                f"deferred until {self.deferred_until:%Y-%m-%d %H:%M} UTC (Xero's day limit)"
            )
        if self.busy is not None:
            words.append(self.busy)
        if self.failure is not None:
            words.append(self.failure)
        return "\n".join(words)


@dataclass(frozen=True)
class DocumentState:
    """How one issued document stands."""

    number: str
    status: str | None
    total: Decimal | None
    amount_due: Decimal | None
    amount_paid: Decimal | None
    amount_credited: Decimal | None

    def as_dict(self) -> Json:
        """JSON-ready, with the names that `m2c payments --json` promises."""
        return {
            "number": self.number,
            "status": self.status,
            "total": _text(self.total),
            "amount_due": _text(self.amount_due),
            "amount_paid": _text(self.amount_paid),
            "amount_credited": _text(self.amount_credited),
        }


@dataclass(frozen=True)
class PaymentSeen:
    """A payment that is new, changed or taken back."""

    payment_id: str
    number: str
    amount: Decimal
    currency: str
    paid_on: date
    status: str

    def as_dict(self) -> Json:
        """JSON-ready."""
        return {
            "payment_id": self.payment_id,
            "number": self.number,
            "amount": str(self.amount),
            "currency": self.currency,
            "paid_on": self.paid_on.isoformat(),
            "status": self.status,
        }


@dataclass(frozen=True)
class CreditSeen:
    """Money of a payer without an invoice that is new, or of which more or less is left."""

    credit_id: str
    kind: str
    payer_id: str
    currency: str
    date: date
    total: Decimal
    remaining: Decimal
    status: str

    def as_dict(self) -> Json:
        """JSON-ready."""
        return {name: str(value) for name, value in asdict(self).items()}

    def describe(self) -> str:
        """One line for people."""
        return (
            f"{self.payer_id}: {self.kind} of {self.currency} {self.total:,.2f} on {self.date}, "
            f"{self.remaining:,.2f} of it not used"
        )


@dataclass
class PaymentsReport(Visited):
    """A poll. Exit code: 0 done, 1 a person is needed, 3 a failure."""

    documents: list[DocumentState] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    payments: list[PaymentSeen] = field(default_factory=list)
    credits: list[CreditSeen] = field(default_factory=list)
    drifted: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """For the command line."""
        if self.failure is not None:
            return 3
        return 1 if self.drifted else 0

    def as_dict(self) -> Json:
        """JSON-ready."""
        return {
            "documents": [state.as_dict() for state in self.documents],
            "changed": list(self.changed),
            "payments": [payment.as_dict() for payment in self.payments],
            "credits": [credit.as_dict() for credit in self.credits],
            "drifted": list(self.drifted),
            "notes": list(self.notes),
            "failure": self.failure,
            "deferred_until": _text(self.deferred_until),
            "calls": self.calls,
            "exit_code": self.exit_code,
        }

    def describe(self) -> str:
        """The report for people."""
        words = [f"{len(self.changed)} of {len(self.documents)} documents changed in Xero"]
        words += [
            f"  {seen.number}: {seen.currency} {seen.amount:,.2f} on {seen.paid_on}"
            + (" taken back" if seen.status == "DELETED" else "")
            for seen in self.payments
        ]
        words += [f"  {credit.describe()}" for credit in self.credits]
        words += [f"  {text}" for text in self.drifted]
        words += [f"  note: {note}" for note in self.notes]
        if self.deferred_until is not None:
            words.append(
                f"deferred until {self.deferred_until:%Y-%m-%d %H:%M} UTC (Xero's day limit)"
            )
        if self.failure is not None:
            words.append(self.failure)
        return "\n".join(words)


def _text(value: Decimal | datetime | None) -> str | None:
    if value is None:
        return None
    return value.isoformat() if isinstance(value, datetime) else str(value)
