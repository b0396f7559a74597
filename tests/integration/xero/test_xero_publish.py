"""Publishing where nothing fails: plan, apply, numbers to the cent, and nothing on a re-run."""

from __future__ import annotations

import shutil
import time
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest


def test_plan_sends_nothing_and_writes_nothing(bench: Any) -> None:
    number = bench.issue()
    before = bench.facts()
    report = bench.publish(apply=False)
    assert [(x.statement_number, x.action) for x in report.lines] == [(number, "create")]
    assert report.exit_code == 0
    assert bench.writes() == []
    assert bench.facts() == before


def test_invoice_arrives_approved_with_the_same_numbers(bench: Any, make_line: Any) -> None:
    number = bench.issue(
        make_line(),
        make_line(
            charge_code="hosting",
            unit="month",
            quantity=Decimal("1.500000"),
            unit_price=Decimal("42"),
            amount=Decimal("63.00"),
            tax_amount=Decimal("15.75"),
            site_id=None,
            region=None,
        ),
    )
    report = bench.publish()
    assert report.exit_code == 0, report.describe()
    invoice = bench.admin.invoice(number)
    assert (invoice["Status"], invoice["Total"]) == ("AUTHORISED", Decimal("202.96"))
    assert (invoice["SubTotal"], invoice["TotalTax"]) == (Decimal("162.37"), Decimal("40.59"))
    assert invoice["Reference"] == "PO-77"
    assert invoice["DateString"].startswith("2026-11-03")
    assert invoice["DueDateString"].startswith("2026-11-17")
    energy, hosting = invoice["LineItems"]
    assert (energy["Quantity"], energy["UnitAmount"]) == (Decimal("1204.5"), Decimal("0.0825"))
    assert (energy["AccountCode"], hosting["AccountCode"]) == ("201", "200")
    assert [(t["Name"], t["Option"]) for t in energy["Tracking"]] == [
        ("Site", "NO-OSL1"),
        ("Region", "nordic"),
    ]
    assert hosting["Tracking"] == []
    assert (
        "1,204.5 kWh at EUR 0.0825 per kWh; Oslo 1 (NO-OSL1); October 2026"
        in (energy["Description"])
    )
    seen = bench.document(number)
    assert (seen["publish_state"], seen["status"]) == ("published", "AUTHORISED")
    assert seen["amount_due"] == Decimal("202.96")
    assert seen["online_url"].startswith(bench.sandbox.url)
    contact = bench.admin.state()["contacts"][0]
    assert (contact["ContactNumber"], contact["Name"]) == ("payer1", "Payer 1 AS")


def test_drafts_are_created_by_put_and_approved_by_id_and_status_only(bench: Any) -> None:
    bench.issue()
    bench.publish()
    sent = [r for r in bench.admin.requests() if r["path"].endswith("/Invoices")]
    writes = [(r["method"], r["query"]) for r in sent if r["method"] != "GET"]
    query = "summarizeErrors=false&unitdp=4"
    assert writes == [("PUT", query), ("POST", query)]
    assert '"Status":"DRAFT"' in sent[-2]["body"]
    assert '"LineItems"' not in sent[-1]["body"]
    assert all(r["headers"]["idempotency-key"] for r in sent if r["method"] != "GET")


def test_published_month_again_makes_no_writes(bench: Any) -> None:
    for payer in ("payer1", "payer2"):
        bench.issue(payer=payer)
    bench.publish()
    bench.writes()
    before = bench.facts()
    report = bench.publish()
    assert {x.action for x in report.lines} == {"already there"}
    assert report.calls == 1
    assert bench.writes() == []
    assert bench.facts() == before


def test_batches_of_at_most_fifty(bench: Any) -> None:
    numbers = [bench.issue(payer=f"payer{i}") for i in range(1, 56)]
    bench.admin.call("limits", minute=1000)
    report = bench.publish()
    assert report.exit_code == 0
    writes = bench.writes()
    assert writes.count("PUT /Invoices") == 2
    assert writes.count("POST /Invoices") == 2
    assert writes.count("PUT /Contacts") == 2
    assert sorted(i["InvoiceNumber"] for i in bench.admin.state()["invoices"]) == sorted(numbers)


