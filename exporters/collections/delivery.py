"""Handing mails over, one after the other: everything that can be refused is tried first (mail
server reached, address accepted); then the intent, and the stages that the mail fires, are
committed to the ledger; then it is handed over and the outcome committed. What a dead run left
behind is settled by the next.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace

from exporters.collections.mail import Mail
from exporters.collections.report import BOUNCED, FAILED, PLANNED, SENT, UNKNOWN
from exporters.collections.transport import (
    Outbox,
    Receipt,
    RefusedAddress,
    TooLarge,
    Transport,
    TransportError,
    UnknownOutcome,
)
from exporters.ledger import AlreadyRecorded, Intent, Ledger, tables
from exporters.statements.text import file_stem


def settle(
    ledger: Ledger, outbox: Outbox, kinds: Iterable[str], *, apply: bool
) -> tuple[dict[str, str], list[str]]:
    """Find out what became of attempts that a dead run left behind: the outcome by intent, and in
    words what a person must look at. Written down if `apply`."""
    settled: dict[str, str] = {}
    alerts: list[str] = []
    for kind in kinds:
        for intent in ledger.open_intents(kind):
            if intent.unknowns:
                continue
            body = intent.body
            if outbox.path_of(body["name"]).exists():
                receipt = Receipt(location=str(outbox.path_of(body["name"])), answer="found")
                settled[intent.intent_id] = "ok"
            elif body["channel"] == Outbox.channel:
                receipt = Receipt(location=body["name"], answer="never written")
                settled[intent.intent_id] = "failed"
            else:
                receipt = Receipt(location=body["channel"], answer="no answer known")
                settled[intent.intent_id] = "unknown"
                alerts.append(
                    f"A message to {body['recipient']} ({intent.subject}) was being handed to the"
                    f" mail server at {intent.at:%Y-%m-%d %H:%M} UTC when the run died. It may or"
                    f" may not have arrived and is not sent again; look for Message-ID"
                    f" <{body['message_id']}> in the mail server's log"
                )
            if apply:
                _write_outcome(ledger, intent, settled[intent.intent_id], receipt)
    return settled, alerts


def _write_outcome(ledger: Ledger, intent: Intent, status: str, receipt: Receipt) -> None:
    delivery = {"ok": "sent"}.get(status, status)
    with ledger.transaction() as tx:
        tx.outcome(intent.intent_id, status, message=receipt.answer)
        tx.record(
            tables.deliveries,
            message_id=intent.body["message_id"],
            channel=intent.body["channel"],
            recipient=intent.body["recipient"],
            subject=intent.body["subject"],
            status=delivery,
            location=receipt.location,
            answer=receipt.answer,
        )


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt to send one mail. `claims` are the (statement number, stage) it fires, `new`
    those of them that are not in the ledger yet. `subject`: the payer."""

    kind: str
    subject: str
    mail: Mail
    day: str
    policy_id: str = ""
    claims: tuple[tuple[str, str], ...] = ()
    new: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Delivered:
    status: str
    location: str | None = None
    problem: str | None = None
    too_large: bool = False
    claimed: bool = False
    """the stages it fires are in the ledger"""


