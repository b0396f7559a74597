"""Text of outside origin in every field of a statement: plain text in PDF, page and workbook."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporters.marts import open_marts
from exporters.statements import render_statements
from exporters.statements.document import build
from exporters.statements.facts import StatementFacts, read_facts
from exporters.statements.html import to_html
from exporters.statements.pdf import to_pdf
from exporters.statements.text import one_line
from exporters.statements.xlsx import to_xlsx
from tests.integration.statements.checks import Page, pdf_text
from tests.integration.statements.marts import FACTS, TABLES

Make = Callable[..., Path]
needs_poppler = pytest.mark.skipif(
    shutil.which("pdftotext") is None, reason="apt-get install poppler-utils"
)
PIECES = [
    '=HYPERLINK("http://evil.example","click")',
    "+1+1",
    "-2+3",
    "@SUM(A1:A9)",
    "=cmd|' /C calc'!A0",
    "../../etc/passwd",
    "C:\\evil",
    "a\nb\r\nc",
    "nul\x00bell\x07esc\x1b[31m\x9b",
    "\u202egnp.exe\u202c",
    "\u200f\u05e9\u05dc\u05d5\u05dd",
    "zero\u200bwidth\ufeff",
    "W" * 120,
    "\U0001f469\u200d\U0001f527 \U0001f4a5",
    '#eval("1+1")',
    '#import "x": *',
    "] [*b* _i_ $x^2$ <label> @ref",
    "```raw``` \\ // comment /* x */",
    "<script>alert(1)</script>",
    "</style></script><img src=x onerror=alert(1)>",
    "&lt;b&gt; & &amp; &#x41;",
    "javascript:alert(1)",
    "{{ 7*7 }} {% raw %}",
    "_x0041_ _x000D_",
    "\ufffe\uffff\ufdd0",
    "'; drop table payers; --",
    "{name} {0} %s",
]
# Fields that hold what somebody typed somewhere, by where the facts have them.
HEAD = [
    "payer_name",
    "payer_address_line1",
    "payer_address_line2",
    "payer_postal_code",
    "payer_city",
    "payer_tax_number",
    "seller_name",
    "seller_address_line1",
    "seller_city",
    "seller_tax_number",
    "seller_email",
    "seller_registration_number",
    "iban",
    "bic",
    "account",
    "bank",
    "book_version",
    "statement_id",
    "statement_number",
    "online_url",
]
ROWS = {
    "lines": [
        "description",
        "unit",
        "site_name",
        "contract_id",
        "charge_code",
        "band",
        "tax_code",
        "line_key",
    ],
    "taxes": ["tax_code", "note"],
    "rules": ["plan_id", "words"],
    "usage_machines": ["machine_id", "site_name"],
    "usage_machine_days": ["machine_id", "contract_id"],
}

texts = (
    st.sampled_from(PIECES)
    | st.text(max_size=40)
    | st.tuples(st.sampled_from(PIECES), st.text(max_size=10)).map("".join)
)


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> StatementFacts:
    """A statement of a few lines and machines, read once."""
    path = tmp_path_factory.mktemp("hostile") / "marts.duckdb"
    with duckdb.connect(str(path)) as marts:
        marts.execute("set timezone = 'UTC'")
        marts.execute(TABLES)
        marts.execute(FACTS)
        marts.execute("delete from usage_daily where machine_id > 'srv-002'")
        marts.execute("delete from usage_daily where usage_date > '2026-10-03'")
    with open_marts(path) as opened:
        (found,) = read_facts(opened, "2026-10", ["BOREALIS/2026-10/all"])
    return found


def filled(facts: StatementFacts, text: Callable[[], str]) -> StatementFacts:
    """The facts with other text in every field."""
    changed: dict[str, Any] = {
        name: [{**row, **{column: text() for column in columns}} for row in getattr(facts, name)]
        for name, columns in ROWS.items()
    }
    changed["sites"] = [{**row, "site_name": text()} for row in facts.sites]
    return replace(
        facts,
        head={**facts.head, **{column: text() for column in HEAD}},
        po_numbers=[text()],
        timezones=[text()],
        corrected=[text()],
        **changed,
    )


def strings(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    elif isinstance(part, Mapping):
        for value in part.values():
            yield from strings(value)
    elif isinstance(part, list | tuple):
        for value in part:
            yield from strings(value)


def neutral(part: Any) -> Any:
    """The same document with nothing in it but the letter x."""
    if isinstance(part, str):
        return "x" if part else ""
    if isinstance(part, Mapping):
        return {key: neutral(value) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return [neutral(value) for value in part]
    return part


def shape(page: bytes) -> list[tuple[str, list[str]]]:
    return [(tag, sorted(attributes)) for tag, attributes in Page(page).tags]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_any_text_stays_text(facts: StatementFacts, data: st.DataObject) -> None:
    given_facts = filled(facts, lambda: data.draw(texts))
    document = build(given_facts)
    page = to_html(document)
    assert shape(page) == shape(to_html(neutral(document)))
    shown = Page(page)
    for _, attributes in shown.tags:
        assert not [name for name in attributes if name.startswith("on")]
        assert (attributes.get("href") or "https:").startswith(("https:", "http:"))
    said = shown.text
    for group in document["groups"]:
        for line in group["lines"]:
            assert " ".join(line["description"].split()) in said
    workbook = to_xlsx(given_facts, document)
    described = {one_line(line["description"])[:32_767] for line in given_facts.lines} - {""}
    found = set()
    for sheet in openpyxl.load_workbook(io.BytesIO(workbook)):
        for row in sheet.iter_rows():
            for cell in row:
                assert cell.data_type in ("s", "n", "d"), cell.value
                assert cell.hyperlink is None
                found.add(cell.value)
    assert described <= found
    with zipfile.ZipFile(io.BytesIO(workbook)) as archive:
        assert not [name for name in archive.namelist() if "externalLink" in name]
        for name in archive.namelist():
            assert b"<f>" not in archive.read(name)


@needs_poppler
@pytest.mark.parametrize("text", PIECES)
def test_paper_shows_it_as_it_is(facts: StatementFacts, tmp_path: Path, text: str) -> None:
    document = build(filled(facts, lambda: text))
    paper = tmp_path / "x.pdf"
    paper.write_bytes(to_pdf(document))
    said = "".join(pdf_text(paper).split())
    expected = "".join(one_line(text).split())
    if expected.isascii():
        assert said.count(expected) >= (1 if len(expected) > 60 else 5), said
    # Nothing was run, and nothing leads anywhere but where a link is a link.
    content = paper.read_bytes()
    for word in (b"/JavaScript", b"/Launch", b"/URI (http://evil", b"/URI (javascript"):
        assert word not in content


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_any_text_can_be_set_on_paper(facts: StatementFacts, data: st.DataObject) -> None:
    content = to_pdf(build(filled(facts, lambda: data.draw(texts))))
    assert content.startswith(b"%PDF")


def test_files_of_any_name_stay_in_their_folder(make_marts: Make, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "er" / "out"
    marts = make_marts()
    with duckdb.connect(str(marts)) as connection:
        for position, text in enumerate(PIECES):
            connection.execute(
                "insert into statements select * replace (? as statement_id, ? as "
                "statement_number) from statements where statement_id = 'GOLF/2026-10/all'",
                [f"{position}{text}".replace("\x00", ""), text.replace("\x00", "") or None],
            )
    rendered = render_statements(marts, "2026-10", out, formats=("html",))
    assert len(rendered) == 3 + len(PIECES)
    assert len({one.paths["html"] for one in rendered}) == len(rendered)
    written = {path for path in tmp_path.rglob("*") if path.is_file()} - {marts}
    assert {path.parent for path in written} == {out}
