"""What publishing a month takes of Xero's limits: `python tests/bench/xero.py [INVOICES]`.

Publishes invoices with two files each to the local Xero, which keeps its limit of sixty calls a
minute by its own clock, and compares the time by that clock with what so many calls need at least.
Then once more, with nothing to do.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from exporters.ledger import Actor, Ledger
from exporters.xero import PublishReport, XeroConfig
from exporters.xero.sandbox import XeroSandbox
from tests.integration.xero.bench import SEED, Bench, make_marts

_MINUTE_LIMIT, _DAY_LIMIT = 60, 5000
_SLACK = 1.05


def main(invoices: int) -> int:
    """Measure and print; 1 if the target is missed or a document is not there once."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "ledger").mkdir()
        with (
            XeroSandbox(
                state=root / "xero.sqlite",
                seed=SEED,
                minute_limit=_MINUTE_LIMIT,
                day_limit=_DAY_LIMIT,
            ) as sandbox,
            Ledger.open(
                f"sqlite:///{root}/ledger/ledger.sqlite",
                clock=sandbox.app.now,
                actor=Actor("bench", "bench", "bench"),
            ) as ledger,
        ):
            config = XeroConfig.from_environment(sandbox.environment(), data_dir=root)
            bench = Bench(
                sandbox, ledger, make_marts(root / "marts.duckdb"), replace(config, read_seconds=30)
            )
            return _measure(bench, root / "reports" / "2026-10", invoices)


def _measure(bench: Bench, reports: Path, invoices: int) -> int:
    reports.mkdir(parents=True)
    for index in range(invoices):
        number = bench.issue(payer=f"payer{index % 60 + 1}")
        for suffix in ("pdf", "xlsx"):
            (reports / f"{number}.{suffix}").write_bytes(b"x" * 60_000)
    report, simulated, wall = _timed(bench)
    refused = sum(sent["status"] == 429 for sent in bench.admin.requests(clear=True))
    served = report.calls - refused
    # Windows are fixed: the first calls may find a whole one, the last need not wait for its end.
    bound = max((served - _MINUTE_LIMIT) / _MINUTE_LIMIT * 60, 1.0)
    ratio = simulated / bound
    out = sys.stdout.write
    out(f"{invoices} invoices, 2 files each: {report.describe().splitlines()[0]}\n")
    out(f"calls {report.calls}, of them {refused} refused for a limit\n")
    out(f"by Xero's clock {simulated:.0f} s; so many calls need {bound:.0f} s: {ratio:.3f} x\n")
    out(f"on this machine {wall:.0f} s\n")
    again, _, wall = _timed(bench)
    out(f"again: {again.calls} calls, {again.writes} writes, {wall:.1f} s\n")
    there = len(bench.admin.state()["invoices"])
    good = (there, report.exit_code, again.writes) == (invoices, 0, 0)
    return int(not good or ratio > _SLACK)


def _timed(bench: Bench) -> tuple[PublishReport, float, float]:
    began, wall = bench.clock(), time.monotonic()
    report = bench.publish()
    return report, (bench.clock() - began).total_seconds(), time.monotonic() - wall


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
