"""Issuing under bad circumstances: several processes at once, and one that is killed. Whatever
happens, each statement is issued once, whole, and the numbers have no gaps."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import func, select

from exporters.close import decide, issue
from exporters.ledger import Ledger, tables

PERIOD: Final = "2026-10"
STATEMENTS: Final = 12
LINES: Final = 40
ISSUER: Final = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from exporters.close import issue
from exporters.ledger import Actor, Ledger

clock = lambda: datetime(2026, 11, 4, 22, 30, tzinfo=UTC)
with Ledger.open(sys.argv[1], clock=clock, actor=Actor("child", "child", "child")) as ledger:
    print("ready", flush=True)
    sys.stdin.readline()
    issue(Path(sys.argv[2]), ledger, "2026-10", clock=clock, code_version="c1")
    print("done", flush=True)
"""


def start(url: str, marts: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", ISSUER, url, str(marts)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def go(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("go\n")
    child.stdin.flush()


def finish(child: subprocess.Popen[str]) -> None:
    child.communicate(timeout=120)


def fill(marts: Any) -> None:
    amounts = tuple(("1.25", "0.32") for _ in range(LINES))
    for no in range(STATEMENTS):
        marts.add(f"payer{no % 2}/{PERIOD}/site{no:02d}", amounts=amounts)
    marts.publish()


def issued_count(ledger: Ledger) -> int:
    with ledger.snapshot() as reader:
        return int(reader.scalar(select(func.count()).select_from(tables.issued_statements)))


def assert_whole(ledger: Ledger) -> None:
    statements = ledger.query(select(tables.issued_statements))
    assert len(statements) == STATEMENTS
    by_series: dict[str, list[int]] = {}
    for row in statements:
        by_series.setdefault(row["series"], []).append(row["series_no"])
    numbers = list(range(1, STATEMENTS // 2 + 1))
    assert {series: sorted(found) for series, found in by_series.items()} == {
        "payer0": numbers,
        "payer1": numbers,
    }
    lines = ledger.query(select(tables.issued_lines))
    assert len(lines) == STATEMENTS * LINES
    for row in statements:
        mine = [line for line in lines if line["statement_number"] == row["statement_number"]]
        assert sum(line["amount"] for line in mine) == row["net"]
        assert sorted(line["line_no"] for line in mine) == list(range(1, LINES + 1))
    assert ledger.verify() == ()


def test_processes_at_once(
    marts: Any, ledger: Ledger, ledger_url: str, clock: Callable[[], datetime]
) -> None:
    fill(marts)
    decide(marts.path, ledger, PERIOD, clock=clock)
    children = [start(ledger_url, marts.path) for _ in range(3)]
    for child in children:
        go(child)
    for child in children:
        finish(child)
    assert [child.returncode for child in children] == [0, 0, 0]
    assert_whole(ledger)


def test_killed_again_and_again(
    marts: Any, ledger: Ledger, ledger_url: str, clock: Callable[[], datetime]
) -> None:
    fill(marts)
    decide(marts.path, ledger, PERIOD, clock=clock)
    kills = 0
    for aim in (1, 4, 7):
        child = start(ledger_url, marts.path)
        go(child)
        while issued_count(ledger) < aim and child.poll() is None:
            time.sleep(0.001)
        os.kill(child.pid, signal.SIGKILL)
        finish(child)
        kills += child.returncode == -signal.SIGKILL
        assert ledger.verify() == ()
        found = issued_count(ledger)
        assert len(ledger.query(select(tables.issued_lines))) == found * LINES
    assert kills > 0
    report = issue(marts.path, ledger, PERIOD, clock=clock, code_version="c1")
    assert not report.needs_person
    assert_whole(ledger)
    head = ledger.head()
    issue(marts.path, ledger, PERIOD, clock=clock, code_version="c1")
    assert ledger.head() == head
