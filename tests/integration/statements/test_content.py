"""Every statement says what the marts say, in every language and format."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from zlib import compress, crc32

import duckdb
import pytest

from exporters.marts import open_marts
from exporters.statements import LogoError, render_statements
from exporters.statements.document import build, texts
from exporters.statements.facts import read_facts
from exporters.statements.qr import qr_code
from exporters.statements.render import _processes
from tests.integration.statements.checks import Page, check_statements, pdf_text
from tests.integration.statements.fleet import make_fleet

Make = Callable[..., Path]
needs_poppler = pytest.mark.skipif(
    shutil.which("pdftotext") is None, reason="apt-get install poppler-utils"
)
ADJUSTED = """
insert into adjustments values ('2026-10', 'adj/2026-10/K-1/2026-09/1/energy/NO-OSL1/1', '2026-09',
  'K-1/2026-09/1/energy/NO-OSL1/1', 'readings');
insert into statement_lines
select '2026-09', 'BOREALIS/2026-09/all', statement_kind, payer_id, customer_id, contract_id,
  plan_id, plan_version, book_version, charge_code, charge_model, 'variable', site_id, region, band,
  'September 2026 Energy at Oslo 1 (NO-OSL1), tier 1: 1,180 kWh at EUR 0.31', 1180, unit,
  unit_price, 365.80, currency, tax_code, tax_rate_percent, 0, 0,
  'K-1/2026-09/1/energy/NO-OSL1/1', null
from statement_lines where adjusts_period is not null;
update statement_lines set description =
  'September 2026 energy at Oslo 1 (NO-OSL1), 1: 1,204.5 kWh instead of 1,180 kWh'
