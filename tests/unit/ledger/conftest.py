"""A ledger on SQLite or PostgreSQL with a clock that ticks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exporters.ledger import Actor, Ledger


@pytest.fixture
def ticking() -> Callable[[], datetime]:
    moments = iter(datetime(2026, 11, 1, tzinfo=UTC) + timedelta(seconds=n) for n in range(10**6))
    return lambda: next(moments)


@pytest.fixture
def ledger_file(tmp_path: Path) -> Path:
    return tmp_path / "ledger" / "ledger.sqlite"


@pytest.fixture
def ledger(ledger_url: str, ticking: Callable[[], datetime]) -> Iterator[Ledger]:
    actor = Actor("tester", "os-tester", "host-1")
    with Ledger.open(ledger_url, clock=ticking, actor=actor) as opened:
        yield opened
