"""What can go wrong with Xero, by what has to happen next.

The distinction that matters is whether a write may have been done: `UncertainError` means that only
a look into Xero can tell.
"""

from __future__ import annotations

from datetime import datetime


class XeroError(Exception):
    """Something went wrong between us and Xero. The message is for people."""


class XeroConfigError(XeroError):
    """The configuration is missing something; the message names the variable."""


class NotDoneError(XeroError):
    """The call was certainly not carried out."""


class XeroAuthError(NotDoneError):
    """Xero does not accept our credentials or token; a person has to act."""


class AccessDeniedError(NotDoneError):
    """403: the app may not do this in this organisation. Trying again makes it worse."""


class DayLimitError(NotDoneError):
    """The organisation's calls for today are used up until `until` (UTC)."""

    def __init__(self, until: datetime) -> None:
        super().__init__(
            f"Xero's day limit is reached; it opens again at {until:%Y-%m-%d %H:%M} UTC"
        )
        self.until = until


class UnavailableError(NotDoneError):
    """Xero could not be reached, or kept failing; nothing was changed by the last attempt."""


class UncertainError(XeroError):
    """A write was sent and no good answer came: it may or may not have been done.

    answered: whether Xero answered at all (an error answer is kept under its idempotency key, so
    the next attempt needs a new one). raw: what came back, if anything.
    """

    def __init__(self, message: str, *, answered: bool, raw: str = "") -> None:
        super().__init__(message)
        self.answered = answered
        self.raw = raw


class RefusedError(XeroError):
    """4xx: Xero did not do it, for reasons it gives in `messages`."""

    def __init__(self, messages: tuple[str, ...], *, status: int, raw: str = "") -> None:
        super().__init__("; ".join(messages))
        self.messages = messages
        self.status = status
        self.raw = raw


class PublisherBusyError(XeroError):
    """Another process is publishing to the same organisation."""
