"""What one mail says: that a message of somebody's could not be delivered, will be tried again, was
answered by a program, or nothing of the kind.

Reports of the standard (RFC 3464, 6533) are read by their fields; whatever else mail servers send
is for flufl.bounce, which knows their wordings. A recipient whose delivery `failed` is lost to that
message whatever the status says: the server has given up. What is known here is only what stands in
the mail, which anybody can have written; whether it is about a message of ours is `matching`.
"""

from __future__ import annotations

import email
import hashlib
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.policy import compat32
from email.utils import parseaddr
from enum import StrEnum

from flufl.bounce import all_failures

# What it stumbles over is told as unclear, not as a trace on the terminal.
logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL + 1)

_STATUS_PARTS = frozenset({"message/delivery-status", "message/global-delivery-status"})
_HEADER_PARTS = frozenset({"text/rfc822-headers", "message/global-headers"})
_MESSAGE_PARTS = frozenset({"message/rfc822", "message/global"})
_ID = re.compile(r"<\s*([^<>\s]{3,250})\s*>")
_ID_IN_TEXT = re.compile(r"^[\s>|]*(?:X-)?(?:Original-)?Message-ID:\s*(<[^<>\s]+>)", re.I | re.M)
_STATUS = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
_TOKEN = re.compile(r"\+([0-9a-f]{20})@")
_XTEXT = re.compile(r"\+([0-9A-F]{2})")
_AUTOMATIC_SUBJECT = re.compile(
    r"\s*(?:auto(?:matic)? ?(?:reply|response)|out of (?:the )?office|abwesen|automatische antwort"
    r"|automatisk svar|fraværsmelding|poissaolo|automaattinen vastaus|balasan otomatis)",
    re.I,
)
_SYSTEM_SENDER = re.compile(r"(?:mailer-daemon|postmaster|mail-?daemon)(?:[+=-].*)?@", re.I)
_LONGEST_REASON = 300


