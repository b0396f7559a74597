"""Statement reports from a real marts file: what stands in the PDF, the page and the workbook."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from exporters.marts import MartsError
from exporters.statements import RenderedStatement, render_statements
from tests.integration.statements.checks import Page, pdf_text

Make = Callable[..., Path]
needs_poppler = pytest.mark.skipif(
    shutil.which("pdftotext") is None, reason="apt-get install poppler-utils"
)
HOSTILE = (
    '=HYPERLINK("http://evil.example","x") <script>alert(1)</script> #import "x" $1$ *b*'
    " ../../etc \u202egnp\u202c"
)


def by_payer(rendered: list[RenderedStatement]) -> dict[str, RenderedStatement]:
    return {one.payer_id: one for one in rendered}


def sheets(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    book = openpyxl.load_workbook(path)
    return {sheet.title: [tuple(row) for row in sheet.iter_rows()] for sheet in book}


@needs_poppler
def test_the_three_formats_say_the_same(make_marts: Make, tmp_path: Path) -> None:
    rendered = by_payer(render_statements(make_marts(), "2026-10", tmp_path / "out"))
    invoice = rendered["BOREALIS"]
    assert invoice.paths["pdf"].name == "BOREALIS-0007.pdf"
    pdf = pdf_text(invoice.paths["pdf"])
    page = Page(invoice.paths["html"]).text
    for text in (pdf, page):
        for expected in (
            "EUR 13,177.55", "11,035.55", "2,142.00",  # totals
            "8,400.00", "2,635.60", "-0.05",  # subtotals by site
            "BOREALIS-0007", "17 November 2026", "PO-4500012345", "Oct 2026 (Europe/Helsinki)",
            "Nordlys Compute AS", "Holtveien 5", "NO 999 000 111 MVA", "Borealis Render Oy",
            "FI12345671", "NO80 9999 0000 029", "EXAMNOK1",
            "1,898.765432", "0.0825", "25.5%", "Reverse charge", "Adjustment of September 2026",
            "123.4 kWh of this is estimated", "first 100,000 kWh", "srv-003",
        ):  # fmt: skip
            assert expected in text, expected
        assert "PREVIEW" not in text
    lines = sheets(invoice.paths["xlsx"])["Lines"]
    total = lines[-1]
    assert [cell.value for cell in total if cell.value is not None] == ["Total", 11035.55, 2142]
    amounts = [Decimal(str(row[9].value)) for row in lines[1:-1]]
    assert sum(amounts) == Decimal("11035.55")


@needs_poppler
def test_a_statement_not_issued_is_a_preview(make_marts: Make, tmp_path: Path) -> None:
    preview = by_payer(render_statements(make_marts(), "2026-10", tmp_path / "out"))["GOLF"]
    assert preview.is_preview
    assert preview.paths["pdf"].name.startswith("preview-GOLF_2026-10_all-")
    for text in (pdf_text(preview.paths["pdf"]), Page(preview.paths["html"]).text):
        assert "PREVIEW — not an invoice" in text
        assert "JPY 12,316" in text
        assert "12,316.00" not in text  # yen have no cents
        assert "IBAN" not in text
    top = sheets(preview.paths["xlsx"])["Statement"][0][0].value
    assert top == "PREVIEW — not an invoice"


@needs_poppler
def test_a_negative_total_is_a_credit_note(make_marts: Make, tmp_path: Path) -> None:
    note = by_payer(render_statements(make_marts(), "2026-10", tmp_path / "out"))["CREDITED"]
    text = pdf_text(note.paths["pdf"])
    assert "Guthaben zu Ihren Gunsten EUR 235,00" in text
    assert "EUR -235,00" in text
    assert "IBAN" not in text
    assert "Nordlys Compute AS" in text  # the default seller


@needs_poppler
@pytest.mark.parametrize("language", ["en", "en-US", "de", "de-AT", "nb", "nb-NO", "no", "fi-FI",
                                      "id", "sv", "xx-not-one", ""])  # fmt: skip
def test_every_language_renders(make_marts: Make, tmp_path: Path, language: str) -> None:
    marts = make_marts(f"update payers set language = '{language}'")
    one = render_statements(marts, "2026-10", tmp_path / "out", only={"BOREALIS-0007"})[0]
    text = pdf_text(one.paths["pdf"])
    assert "{" not in text
    for separators in (",.", ".,", "\u00a0,", "\u202f,", " ,"):
        if f"EUR 13{separators[0]}177{separators[1]}55" in text:
            break
    else:
        raise AssertionError(text)


def test_money_is_shown_as_it_is(make_marts: Make, tmp_path: Path) -> None:
    marts = make_marts(
        "update statements set total = 9999999999999999.99, net = 0.10, tax = 1234567890123.45"
    )
    one = by_payer(render_statements(marts, "2026-10", tmp_path / "out"))["BOREALIS"]
    assert "EUR\u00a09,999,999,999,999,999.99" in one.paths["html"].read_text("utf-8")
    summary = [[cell.value for cell in row] for row in sheets(one.paths["xlsx"])["Statement"]]
    (total,) = [row for row in summary if row[0] == "Total" and row[2] is not None]
    # More digits than a spreadsheet holds: written out as text instead of changed.
    assert total[2:5] == [0.1, 1234567890123.45, "9999999999999999.99"]


@needs_poppler
def test_hostile_text_stays_text(make_marts: Make, tmp_path: Path) -> None:
    escaped = HOSTILE.replace("'", "''")
    marts = make_marts(
        f"""
        update payers set name = '{escaped}', city = '{escaped}', po_number = '{escaped}';
        update sellers set legal_name = '{escaped}', email = '{escaped}';
        update sites set name = '{escaped}';
        update contracts set po_number = '=1+1';
        update plan_versions set words = '{escaped}';
        update tax_rules set note = '{escaped}';
        update statement_lines set description = '{escaped}', unit = '=1+2', tax_code = '=2+2';
        update usage_daily set machine_id = '@SUM(A1)' where machine_id = 'srv-001';
        update invoices set online_url = 'javascript:alert(1)';
        """
    )
    one = by_payer(render_statements(marts, "2026-10", tmp_path / "out"))["BOREALIS"]
    page = Page(one.paths["html"])
    assert not {tag for tag, _ in page.tags} & {"script", "img", "iframe", "a", "form"}
    assert not [attrs for _, attrs in page.tags if any(k.startswith("on") for k in attrs)]
    pdf = pdf_text(one.paths["pdf"])
    for text in (page.text, pdf):
        assert "<script>alert(1)</script>" in text
        assert '#import "x" $1$ *b*' in text
        assert "\u202e" not in text
    for rows in sheets(one.paths["xlsx"]).values():
        for row in rows:
            for cell in row:
                assert cell.data_type != "f", cell.value
                assert cell.hyperlink is None
    with zipfile.ZipFile(one.paths["xlsx"]) as archive:
        assert not [name for name in archive.namelist() if "externalLink" in name]
        for name in archive.namelist():
            assert b"<f>" not in archive.read(name)


def test_names_stay_in_the_folder(make_marts: Make, tmp_path: Path) -> None:
    marts = make_marts(
        """
        update statements set statement_number = '../../evil' where payer_id = 'BOREALIS'
            and period = '2026-10';
        update statements set statement_number = '/abs/olute' where payer_id = 'CREDITED';
        """
    )
    out = tmp_path / "deep" / "er" / "out"
    rendered = render_statements(marts, "2026-10", out, formats=("html",))
    written = {path for path in tmp_path.rglob("*") if path.is_file()} - {marts}
    assert {path.parent for path in written} == {out}
    assert len({one.paths["html"] for one in rendered}) == 3


def test_the_same_content_gives_the_same_bytes(make_marts: Make, tmp_path: Path) -> None:
    marts = make_marts()
    first = render_statements(marts, "2026-10", tmp_path / "a")
    second = render_statements(make_marts(name="again.duckdb"), "2026-10", tmp_path / "b")
    for one, other in zip(first, second, strict=True):
        for kind in ("pdf", "html", "xlsx"):
            assert one.paths[kind].read_bytes() == other.paths[kind].read_bytes(), kind


def test_what_is_rendered_is_left_alone(make_marts: Make, tmp_path: Path) -> None:
    out = tmp_path / "out"
    marts = make_marts()
    assert all(len(one.changed) == 3 for one in render_statements(marts, "2026-10", out))
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.*f")}
    assert all(one.changed == () for one in render_statements(marts, "2026-10", out))
    assert {path: path.stat().st_mtime_ns for path in out.glob("*.*f")} == before
    (out / "BOREALIS-0007.pdf").unlink()
    (out / ".rendered.json").write_text("{ not json")
    changed = by_payer(render_statements(marts, "2026-10", out))
    assert len(changed["BOREALIS"].changed) == 3
    new_link = make_marts(
        "update invoices set online_url = 'https://in.xero.com/new'", name="new.duckdb"
    )
    changed = by_payer(render_statements(new_link, "2026-10", out))
    assert changed["BOREALIS"].changed == ("pdf", "html", "xlsx")
    assert changed["GOLF"].changed == ()


def test_a_preview_disappears_when_the_statement_is_issued_or_gone(
    make_marts: Make, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    preview = by_payer(render_statements(make_marts(), "2026-10", out))["GOLF"].paths["pdf"]
    issued = make_marts(
        "update statements set statement_number = 'GOLF-0001', state = 'issued',"
        " issue_date = '2026-11-04', due_date = '2026-12-04' where payer_id = 'GOLF'",
        name="issued.duckdb",
    )
    assert preview.exists()
    render_statements(issued, "2026-10", out, only={"BOREALIS-0007"})
    assert not preview.exists()
    render_statements(issued, "2026-10", out)
    assert (out / "GOLF-0001.pdf").exists()
    gone = make_marts("delete from statements where payer_id = 'GOLF'", name="gone.duckdb")
    render_statements(gone, "2026-10", out)
    assert (out / "GOLF-0001.pdf").exists()  # an issued document is never removed


def test_a_large_fleet_has_its_days_in_the_workbook(make_marts: Make, tmp_path: Path) -> None:
    marts = make_marts(
        "insert into usage_daily select 'FI-HEL1', 'm-' || m, 'K-1', date '2026-10-01', 'energy',"
        " 1.5, 0, 'kWh' from range(300) as t(m)"
    )
    one = render_statements(marts, "2026-10", tmp_path / "out", only={"BOREALIS-0007"})[0]
    assert "312 machines: the usage of each" in Page(one.paths["html"]).text
    usage = sheets(one.paths["xlsx"])["Usage by machine and day"]
    assert len(usage) == 1 + 300 + 2 * 12 * 31


def test_usage_outside_the_statement_is_not_shown(make_marts: Make, tmp_path: Path) -> None:
    marts = make_marts(
        """
        insert into usage_daily values
          ('FI-HEL1', 'other-contract', 'K-9', '2026-10-05', 'energy', 5, 0, 'kWh'),
          ('XX-1', 'other-site', 'K-1', '2026-10-05', 'energy', 5, 0, 'kWh'),
          ('FI-HEL1', 'other-month', 'K-1', '2026-11-01', 'energy', 5, 0, 'kWh'),
          ('FI-HEL1', 'nothing', 'K-1', '2026-10-05', 'energy', 0, 0, 'kWh');
        """
    )
    one = render_statements(marts, "2026-10", tmp_path / "out", only={"BOREALIS-0007"})[0]
    text = Page(one.paths["html"]).text
    assert "srv-001" in text
    for machine in ("other-contract", "other-site", "other-month", "nothing"):
        assert machine not in text


def test_usage_charged_to_another_payer_is_not_shown(make_marts: Make, tmp_path: Path) -> None:
    marts = make_marts(
        """
        update statement_lines set charge_model = 'recurring', charge_code = 'hosting'
        where statement_id = 'BOREALIS/2026-10/all' and site_id = 'NO-OSL1';
        insert into usage_daily values
          ('FI-HEL1', 'router-1', 'K-1', '2026-10-05', 'traffic', 5, 0, 'GB'),
          ('NO-OSL1', 'only-oslo', 'K-1', '2026-10-05', 'energy', 5, 0, 'kWh');
        """
    )
    one = render_statements(marts, "2026-10", tmp_path / "out", only={"BOREALIS-0007"})[0]
    text = Page(one.paths["html"]).text
    assert "srv-001" in text
    assert "router-1" not in text
    assert "only-oslo" not in text


def test_only_some_and_only_some_formats(make_marts: Make, tmp_path: Path) -> None:
    out = tmp_path / "out"
    rendered = render_statements(
        make_marts(), "2026-10", out, only={"GOLF/2026-10/all"}, formats=("xlsx",)
    )
    assert [one.payer_id for one in rendered] == ["GOLF"]
    assert [path.suffix for path in out.glob("[!.]*")] == [".xlsx"]
    assert render_statements(make_marts(name="2.duckdb"), "2020-01", out) == []
    with pytest.raises(ValueError, match="docx"):
        render_statements(make_marts(name="3.duckdb"), "2026-10", out, formats=("docx",))


def test_without_marts_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MartsError, match="m2c build"):
        render_statements(tmp_path / "none.duckdb", "2026-10", tmp_path)
