"""What must survive: readers during a build, a broken book, a bad batch, two at once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

CLOSE = "2026-11-04T06:15:00+00:00"
PERIOD = "2026-10"

# An analyst who asks again and again, each time opening the file anew, until told to stop.
_ANALYST = """
import select, sys, time
import duckdb
slowest, reads, previous = 0.0, 0, None
print("reading", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    started = time.monotonic()
    with duckdb.connect(sys.argv[1], read_only=True) as marts:
        answer = marts.execute(
            "select count(*), sum(amount), (select count(*) from usage_daily) from statement_lines"
        ).fetchone()
    slowest, reads = max(slowest, time.monotonic() - started), reads + 1
    if previous not in (None, answer) or not answer[0]:
        sys.exit(f"read {answer} after {previous}")
    previous = answer
    time.sleep(0.02)
print(reads, slowest)
"""


def test_readers_never_fail_or_wait_during_a_build(built: Any) -> None:
    path = built / "published/marts.duckdb"
    before = path.stat().st_ino
    reader = subprocess.Popen(
        [sys.executable, "-c", _ANALYST, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert reader.stdout is not None
    reader.stdout.readline()
    answer = built.run("build")
    out, err = reader.communicate("stop\n")
    assert answer.code == 0, answer.err
    assert reader.returncode == 0, err
    assert path.stat().st_ino != before
    reads, slowest = out.split()
    tell = f"{reads} reads in a build of {answer.seconds} s, the slowest {float(slowest):.3f} s"
    if log := os.environ.get("M2C_TEST_KILLS_LOG"):
        with Path(log).open("a") as file:
            file.write(tell + "\n")
    assert int(reads) >= 20, tell
    assert float(slowest) < 3, tell


def test_a_broken_book_is_refused_with_all_faults(built: Any) -> None:
    expected = built.statements()
    machines = built / "book/machines.csv"
    machines.write_text(
        machines.read_text()
        + "m-x,NOWHERE,meter-x,2026-01-01,,,,,,\n"
        + "m-y,NO-OSL1,meter-y,2026-13-01,,,,,,\n"
    )
    contracts = built / "book/contracts.csv"
    contracts.write_text(contracts.read_text().replace("Europe/Oslo", "Europe/Olso", 1))

    answer = built.run("build", "--json")

    assert answer.code == 1
    assert answer.out == ""
    for word in ("machines.csv", "NOWHERE", "2026-13-01", "contracts.csv", "Europe/Olso"):
        assert word in answer.err
    assert "Traceback" not in answer.err
    assert built.statements() == expected


def test_a_bad_batch_is_refused_and_the_rest_goes_on(built: Any) -> None:
    expected = built.statements()
    folder = next((built / "landing/readings/site_id=FI-HEL1").glob("date=*"))
    (folder / "broken.parquet").write_bytes(b"PAR1 cut off")

    answer = built.run("build", "--json")

    assert answer.code == 1
    [refused] = answer.json()["refused_batches"]
    assert refused["path"].endswith("broken.parquet")
    assert "broken.parquet" in answer.err
    assert built.statements() == expected


def test_two_closes_at_once_wait_for_each_other(issued: Any, month: Any) -> None:
    """Of two months: what the one asks of its build must not be undone by the other's."""
    both = {p: issued.start("close", p, "--json", M2C_NOW=CLOSE) for p in (PERIOD, "2026-09")}
    said: dict[str, tuple[str, str]] = {}

    def listen(period: str) -> None:
        said[period] = both[period].communicate()

    listeners = [threading.Thread(target=listen, args=(period,)) for period in both]
    for listener in listeners:
        listener.start()
    for listener in listeners:
        listener.join()
    for period, process in both.items():
        assert process.returncode == 0, said[period]
    assert sum("waiting for the runs lock" in err for _, err in said.values()) >= 1
    assert issued.lines() == month.place.lines()
    assert issued.chain_faults() == ()
    assert set(issued.run_states()) == {"SUCCESS"}
