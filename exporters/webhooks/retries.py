"""When a delivery that failed is tried again: the schedule that the Standard Webhooks convention
recommends, up to about three days, each delay a little longer by chance, so that what failed
together does not come back together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

DELAYS: Final = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    *(timedelta(hours=hours) for hours in (2, 5, 10, 14, 20, 24)),
)
ATTEMPTS: Final = len(DELAYS) + 1
JITTER: Final = 0.1  # of the delay, at most
LONGEST: Final = timedelta(hours=24)
"""What an endpoint may ask for with Retry-After."""


@dataclass(frozen=True)
class Retry:
    """When to try again; pause_until: until when the endpoint asked to be left alone."""

    at: datetime
    pause_until: datetime | None = None


def retry(
    attempt: int, *, now: datetime, chance: float, retry_after: timedelta | None = None
) -> Retry | None:
    """What follows when attempt number `attempt` (from 1) failed; None if it was the last.

    chance: from 0 up to 1, how much of the jitter is added.
    """
    if attempt >= ATTEMPTS:
        return None
    at = now + DELAYS[attempt - 1] * (1 + JITTER * chance)
    if retry_after is None:
        return Retry(at)
    pause_until = now + min(retry_after, LONGEST)
    return Retry(max(at, pause_until), pause_until)


def asked_to_wait(header: str | None, *, now: datetime) -> timedelta | None:
    """What a Retry-After header asks for: seconds, or an HTTP date; None if neither or past."""
    if not header:
        return None
    text = header.strip()
    if text.isdecimal() and text.isascii():
        return timedelta(seconds=min(int(text), int(LONGEST.total_seconds())))
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    if until.tzinfo is None:
        return None
    return until - now if until > now else None
