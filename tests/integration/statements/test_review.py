"""The review sheet of a close."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from html import unescape
from pathlib import Path

import openpyxl
import pytest

from exporters.ledger import Actor, Ledger, tables
from exporters.marts import open_marts
from exporters.statements import render_review, waiting_statements
from exporters.statements.review_facts import read_review
from exporters.statements.todo import next_steps

Make = Callable[..., Path]


def test_the_sheet_says_what_waits_and_why(make_marts: Make, tmp_path: Path) -> None:
    review = render_review(make_marts(), "2026-10", tmp_path / "out")
    assert (review.statements, review.waiting) == (3, 1)
    page = review.paths["html"].read_text("utf-8")
    for expected in ("no tax rule for energy at Oslo 1", "12,942.55", "10,800.00", "2,142.55",
                     "+22%", "2,377.55", "srv-003 at Helsinki 1", "<bdi>finance</bdi>",
                     "1 blocking", "m2c exceptions --period 2026-10"):  # fmt: skip
        assert expected in page, expected
    book = openpyxl.load_workbook(review.paths["xlsx"])
    assert book.sheetnames == [
        *("To do", "Statements", "Totals", "Adjustments", "Exceptions", "New payers"),
    ]
    rows = list(book["Statements"].iter_rows(values_only=True))
    golf = next(row for row in rows if row[1] == "GOLF")
    assert golf[12:15] == (
        "blocked",
        "no tax rule for energy at Oslo 1. No tax rule for energy at Helsinki 1 for a payer in JP.",
        "yes",
    )


def test_a_month_under_way_is_shown_with_its_projection(make_marts: Make, tmp_path: Path) -> None:
    marts = make_marts(
        "update statements set state = 'open', projected_total = 20000.25"
        " where statement_id = 'BOREALIS/2026-10/all'"
    )
    review = render_review(marts, "2026-10", tmp_path / "out")
    page = review.paths["html"].read_text("utf-8")
    assert "At this rate at the month's end" in page
    assert "19,765.25" in page  # with CREDITED, in EUR
    rows = list(
        openpyxl.load_workbook(review.paths["xlsx"])["Statements"].iter_rows(values_only=True)
    )
    assert rows[0][-1] == "Projected total"
    assert {row[0]: str(row[-1]) for row in rows[1:]}["BOREALIS/2026-10/all"] == "20000.25"
    over = render_review(make_marts(name="over.duckdb"), "2026-10", tmp_path / "over").paths["html"]
    assert "At this rate" not in over.read_text("utf-8")


def test_statements_of_last_month_that_are_not_there(make_marts: Make, tmp_path: Path) -> None:
    marts = make_marts("delete from statements where statement_id = 'BOREALIS/2026-10/all'")
    review = render_review(marts, "2026-10", tmp_path / "out")
    assert "Billed last month, not now" in review.paths["html"].read_text("utf-8")
    assert "Not there any more" in openpyxl.load_workbook(review.paths["xlsx"]).sheetnames


def test_sites_with_missing_readings_are_named(make_marts: Make, tmp_path: Path) -> None:
    # Oslo lacks 48 of 744 hours; Helsinki 4 of 100, below 5 %.
    marts = make_marts(
        """
        insert into usage_completeness
        select 'NO-OSL1', date '2026-10-01' + cast(n as integer), 15, 1, 24,
            if(n in (4, 5), 0, 24), 96, if(n in (4, 5), 0, 96), if(n in (4, 5), 24, 0),
            if(n in (4, 5), 1, 0),
            case when n not in (4, 5) then
                timestamptz '2026-10-01 23:45:00+00' + to_days(cast(n as integer)) end,
            if(n in (4, 5), 'nothing', 'complete')
        from range(31) as days(n);
        insert into usage_completeness values
        ('FI-HEL1', '2026-10-01', null, 1, 100, 96, null, null, 4, 0.04,
         '2026-10-01 23:00:00+00', 'partial');
        """
    )
    review = render_review(marts, "2026-10", tmp_path / "out")
    page = review.paths["html"].read_text("utf-8")
    for expected in ("Sites with missing readings", "744.0", "696.0", "6.4%",
                     "2026-10-05, 2026-10-06", "2026-10-31 23:45 UTC"):  # fmt: skip
        assert expected in page, expected
    (_, oslo) = openpyxl.load_workbook(review.paths["xlsx"])["Incomplete sites"].values
    assert oslo[0:6] == ("NO-OSL1", 744, 696, 6.4, 2976, 2784)
    assert oslo[8] == "2026-10-05, 2026-10-06"


def test_an_approved_one_does_not_wait(make_marts: Make, tmp_path: Path) -> None:
    marts = make_marts(
        "update statements set decision = 'needs_approval', is_approved = true,"
        " blocking_exceptions = 0, approved_by = 'cfo', state = 'approved' where payer_id = 'GOLF'"
    )
    review = render_review(marts, "2026-10", tmp_path / "out")
    assert review.waiting == 0
    assert "No statement waits." in review.paths["html"].read_text("utf-8")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    actor = Actor(name="finance", os_user="finance", host="desk")
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with Ledger.open(url, clock=lambda: datetime(2026, 11, 4, tzinfo=UTC), actor=actor) as opened:
        yield opened


WAITS = """
delete from billing_exceptions;
update payers set approval_owner = 'anna|bo' where payer_id = 'GOLF';
update statements set decision = 'needs_approval', decision_reason = 'above the limit',
    blocking_exceptions = 0, content_hash = 'aa' where payer_id = 'GOLF';
