"""The report before anything is sent: what is ready, and what a person has to do in Xero first."""

from __future__ import annotations

import shutil
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from exporters.xero.checkup import Checkup, check_up


def look(bench: Any, period: str | None = None) -> Checkup:
    report = check_up(bench.marts, bench.ledger, period, config=bench.config, clock=bench.clock)
    assert bench.writes() == []
    return report


def test_ready(bench: Any) -> None:
    bench.issue()
    bench.publish()
    bench.writes()
    report = look(bench, "2026-10")
    assert report.exit_code == 0, report.describe()
    words = "\n".join(report.describe())
    assert "Local Hosting Ltd" in words
    assert "1 payers have one, 59 get one with their first document" in words
    assert "Region: 1 options" in words
    assert "calls left today" in words
    assert words.endswith("ready: nothing would be held back")


@pytest.mark.parametrize(
    ("action", "options", "words"),
    [
        ("deactivate", {"kind": "account", "key": "201"}, "account 201 of charge energy"),
        ("tax-rate", {"tax_type": "OUTPUT25", "percent": "24"}, "OUTPUT25 is 24 % in Xero, NO25"),
        ("remove-currency", {"code": "EUR"}, "no currency EUR: add it in Xero's settings"),
        ("reminders", {"enabled": True}, "customers would be chased twice"),
        ("contact", {"element": {"Name": "Payer 3 AS"}}, "set its contact number to payer3"),
    ],
)
def test_what_is_needed(bench: Any, action: str, options: dict[str, Any], words: str) -> None:
    bench.admin.call(action, **options)
    report = look(bench)
    assert report.exit_code == 1
    found = [line for line in report.describe() if words in line]
    assert len(found) == 1, report.describe()
    assert found[0].startswith("  NEEDED")


def test_a_statement_that_would_be_held_back_is_named(bench: Any, make_line: Any) -> None:
    good = bench.issue()
    bad = bench.issue(make_line(site_id="SE-STO9", tax_rate_percent=Decimal("24")))
    bench.admin.lock(date(2026, 11, 1))
    report = look(bench, "2026-10")
    lines = report.describe()
    assert any(line.split()[-1] == good and line.startswith("  ok") for line in lines)
    assert len([line for line in lines if line.startswith("  NEEDED") and bad in line]) == 2
    assert any("locked up to 2026-11-01" in line for line in lines)
    needed = [
        f["problem"]
        for f in report.as_dict()["organisations"][0]["findings"]
        if f["problem"] is not None
    ]
    assert all(problem.startswith(f"{bad}: ") for problem in needed)


def test_an_organisation_that_cannot_be_read_is_a_failure_in_words(bench: Any) -> None:
    bench.admin.fault("status", method="GET", path="^/Organisation$", status=403)
    report = look(bench)
    assert report.exit_code == 3
    assert any(line.startswith("  FAILED  Xero refuses access") for line in report.describe())


def test_bank_accounts_that_payments_are_posted_to_are_looked_at(
    bench: Any, tmp_path: Path
) -> None:
    bench.marts = Path(shutil.copy(bench.marts, tmp_path / "marts.duckdb"))
    with duckdb.connect(str(bench.marts)) as con:
        con.execute(
            "INSERT INTO seller_bank_accounts VALUES ('main', 'EUR', 'FI2112345600000785', NULL, "
            "true, '090', NULL), ('main', 'NOK', NULL, '1234', false, NULL, NULL)"
        )
    lines = look(bench).describe()
    (needed,) = (line for line in lines if "bank accounts" in line)
    assert needed.startswith("  NEEDED")
    assert "no_bank_feed" in needed
    with duckdb.connect(str(bench.marts)) as con:
        con.execute("UPDATE seller_bank_accounts SET no_bank_feed = 'kim, 2026-11-02'")
    assert "payments are posted to 1" in "\n".join(look(bench).describe())
