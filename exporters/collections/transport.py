"""The two ways a mail leaves: a file in the outbox folder, or an SMTP server.

A transport is used in two steps, so that what can be refused is refused before the ledger is told
that a message is on its way: `prepare` reaches the server and has it accept the addresses, `send`
hands over the content. Only a connection that breaks inside `send` leaves it unknown whether the
server has the message; everything before is certain.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import smtplib
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from exporters.collections.letter import Mail
from exporters.statements.text import file_stem

TIMEOUT_SECONDS = 30
_OVER_QUOTA_OR_SIZE = 552
_TOO_LARGE = frozenset({"5.3.4", "5.2.3"})  # enhanced status codes, RFC 3463
_SCHEMES = ("smtp", "smtps", "smtp+starttls")


class TransportError(Exception):
    """The mail was certainly not handed over; trying again later is safe."""


class RefusedAddress(TransportError):  # noqa: N818 - what happened, as in the SMTP standard
    """The server refuses an address for good (5xx)."""


class TooLarge(TransportError):  # noqa: N818 - what happened
    """The server does not take a message of this size, now or later."""


class UnknownOutcome(Exception):  # noqa: N818 - neither sent nor not sent
    """The connection broke while the mail was handed over: it may or may not have been accepted."""


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """Where the mail went, what the other side said, and for which copies it would not take it."""

    location: str
    answer: str
    refused: tuple[str, ...] = ()


class Transport(Protocol):
    channel: str

    def most_bytes(self) -> int | None:
        """The largest message that is taken, where that is said before it is tried."""

    def prepare(self, mail: Mail) -> None:
        """Do everything that can fail without anything being sent. Raises TransportError."""

    def send(self, mail: Mail, *, attempt: str) -> Receipt:
        """Hand the prepared mail over. Raises TransportError or UnknownOutcome."""

    def close(self) -> None: ...


class Outbox:
    """`.eml` files in a folder; a file that is there is a message that was sent."""

    channel = "outbox"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def most_bytes(self) -> int | None:
        return None

    def path_of(self, attempt: str) -> Path:
        return self._folder / f"{file_stem(attempt)}.eml"

    def prepare(self, mail: Mail) -> None:  # noqa: ARG002 - the protocol's
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TransportError(f"cannot make the outbox {self._folder}: {error}") from error

    def send(self, mail: Mail, *, attempt: str) -> Receipt:
        target = self.path_of(attempt)
        try:
            handle, temporary = tempfile.mkstemp(dir=self._folder, prefix=".", suffix=".tmp")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(mail.content)
                    file.flush()
                    os.fsync(file.fileno())
                Path(temporary).replace(target)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise TransportError(f"cannot write {target}: {error}") from error
        return Receipt(location=str(target), answer="written")

    def close(self) -> None:
        """Nothing to close."""


class SmtpServer:
    """A mail server at `smtp://[user:password@]host[:port]`; `smtps://` is TLS from the start,
    `smtp+starttls://` turns to TLS or fails. A password is never sent in the clear, except to this
    machine itself."""

    channel = "smtp"

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _SCHEMES or not parts.hostname:
            raise ValueError(
                "M2C_SMTP_URL must look like smtp://host:port"
                f" (or {', '.join(s + '://' for s in _SCHEMES[1:])})"
            )
        self._scheme = parts.scheme
        self._host = parts.hostname
        self._port = parts.port or (465 if parts.scheme == "smtps" else 587)
        self._user = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password or "")
        if self._user and self._scheme == "smtp" and not is_loopback(url):
            raise ValueError(
                f"M2C_SMTP_URL would send a password unencrypted to {self._host};"
                " use smtps:// or smtp+starttls://"
            )
        self._connection: smtplib.SMTP | None = None
        self._refused: tuple[str, ...] = ()

    @property
    def location(self) -> str:
        return f"{self._scheme}://{self._host}:{self._port}"

    def most_bytes(self) -> int | None:
        try:
            connection = self._connected()
        except (OSError, smtplib.SMTPException):
            self.close()
            return None  # `prepare` says why
        said = connection.esmtp_features.get("size", "")
        return int(said) if said.isdigit() and int(said) > 0 else None

    def prepare(self, mail: Mail) -> None:
        refused: dict[str, str] = {}
        try:
            connection = self._connected()
            code, answer = connection.mail(mail.sender, self._about_mail(connection, mail))
            if code == _OVER_QUOTA_OR_SIZE:
                raise TooLarge(f"{self.location} refused the message: {code} {_text(answer)}")
            if code != 250:
                raise TransportError(f"{self.location} refused the sender: {code} {_text(answer)}")
            for recipient in mail.recipients:
                code, answer = connection.rcpt(recipient, _about_recipient(connection, recipient))
                if code not in (250, 251):
                    refused[recipient] = f"{code} {_text(answer)}"
        except (OSError, smtplib.SMTPException) as error:
            self.close()
            raise TransportError(f"{self.location}: {_words(error)}") from error
        except TransportError:
            self.close()
            raise
        self._refused = tuple(f"{who}: {answer}" for who, answer in refused.items())
        addressee = mail.recipients[0]
        if addressee in refused:
            self.close()
            why = f"{self.location} refused {addressee}: {refused[addressee]}"
            if refused[addressee].startswith("5"):
                raise RefusedAddress(why)
            raise TransportError(why)

    def send(self, mail: Mail, *, attempt: str) -> Receipt:  # noqa: ARG002 - the protocol's
        connection = self._connection
        if connection is None:
            raise TransportError(f"{self.location}: not prepared")
        try:
            code, answer = connection.data(mail.content)
        except smtplib.SMTPDataError as error:
            # Refused at the DATA command, before any content was sent.
            self.close()
            raise TransportError(f"{self.location}: {_words(error)}") from error
        except (OSError, smtplib.SMTPException) as error:
            self.close()
            raise UnknownOutcome(f"{self.location}: {_words(error)}") from error
        if code != 250:
            self.close()
            said = f"{self.location} refused the message: {code} {_text(answer)}"
            raise TooLarge(said) if _is_about_size(code, _text(answer)) else TransportError(said)
        return Receipt(
            location=self.location, answer=f"{code} {_text(answer)}", refused=self._refused
        )

    def _about_mail(self, connection: smtplib.SMTP, mail: Mail) -> list[str]:
        """How large it is, and that a report of failure shall bring back its id, not its files."""
        options = [f"SIZE={len(mail.content)}"] if connection.has_extn("size") else []
        if connection.has_extn("dsn"):
            options += ["RET=HDRS", f"ENVID={_xtext(mail.message_id)}"]
        return options

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError, smtplib.SMTPException):
                connection.quit()

    def _connected(self) -> smtplib.SMTP:
        if self._connection is not None:
            self._connection.rset()
            return self._connection
        if self._scheme == "smtps":
            connection: smtplib.SMTP = smtplib.SMTP_SSL(
                self._host,
                self._port,
                timeout=TIMEOUT_SECONDS,
                context=ssl.create_default_context(),
            )
        else:
            connection = smtplib.SMTP(self._host, self._port, timeout=TIMEOUT_SECONDS)
        self._connection = connection
        connection.ehlo_or_helo_if_needed()
        if self._scheme == "smtp+starttls":
            connection.starttls(context=ssl.create_default_context())
            connection.ehlo()
        if self._user:
            connection.login(self._user, self._password)
        return connection


def _is_about_size(code: int, answer: str) -> bool:
    return code == _OVER_QUOTA_OR_SIZE or answer.split(" ", 1)[0] in _TOO_LARGE


def _about_recipient(connection: smtplib.SMTP, recipient: str) -> list[str]:
    """Reports are wanted of failure only, and name the address as it was written (RFC 3461)."""
    if not connection.has_extn("dsn"):
        return []
    return ["NOTIFY=FAILURE", f"ORCPT=rfc822;{_xtext(recipient)}"]


def _xtext(text: str) -> str:
    return "".join(c if "!" <= c <= "~" and c not in "+=" else f"+{ord(c):02X}" for c in text)


def is_loopback(url: str) -> bool:
    """Whether the host of `url` is this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _text(answer: bytes | str) -> str:
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer


def _words(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{error.smtp_code} {_text(error.smtp_error)}"
    return f"{type(error).__name__}: {error}"
