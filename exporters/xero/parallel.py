"""Several calls at once, while one thread alone writes to the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Final, TypeVar

from exporters.xero.errors import NotDoneError

AT_ONCE: Final = 4
"""Xero takes five at once from an app; one is left to the poll of payments."""

Job = TypeVar("Job")
Started = TypeVar("Started")
Result = TypeVar("Result")


def in_parallel(
    jobs: Iterable[Job],
    *,
    start: Callable[[Job], Started],
    call: Callable[[Started], Result],
    done: Callable[[Started, Result], NotDoneError | None],
) -> None:
    """`start` and `done` run in this thread, one after the other; `call` between them in another.

    What `done` returns says that nothing more can be done at present: no further job is started,
    the results of those under way are still taken, then it is raised.
    """
    waiting = iter(jobs)
    under_way: dict[Future[Result], Started] = {}
    stop: NotDoneError | None = None
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        while True:
            while stop is None and len(under_way) < AT_ONCE:
                job = next(waiting, None)
                if job is None:
                    break
                started = start(job)
                under_way[pool.submit(call, started)] = started
            if not under_way:
                break
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                stop = done(under_way.pop(future), future.result()) or stop
    if stop is not None:
        raise stop
