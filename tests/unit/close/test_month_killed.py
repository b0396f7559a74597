"""Close, approve and issue, killed at random moments and begun again until they are through: the
ledger ends as if nothing had happened.

Each kill is a SIGKILL of a process of its own, at a moment anywhere in its work.
`M2C_TEST_KILLS_OF_MONTHS` says how many kills there are; `M2C_TEST_SEED` repeats a run.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import select

from exporters.ledger import Actor, Ledger, tables

KILLS: Final = int(os.environ.get("M2C_TEST_KILLS_OF_MONTHS", "25"))
SEED: Final = int(os.environ.get("M2C_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
PERIOD: Final = "2026-10"
# Everything is loaded once; each month is a fork of this process, so a kill costs milliseconds.
HOST: Final = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from exporters.close import approve, decide, issue
from exporters.ledger import Actor, Ledger

marts, clock = Path(sys.argv[1]), lambda: datetime(2026, 11, 4, 22, 30, tzinfo=UTC)
for url in sys.stdin:
    child = os.fork()
    if child:
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        continue
    with Ledger.open(url.strip(), clock=clock, actor=Actor("m", "m", "m")) as ledger:
        decide(marts, ledger, "2026-10", clock=clock)
        for by in ("anna", "bo"):
            for statement in ("big/2026-10/all", "two/2026-10/all"):
                if not ledger.query(approved_of(statement)):
                    approve(marts, ledger, statement, by=by, reason="looked at")
        issue(marts, ledger, "2026-10", clock=clock, code_version="c1")
    os._exit(0)
"""
APPROVED_OF: Final = """
from sqlalchemy import select
from exporters.ledger import tables
def approved_of(statement):
    table = tables.issued_statements
    return select(table).where(table.c.statement_id == statement)
"""
SAID: Final = {
    "close_decisions": ("statement_id", "content_hash", "decision", "reason"),
    "approvals": ("statement_id", "content_hash", "automatic", "approved_by", "reason"),
    "issued_statements": ("statement_id", "statement_number", "content_hash", "total"),
    "issued_lines": ("statement_number", "line_no", "line_key", "amount", "quantity"),
    "issued_inputs": ("statement_number", "contract_id", "period", "book_digest"),
}


class Months:
    """Runs months in processes of their own, killing some."""

    def __init__(self, marts: Path) -> None:
        self._host = subprocess.Popen(
            [sys.executable, "-c", APPROVED_OF + HOST, str(marts)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _read(self) -> int:
        assert self._host.stdout is not None
        return int(self._host.stdout.readline())

    def run(self, url: str, *, kill_after: float | None = None) -> int:
        """One month on a ledger; its exit code, minus 9 if it was killed in time."""
        assert self._host.stdin is not None
        self._host.stdin.write(f"{url}\n")
        self._host.stdin.flush()
        child = self._read()
        if kill_after is not None:
            time.sleep(kill_after)
            with contextlib.suppress(ProcessLookupError):  # it was through already
                os.kill(child, signal.SIGKILL)
        return self._read()

    def end(self) -> None:
        self._host.communicate()


@pytest.fixture
def months(marts: Any) -> Iterator[Months]:
    marts.payer("two", approval_owner="anna|bo")
    marts.add(f"big/{PERIOD}/all", decision="needs_approval", reason="above the limit")
    marts.add(f"two/{PERIOD}/all", decision="needs_approval", reason="above the limit")
    marts.add(f"held/{PERIOD}/all", decision="blocked", blocking=1)
    for no in range(8):
        marts.add(f"payer{no % 3}/{PERIOD}/site{no}", amounts=(("1.25", "0.32"),) * 15)
    marts.publish()
    running = Months(marts.path)
    yield running
    running.end()


def told(url: str, clock: Callable[[], datetime]) -> dict[str, list[tuple[Any, ...]]]:
    """What the ledger says, without when it was written; its chain must hold."""
    with Ledger.open(url, clock=clock, actor=Actor("t", "t", "t")) as ledger:
        assert ledger.verify() == ()
        return {
            name: sorted(
                tuple(row[column] for column in columns)
                for row in ledger.query(select(tables.metadata.tables[name]))
            )
            for name, columns in SAID.items()
        }


def test_months_end_alike_however_often_they_are_killed(
    months: Months, tmp_path: Path, clock: Callable[[], datetime]
) -> None:
    undisturbed = f"sqlite:///{tmp_path}/undisturbed.sqlite"
    began = time.monotonic()
    assert months.run(undisturbed) == 0
    span = time.monotonic() - began
    expected = told(undisturbed, clock)
    assert [row[1] for row in expected["issued_statements"]] != []
    assert {row[0] for row in expected["issued_statements"]} >= {f"two/{PERIOD}/all"}
    assert months.run(undisturbed) == 0
    assert told(undisturbed, clock) == expected, "a month run again is not the same month"

    dice = random.Random(SEED)
    killed = begun = 0
    while killed < KILLS:
        begun += 1
        assert begun < 10 * KILLS, f"of {begun} months only {killed} were killed in time"
        url = f"sqlite:///{tmp_path}/ledger-{begun}.sqlite"
        while months.run(url, kill_after=dice.uniform(0, span)) != 0:
            killed += 1
            if dice.random() < 0.3:
                months.run(url)
                break
        assert told(url, clock) == expected, f"seed {SEED}, month {begun}"
