"""Which message of ours a report is about, and what that makes of it.

Anybody can send a report. It counts only if it names a message that the ledger says went out, by
its id or by the address that it came back to, and a recipient whom that message had; or, where a
report names no message at all, if its recipient got mail from us within the last week, which is
longer than mail servers try. A report about any other message is left for a person and silences
nobody.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import func, select

from exporters.collections.bounces.reading import Failure, Returned, Verdict
from exporters.collections.letter import bounce_token
from exporters.ledger import Reader, tables

RECENT = timedelta(days=7)
"""Within this an address alone is enough. Mail servers try for four to five days (RFC 5321)."""
BOUNCED = "bounced"
CHANNEL = "bounce"
_WENT_OUT = frozenset({"sent", "unknown"})


class Outcome(StrEnum):
    """What becomes of a mail: noted, known already, nothing to note (`harmless`), or left."""

    BOUNCED = "bounced"
    KNOWN = "known"
    HARMLESS = "harmless"
    LEFT = "left"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a mail was found to be. `facts` are rows of `deliveries` still to be written."""

    outcome: Outcome
    words: str
    facts: tuple[Mapping[str, Any], ...] = ()
    about_ours: bool = False


def judge(returned: Returned, reader: Reader, *, now: datetime) -> Finding:
    """Say what a mail is to us."""
    ours = list(_ours(returned, reader))
    if returned.verdict in (Verdict.TEMPORARY, Verdict.ANSWER):
        return Finding(outcome=Outcome.HARMLESS, words=returned.why, about_ours=bool(ours))
    if returned.verdict is not Verdict.FAILED:
        return Finding(outcome=Outcome.LEFT, words=returned.why, about_ours=bool(ours))
    if not ours and returned.message_ids:
        named = ", ".join(f"<{one}>" for one in returned.message_ids[:3])
        return Finding(
            outcome=Outcome.LEFT, words=f"about a message that was never sent from here: {named}"
        )
    facts: list[Mapping[str, Any]] = []
    known: list[str] = []
    unmatched: list[str] = []
    for failure in returned.failures:
        found = _message_to(failure, ours) if ours else _recent(failure, reader, now)
        if found is None:
            unmatched.append(failure.address)
            continue
        message, recipient = found
        if _is_known(reader, message, recipient, returned.key):
            known.append(recipient)
        else:
            facts.append(_fact(message, recipient, failure, returned))
    if unmatched:
        why = (
            f"{', '.join(unmatched)} is no address that this message went to"
            if ours
            else f"names no message, and {', '.join(unmatched)} got no mail from here since"
            f" {now - RECENT:%Y-%m-%d}"
        )
        return Finding(outcome=Outcome.LEFT, words=why, facts=tuple(facts), about_ours=bool(ours))
    if facts:
        words = "; ".join(f"mail to {f['recipient']} came back: {f['answer']}" for f in facts)
        return Finding(outcome=Outcome.BOUNCED, words=words, facts=tuple(facts), about_ours=True)
    return Finding(
        outcome=Outcome.KNOWN,
        words=f"that mail to {', '.join(known)} came back is noted already",
        about_ours=True,
    )


@dataclass(frozen=True, kw_only=True)
class _Message:
    """A message of ours that went out; `recipients` as they were written."""

    message_id: str
    subject: str | None
    recipients: tuple[str, ...]


def _ours(returned: Returned, reader: Reader) -> Iterator[_Message]:
    named = list(returned.message_ids)
    if returned.tokens:
        sent = select(tables.deliveries.c.message_id).distinct()
        by_token = {
            bounce_token(row["message_id"]): row["message_id"] for row in reader.query(sent)
        }
        named = [by_token[t] for t in returned.tokens if t in by_token] + named
    for message_id in dict.fromkeys(named):
        if message := _message(message_id, reader):
            yield message


def _message(message_id: str, reader: Reader) -> _Message | None:
    table = tables.deliveries
    rows = reader.query(select(table).where(table.c.message_id == message_id).order_by(table.c.id))
    went = [row for row in rows if row["status"] in _WENT_OUT]
    if not went:
        return None
    recipients = [row["recipient"] for row in went]
    intents = tables.intents
    for row in reader.query(select(intents.c.body).where(intents.c.idempotency_key == message_id)):
        body = json.loads(row["body"])
        recipients += body.get("copies", []) if isinstance(body, dict) else []
    return _Message(
        message_id=message_id,
        subject=went[-1]["subject"],
        recipients=tuple(dict.fromkeys(recipients)),
    )


def _message_to(failure: Failure, ours: list[_Message]) -> tuple[_Message, str] | None:
    """The message among `ours` and its recipient that a failure is about. A message that had one
    recipient only needs no other proof: mail that was forwarded fails at another address."""
    named = {one.casefold() for one in (failure.original, failure.address) if one}
    for message in ours:
        for recipient in message.recipients:
            if recipient.casefold() in named:
                return message, recipient
    for message in ours:
        if len(message.recipients) == 1:
            return message, message.recipients[0]
    return None


def _recent(failure: Failure, reader: Reader, now: datetime) -> tuple[_Message, str] | None:
    table = tables.deliveries
    for address in (failure.original, failure.address):
        if not address:
            continue
        row = reader.first(
            select(table)
            .where(
                func.lower(table.c.recipient) == address.lower(),
                table.c.status.in_(sorted(_WENT_OUT)),
                table.c.at >= now - RECENT,
            )
            .order_by(table.c.id.desc())
        )
        if row is not None:
            message = _Message(
                message_id=row["message_id"],
                subject=row["subject"],
                recipients=(row["recipient"],),
            )
            return message, row["recipient"]
    return None


def _is_known(reader: Reader, message: _Message, recipient: str, key: str) -> bool:
    """Whether this report was taken before, or another one of the same failure."""
    table = tables.deliveries
    rows = reader.query(
        select(table)
        .where(table.c.message_id == message.message_id, table.c.recipient == recipient)
        .order_by(table.c.id)
    )
    last = rows[-1]["status"] if rows else None
    return last == BOUNCED or any(row["location"] == _place(key) for row in rows)


def _place(key: str) -> str:
    return f"{CHANNEL}/{key}"


def _fact(
    message: _Message, recipient: str, failure: Failure, returned: Returned
) -> dict[str, Any]:
    return {
        "message_id": message.message_id,
        "channel": CHANNEL,
        "recipient": recipient,
        "subject": message.subject,
        "status": BOUNCED,
        "location": _place(returned.key),
        "answer": failure.words,
    }
