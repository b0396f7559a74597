"""What the local Xero answers when it refuses: one exception a form of refusal.

No rule decides anything here; the organisation raises, the application writes the answer.
"""

from __future__ import annotations

from exporters.xero.sandbox.wire import Json


class NotFoundError(Exception):
    """No such object: Xero answers 404 with an HTML page, not JSON."""


class RequestError(Exception):
    """The request as a whole is refused with a status and a JSON body."""

    def __init__(self, status: int, body: Json) -> None:
        super().__init__(str(body))
        self.status = status
        self.body = body


class ElementError(Exception):
    """One element of a batch breaks rules; the others may stand."""

    def __init__(self, *messages: str) -> None:
        super().__init__("; ".join(messages))
        self.messages = messages


def bad_request(
    message: str, *, number: int = 14, kind: str = "PostDataInvalidException"
) -> Exception:
    """A 400 in Xero's form."""
    return RequestError(400, {"ErrorNumber": number, "Type": kind, "Message": message})
