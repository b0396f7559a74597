"""Issuing: exactly what was approved, once, under numbers without gaps; and why not."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from exporters.close import CloseError, IssueReport, approve, decide, issue
from exporters.ledger import Ledger, tables
from exporters.marts import MartsError

OCTOBER = "2026-10"
STATEMENT = "acme/2026-10/all"


@pytest.fixture
def run(marts: Any, ledger: Ledger, clock: Callable[[], datetime]) -> Callable[..., IssueReport]:
    def close_and_issue(period: str = OCTOBER, **options: Any) -> IssueReport:
        decide(marts.path, ledger, period, clock=clock)
        return issue(marts.path, ledger, period, clock=clock, code_version="c0ffee", **options)

    return close_and_issue


def rows(ledger: Ledger, table: Any) -> list[dict[str, Any]]:
    return ledger.query(select(table).order_by(table.c.id))


def test_the_approved_lines_are_frozen_as_they_are(marts: Any, ledger: Ledger, run: Any) -> None:
    fake = marts.put(STATEMENT)
    report = run()
    (statement,) = rows(ledger, tables.issued_statements)
    assert statement["statement_number"] == "acme-0001"
    assert statement["content_hash"] == fake.content_hash
    assert (statement["net"], statement["tax"], statement["total"]) == (
        Decimal("150.50"),
        Decimal("37.63"),
        Decimal("188.13"),
    )
    assert (statement["book_version"], statement["code_version"]) == ("b-1", "c0ffee")
    lines = rows(ledger, tables.issued_lines)
    assert [line["line_no"] for line in lines] == [1, 2]
    assert lines[0]["unit_price"] == Decimal("0.081234567")
    assert str(lines[0]["quantity"]) == "1234.567891"
    assert {line["statement_number"] for line in lines} == {"acme-0001"}
    assert report.describe() == [
        "2026-10: 1 issued",
        "  acme/2026-10/all: issued as acme-0001, EUR 188.13",
    ]


def test_the_issue_date_is_that_of_the_seller(marts: Any, ledger: Ledger, run: Any) -> None:
    marts.put(STATEMENT)
    run()  # 22:30 UTC on the 4th is the 5th in Helsinki
    (statement,) = rows(ledger, tables.issued_statements)
    assert statement["issue_date"] == date(2026, 11, 5)
    assert statement["due_date"] == date(2026, 11, 19)


def test_repeating_gives_nothing_new(marts: Any, ledger: Ledger, run: Any) -> None:
    marts.put(STATEMENT)
    run()
    head = ledger.head()
    again = run()
    assert ledger.head() == head
    assert [found.outcome for found in again.statements] == ["already_issued"]
    assert again.statements[0].statement_number == "acme-0001"
    assert not again.needs_person


def test_a_dry_run_shows_the_plan(marts: Any, ledger: Ledger, run: Any) -> None:
    marts.put("acme/2026-10/FI-HEL1")
    marts.put("acme/2026-10/NO-OSL1", amounts=(("1.00", "0.25"),))
    planned = run(dry_run=True)
    assert rows(ledger, tables.issued_statements) == []
    assert [found.statement_number for found in planned.statements] == ["acme-0001", "acme-0002"]
    issued = run()
    assert [found.statement_number for found in issued.statements] == ["acme-0001", "acme-0002"]
    assert [found.outcome for found in issued.statements] == ["issued", "issued"]


def test_one_series_a_payer_over_the_months(marts: Any, ledger: Ledger, run: Any) -> None:
    marts.put("acme/2026-09/all")
    marts.put("bolt/2026-09/all")
    run("2026-09")
    marts.put("acme/2026-09/all", state="issued")
    marts.put("bolt/2026-09/all", state="issued")
    marts.put("acme/2026-10/all")
    run()
    numbers = [row["statement_number"] for row in rows(ledger, tables.issued_statements)]
    assert numbers == ["acme-0001", "bolt-0001", "acme-0002"]


def test_numbers_found_taken_are_skipped(marts: Any, ledger: Ledger, run: Any) -> None:
    ledger.record("series_advances", series="acme", series_no=7, reason="found in Xero")
    marts.put(STATEMENT)
    assert run().statements[0].statement_number == "acme-0008"


def test_a_negative_total_is_a_credit_note(marts: Any, run: Any) -> None:
    marts.put(STATEMENT, amounts=(("-10.00", "-2.50"),))
    assert run().describe()[1].endswith("acme-0001, EUR -12.50, a credit note")


def refusal(report: IssueReport) -> str:
    (found,) = [found for found in report.statements if found.outcome == "refused"]
    assert report.needs_person
    return found.reason


def test_without_approval_nothing_is_issued_and_the_others_go_on(
    marts: Any, ledger: Ledger, run: Any
) -> None:
    marts.put(STATEMENT, decision="needs_approval", reason="42 % above the median of 3 totals")
    marts.put("bolt/2026-10/all")
    report = run()
    assert refusal(report) == "waits for approval: 42 % above the median of 3 totals"
    assert [row["statement_id"] for row in rows(ledger, tables.issued_statements)] == [
        "bolt/2026-10/all"
    ]


def test_changed_lines_are_back_in_review(marts: Any, ledger: Ledger, clock: Any) -> None:
    marts.put(STATEMENT, decision="needs_approval")
    approve(marts.path, ledger, STATEMENT, by="anna", reason="ok")
    marts.put(STATEMENT, salt="late reading")
    report = issue(marts.path, ledger, OCTOBER, clock=clock, code_version="c1")
    assert "back in review: its lines changed since anna approved it" in refusal(report)
    marts.put(STATEMENT, salt="")
    report = issue(marts.path, ledger, OCTOBER, clock=clock, code_version="c1")
    assert report.count("issued") == 1  # the very lines that were approved


def test_an_automatic_approval_ends_with_its_rule(marts: Any, ledger: Ledger, clock: Any) -> None:
    marts.put(STATEMENT)
    decide(marts.path, ledger, OCTOBER, clock=clock)
    marts.put(STATEMENT, decision="needs_approval", reason="6.1 % of machine-hours are missing")
    report = issue(marts.path, ledger, OCTOBER, clock=clock, code_version="c1")
    assert refusal(report).endswith("but now: 6.1 % of machine-hours are missing")


def test_an_approved_statement_that_is_blocked_since(marts: Any, ledger: Ledger, run: Any) -> None:
    marts.put(STATEMENT)
    approve(marts.path, ledger, STATEMENT, by="anna", reason="ok")
    marts.put(STATEMENT, blocking=1, decision="blocked", reason="no price for hour 7")
    assert refusal(run()) == "blocked: no price for hour 7"


@pytest.mark.parametrize("missing", ["address_line1", "city"])
def test_an_address_is_needed(marts: Any, run: Any, missing: str) -> None:
    marts.put(STATEMENT)
    marts.payer("acme", **{missing: None})
    assert refusal(run()) == f"payer acme has no {missing}: fill it in"


def test_a_seller_is_needed(marts: Any, run: Any) -> None:
    marts.has_seller = False
    marts.put(STATEMENT)
    assert "no seller.yml" in refusal(run())


def test_a_payer_that_left_the_book(marts: Any, run: Any) -> None:
    marts.put(STATEMENT)
    marts.payers.clear()
    marts.publish()
    assert "payers.csv" in refusal(run())


def test_an_empty_statement(marts: Any, run: Any) -> None:
    marts.put(STATEMENT, amounts=())
    assert refusal(run()) == "it has no lines"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"statement": {"net": Decimal("150.51")}}, "its lines give net 150.50"),
        ({"statement": {"tax": Decimal("37.62")}}, "its lines give tax 37.63"),
        ({"statement": {"total": Decimal("188.14")}}, "its lines give total 188.13"),
        ({"statement": {"lines": 3}}, "its lines give lines 2"),
        ({"line": {"currency": "NOK"}}, "has currency NOK, its statement EUR"),
        ({"line": {"tax_amount": None}, "amounts": (("1.00", "0.00"),)}, "has no tax_amount"),
    ],
)
def test_lines_that_do_not_make_the_statement(
    marts: Any, ledger: Ledger, run: Any, changes: dict[str, Any], words: str
) -> None:
    marts.put(STATEMENT, **changes)
    assert words in refusal(run())
    assert rows(ledger, tables.issued_statements) == []


def test_a_line_is_issued_once(marts: Any, run: Any) -> None:
    marts.put(STATEMENT, amounts=(("1.00", "0.25"),), line={"line_key": "K"})
    run()
    marts.put("acme/2026-10/late", amounts=(("1.00", "0.25"),), line={"line_key": "K"})
    assert refusal(run()) == "line K is issued already, on acme-0001: run m2c build"


def test_a_month_that_is_not_over(marts: Any, ledger: Ledger) -> None:
    marts.put(STATEMENT)
    approve(marts.path, ledger, STATEMENT, by="anna", reason="early")

    def in_october() -> datetime:
        return datetime(2026, 10, 31, 12, 0, tzinfo=UTC)

    report = issue(marts.path, ledger, OCTOBER, clock=in_october, code_version="c1")
    assert refusal(report) == "its month is not over before 2026-10-31 22:00 UTC"


def test_stale_marts_are_refused(marts: Any, ledger: Ledger, run: Any, clock: Any) -> None:
    marts.put("acme/2026-09/all")
    run("2026-09")
    marts.put(STATEMENT)
    with pytest.raises(MartsError, match="run m2c build first"):
        issue(marts.path, ledger, OCTOBER, clock=clock, code_version="c1")


def test_an_open_month_before_is_noted(marts: Any, run: Any) -> None:
    marts.put("acme/2026-09/all")
    marts.put(STATEMENT)
    assert run().notes == ("2026-09 still has 1 statement not issued",)


def test_the_code_version_is_needed(marts: Any, ledger: Ledger, clock: Any) -> None:
    marts.put(STATEMENT)
    with pytest.raises(CloseError, match="code version"):
        issue(marts.path, ledger, OCTOBER, clock=clock, code_version=" ")


def test_the_cause_of_an_adjustment_is_kept_if_the_marts_tell_it(
    marts: Any, ledger: Ledger, run: Any
) -> None:
    marts.put(STATEMENT, amounts=(("-1.00", "-0.25"),), line={"adjusts_period": "2026-08"})
    run()
    (line,) = rows(ledger, tables.issued_lines)
    assert (line["adjusts_period"], line["cause"]) == ("2026-08", None)


def test_the_report_is_json_ready(marts: Any, run: Any) -> None:
    marts.put(STATEMENT)
    plain = json.loads(json.dumps(run().as_dict()))
    assert plain["statements"][0]["due_date"] == "2026-11-19"
    assert plain["statements"][0]["total"] == "188.13"
