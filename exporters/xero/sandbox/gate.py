"""What stands before Xero's rules: request limits, idempotency keys, injected faults.

Only decisions about whether and how a request is let through; what it then does is `organisation`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from exporters.xero.sandbox.wire import Json, dumps

IDEMPOTENCY_SECONDS = 360


@dataclass(frozen=True)
class Reply:
    """A whole answer: status, content type, body, further headers."""

    status: int
    body: bytes
    content_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


def json_reply(body: object, status: int = 200) -> Reply:
    """An answer of JSON."""
    return Reply(status, dumps(body).encode())


class Limits:
    """Fixed windows a minute and a day, and requests in flight."""

    def __init__(self, *, minute: int, day: int, concurrent: int = 5) -> None:
        self.minute, self.day, self.concurrent = minute, day, concurrent
        self._counts: dict[str, tuple[int, int]] = {}
        self.in_flight = 0

    def _left(self, name: str, limit: int, seconds: int, now: datetime) -> tuple[int, int]:
        window = int(now.timestamp()) // seconds
        start, used = self._counts.get(name, (window, 0))
        if start != window:
            used = 0
        self._counts[name] = (window, used)
        return limit - used, (window + 1) * seconds - int(now.timestamp())

    def take(self, now: datetime) -> tuple[str, int | None] | None:
        """Count a request; the limit it breaks, with the seconds to wait, or None."""
        if self.in_flight > self.concurrent:
            return "concurrent", None
        for name, limit, seconds in (("day", self.day, 86400), ("minute", self.minute, 60)):
            left, wait = self._left(name, limit, seconds, now)
            if left <= 0:
                return name, max(wait, 1)
        for name in ("day", "minute"):
            window, used = self._counts[name]
            self._counts[name] = (window, used + 1)
        return None

    def use_up_day(self, now: datetime) -> None:
        """Leave nothing of the day."""
        self._counts["day"] = (int(now.timestamp()) // 86400, self.day)

    def headers(self, now: datetime) -> dict[str, str]:
        """What every answer tells about the limits."""
        return {
            "X-DayLimit-Remaining": str(max(self._left("day", self.day, 86400, now)[0], 0)),
            "X-MinLimit-Remaining": str(max(self._left("minute", self.minute, 60, now)[0], 0)),
            "X-AppMinLimit-Remaining": "9999",
        }


@dataclass(frozen=True)
class _Kept:
    digest: str
    at: datetime
    reply: Reply


class Keys:
    """Answers kept under Idempotency-Keys for six minutes, errors included."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}

    @staticmethod
    def digest(method: str, url: str, body: bytes) -> str:
        """What makes two requests the same."""
        return hashlib.sha256(f"{method} {url}\n".encode() + body).hexdigest()

    def find(self, key: str, digest: str, now: datetime) -> Reply | None:
        """The kept answer, a 400 for another request under the key, or None."""
        kept = self._kept.get(key)
        if kept is None or now - kept.at >= timedelta(seconds=IDEMPOTENCY_SECONDS):
            return None
        if kept.digest != digest:
            return Reply(
                400,
                b'{"Title":"Invalid Idempotency-Key","Status":400,"Detail":"The idempotency key '
                b'was used with a different request"}',
            )
        return kept.reply

    def keep(self, key: str, digest: str, reply: Reply, now: datetime) -> None:
        """Keep an answer."""
        self._kept[key] = _Kept(digest, now, reply)


@dataclass
class Fault:
    """A fault waiting for requests that match.

    kind: `hang` (no answer for `seconds`), `slow` (answer after `seconds`), `truncate`, `status`
    (with `status`, `retry_after`, `problem`), `html`, `rewrite` (put `changes` into the answer, by
    dotted path), `cent` (the first tax amount created is one cent more). `when`: before or after
    the request is committed.
    """

    kind: str
    when: str = "before"
    method: str = ".*"
    path: str = ".*"
    times: int = 1
    skip: int = 0
    seconds: float = 0.0
    status: int = 500
    retry_after: int | None = None
    problem: str | None = None
    changes: Json = field(default_factory=dict)

    def matches(self, method: str, path: str) -> bool:
        """Whether this fault strikes now (and then is one used up)."""
        if self.times <= 0 or not re.fullmatch(self.method, method):
            return False
        if not re.search(self.path, path):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return True


def put_path(body: Any, path: str, value: Any) -> None:
    """Set `value` at a dotted path such as `Invoices.0.Status`."""
    *parents, last = path.split(".")
    for name in parents:
        body = body[int(name)] if isinstance(body, list) else body[name]
    if isinstance(body, list):
        body[int(last)] = value
    else:
        body[last] = value