"""


def approved(ledger: Ledger, by: str, content_hash: str) -> None:
    with ledger.transaction() as tx:
        tx.record(
            tables.approvals,
            statement_id="GOLF/2026-10/all",
            period="2026-10",
            content_hash=content_hash,
            automatic=False,
            approved_by=by,
            reason=f"{by} compared it",
        )


def test_approvals_are_those_of_the_ledger(
    make_marts: Make, tmp_path: Path, ledger: Ledger
) -> None:
    marts, out = make_marts(WAITS), tmp_path / "out"

    def page() -> str:
        review = render_review(marts, "2026-10", out, ledger=ledger)
        waiting = waiting_statements(marts, "2026-10", ledger=ledger)
        assert review.waiting == len(waiting)
        return unescape(review.paths["html"].read_text("utf-8"))

    command = 'm2c approve GOLF/2026-10/all --by "YOUR NAME" --reason "WHY"'
    assert page().count(command) == 2  # among the next steps, and beside the statement
    approved(ledger, "anna", "of other lines")
    assert "its lines changed since anna approved it" in page()
    approved(ledger, "anna", "aa")
    assert "approved by anna; the payer asks for 2 different approvers" in page()
    approved(ledger, "bo", "aa")
    done = page()
    assert command not in done
    assert "No statement waits." in done
    assert "anna and bo" in done
    assert "anna compared it; bo compared it" in done
    assert "m2c issue 2026-10" in done


def test_the_steps_of_a_month(make_marts: Make) -> None:
    def commands(changes: str, name: str) -> list[list[str]]:
        with open_marts(make_marts(changes, name=f"{name}.duckdb")) as marts:
            return [list(step.commands) for step in next_steps(read_review(marts, "2026-10", None))]

    book = [["m2c book check"]]  # no account in yen
    assert commands("", "blocked") == [
        ["m2c exceptions --period 2026-10", "m2c close 2026-10"],
        *book,
    ]
    unclosed = f"{WAITS} update statements set decision = 'auto' where payer_id = 'GOLF'"
    assert commands(unclosed, "unclosed") == [*book, ["m2c close 2026-10"]]
    running = f"{unclosed} and true; update statements set state = 'open' where payer_id = 'GOLF'"
    assert commands(running, "running") == [*book, ["m2c close 2026-10 --dry-run"]]
    issued = "update statements set statement_number = 'GOLF-0001', state = 'issued'"
    assert commands(f"{WAITS} {issued} where payer_id = 'GOLF'", "issued") == [
        ["m2c publish 2026-10", "m2c publish 2026-10 --apply"]
    ]
    warned = f"{unclosed}; insert into billing_exceptions values ('e2', 'spike', 'warning', "
    warned += "'2026-10', null, null, null, null, null, 1, null, 'A spike.', 'open')"
    assert ["m2c exceptions --period 2026-10"] in commands(warned, "warned")
    quoted = f"{WAITS} update statements set statement_id = 'a b$(x)' where payer_id = 'GOLF'"
    assert ['m2c approve \'a b$(x)\' --by "YOUR NAME" --reason "WHY"'] in commands(quoted, "q")


def test_what_the_law_asks_and_the_book_lacks(make_marts: Make, tmp_path: Path) -> None:
    marts = make_marts(
        """
        update payers set tax_number = null, city = null where payer_id = 'BOREALIS';
        update statements set statement_number = null, state = 'review'
        where statement_id = 'BOREALIS/2026-10/all';
        """
    )
    page = render_review(marts, "2026-10", tmp_path / "out").paths["html"].read_text("utf-8")
    for expected in ("payer BOREALIS", "no tax_number, which an invoice with reverse charge",
                     "no city: nothing is issued", "no bank account in JPY"):  # fmt: skip
        assert expected in page, expected


def test_a_new_program_that_rates_differently_is_asked_about(
    make_marts: Make, tmp_path: Path
) -> None:
    marts = make_marts(
        "insert into adjustments values ('2026-10', 'adj/2026-10/K-1/2026-09/1/energy/NO-OSL1/1',"
        " '2026-09', 'K-1/2026-09/1/energy/NO-OSL1/1', 'code')"
    )
    review = render_review(marts, "2026-10", tmp_path / "out")
    assert "ask why before approving" in review.paths["html"].read_text("utf-8")
    (_, row) = openpyxl.load_workbook(review.paths["xlsx"])["Adjustments"].values
    assert row == (
        "new version of the program",
        "BOREALIS/2026-10/all",
        "2026-09",
        1,
        "EUR",
        7.6,
        0,
    )


def test_an_empty_period_and_hostile_text(make_marts: Make, tmp_path: Path) -> None:
    hostile = '=1+1<script>alert("x")</script>'
    marts = make_marts(
        f"""
        update statements set decision_reason = '{hostile}', approved_by = '{hostile}';
        update payers set name = '{hostile}';
        update billing_exceptions set detail = '{hostile}', site_id = '{hostile}';
        """
    )
    render_review(marts, "2020-01", tmp_path / "out")
    review = render_review(marts, "2026-10", tmp_path / "out")
    assert "<script" not in review.paths["html"].read_text("utf-8")
    for sheet in openpyxl.load_workbook(review.paths["xlsx"]):
        for row in sheet.iter_rows():
            assert all(cell.data_type != "f" for cell in row)