def test_minutes_are_used_to_the_last_call(bench: Any) -> None:
    folder = bench.config.data_dir / "reports" / "2026-10"
    folder.mkdir(parents=True)
    for i in range(1, 31):
        (folder / f"{bench.issue(payer=f'payer{i}')}.pdf").write_bytes(b"%PDF-1.7")
    bench.admin.call("limits", minute=15)
    began = bench.clock()
    report = bench.publish()
    taken = (bench.clock() - began).total_seconds()
    assert report.exit_code == 0
    refused = sum(sent["status"] == 429 for sent in bench.admin.requests())
    # The first refusal tells when a minute begins; until then each call under way may meet one.
    assert 1 <= refused <= 4
    assert taken <= 60 * (report.calls - refused) / 15 * 1.05
    assert len(bench.admin.state()["attachments"]) == 30


def test_zero_total_becomes_paid_and_counts_as_published(bench: Any, make_line: Any) -> None:
    number = bench.issue(
        make_line(),
        make_line(
            charge_code="credit",
            unit="flat",
            quantity=Decimal(1),
            unit_price=Decimal("-99.37"),
            amount=Decimal("-99.37"),
            tax_amount=Decimal("-24.84"),
        ),
    )
    assert bench.publish().exit_code == 0
    seen = bench.document(number)
    assert (seen["status"], seen["publish_state"]) == ("PAID", "published")
    assert bench.publish().lines[0].action == "already there"


def test_negative_statement_becomes_a_credit_note_allocated_once(
    bench: Any, make_line: Any
) -> None:
    invoice = bench.issue(period="2026-09", issued_on=date(2026, 10, 2))
    other = bench.issue(period="2026-08", issued_on=date(2026, 9, 2))
    bench.publish(period="2026-09")
    bench.publish(period="2026-08")
    note = bench.issue(
        make_line(
            quantity=Decimal("-24.500000"),
            amount=Decimal("-2.02"),
            tax_amount=Decimal("-0.51"),
            adjusts_period="2026-09",
            classification="adjustment",
        ),
    )
    report = bench.publish()
    assert report.exit_code == 0, report.describe()
    found = bench.live(note)[0]
    assert (found["Type"], found["Total"], found["Status"]) == (
        "ACCRECCREDIT",
        Decimal("2.53"),
        "PAID",
    )
    assert found["LineItems"][0]["Quantity"] == Decimal("24.5")
    assert "-24.5 kWh" in found["LineItems"][0]["Description"]
    assert [a["Invoice"]["InvoiceNumber"] for a in found["Allocations"]] == [invoice]
    assert bench.admin.invoice(other)["AmountDue"] == Decimal("124.21")
    seen = bench.document(note)
    assert (seen["total"], seen["amount_due"]) == (Decimal("-2.53"), Decimal("0"))
    bench.writes()
    before = bench.facts()
    assert bench.publish().lines[0].action == "already there"
    assert bench.writes() == []
    assert bench.facts() == before


def test_credit_beyond_what_is_due_stays_as_credit(bench: Any, make_line: Any) -> None:
    bench.issue(period="2026-09", issued_on=date(2026, 10, 2))
    bench.publish(period="2026-09")
    note = bench.issue(
        make_line(
            unit="flat",
            quantity=Decimal(1),
            unit_price=Decimal("-200.00"),
            amount=Decimal("-200.00"),
            tax_amount=Decimal("-50.00"),
        ),
    )
    assert bench.publish().exit_code == 0
    found = bench.live(note)[0]
    assert (found["RemainingCredit"], found["Status"]) == (Decimal("125.79"), "AUTHORISED")
    seen = bench.document(note)
    assert (seen["amount_due"], seen["amount_credited"]) == (Decimal("-125.79"), Decimal("-124.21"))


