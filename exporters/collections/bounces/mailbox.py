"""A mailbox that mail comes back to, read by IMAP (RFC 3501).

Unread mails are looked at without being marked. One is marked as read only after the ledger has
what it says, and only if it is about a message of ours: whatever else comes to the mailbox stays
for the people whose mailbox it is.
"""

from __future__ import annotations

import imaplib
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

from exporters.collections.bounces.sources import Letter
from exporters.collections.transport import is_loopback

URL, PASSWORD = "M2C_BOUNCES_IMAP_URL", "M2C_BOUNCES_IMAP_PASSWORD"
TIMEOUT_SECONDS = 30
_AT_ONCE = 500
_MOST_BYTES = 2_000_000  # a report stands before the message that it brings back
_PORTS = {"imaps": 993, "imap": 143}


class MailboxError(Exception):
    """The mailbox cannot be read; str() says why and never holds the password."""


@dataclass(frozen=True, kw_only=True)
class MailboxSettings:
    """Where a mailbox is, from `imaps://user@host[:port]/FOLDER`."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    folder: str = "INBOX"
    tls: bool = True

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> MailboxSettings | None:
        """None without M2C_BOUNCES_IMAP_URL. Raises ValueError for one that cannot be used."""
        url = env.get(URL)
        if not url:
            return None
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname or not parts.username:
            raise ValueError(f"{URL} must look like imaps://user@host/INBOX")
        if parts.password is not None:
            raise ValueError(f"{URL} must not hold the password; put it into {PASSWORD}")
        if parts.scheme == "imap" and not is_loopback(url):
            raise ValueError(f"{URL} would send a password unencrypted; use imaps://")
        password = env.get(PASSWORD)
        if not password:
            raise ValueError(f"{PASSWORD} must be set: the password of {URL}")
        folder = unquote(parts.path.lstrip("/")) or "INBOX"
        if not folder.isascii() or not folder.isprintable():
            raise ValueError(f"{URL}: the folder {folder!r} has a name that is not ASCII")
        return cls(
            host=parts.hostname,
            port=parts.port or _PORTS[parts.scheme],
            user=unquote(parts.username),
            password=password,
            folder=folder,
            tls=parts.scheme == "imaps",
        )

    @property
    def place(self) -> str:
        return f"{self.user} at {self.host}, {self.folder}"


class Mailbox:
    """An open mailbox; use as a context manager. Its unread mails are batches of one."""

    def __init__(self, settings: MailboxSettings, *, may_mark: bool) -> None:
        self._settings = settings
        self._may_mark = may_mark
        self._connection: imaplib.IMAP4 | None = None

    def __enter__(self) -> Self:
        settings = self._settings
        try:
            connection: imaplib.IMAP4
            if settings.tls:
                connection = imaplib.IMAP4_SSL(
                    settings.host,
                    settings.port,
                    ssl_context=ssl.create_default_context(),
                    timeout=TIMEOUT_SECONDS,
                )
            else:
                connection = imaplib.IMAP4(settings.host, settings.port, timeout=TIMEOUT_SECONDS)
            self._connection = connection
            connection.login(settings.user, settings.password)
            kind, answer = connection.select(_quoted(settings.folder), readonly=not self._may_mark)
        except (OSError, imaplib.IMAP4.error) as error:
            self.close()
            raise MailboxError(f"{settings.place}: {_words(error)}") from error
        if kind != "OK":
            self.close()
            raise MailboxError(f"{settings.place}: {_words(answer)}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.logout()
            except (OSError, imaplib.IMAP4.error):
                return  # it is gone, which is what was asked for

    def unread(self) -> list[UnreadMail]:
        """Unread mails in the order they came, a few hundred at most. Raises MailboxError."""
        found = self.command("SEARCH", None, "UNSEEN")
        uids = (found[0] or b"").split() if found else []
        return [UnreadMail(self, uid.decode("ascii")) for uid in uids[:_AT_ONCE]]

    def command(self, name: str, *arguments: str | None) -> list[bytes]:
        """One UID command; the answer as imaplib gives it, flattened. Raises MailboxError."""
        if self._connection is None:
            raise MailboxError(f"{self._settings.place}: not open")
        try:
            # The first argument of SEARCH, a character set, may be left out with None.
            kind, answer = self._connection.uid(name, *arguments)  # type: ignore[arg-type]
        except (OSError, imaplib.IMAP4.error) as error:
            raise MailboxError(f"{self._settings.place}: {_words(error)}") from error
        if kind != "OK":
            raise MailboxError(f"{self._settings.place}: {_words(answer)}")
        flat: list[bytes] = []
        for item in answer:
            if isinstance(item, tuple):
                flat += [part for part in item if isinstance(part, bytes)]
            elif isinstance(item, bytes):
                flat.append(item)
        return flat

    @property
    def place(self) -> str:
        return self._settings.place


class UnreadMail:
    """One unread mail."""

    shared = True

    def __init__(self, mailbox: Mailbox, uid: str) -> None:
        self._mailbox = mailbox
        self._uid = uid

    @property
    def name(self) -> str:
        return f"{self._mailbox.place}, mail {self._uid}"

    def letters(self) -> Iterator[Letter]:
        answer = self._mailbox.command("FETCH", self._uid, f"(BODY.PEEK[]<0.{_MOST_BYTES}>)")
        if len(answer) >= 2:  # the line that announces the content, and the content
            yield Letter(name=self.name, content=answer[1])

    def put_away(self) -> None:
        self._mailbox.command("STORE", self._uid, "+FLAGS.SILENT", "(\\Seen)")


def _quoted(folder: str) -> str:
    escaped = folder.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _words(error: object) -> str:
    if isinstance(error, list):
        return " ".join(_words(part) for part in error)
    if isinstance(error, bytes):
        return error.decode("utf-8", "replace")
    if isinstance(error, imaplib.IMAP4.error) and error.args and isinstance(error.args[0], bytes):
        return error.args[0].decode("utf-8", "replace")
    return str(error) or type(error).__name__
