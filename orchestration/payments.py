"""Read from Xero what was paid, and let the lines of the bank know."""

from __future__ import annotations

import os
from collections.abc import Sequence

from exporters.ledger import Ledger
from exporters.xero import XeroConfig, poll_payments, wakes
from exporters.xero.report import PaymentsReport
from orchestration.bank import settle_lines
from orchestration.settings import Clock, DataDir


def read_payments_now(
    data_dir: DataDir, ledger: Ledger, *, clock: Clock
) -> tuple[PaymentsReport, Sequence[str]]:
    """Poll; the report, and in words which bank lines are explained by what was read."""
    marks = wakes.waiting(data_dir.xero_wakes)
    report = poll_payments(
        ledger,
        config=XeroConfig.from_environment(os.environ, data_dir=data_dir.root),
        clock=clock,
        marts_path=data_dir.marts,
    )
    matched = settle_lines(data_dir, ledger)
    if report.failure is None and report.deferred_until is None:
        wakes.answered(marks)
    return report, matched
