"""The report before anything is sent: what is ready, and what a person has to do in Xero first."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from exporters.xero.checkup import Checkup, check_up
from exporters.xero.config import SCOPES
from exporters.xero.sandbox import CLIENT_ID


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


def test_a_connection_of_before_is_told_what_it_lacks(bench: Any) -> None:
    token = bench.admin.call(
        "refresh-token",
        client_id=CLIENT_ID,
        scope=" ".join({*SCOPES, "offline_access"} - {"accounting.contacts"}),
    )
    bench.config = replace(bench.config, grant="authorization_code")
    bench.config.token_file.parent.mkdir()
    bench.config.token_file.write_text(json.dumps(token))
    report = look(bench)
    assert report.exit_code == 3
    lines = report.describe()
    assert any("lacks accounting.contacts: add it to the app" in line for line in lines)
    assert any(line.startswith("  FAILED  Xero refuses access (401)") for line in lines)
    assert any("accounts" in line and line.startswith("  ok") for line in lines)


def test_wide_scopes_hold_the_narrow_ones(bench: Any) -> None:
    wide = "accounting.transactions accounting.contacts accounting.settings accounting.attachments"
    token = bench.admin.call("refresh-token", client_id=CLIENT_ID, scope=wide)
    bench.config = replace(bench.config, grant="authorization_code")
    bench.config.token_file.parent.mkdir()
    bench.config.token_file.write_text(json.dumps(token))
    assert look(bench).exit_code == 0


def test_a_lock_date_of_today_holds_everything_back(bench: Any) -> None:
    today = bench.clock().date()
    bench.admin.lock(today - timedelta(days=1))
    assert look(bench).exit_code == 0
    bench.admin.lock(today)
    report = look(bench)
    assert report.exit_code == 1
    assert any("invoices of today are refused" in line for line in report.describe())


def test_contacts_are_listed_and_hold_their_statements_back(bench: Any) -> None:
    held_back = bench.issue()
    bench.publish()
    (payer,) = {c["ContactNumber"] for c in bench.admin.state()["contacts"]}
    bench.admin.archive_contact(payer)
    bench.writes()
    report = look(bench, "2026-10")
    (organisation,) = report.as_dict()["organisations"]
    states = {one["payer_id"]: one for one in organisation["contacts"]}
    assert "is archived in Xero" in states.pop(payer)["problem"]
    assert all(one["contact_id"] is one["problem"] is None for one in states.values())
    (needed,) = (line for line in report.describe() if held_back in line)
    assert needed.startswith("  NEEDED")
    assert "is archived in Xero" in needed


def test_a_month_without_statements_is_said(bench: Any) -> None:
    assert any(
        "no statement of 2026-09 is issued yet" in x for x in look(bench, "2026-09").describe()
    )
