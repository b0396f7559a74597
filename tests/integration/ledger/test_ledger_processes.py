"""The SQLite ledger between processes: opened for the first time by several, written by several,
and by one that is killed in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import select

from exporters.ledger import Actor, Ledger, tables

WRITER: Final = """
import sys
from datetime import UTC, datetime
from exporters.ledger import Actor, Ledger

clock = lambda: datetime.now(UTC)
with Ledger.open(sys.argv[1], clock=clock, actor=Actor(sys.argv[2], "child", "child")) as ledger:
    for batch in range(int(sys.argv[3])):
        with ledger.transaction() as tx:
            for part in range(5):
                tx.record("exception_actions", exception_id=f"{sys.argv[2]}/{batch}/{part}",
                          action="ack", by="b", reason="r")
"""


def start(url: str, name: str, batches: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WRITER, url, name, str(batches)])


def test_two_processes_write_one_after_the_other(
    tmp_path: Path, utc_clock: Callable[[], datetime]
) -> None:
    url = f"sqlite:///{tmp_path}/ledger/ledger.sqlite"  # neither finds a ledger there
    children = [start(url, name, 30) for name in ("one", "two")]
    assert [child.wait(timeout=120) for child in children] == [0, 0]
    with Ledger.open(url, clock=utc_clock, actor=Actor("t", "t", "t")) as ledger:
        table = tables.exception_actions
        rows = ledger.query(select(table).order_by(table.c.id))
        assert [row["id"] for row in rows] == list(range(1, 301))
        assert ledger.head().facts == 300
        assert ledger.verify() == ()


def test_a_killed_process_leaves_whole_transactions(
    tmp_path: Path, utc_clock: Callable[[], datetime]
) -> None:
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    with Ledger.open(url, clock=utc_clock, actor=Actor("t", "t", "t")) as ledger:
        for round_no in range(3):
            before = ledger.head().facts
            child = start(url, f"child{round_no}", 100_000)
            deadline = time.monotonic() + 60
            while ledger.head().facts < before + 20 and time.monotonic() < deadline:
                time.sleep(0.005)
            os.kill(child.pid, signal.SIGKILL)
            assert child.wait(timeout=60) == -signal.SIGKILL
            facts = ledger.head().facts
            assert facts > before
            assert facts % 5 == 0
            assert ledger.verify() == ()
        assert start(url, "last", 1).wait(timeout=60) == 0
        assert ledger.head().facts == facts + 5
        assert ledger.verify() == ()
