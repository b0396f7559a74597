"""The headers of a request by the Standard Webhooks convention: id, time of sending, signatures."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from standardwebhooks import Webhook

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"


def signed(event_id: str, payload: str, *, keys: Sequence[str], at: datetime) -> dict[str, str]:
    """The headers of one attempt. keys: the endpoint's secrets; it is signed with each of them, so
    that a receiver may know the new or the old one. at: an aware instant of UTC, the very time of
    sending: receivers refuse what is minutes off."""
    return {
        ID: event_id,
        TIMESTAMP: str(int(at.timestamp())),
        SIGNATURE: " ".join(Webhook(key).sign(event_id, at, payload) for key in keys),
    }
