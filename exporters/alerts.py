"""Notices of alerts: people are told of each usage or cost alert that is reached, once, ever.

The rule of an alert is the marts' (`alerts.is_reached`); here is only the telling. Each notice goes
through three steps, as reminders do: the transport accepts it, the intent is committed to the
ledger, the mail is handed over and the outcome committed. A run that dies in between is settled by
the next: a notice in the outbox folder is there or is not, so it counts as told or is told again;
one that was being handed to a mail server may have arrived, and is never repeated.
"""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select

from exporters.collections.mail import Mail
from exporters.collections.transport import (
    Outbox,
    SmtpServer,
    Transport,
    TransportError,
    UnknownOutcome,
)
from exporters.ledger import Ledger, restored, tables
from exporters.ledger.types import jsonable
from exporters.marts import Marts, open_marts
from exporters.statements.text import file_stem, one_line

ALERT_MAIL: Final = "alert_mail"
TOLD: Final = "told"
NOT_TOLD: Final = "not_told"
UNKNOWN: Final = "unknown"

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One alert after this run. status: `told`, `not_told` (the next run tries again) or `unknown`
    (it may have arrived, and is not repeated); `problem` says why, `location` where it went."""

    alert_key: str
    status: str
    detail: str
    recipients: tuple[str, ...]
    location: str | None = None
    problem: str | None = None

    def describe(self) -> str:
        """The notice in one line."""
        verb = {TOLD: "told", NOT_TOLD: "not told yet", UNKNOWN: "perhaps told"}[self.status]
        where = f" ({self.problem or self.location})"
        return f"alert {verb} to {', '.join(self.recipients)}{where}: {self.detail}"


@dataclass(frozen=True, kw_only=True)
class NoticeReport:
    """What one run told. `reached` counts the alerts that are reached, those told before too."""

    reached: int
    notices: tuple[Notice, ...]

    @property
    def needs_person(self) -> bool:
        """Whether a notice did not get out, or nobody knows whether it did."""
        return any(notice.status != TOLD for notice in self.notices)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        plain: dict[str, Any] = jsonable(asdict(self))
        return plain

    def describe(self) -> list[str]:
        """The run in words, a line a notice; empty if there was nothing to tell."""
        return [notice.describe() for notice in self.notices]


def reached_alerts(marts: Marts) -> list[Row]:
    """The alerts that are reached, with their customer, in order of month and contract."""
    return list(
        marts.rows(
            "SELECT alerts.*, customers.name AS customer_name FROM alerts "
            "LEFT JOIN customers USING (customer_id) WHERE is_reached "
            "ORDER BY period, contract_id, measure, threshold"
        )
    )


def tell_alerts(
    alerts: Sequence[Row],
    ledger: Ledger,
    *,
    clock: Callable[[], datetime],
    outbox_dir: Path,
    sender: str,
    recipients: Sequence[str],
    smtp_url: str | None = None,
) -> NoticeReport:
    """Tell of every alert that was not told before; run it alone.

    alerts: rows of `reached_alerts`. Without smtp_url a notice is a file in `outbox_dir`. Raises
    ValueError for an smtp_url that is none, LedgerError if the ledger cannot be written.
    """
    outbox = Outbox(outbox_dir)
    transport: Transport = SmtpServer(smtp_url) if smtp_url else outbox
    told = tuple(_settle(ledger, outbox))
    known = _attempts(ledger)
    telling = _Telling(
        ledger=ledger,
        now=clock(),
        transport=transport,
        outbox=outbox,
        sender=sender,
        recipients=tuple(recipients),
    )
    with ledger.snapshot() as reader:
        telling.out_of_order = restored.why_not_reconciled(reader)
    try:
        new = [
            telling.one(alert, attempt=len(known.get(alert["alert_key"], ())) + 1)
            for alert in alerts
            if all(status == "failed" for status in known.get(alert["alert_key"], ()))
        ]
    finally:
        transport.close()
    return NoticeReport(reached=len(alerts), notices=(*told, *new))


def _settle(ledger: Ledger, outbox: Outbox) -> list[Notice]:
    """Find out what became of notices that a dead run left behind; those that nobody can know."""
    lost = []
    for intent in ledger.open_intents(ALERT_MAIL):
        if intent.unknowns:
            continue
        body = intent.body
        target = outbox.path_of(body["name"])
        if target.exists():
            ledger.outcome(intent.intent_id, "ok", external_id=body["message_id"], message="found")
        elif body["channel"] == Outbox.channel:
            ledger.outcome(intent.intent_id, "failed", message="never written")
        else:
            ledger.outcome(intent.intent_id, "unknown", message="no answer known")
            lost.append(
                Notice(
                    alert_key=intent.subject,
                    status=UNKNOWN,
                    detail=body["detail"],
                    recipients=tuple(body["recipients"]),
                    problem=(
                        "the run died while it was being handed to the mail server; it is not sent"
                        f" again, look for Message-ID <{body['message_id']}> in the server's log"
                    ),
                )
            )
    return lost


def _attempts(ledger: Ledger) -> dict[str, list[str]]:
    """By alert, the outcome of every attempt to tell it, oldest first."""
    intents, outcomes = tables.intents, tables.outcomes
    rows = ledger.query(
        select(intents.c.subject, outcomes.c.status)
        .select_from(intents.join(outcomes, intents.c.intent_id == outcomes.c.intent_id))
        .where(intents.c.kind == ALERT_MAIL)
        .order_by(intents.c.id)
    )
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["subject"], []).append(row["status"])
    return found


@dataclass(kw_only=True)
class _Telling:
    ledger: Ledger
    now: datetime
    transport: Transport
    outbox: Outbox
    sender: str
    recipients: tuple[str, ...]
    out_of_order: str | None = None

    def one(self, alert: Row, *, attempt: int) -> Notice:
        if self.out_of_order:
            return self._notice(alert, NOT_TOLD, problem=self.out_of_order)
        mail = compose(alert, sender=self.sender, recipients=self.recipients, now=self.now)
        name = _name(alert, attempt)
        target = self.outbox.path_of(name)
        if target.exists():
            # The file is there and the ledger does not know (it was restored from a backup).
            return self._told(alert, mail, self._intend(alert, mail, name), str(target), "found")
        try:
            self.transport.prepare(mail)
        except TransportError as error:
            # The next one would wait for the same server: leave them all for the next run.
            self.out_of_order = f"the next build tries again: {error}"
            return self._notice(alert, NOT_TOLD, problem=self.out_of_order)
        intent_id = self._intend(alert, mail, name)
        try:
            receipt = self.transport.send(mail, attempt=name)
        except UnknownOutcome as error:
            self.ledger.outcome(intent_id, "unknown", message=str(error))
            return self._notice(
                alert,
                UNKNOWN,
                problem=(
                    "the connection broke while it was handed over; it is not sent again, look"
                    f" for Message-ID <{mail.message_id}> in the mail server's log ({error})"
                ),
            )
        except TransportError as error:
            self.ledger.outcome(intent_id, "failed", message=str(error))
            return self._notice(alert, NOT_TOLD, problem=f"the next build tries again: {error}")
        refused = f"; refused for {', '.join(receipt.refused)}" if receipt.refused else ""
        return self._told(alert, mail, intent_id, receipt.location + refused, receipt.answer)

    def _told(self, alert: Row, mail: Mail, intent_id: str, location: str, answer: str) -> Notice:
        self.ledger.outcome(intent_id, "ok", external_id=mail.message_id, message=answer)
        return self._notice(alert, TOLD, location=location)

    def _intend(self, alert: Row, mail: Mail, name: str) -> str:
        return self.ledger.intent(
            ALERT_MAIL,
            subject=alert["alert_key"],
            intent_id=f"alert/{name}",
            idempotency_key=mail.message_id,
            body={
                "message_id": mail.message_id,
                "channel": self.transport.channel,
                "name": name,
                "recipients": list(mail.recipients),
                "subject": mail.subject,
                "detail": alert["detail"],
                "content_sha256": hashlib.sha256(mail.content).hexdigest(),
                "content": mail.content.decode("ascii"),
            },
        )

    def _notice(
        self, alert: Row, status: str, *, location: str | None = None, problem: str | None = None
    ) -> Notice:
        return Notice(
            alert_key=alert["alert_key"],
            status=status,
            detail=alert["detail"],
            recipients=self.recipients,
            location=location,
            problem=problem,
        )


def compose(alert: Row, *, sender: str, recipients: Sequence[str], now: datetime) -> Mail:
    """The mail of an alert, dated `now`."""
    period = alert["period"]
    month = date.fromisoformat(f"{period}-01").strftime("%B %Y")
    customer = one_line(alert["customer_name"])
    who = f"{customer} ({alert['customer_id']})" if customer else alert["customer_id"]
    message_id = f"m2c.alert.{_digest(alert)}@meter-to-cash"
    mail = EmailMessage(policy=SMTP)
    mail["From"] = sender
    mail["To"] = ", ".join(recipients)
    mail["Subject"] = one_line(
        f"meter-to-cash: contract {alert['contract_id']} reached {alert['threshold_in_words']}"
        f" in {month}"
    )
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{message_id}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(
        f"{_folded(alert['detail'])}\n\n"
        f"Customer: {who}\n"
        f"Alert: {alert['measure']} from {alert['threshold_in_words']} a month (alerts.csv)\n\n"
        f"This is told once for {month}. What the month costs so far:\n"
        f"  m2c statements --period {period}\n",
        cte="quoted-printable",
    )
    return Mail(
        message_id=message_id,
        sender=sender,
        recipients=tuple(recipients),
        subject=str(mail["Subject"]),
        content=mail.as_bytes(),
    )


def _folded(text: str) -> str:
    return textwrap.fill(one_line(text), width=72, break_long_words=False, break_on_hyphens=False)


def _name(alert: Row, attempt: int) -> str:
    """A name for this attempt that no earlier one had; the outbox file is called so."""
    stem = file_stem(f"alert-{alert['period']}-{alert['contract_id']}-{alert['measure']}")
    again = f"-{attempt}" if attempt > 1 else ""
    return f"{stem}-{_digest(alert)[:12]}{again}"


def _digest(alert: Row) -> str:
    return hashlib.sha256(alert["alert_key"].encode()).hexdigest()[:32]


def read_reached_alerts(marts_path: Path) -> list[Row]:
    """`reached_alerts` of the marts at a path. Raises MartsError."""
    with open_marts(marts_path) as marts:
        return reached_alerts(marts)