def test_files_are_attached_once(bench: Any) -> None:
    number = bench.issue()
    folder = bench.config.data_dir / "reports" / "2026-10"
    folder.mkdir(parents=True)
    (folder / f"{number}.pdf").write_bytes(b"%PDF-1.7 statement")
    (folder / f"{number}.xlsx").write_bytes(b"PK statement")
    (folder / "someone-else.pdf").write_bytes(b"%PDF-1.7")
    bench.publish()
    bench.publish()
    files = bench.admin.state()["attachments"]
    assert sorted((f["FileName"], f["IncludeOnline"]) for f in files) == [
        (f"{number}.pdf", True),
        (f"{number}.xlsx", True),
    ]


def test_files_rendered_later_are_attached_by_the_next_run(bench: Any) -> None:
    number = bench.issue()
    bench.publish()
    folder = bench.config.data_dir / "reports" / "2026-10"
    folder.mkdir(parents=True)
    (folder / f"{number}.pdf").write_bytes(b"%PDF-1.7 statement")
    report = bench.publish()
    assert report.lines[0].action == "finish"
    assert [f["FileName"] for f in bench.admin.state()["attachments"]] == [f"{number}.pdf"]
    assert bench.publish().lines[0].action == "already there"


@pytest.mark.parametrize("grant", ["client_credentials", "authorization_code"])
def test_both_grants(bench: Any, grant: str) -> None:
    bench.issue()
    if grant == "authorization_code":
        bench.config.token_file.parent.mkdir()
        answer = bench.admin.call("refresh-token", client_id=bench.config.client_id)
        bench.config.token_file.write_text(f'{{"refresh_token": "{answer["refresh_token"]}"}}')
    assert bench.publish(grant=grant).exit_code == 0
    if grant == "authorization_code":
        kept = bench.config.token_file
        assert kept.stat().st_mode & 0o777 == 0o600
        assert answer["refresh_token"] not in kept.read_text()
        assert (kept.parent / ".gitignore").read_text() == "*\n"
        bench.admin.call("expire-tokens")
        assert bench.publish(grant=grant).exit_code == 0


BEYOND_REACH = "00000000-0000-0000-0000-00000000beef"


def test_an_organisation_that_refuses_does_not_hold_the_others(bench: Any, tmp_path: Path) -> None:
    bench.marts = Path(shutil.copy(bench.marts, tmp_path / "marts.duckdb"))
    with duckdb.connect(str(bench.marts)) as con:
        con.execute("INSERT INTO sellers VALUES ('north', ?)", [BEYOND_REACH])
    ours, theirs = bench.issue(), bench.issue(seller="north", payer="payer2")
    report = bench.publish()
    assert report.exit_code == 3
    assert f"organisation {BEYOND_REACH}: Xero refuses access (403)" in str(report.failure)
    assert [line.statement_number for line in report.lines] == [ours]
    assert len(bench.live(ours)) == 1
    assert bench.live(theirs) == []
    bench.admin.pay(ours)
    report = bench.poll()
    assert (report.exit_code, report.changed) == (3, [ours])
    assert f"organisation {BEYOND_REACH}" in str(report.failure)


def test_the_only_organisation_refuses(bench: Any) -> None:
    bench.issue()
    report = bench.publish(tenant_id=BEYOND_REACH)
    assert report.exit_code == 3
    assert "403" in str(report.failure)
    assert bench.writes() == []


@pytest.mark.parametrize("skew", [timedelta(hours=-30), timedelta(hours=30)])
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_dates_and_polls_do_not_depend_on_this_machines_clock(
    bench: Any, monkeypatch: pytest.MonkeyPatch, zone: str, skew: timedelta
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        bench.clock = lambda: bench.sandbox.app.now() + skew
        number = bench.issue(issued_on=date(2026, 10, 31))
        assert bench.publish().exit_code == 0
        document = bench.admin.invoice(number)
        assert document["DateString"] == "2026-10-31T00:00:00"
        assert bench.document(number)["date"] == date(2026, 10, 31)
        bench.poll()
        bench.admin.pay(number, on=date(2026, 11, 30))
        assert bench.poll().changed == [number]
        assert bench.poll().payments == []
        bench.admin.advance(1900)
        assert bench.publish().lines[0].action == "already there"
    finally:
        monkeypatch.undo()
        time.tzset()