class Verdict(StrEnum):
    """What a mail is. `OTHER` is a person's mail, `UNCLEAR` may be a report that nobody
    understands."""

    FAILED = "failed"
    TEMPORARY = "temporary"
    ANSWER = "answer"
    UNCLEAR = "unclear"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A recipient that a message did not reach. `original` is the address that the sender wrote,
    where the report tells it and `address` is another (mail was forwarded)."""

    address: str
    original: str | None = None
    status: str | None = None
    reason: str | None = None

    @property
    def words(self) -> str:
        return " ".join(part for part in (self.status, self.reason) if part) or "no reason given"


@dataclass(frozen=True, kw_only=True)
class Returned:
    """One mail as it was understood. `key` names the mail itself; `message_ids` are those of the
    message that it is about, `tokens` what its address says of it (`letter.bounce_token`)."""

    verdict: Verdict
    key: str
    subject: str
    sender: str
    failures: tuple[Failure, ...] = ()
    message_ids: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    why: str = ""


def read_returned(content: bytes) -> Returned:
    """Understand one mail (RFC 5322 bytes). Whatever is not understood is `UNCLEAR` or `OTHER`;
    nothing is raised for what stands in it."""
    mail = email.message_from_bytes(content, policy=compat32)
    verdict, failures, why = _judged(mail)
    own = _header(mail, "Message-ID").strip()
    return Returned(
        verdict=verdict,
        key=hashlib.sha256(own.encode("utf-8", "replace") if own else content).hexdigest()[:32],
        subject=" ".join(_header(mail, "Subject").split())[:200],
        sender=parseaddr(_header(mail, "From"))[1],
        failures=failures,
        message_ids=tuple(dict.fromkeys(_message_ids(mail))),
        tokens=tuple(dict.fromkeys(_tokens(mail))),
        why=why,
    )


def _judged(mail: Message) -> tuple[Verdict, tuple[Failure, ...], str]:
    failures, delayed, told = _by_fields(mail)
    if failures:
        return Verdict.FAILED, failures, ""
    if delayed:
        return Verdict.TEMPORARY, (), "delivery is still being tried"
    if told:
        return Verdict.UNCLEAR, (), "a report that names no recipient whose delivery failed"
    kinds = {part.get_content_type() for part in _parts(mail)}
    if "message/disposition-notification" in kinds:
        return Verdict.ANSWER, (), "a receipt"
    if "message/feedback-report" in kinds:
        return Verdict.UNCLEAR, (), "a complaint (feedback report)"
    if "From" not in mail:
        return Verdict.UNCLEAR, (), "a mail without a sender"
    try:
        temporary, permanent = all_failures(mail)
    except (ValueError, TypeError, LookupError, AttributeError):  # mail that no parser expected
        return Verdict.UNCLEAR, (), "cannot be read"
    if permanent:
        reason = _first_line_of_reason(mail)
        found = sorted(address.decode("ascii", "replace") for address in permanent)
        status = _STATUS.search(reason)
        return (
            Verdict.FAILED,
            tuple(
                Failure(address=one, status=status[1] if status else None, reason=reason or None)
                for one in found
            ),
            "",
        )
    if temporary:
        return Verdict.TEMPORARY, (), "delivery is still being tried"
    if _is_automatic(mail):
        return Verdict.ANSWER, (), "an automatic answer"
    if _is_from_a_system(mail):
        return Verdict.UNCLEAR, (), "from a mail system, and no report that is understood"
    return Verdict.OTHER, (), "no report of a mail system"


# --- the fields of the standard -------------------------------------------------------------------


def _by_fields(mail: Message) -> tuple[tuple[Failure, ...], bool, bool]:
    """Failed recipients, whether others are delayed, and whether there were fields at all."""
    failures: list[Failure] = []
    delayed = told = False
    for part in _parts(mail):
        if part.get_content_type() not in _STATUS_PARTS:
            continue
        told = True
        for block in _blocks(part):
            final = _address(_header(block, "Final-Recipient"))
            original = _address(_header(block, "Original-Recipient"))
            if not (final or original):
                continue
            status = _STATUS.search(_header(block, "Status"))
            action = _header(block, "Action").strip().lower()
            if not action and status:
                action = {"5": "failed", "4": "delayed"}.get(status[1][0], "")
            if action.startswith(("fail", "error")):
                failures.append(
                    Failure(
                        address=final or original,
                        original=original or None,
                        status=status[1] if status else None,
                        reason=_reason(_header(block, "Diagnostic-Code")),
                    )
                )
            elif action.startswith("delay"):
                delayed = True
    return tuple(dict.fromkeys(failures)), delayed, told


def _blocks(part: Message) -> Iterator[Message]:
    """The groups of fields of a report: one about the message, one for each recipient."""
    payload = part.get_payload()
    if isinstance(payload, list):
        for block in payload:
            if isinstance(block, Message):
                yield block
                # A block is read as a message; a body that it has holds further blocks.
                inside = block.get_payload()
                if isinstance(inside, str) and inside.strip():
                    yield from _blocks_of_text(inside)
    else:
        yield from _blocks_of_text(_text(part))


def _blocks_of_text(text: str) -> Iterator[Message]:
    for group in re.split(r"\r?\n\s*\r?\n", text):
        if group.strip():
            yield email.message_from_string(group.strip() + "\n", policy=compat32)


def _address(field: str) -> str:
    """The address of `rfc822; someone@example.com`; empty if there is none."""
    kind, found, rest = field.partition(";")
    text = rest if found else kind
    return parseaddr(text.strip())[1] if "@" in text else ""


def _reason(field: str) -> str | None:
    text = field.partition(";")[2] or field
    return " ".join(text.split())[:_LONGEST_REASON] or None


# --- which message --------------------------------------------------------------------------------


def _message_ids(mail: Message) -> Iterator[str]:
    """Ids of the message that a mail is about, the surest ones first."""
    for part in _parts(mail):
        kind = part.get_content_type()
        if kind in _STATUS_PARTS or kind == "message/disposition-notification":
            for block in _blocks(part):
                for name in ("Original-Message-ID", "X-Original-Message-ID"):
                    yield from _ID.findall(_header(block, name))
                envelope = _XTEXT.sub(
                    lambda found: chr(int(found[1], 16)), _header(block, "Original-Envelope-Id")
                ).strip()
                if "@" in envelope:
                    yield envelope
        elif kind in _MESSAGE_PARTS:
            payload = part.get_payload()
            inner = payload[0] if isinstance(payload, list) and payload else None
            if isinstance(inner, Message):
                yield from _ID.findall(_header(inner, "Message-ID"))
        elif kind in _HEADER_PARTS:
            headers = email.message_from_string(_text(part), policy=compat32)
            yield from _ID.findall(_header(headers, "Message-ID"))
    yield from _ID.findall(_header(mail, "In-Reply-To"))
    # The last one is what is answered; those before it are what that one answered.
    yield from reversed(_ID.findall(_header(mail, "References")))
    for part in _parts(mail):
        if part.get_content_maintype() == "text" and part.get_content_type() not in _HEADER_PARTS:
            for found in _ID_IN_TEXT.findall(_text(part)):
                yield from _ID.findall(found)


def _tokens(mail: Message) -> Iterator[str]:
    for name in ("To", "Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To"):
        for value in mail.get_all(name, ()):
            yield from _TOKEN.findall(str(value))


# --- what kind of mail ----------------------------------------------------------------------------


def _is_automatic(mail: Message) -> bool:
    submitted = _header(mail, "Auto-Submitted").strip().lower()
    return (
        submitted.startswith("auto-")
        or any(name in mail for name in ("X-Autoreply", "X-Autorespond", "X-Autoresponder"))
        or _header(mail, "Precedence").strip().lower() in ("auto_reply", "auto-reply")
        or _AUTOMATIC_SUBJECT.match(_header(mail, "Subject")) is not None
    )


def _is_from_a_system(mail: Message) -> bool:
    return (
        _header(mail, "Return-Path").strip() == "<>"
        or mail.get_content_type() == "multipart/report"
        or _SYSTEM_SENDER.match(parseaddr(_header(mail, "From"))[1]) is not None
    )


def _first_line_of_reason(mail: Message) -> str:
    """The line of a report in words that has a reply code in it."""
    for part in _parts(mail):
        if part.get_content_type() == "text/plain":
            for line in _text(part).splitlines():
                if re.search(r"\b(?:5\d\d|5\.\d\.\d+)\b", line):
                    return " ".join(line.split())[:_LONGEST_REASON]
    return ""


def _parts(mail: Message) -> Iterator[Message]:
    """The parts of a mail, but not those of mails that it carries."""
    yield mail
    payload = mail.get_payload()
    if isinstance(payload, list) and mail.get_content_maintype() == "multipart":
        for part in payload:
            if isinstance(part, Message):
                yield from _parts(part)


def _header(mail: Message, name: str) -> str:
    return str(mail.get(name, ""))


def _text(part: Message) -> str:
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        whole = part.get_payload()
        return whole if isinstance(whole, str) else ""
    try:
        return payload.decode(part.get_content_charset() or "utf-8", "replace")
    except LookupError:
        return payload.decode("utf-8", "replace")