class Postman:
    """Delivers mails of one run; `alerts` is what a person must look at besides results."""

    def __init__(
        self, *, ledger: Ledger, transport: Transport, outbox: Outbox, apply: bool
    ) -> None:
        self.alerts: list[str] = []
        self._ledger = ledger
        self._transport = transport
        self._outbox = outbox
        self._apply = apply
        self._out_of_order: str | None = None

    def said(self, message_id: str) -> bool:
        """Whether this message went out, or may have."""
        table = tables.deliveries
        rows = self._ledger.query(
            table.select().where(table.c.message_id == message_id, table.c.status != "failed")
        )
        return bool(rows)

    def deliver(self, attempt: Attempt) -> Delivered:
        """Send one mail, its intent written before and its outcome after; a dry run only says so.
        Once the server fails, nothing more is tried."""
        if not self._apply:
            return Delivered(status=PLANNED)
        if self._out_of_order:
            return Delivered(status=FAILED, problem=self._out_of_order)
        mail = attempt.mail
        name = self._name_of(attempt)
        if self._outbox.path_of(name).exists():
            # The file is there and the ledger does not know (it was restored from a backup).
            found = str(self._outbox.path_of(name))
            return self._finish(attempt, self._claim(attempt, name), "ok", found, "found")
        try:
            self._transport.prepare(mail)
        except RefusedAddress as error:
            self._record_delivery(attempt, status="bounced", location=None, answer=str(error))
            return Delivered(status=BOUNCED, problem=f"{error}; nothing was sent")
        except TooLarge as error:
            return Delivered(status=FAILED, problem=f"not sent: {error}", too_large=True)
        except TransportError as error:
            # The next one would wait for the same server: leave them all for the next run.
            self._out_of_order = f"not sent, will be tried again by the next run: {error}"
            return Delivered(status=FAILED, problem=self._out_of_order)
        try:
            intent_id = self._claim(attempt, name)
        except AlreadyRecorded:
            self._transport.close()
            return Delivered(
                status=FAILED,
                problem="another run has taken these stages at this moment; nothing was sent",
            )
        try:
            receipt = self._transport.send(mail, attempt=name)
        except UnknownOutcome as error:
            return self._finish(attempt, intent_id, "unknown", None, str(error))
        except TooLarge as error:
            failed = self._finish(attempt, intent_id, "failed", None, str(error))
            return replace(failed, too_large=True, claimed=True)
        except TransportError as error:
            return self._finish(attempt, intent_id, "failed", None, str(error))
        if receipt.refused:
            self.alerts.append(
                f"The copy of the mail to {attempt.subject} was refused for"
                f" {', '.join(receipt.refused)}; correct the policy (dunning.yml, copy_to)"
            )
        return self._finish(attempt, intent_id, "ok", receipt.location, receipt.answer)

    def _name_of(self, attempt: Attempt) -> str:
        """A name for this attempt that no earlier one had; the outbox file is called so."""
        digest = hashlib.sha256(attempt.mail.message_id.encode()).hexdigest()[:12]
        base = f"{attempt.day}-{file_stem(attempt.subject)}-{digest}"
        known = {
            row["intent_id"]
            for row in self._ledger.query(
                tables.intents.select().where(
                    tables.intents.c.kind == attempt.kind,
                    tables.intents.c.subject == attempt.subject,
                )
            )
        }
        number, name = 1, base
        while f"mail/{name}" in known:
            number += 1
            name = f"{base}-{number}"
        return name

    def _claim(self, attempt: Attempt, name: str) -> str:
        mail = attempt.mail
        with self._ledger.transaction() as tx:
            tx.record_many(
                tables.reminders,
                [
                    {
                        "statement_number": number,
                        "stage": stage,
                        "payer_id": attempt.subject,
                        "policy_id": attempt.policy_id,
                        "message_id": mail.message_id,
                    }
                    for number, stage in attempt.new
                ],
            )
            return tx.intent(
                attempt.kind,
                subject=attempt.subject,
                intent_id=f"mail/{name}",
                idempotency_key=mail.message_id,
                body={
                    "message_id": mail.message_id,
                    "channel": self._transport.channel,
                    "name": name,
                    "recipient": mail.recipients[0],
                    "copies": list(mail.recipients[1:]),
                    "subject": mail.subject,
                    "claims": [list(claim) for claim in attempt.claims],
                    "content_sha256": hashlib.sha256(mail.content).hexdigest(),
                    # Files are not kept twice: they are rendered again from what was issued.
                    "content": mail.kept.decode("ascii"),
                    "files": [asdict(file) for file in mail.files],
                },
            )

    def _finish(
        self, attempt: Attempt, intent_id: str, status: str, location: str | None, answer: str
    ) -> Delivered:
        shown = {"ok": SENT, "failed": FAILED, "unknown": UNKNOWN}[status]
        with self._ledger.transaction() as tx:
            tx.outcome(intent_id, status, external_id=attempt.mail.message_id, message=answer)
            tx.record(
                tables.deliveries,
                **self._delivery(attempt, status=shown, location=location, answer=answer),
            )
        problem = {
            "ok": None,
            "failed": f"not sent, will be tried again by the next run: {answer}",
            "unknown": (
                "the connection broke while the mail was handed over. It may or may not have"
                f" arrived and is not sent again; look for Message-ID <{attempt.mail.message_id}>"
                f" in the mail server's log ({answer})"
            ),
        }[status]
        return Delivered(status=shown, location=location, problem=problem)

    def _record_delivery(
        self, attempt: Attempt, *, status: str, location: str | None, answer: str
    ) -> None:
        self._ledger.record(
            tables.deliveries,
            **self._delivery(attempt, status=status, location=location, answer=answer),
        )

    def _delivery(
        self, attempt: Attempt, *, status: str, location: str | None, answer: str
    ) -> Mapping[str, object]:
        return {
            "message_id": attempt.mail.message_id,
            "channel": self._transport.channel,
            "recipient": attempt.mail.recipients[0],
            "subject": attempt.mail.subject,
            "status": status,
            "location": location,
            "answer": answer,
        }
