"""The review sheet of a close."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import openpyxl

from exporters.statements import render_review

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
