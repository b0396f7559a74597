"""Using Xero's fixed windows of a minute to the last call, without calls that it would refuse.

Each answer tells how many calls are left of the minute, but not when the next one begins: that is
learnt from the first refusal, and holds from then on, minute by minute. Used by several threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Final

MINUTE: Final = 60.0


class Pace:
    """When the next call may go. timer: seconds that only ever grow."""

    def __init__(self, timer: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._timer, self._sleep = timer, sleep
        self._lock = threading.Lock()
        self._left: int | None = None
        self._under_way = 0
        self._minute = 0
        self._next_minute: float | None = None

    def wait(self) -> int:
        """Take a place, and tell the minute that it is in; sleeps until the next minute when this
        one is known to be used up. Whoever comes meanwhile waits behind."""
        with self._lock:
            if self._left is not None and self._left <= 0 and self._next_minute is not None:
                if (seconds := self._next_minute - self._timer()) > 0:
                    self._sleep(seconds)
                self._begin_minute()
            self._roll()
            if self._left is not None:
                self._left -= 1
            self._under_way += 1
            return self._minute

    def answered(self, minute: int, headers: Mapping[str, str]) -> None:
        """An answer came to a call of that minute, with what it says of calls left."""
        with self._lock:
            self._under_way -= 1
            told = headers.get("X-MinLimit-Remaining", "")
            if minute != self._minute or not told.isdigit():
                return
            left = int(told) - self._under_way
            # Answers may overtake each other, by as many as are under way; more is a new minute.
            new_minute = self._left is None or left > self._left + self._under_way + 1
            self._left = left if new_minute else min(left, self._left or 0)

    def unanswered(self) -> None:
        """No answer came; whether the call was counted will be told by the next one."""
        with self._lock:
            self._under_way -= 1

    def limited(self, minute: int, seconds: float) -> None:
        """Xero refused a call of that minute, and the next one begins in so many seconds."""
        with self._lock:
            if minute == self._minute:
                self._left, self._next_minute = 0, self._timer() + seconds

    def _begin_minute(self) -> None:
        self._minute += 1
        self._left = None

    def _roll(self) -> None:
        while self._next_minute is not None and self._next_minute <= self._timer():
            self._next_minute += MINUTE
