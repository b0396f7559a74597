"""A mail as it travels: envelope, headers, parts. From words to bytes; whose words is `mail`.

The same arguments give the same bytes: boundaries follow from the message's id, and nothing here
looks at a clock. Headers are those of a transactional message (RFC 5322, 3834): it says that a
program wrote it, asks other programs not to answer, and names the messages it follows. Return-Path
is the receiving server's to write (RFC 5321, 4.4); the envelope's sender is where bounces go.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from exporters.collections.addresses import domain_of, is_address
from exporters.collections.attachments import Attachment
from exporters.statements.text import one_line

FALLBACK_ADDRESS = "billing@localhost"
_LONGEST_NAME = 120
_MOST_REFERENCES = 20
_TOKEN_LENGTH = 20


@dataclass(frozen=True, kw_only=True)
class Sender:
    """The seller in whose name a message goes out; `bank` is its account per currency, in one
    line. `bounce_address` is where mail that cannot be delivered comes back to (None: to `email`);
    one whose local part ends in `+` gets a token of the message put behind it."""

    name: str
    email: str | None = None
    lines: tuple[str, ...] = ()
    bank: Mapping[str, str] | None = None
    bounce_address: str | None = None

    @property
    def address(self) -> str:
        return self.email if self.email and is_address(self.email) else FALLBACK_ADDRESS

    def envelope_for(self, message_id: str) -> str:
        """The sender in the envelope of a message (SMTP's MAIL FROM)."""
        if not self.bounce_address:
            return self.address
        local, _, domain = self.bounce_address.rpartition("@")
        token = bounce_token(message_id) if local.endswith("+") else ""
        return f"{local}{token}@{domain}"


def bounce_token(message_id: str) -> str:
    """What stands for a message in the address that its bounces come back to."""
    return hashlib.sha256(message_id.encode()).hexdigest()[:_TOKEN_LENGTH]


@dataclass(frozen=True, kw_only=True)
class AttachedFile:
    """What is remembered of an attached file: it can be rendered again."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Mail:
    """A mail ready to go: `sender` and `recipients` are the envelope's (To and Cc), `content` its
    bytes. `letter` is the same without attached files, which is what the ledger keeps; empty where
    nothing is attached."""

    message_id: str
    sender: str
    recipients: tuple[str, ...]
    subject: str
    content: bytes
    letter: bytes = b""
    files: tuple[AttachedFile, ...] = ()

    @property
    def kept(self) -> bytes:
        return self.letter or self.content


@dataclass(frozen=True, kw_only=True)
class Body:
    """The parts of a mail that people read; `html` None = text only, `language` a BCP 47 tag."""

    text: str
    html: str | None = None
    language: str = "en"


def address(name: str, addr_spec: str) -> Address:
    """An address with a display name that cannot become another address or header."""
    return Address(display_name=one_line(name)[:_LONGEST_NAME], addr_spec=addr_spec)


def assemble(
    *,
    sender: Sender,
    to: Address,
    copies: Sequence[Address] = (),
    subject: str,
    message_id: str,
    now: datetime,
    body: Body,
    thread: Sequence[str] = (),
    notes: Mapping[str, str] | None = None,
    files: Sequence[Attachment] = (),
) -> Mail:
    """The mail, dated `now`.

    thread: ids of the messages it follows, the first one first. notes: further headers, by name.
    """

    def made(attached: Sequence[Attachment]) -> bytes:
        mail = EmailMessage(policy=SMTP)
        mail["From"] = address(sender.name, sender.address)
        if sender.address != FALLBACK_ADDRESS:
            mail["Reply-To"] = address(sender.name, sender.address)
        mail["To"] = to
        if copies:
            mail["Cc"] = list(copies)
        mail["Subject"] = one_line(subject)
        mail["Date"] = format_datetime(now)
        mail["Message-ID"] = f"<{message_id}>"
        before = [f"<{one}>" for one in thread if one != message_id][:_MOST_REFERENCES]
        if before:
            mail["In-Reply-To"] = before[0]
            mail["References"] = " ".join(before)
        mail["Auto-Submitted"] = "auto-generated"
        # Exchange's: answers of absent people are not wanted, reports of failure are.
        mail["X-Auto-Response-Suppress"] = "OOF, AutoReply"
        for name, value in (notes or {}).items():
            mail[name] = value
        mail.set_content(body.text, cte="quoted-printable")
        if body.html is not None:
            mail.add_alternative(body.html, subtype="html", cte="quoted-printable")
            mail.set_boundary(_boundary("alternative", message_id))
        for file in attached:
            mail.add_attachment(
                file.content, maintype="application", subtype="pdf", filename=file.name
            )
        if attached:
            mail.set_boundary(_boundary("mixed", message_id))
        # Set last: what is set before goes into the first part.
        mail["Content-Language"] = body.language
        return mail.as_bytes()

    return Mail(
        message_id=message_id,
        sender=sender.envelope_for(message_id),
        recipients=tuple(dict.fromkeys((to.addr_spec, *(c.addr_spec for c in copies)))),
        subject=one_line(subject),
        content=made(files),
        letter=made(()) if files else b"",
        files=tuple(
            AttachedFile(
                name=file.name,
                size_bytes=len(file.content),
                sha256=hashlib.sha256(file.content).hexdigest(),
            )
            for file in files
        ),
    )


def _boundary(kind: str, message_id: str) -> str:
    return f"=_m2c_{hashlib.sha256(f'{kind}/{message_id}'.encode()).hexdigest()[:32]}"


def sender_domain(sender: Sender) -> str:
    return domain_of(sender.address)
