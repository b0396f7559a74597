"""One organisation after the other: what goes wrong in one is told, and the next is visited."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import httpx

from exporters.xero.client import XeroClient
from exporters.xero.config import XeroConfig
from exporters.xero.errors import DayLimitError, PublisherBusyError, XeroError
from exporters.xero.report import Visited


@contextmanager
def visiting(
    tenant: str,
    report: Visited,
    config: XeroConfig,
    *,
    among_others: bool,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
    timer: Callable[[], float],
    http: httpx.Client | None,
) -> Iterator[XeroClient]:
    """A client of the organisation. Its calls, and what Xero raises within, go into the report."""
    try:
        with XeroClient(
            config.for_tenant(tenant), clock=clock, sleep=sleep, timer=timer, http=http
        ) as client:
            try:
                yield client
            finally:
                report.calls += client.calls
                report.writes += client.writes
    except PublisherBusyError as error:
        report.busy = _joined(report.busy, str(error))
    except DayLimitError as error:
        report.deferred_until = max(error.until, report.deferred_until or error.until)
    except XeroError as error:
        where = f"organisation {tenant}: " if among_others else ""
        report.failure = _joined(report.failure, f"{where}{error}")


def _joined(before: str | None, words: str) -> str:
    """What went wrong in one organisation after what went wrong in another."""
    return words if before is None else f"{before}; {words}"
