"""What rendering a month's statements costs: `python tests/bench/papers.py [STATEMENTS]`.

Writes a marts file of issued statements (twelve lines, twenty machines, every language in turn),
renders PDF and workbook of each, then all again unchanged. Wall time is judged against a minute for
five hundred; processor time, which others on the machine disturb less, tells what is at fault.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from exporters.statements import render_statements
from tests.integration.statements.fleet import make_fleet

_PERIOD = "2026-10"
_SECONDS_A_STATEMENT = 60 / 500


def main(statements: int) -> int:
    """Measure and print; 1 if the target is missed."""
    with tempfile.TemporaryDirectory() as folder:
        marts = make_fleet(Path(folder) / "marts.duckdb", statements=statements, machines=20)
        out = Path(folder) / "out"
        wall = _measure("pdf and xlsx", marts, out, ("pdf", "xlsx"), statements)
        _measure("again, unchanged", marts, out, ("pdf", "xlsx"), statements)
        _measure("pdf", marts, out / "pdf", ("pdf",), statements)
        _measure("xlsx", marts, out / "xlsx", ("xlsx",), statements)
    target = _SECONDS_A_STATEMENT * statements
    load = os.getloadavg()[0]
    sys.stdout.write(f"target {target:.0f} s on two idle processors; load now {load:.1f}\n")
    return int(wall > target)


def _measure(name: str, marts: Path, out: Path, formats: Sequence[str], statements: int) -> float:
    began, used = time.monotonic(), _processor_seconds()
    rendered = render_statements(marts, _PERIOD, out, formats=formats)
    wall, processor = time.monotonic() - began, _processor_seconds() - used
    changed = sum(bool(one.changed) for one in rendered)
    sys.stdout.write(
        f"{name:18} {statements} statements, {changed} written: {wall:6.1f} s, processors "
        f"{processor:6.1f} s, {1000 * processor / statements:4.0f} ms each\n"
    )
    return wall


def _processor_seconds() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime for usage in map(getrusage, (RUSAGE_SELF, RUSAGE_CHILDREN))
    )


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 500))
