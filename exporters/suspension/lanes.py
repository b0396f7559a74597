"""Work on many machines at once: never two orders at a time to one address, and what one thread
alone may do (the ledger) is done by the calling thread.

A lane is an address that takes one order at a time; whoever needs several waits until all are free.
Work begins in the order given, as far as lanes allow.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Value = TypeVar("Value")

AT_ONCE = 8


class StoppedError(BaseException):
    """The calling thread gave up: no further order may go out. Not to be caught."""


@dataclass(frozen=True)
class _Asked:
    act: Callable[[], Any]
    reply: Future[Any]


@dataclass(frozen=True)
class _Ended:
    index: int


class Desk:
    """Where workers have something done by the calling thread, and wait for it."""

    def __init__(self) -> None:
        self._events: SimpleQueue[_Asked | _Ended] = SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False

    def do(self, act: Callable[[], Value]) -> Value:
        """The answer of `act`; StoppedError once nothing is done any more, also if it raised."""
        reply: Future[Value] = Future()
        with self._lock:
            if self._closed:
                raise StoppedError
            self._events.put(_Asked(act, reply))
        return reply.result()

    def ended(self, index: int) -> None:
        self._events.put(_Ended(index))

    def next_end(self) -> int:
        """Do what is asked until some work ends; its index. Raises what an act raises."""
        while True:
            event = self._events.get()
            if isinstance(event, _Ended):
                return event.index
            try:
                event.reply.set_result(event.act())
            except BaseException:
                event.reply.set_exception(StoppedError())
                raise

    def close(self) -> None:
        """Do nothing any more; whoever waits is told."""
        with self._lock:
            self._closed = True
        while True:
            try:
                event = self._events.get_nowait()
            except Empty:
                return
            if isinstance(event, _Asked):
                event.reply.set_exception(StoppedError())


@dataclass(kw_only=True)
class _Round(Generic[Item, Result]):
    items: Sequence[Item]
    lanes: Sequence[frozenset[str]]
    waiting: list[int]
    running: dict[int, Future[Result]] = field(default_factory=dict)

    def next_free(self) -> int | None:
        """The first that waits and whose lanes are all free."""
        busy = {lane for index in self.running for lane in self.lanes[index]}
        for place, index in enumerate(self.waiting):
            if not self.lanes[index] & busy:
                return self.waiting.pop(place)
        return None


def in_lanes(
    items: Sequence[Item],
    work: Callable[[Item, Desk], Result],
    *,
    lanes: Callable[[Item], frozenset[str]],
    at_once: int = AT_ONCE,
) -> list[Result]:
    """The results of `work` on each item, in their order.

    If one raises, or something the calling thread does for it, nothing further begins, and that is
    raised when those under way have ended.
    """
    desk = Desk()
    this = _Round[Item, Result](
        items=items, lanes=[lanes(item) for item in items], waiting=list(range(len(items)))
    )
    results: dict[int, Result] = {}

    def one(index: int) -> Result:
        try:
            return work(items[index], desk)
        finally:
            desk.ended(index)

    with ThreadPoolExecutor(max_workers=at_once, thread_name_prefix="switching") as pool:
        try:
            while this.waiting or this.running:
                while len(this.running) < at_once and (index := this.next_free()) is not None:
                    this.running[index] = pool.submit(one, index)
                index = desk.next_end()
                results[index] = this.running.pop(index).result()
        finally:
            desk.close()
    return [results[index] for index in range(len(items))]
