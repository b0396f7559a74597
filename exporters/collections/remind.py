"""Send today's reminders: plan, write each message's intent down, send it, write the outcome down.

A dry run (the default) shows the plan and touches nothing. With `apply` each message goes through
three steps: everything that can be refused is tried first (mail server reached, address accepted);
then the stages it fires and the intent are committed to the ledger; then it is handed over and the
outcome committed. A run that dies in between is settled by the next: a message that went to the
outbox folder is there or is not, so it is recorded as sent or sent again; one that was being handed
to a mail server when the process died may have arrived, cannot be asked for, and is recorded as
`unknown` and never repeated, which an alert says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from exporters.collections import attachments, report
from exporters.collections.addresses import is_address
from exporters.collections.attachments import Attachments, statements_of
from exporters.collections.delivery import Attempt, Delivered, Postman, settle
from exporters.collections.mail import (
    Mail,
    Sender,
    compose,
    compose_escalation,
    escalation_id_for,
    message_id_for,
    sender_domain,
)
from exporters.collections.model import DunningPlan, Escalation, Message
from exporters.collections.plan import plan
from exporters.collections.report import RemindReport, SentMessage
from exporters.collections.situation import (
    ESCALATION_MAIL,
    REMINDER_MAIL,
    Book,
    read_book,
    read_situation,
)
from exporters.collections.texts import Texts, read_texts
from exporters.collections.transport import (
    Outbox,
    SmtpServer,
    Transport,
)
from exporters.ledger import Ledger
from exporters.reconcile.gate import require_reconciled

XERO_REMINDERS_ON = (
    "Xero's own invoice reminders are switched on for this organisation: nothing is sent, so that"
    " customers are not chased twice. Switch them off in Xero (Settings, Invoice reminders), or"
    " leave the chasing to Xero"
)


def remind(
    marts_path: Path,
    ledger: Ledger,
    *,
    clock: Callable[[], datetime],
    outbox_dir: Path,
    smtp_url: str | None = None,
    apply: bool = False,
    xero_reminders_on: bool = False,
    texts_dir: Path | None = None,
    reports_dir: Path | None = None,
    bounce_address: str | None = None,
) -> RemindReport:
    """Remind payers of what is overdue, as their dunning policies say.

    marts_path: the published marts (the book's part of what is known). smtp_url: where mail goes;
    without it mails become `.eml` files in `outbox_dir`. texts_dir: the book's folder of texts
    (`mail`), if any. reports_dir: where the rendered statements are, a folder a period; without it
    nothing is attached. bounce_address: where mail that cannot be delivered comes back to. Raises
    ValueError for an smtp_url or bounce_address that is none, NotReconciledError if the ledger was
    put back to an older copy and `apply` is set, LedgerError if the ledger cannot be written.
    """
    if bounce_address and not is_address(bounce_address):
        raise ValueError(f"M2C_BOUNCE_ADDRESS {bounce_address!r} is not an e-mail address")
    now = clock()
    if apply:
        require_reconciled(ledger, marts_path)
    if xero_reminders_on:
        return RemindReport(now=now, applied=False, alerts=(XERO_REMINDERS_ON,))
    outbox = Outbox(outbox_dir)
    transport: Transport = SmtpServer(smtp_url) if smtp_url else outbox
    material = _Material(
        book=read_book(marts_path, bounce_address=bounce_address),
        texts=read_texts(texts_dir),
        reports_dir=reports_dir,
    )
    if not apply:
        return _run(material, ledger, now=now, outbox=outbox, transport=transport, apply=False)
    outbox_dir.mkdir(parents=True, exist_ok=True)
    lock = FileLock(outbox_dir / ".remind.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        busy = "another run is sending reminders right now; nothing was done by this one"
        return RemindReport(now=now, applied=False, alerts=(busy,))
    try:
        return _run(material, ledger, now=now, outbox=outbox, transport=transport, apply=True)
    finally:
        transport.close()
        lock.release()


@dataclass(frozen=True, kw_only=True)
class _Material:
    """What messages are made of."""

    book: Book
    texts: Texts
    reports_dir: Path | None


def _run(
    material: _Material,
    ledger: Ledger,
    *,
    now: datetime,
    outbox: Outbox,
    transport: Transport,
    apply: bool,
) -> RemindReport:
    settled, alerts = settle(ledger, outbox, (REMINDER_MAIL, ESCALATION_MAIL), apply=apply)
    with ledger.snapshot() as reader:
        situation = read_situation(
            reader, material.book, now=now, settled=settled, texts=material.texts
        )
    decided = plan(situation)
    alerts += [f"The book's texts of mails: {fault}" for fault in material.texts.faults]
    sending = _Sending(
        ledger=ledger, material=material, now=now, transport=transport, outbox=outbox, apply=apply
    )
    messages, notices = sending.all_of(decided)
    return RemindReport(
        now=now,
        applied=apply,
        messages=tuple(messages),
        notices=tuple(notices),
        suspensions=decided.suspensions,
        held=decided.held,
        alerts=(*alerts, *decided.alerts, *sending.alerts),
    )


class _Sending:
    """Sends the messages of one plan, one after the other."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        material: _Material,
        now: datetime,
        transport: Transport,
        outbox: Outbox,
        apply: bool,
    ) -> None:
        self._alerts: list[str] = []
        self._book = material.book
        self._texts = material.texts
        self._reports_dir = material.reports_dir
        self._now = now
        self._transport = transport
        self._apply = apply
        self._postman = Postman(ledger=ledger, transport=transport, outbox=outbox, apply=apply)

    @property
    def alerts(self) -> tuple[str, ...]:
        return (*self._alerts, *self._postman.alerts)

    def all_of(self, decided: DunningPlan) -> tuple[list[SentMessage], list[str]]:
        messages = [self._reminder(message) for message in decided.messages]
        notices = [
            notice for e in decided.escalations if (notice := self._escalation(e)) is not None
        ]
        return messages, notices

    def _reminder(self, message: Message) -> SentMessage:
        payer = message.payer
        sender = self._book.sender_for(payer)
        message_id = message.previous_message_id or message_id_for(
            payer_id=payer.payer_id,
            day=message.local_day,
            recipient=payer.email,
            domain=sender_domain(sender),
        )
        claims = tuple(
            (i.receivable.statement_number, i.stage.stage) for i in message.firing if i.stage
        )
        carried = {i.receivable.statement_number for i in message.firing if i.carried_over}
        new = tuple(c for c in claims if c[0] not in carried)

        def deliver(files: Attachments, new: tuple[tuple[str, str], ...]) -> tuple[Mail, Delivered]:
            mail = compose(
                message,
                sender=sender,
                message_id=message_id,
                now=self._now,
                texts=self._texts,
                files=files,
            )
            attempt = Attempt(
                kind=REMINDER_MAIL,
                subject=payer.payer_id,
                policy_id=message.policy_id,
                mail=mail,
                day=message.local_day.isoformat(),
                claims=claims,
                new=new,
            )
            return mail, self._postman.deliver(attempt)

        files = self._files(message)
        mail, result = deliver(files, new)
        if result.too_large and files.files:
            files = files.as_links()
            mail, result = deliver(files, () if result.claimed else new)
        if result.problem:
            self._alerts.append(f"Reminder to {payer.payer_id} <{payer.email}>: {result.problem}")
        return SentMessage(
            payer_id=payer.payer_id,
            recipient=payer.email,
            copies=mail.recipients[1:],
            message_id=mail.message_id,
            subject=mail.subject,
            stage=message.stage.stage,
            invoices=tuple(
                (
                    i.receivable.statement_number,
                    i.stage.stage if i.stage else None,
                    i.days_overdue,
                    i.receivable.amount_due,
                )
                for i in message.invoices
            ),
            currency=message.currency,
            to_pay=message.to_pay,
            local_day=message.local_day,
            status=result.status,
            location=result.location,
            problem=result.problem,
            attached=tuple(file.name for file in mail.files),
            not_attached=(
                *files.missing,
                *(f"{number}: too large for a mail, links only" for number in files.too_large),
            ),
        )

    def _files(self, message: Message) -> Attachments:
        if self._reports_dir is None:
            return attachments.NONE
        return statements_of(
            (i.receivable for i in message.firing),
            self._reports_dir,
            most_bytes=self._transport.most_bytes() if self._apply else None,
        )

    def _escalation(self, escalation: Escalation) -> str | None:
        sender: Sender = self._book.sender_for(escalation.payer)
        message_id = escalation_id_for(
            payer_id=escalation.payer.payer_id,
            address=escalation.address,
            domain=sender_domain(sender),
        )
        if self._postman.said(message_id):
            return None
        mail = compose_escalation(
            escalation, sender=sender, message_id=message_id, now=self._now, texts=self._texts
        )
        result = self._postman.deliver(
            Attempt(
                kind=ESCALATION_MAIL,
                subject=escalation.payer.payer_id,
                mail=mail,
                day=self._now.date().isoformat(),
            )
        )
        if result.problem:
            self._alerts.append(
                f"Notice to {escalation.responsible} about {escalation.payer.payer_id}:"
                f" {result.problem}"
            )
        verb = "Would tell" if result.status == report.PLANNED else "Told"
        if result.status not in (report.PLANNED, report.SENT):
            verb = "Could not tell"
        return (
            f"{verb} {escalation.responsible} <{mail.recipients[0]}> that mail to"
            f" {escalation.payer.payer_id} <{escalation.address}> does not get through"
        )