where adjusts_period is not null;
"""


@needs_poppler
@pytest.mark.parametrize("language", ["en", "en-US", "de", "nb-NO", "fi-FI", "id"])
def test_every_format_says_what_the_marts_say(
    make_marts: Make, tmp_path: Path, language: str
) -> None:
    marts = make_marts(f"{ADJUSTED}; update payers set language = '{language}'")
    check_statements(marts, "2026-10", render_statements(marts, "2026-10", tmp_path / "out"))


@needs_poppler
def test_a_fleet_rendered_by_processes_is_right(tmp_path: Path) -> None:
    marts = make_fleet(tmp_path / "marts.duckdb", statements=60, machines=2)
    rendered = render_statements(marts, "2026-10", tmp_path / "out", workers=2)
    assert len(rendered) == 60
    assert [one.statement_id for one in rendered] == sorted(one.statement_id for one in rendered)
    check_statements(marts, "2026-10", rendered[::12])
    again = render_statements(marts, "2026-10", tmp_path / "out", workers=2)
    assert {one.changed for one in again} == {()}
    alone = render_statements(marts, "2026-10", tmp_path / "alone", workers=1)
    for one, other in zip(rendered[:8], alone[:8], strict=True):
        for kind, path in one.paths.items():
            assert path.read_bytes() == other.paths[kind].read_bytes()


@needs_poppler
def test_a_unit_price_that_no_column_holds(make_marts: Make, tmp_path: Path) -> None:
    marts = make_marts(
        "update statement_lines set unit_price = null, unit = 'flat', quantity = 1, description ="
        " 'October 2026 Energy at Oslo 1 (NO-OSL1), tier 1: EUR 2,145.00' where amount = 2145"
    )
    (one,) = render_statements(marts, "2026-10", tmp_path / "out", only={"BOREALIS-0007"})
    assert pdf_text(one.paths["pdf"]).count("2,145.00") == 2
    check_statements(marts, "2026-10", [one])


def test_processes_are_only_worth_it_for_many() -> None:
    assert _processes(20, None) == 1
    assert _processes(500, 2) == 2
    assert _processes(0, None) == 1


def test_a_correction_says_what_of_and_why(make_marts: Make) -> None:
    with open_marts(make_marts(ADJUSTED)) as marts:
        facts = {one.statement_id: one for one in read_facts(marts, "2026-10")}
    found = facts["BOREALIS/2026-10/all"]
    assert list(found.corrected) == ["BOREALIS-0006"]
    (line,) = [line for line in found.lines if line["adjusts_period"]]
    assert (line["old_quantity"], line["old_amount"]) == (Decimal(1180), Decimal("365.80"))
    document = build(found)
    (shown,) = [
        line
        for group in document["groups"]
        for line in group["lines"]
        if "instead of" in line["description"]
    ]
    assert shown["description"] == "September 2026 energy, tier 1: 1,204.5 kWh instead of 1,180 kWh"
    assert shown["notes"] == ["Adjustment of September 2026 (BOREALIS-0006): later readings"]


def test_the_second_adjustment_starts_from_the_first(make_marts: Make) -> None:
    second = """
    insert into statements select '2026-11', 'BOREALIS/2026-11/all', * exclude (period,
        statement_id) from statements where statement_id = 'BOREALIS/2026-10/all';
    insert into statement_lines select '2026-11', 'BOREALIS/2026-11/all',
        * exclude (period, statement_id) replace (
            'adj/2026-11/K-1/2026-09/1/energy/NO-OSL1/1' as line_key, -4.5 as quantity,
            -1.40 as amount)
    from statement_lines where adjusts_period is not null;
    """
    with open_marts(make_marts(ADJUSTED + second)) as marts:
        (facts,) = read_facts(marts, "2026-11", ["BOREALIS/2026-11/all"])
    (line,) = facts.lines
    assert (line["old_quantity"], line["old_amount"]) == (Decimal("1204.5"), Decimal("373.40"))


@needs_poppler
def test_a_credit_note_refers_to_what_it_corrects(make_marts: Make, tmp_path: Path) -> None:
    marts = make_marts(
        f"""{ADJUSTED}
        update statements set total = -10, net = -10, tax = 0
        where statement_id = 'BOREALIS/2026-10/all';
        """
    )
    (note,) = render_statements(marts, "2026-10", tmp_path / "out", only={"BOREALIS-0007"})
    for text in (pdf_text(note.paths["pdf"]), Page(note.paths["html"]).text):
        assert "Credit note" in text
        assert "Refers to BOREALIS-0006" in text


@needs_poppler
@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("de", "Steuerschuldnerschaft des Leistungsempfängers. Reverse charge: VAT to be"),
        ("fi", "Käännetty verovelvollisuus. Reverse charge: VAT to be"),
        ("nb", "Omvendt avgiftsplikt. Reverse charge: VAT to be"),
        ("en", "Reverse charge: VAT to be"),
    ],
)
def test_reverse_charge_is_named_in_the_language(
    make_marts: Make, tmp_path: Path, language: str, words: str
) -> None:
    marts = make_marts(f"update payers set language = '{language}'")
    (one,) = render_statements(marts, "2026-10", tmp_path / "out", only={"BOREALIS-0007"})
    for text in (pdf_text(one.paths["pdf"]), Page(one.paths["html"]).text):
        assert words in text
        assert "NO 999 000 111 MVA" in text
        assert "FI12345671" in text


@needs_poppler
def test_a_paid_invoice_asks_for_nothing(make_marts: Make, tmp_path: Path) -> None:
    marts = make_marts("update invoices set xero_status = 'PAID', amount_due = 0")
    (one,) = render_statements(marts, "2026-10", tmp_path / "out", only={"BOREALIS-0007"})
    for text in (pdf_text(one.paths["pdf"]), Page(one.paths["html"]).text):
        assert "Paid in full" in text
        assert "IBAN" not in text
        assert "Pay online" not in text


def test_the_payment_link_is_a_code_to_scan(make_marts: Make, tmp_path: Path) -> None:
    (one,) = render_statements(make_marts(), "2026-10", tmp_path / "o", only={"BOREALIS-0007"})
    code = qr_code("https://in.xero.com/abcdef")
    assert code is not None
    assert f'<path d="{code.path}"/>' in one.paths["html"].read_text("utf-8")
    assert qr_code("https://x.example/" + "a" * 5000) is None


def test_the_code_is_the_link() -> None:
    # The modules drawn are those of the standard's code: finder patterns and size of its version.
    code = qr_code("https://in.xero.com/abcdef")
    assert code is not None
    assert code.size == 25 + 8  # version 2
    drawn = set()
    for x, y, width in _runs(code.path):
        drawn |= {(x + n - 4, y - 4) for n in range(width)}
    for left, top in ((0, 0), (18, 0), (0, 18)):
        assert {(left + n, top) for n in range(7)} <= drawn
        assert (left + 1, top + 1) not in drawn
        assert (left + 3, top + 3) in drawn


def _runs(path: str) -> list[tuple[int, int, int]]:
    found = []
    for part in path.split("M")[1:]:
        start, rest = part.split("h", 1)
        x, y = start.split(" ")
        found.append((int(x), int(y), int(rest.split("v")[0])))
    return found


def test_disputed_lines_are_marked_where_the_mart_says_so(make_marts: Make, tmp_path: Path) -> None:
    marts = make_marts(
        """
        insert into disputes
        select 'line', line_key, 'open', statement_id from statement_lines
        where charge_code = 'hosting'
        union all
        select 'line', line_key, 'rejected', statement_id from statement_lines
        where charge_code != 'hosting'
        """
    )
    (one,) = render_statements(marts, "2026-10", tmp_path / "out", only={"BOREALIS-0007"})
    assert Page(one.paths["html"]).text.count(texts("en")["disputed"]) == 1


def _png() -> bytes:
    """A picture of one blue point."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixels = compress(b"\0\x1f\x5f\x8b")
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def test_the_logo_of_the_seller(make_marts: Make, tmp_path: Path) -> None:
    marts = make_marts("update sellers set logo = 'logo.png'")
    book, out = tmp_path / "book", tmp_path / "out"
    book.mkdir()
    only = {"BOREALIS-0007"}
    with pytest.raises(LogoError, match=r"logo\.png"):
        render_statements(marts, "2026-10", out, only=only, book_dir=book)
    (book / "logo.png").write_bytes(_png())
    (one,) = render_statements(marts, "2026-10", out, only=only, book_dir=book)
    assert ("img", "data:image/png;base64,") in [
        (tag, (attributes.get("src") or "")[:22])
        for tag, attributes in Page(one.paths["html"]).tags
    ]
    assert b"/Subtype/Image" in one.paths["pdf"].read_bytes()
    (book / "logo.png").write_bytes(b"GIF89a")
    with pytest.raises(LogoError, match="PNG, JPEG or SVG"):
        render_statements(marts, "2026-10", out, only=only, book_dir=book)
    (book / "logo.png").write_bytes(_png()[:40])
    with pytest.raises(LogoError, match="cannot be shown"):
        render_statements(marts, "2026-10", out, only=only, book_dir=book)
    outside = make_marts("update sellers set logo = '../logo.png'", name="outside.duckdb")
    with pytest.raises(LogoError, match="beside it"):
        render_statements(outside, "2026-10", out, only=only, book_dir=book)


def test_marts_replaced_while_rendering_are_read_again(
    make_marts: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from exporters.statements import render

    marts = make_marts()
    newer = make_marts("update payers set name = 'Newer Oy'", name="newer.duckdb")
    read, replaced = render.read_names, []

    def read_then_replace(*arguments: object) -> object:
        found = read(*arguments)  # type: ignore[arg-type]
        if not replaced:
            replaced.append(newer.replace(marts))
        return found

    monkeypatch.setattr(render, "read_names", read_then_replace)
    (one,) = render_statements(marts, "2026-10", tmp_path / "out", only={"BOREALIS-0007"})
    assert "Newer Oy" in Page(one.paths["html"]).text
    with duckdb.connect(str(marts), read_only=True) as connection:
        assert connection.execute("select count(*) from payers").fetchall() == [(3,)]
