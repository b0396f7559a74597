"""What must survive: readers during a build, `kill -9` at any point, a broken book, a bad batch."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

M2C = Path(sys.executable).parent / "m2c"
KILLS = int(os.environ.get("M2C_TEST_KILLS", "2"))
BUILD_SECONDS = 14.0


@pytest.fixture
def built(demo: tuple[Path, Any], tmp_path: Path) -> Path:
    """A copy of the demo's data dir, as after a month."""
    data_dir = tmp_path / "data"
    shutil.copytree(demo[0], data_dir, ignore=shutil.ignore_patterns("postgres*", "*.lock"))
    return data_dir


def statements(data_dir: Path) -> list[tuple[Any, ...]]:
    path = str(data_dir / "published" / "marts.duckdb")
    with duckdb.connect(path, read_only=True) as marts:
        return marts.execute(
            "select statement_id, total, content_hash from statements order by all"
        ).fetchall()


def test_readers_never_wait_for_a_build(built: Path, m2c: Callable[..., Any]) -> None:
    slowest, reads, stop = 0.0, 0, threading.Event()
    script = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=True); "
        "assert c.execute('select count(*), sum(amount) from statement_lines').fetchone()[0] > 0"
    )
    failures: list[str] = []

    def read() -> None:
        nonlocal slowest, reads
        while not stop.is_set():
            started = time.monotonic()
            done = subprocess.run(
                [sys.executable, "-c", script, str(built / "published" / "marts.duckdb")],
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
            slowest, reads = max(slowest, time.monotonic() - started), reads + 1
            if done.returncode:
                failures.append(done.stderr)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert m2c(built, "build").code == 0
    finally:
        stop.set()
        reader.join()
    assert failures == []
    assert reads >= 3
    assert slowest < 10


@pytest.mark.parametrize("attempt", range(KILLS))
def test_a_killed_build_is_finished_by_the_next(
    built: Path, m2c: Callable[..., Any], attempt: int
) -> None:
    expected = statements(built)
    killed = subprocess.Popen(
        [str(M2C), "--data-dir", str(built), "build"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(random.Random(attempt).uniform(0.5, BUILD_SECONDS))
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert statements(built) == expected

    answer = m2c(built, "build")

    assert answer.code == 0, answer.err
    assert statements(built) == expected


def test_a_broken_book_is_refused_with_all_faults(built: Path, m2c: Callable[..., Any]) -> None:
    expected = statements(built)
    machines = built / "book" / "machines.csv"
    machines.write_text(machines.read_text() + "m-x,NOWHERE,meter-x,2026-13-01,,,,,,\n")
    contracts = built / "book" / "contracts.csv"
    contracts.write_text(contracts.read_text().replace("Europe/Oslo", "Europe/Olso", 1))

    answer = m2c(built, "build")

    assert answer.code == 1
    for word in ("machines.csv", "NOWHERE", "2026-13-01", "contracts.csv", "Europe/Olso"):
        assert word in answer.err
    assert "Traceback" not in answer.err
    assert statements(built) == expected


def test_a_bad_batch_is_refused_and_the_rest_goes_on(built: Path, m2c: Callable[..., Any]) -> None:
    expected = statements(built)
    folder = next((built / "landing" / "readings" / "site_id=FI-HEL1").glob("date=*"))
    (folder / "broken.parquet").write_bytes(b"PAR1 cut off")

    answer = m2c(built, "build")

    assert answer.code == 1
    assert "broken.parquet" in answer.err
    assert statements(built) == expected
