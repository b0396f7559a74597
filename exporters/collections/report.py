"""What a run of `remind` did or would do, for machines (`as_dict`) and people (`describe`)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from exporters.collections.model import HeldBack, Suspension

PLANNED, SENT, FAILED, BOUNCED, UNKNOWN = "planned", "sent", "failed", "bounced", "unknown"


@dataclass(frozen=True, kw_only=True)
class SentMessage:
    """One message: `status` is planned (dry run), sent, failed (not sent, will be tried again),
    bounced (address refused) or unknown (perhaps sent; never repeated)."""

    payer_id: str
    recipient: str
    copies: tuple[str, ...]
    message_id: str
    subject: str
    stage: str
    invoices: tuple[tuple[str, str | None, int, Decimal], ...]
    """(statement number, stage fired by this message or None if only listed, days overdue,
    amount due)"""
    currency: str
    to_pay: Decimal
    local_day: date
    status: str
    location: str | None = None
    problem: str | None = None
    attached: tuple[str, ...] = ()
    """names of the files that go with it"""
    not_attached: tuple[str, ...] = ()
    """which statements do not, and why, in words"""

    def as_dict(self) -> dict[str, object]:
        return {
            "payer_id": self.payer_id,
            "recipient": self.recipient,
            "copies": list(self.copies),
            "message_id": self.message_id,
            "subject": self.subject,
            "stage": self.stage,
            "invoices": [
                {
                    "statement_number": number,
                    "stage": stage,
                    "days_overdue": days,
                    "amount_due": str(due),
                }
                for number, stage, days, due in self.invoices
            ],
            "currency": self.currency,
            "to_pay": str(self.to_pay),
            "local_day": self.local_day.isoformat(),
            "status": self.status,
            "location": self.location,
            "problem": self.problem,
            "attached": list(self.attached),
            "not_attached": list(self.not_attached),
        }


@dataclass(frozen=True, kw_only=True)
class RemindReport:
    """`applied` is False for a dry run, and for a run that was not allowed to act at all."""

    now: datetime
    applied: bool
    messages: tuple[SentMessage, ...] = ()
    notices: tuple[str, ...] = ()
    """mails to responsible people about payers that cannot be reached, in words"""
    suspensions: tuple[Suspension, ...] = ()
    held: tuple[HeldBack, ...] = ()
    alerts: tuple[str, ...] = ()
    """what a person must look at, in words"""

    @property
    def needs_person(self) -> bool:
        return bool(self.alerts) or any(
            s.stage.approval not in (None, "", "auto") for s in self.suspensions
        )

    @property
    def sent(self) -> tuple[SentMessage, ...]:
        return tuple(m for m in self.messages if m.status == SENT)

    def as_dict(self) -> dict[str, object]:
        return {
            "now": self.now.isoformat(),
            "applied": self.applied,
            "needs_person": self.needs_person,
            "sent": len(self.sent),
            "messages": [m.as_dict() for m in self.messages],
            "notices": list(self.notices),
            "suspensions": [
                {
                    "payer_id": s.payer_id,
                    "statement_number": s.statement_number,
                    "stage": s.stage.stage,
                    "action": s.stage.action,
                    "approval": s.stage.approval,
                    "days_overdue": s.days_overdue,
                    "amount_due": str(s.amount_due),
                    "currency": s.currency,
                }
                for s in self.suspensions
            ],
            "held": [h.as_dict() for h in self.held],
            "alerts": list(self.alerts),
        }

    def describe(self) -> str:
        """The report in words, one finding a line."""
        lines = [f"Attention: {alert}" for alert in self.alerts]
        for message in self.messages:
            lines += _describe_message(message)
        lines += self.notices
        lines += [
            f"Machines of {s.payer_id} are due to be paused ({s.stage.stage}, {s.statement_number},"
            f" {s.days_overdue} days overdue): run `m2c suspend`"
            for s in self.suspensions
        ]
        for held in self.held:
            label = "Waiting" if held.code in ("not_yet", "done") else "Held back"
            lines.append(f"{label}: {held.statement_number} ({held.payer_id}): {held.reason}")
        if not lines:
            lines = ["Nothing is overdue."]
        elif self.messages and not self.applied:
            lines.append("Nothing was sent; add --apply to send.")
        return "\n".join(lines)


def _describe_message(message: SentMessage) -> list[str]:
    verb = {
        PLANNED: "Would send",
        SENT: "Sent",
        FAILED: "Not sent",
        BOUNCED: "Refused",
        UNKNOWN: "Perhaps sent",
    }[message.status]
    copies = f", copy to {', '.join(message.copies)}" if message.copies else ""
    lines = [
        f"{verb}: {message.stage} to {message.payer_id} <{message.recipient}>{copies},"
        f" {message.to_pay} {message.currency} to pay"
        + (f" -> {message.location}" if message.location else "")
        + (f": {message.problem}" if message.problem else "")
    ]
    for number, stage, days, due in message.invoices:
        fired = f": {stage}" if stage else " (listed only)"
        lines.append(f"  {number}, {days} days overdue, {due} {message.currency}{fired}")
    if message.attached:
        lines.append(f"  attached: {', '.join(message.attached)}")
    lines += [f"  not attached: {words}" for words in message.not_attached]
    return lines
