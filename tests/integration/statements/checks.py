"""What must hold of any rendered statement: its PDF, page and workbook say what the marts say."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import openpyxl

from exporters.marts import open_marts
from exporters.statements import RenderedStatement
from exporters.statements.document import languages, texts
from exporters.statements.facts import StatementFacts, read_facts
from exporters.statements.formats import formats_for, language_of


def pdf_text(path: Path) -> str:
    """The words of a PDF in their order on paper, a space between any two."""
    made = subprocess.run(
        ["pdftotext", "-layout", str(path), "-"], check=True, capture_output=True, timeout=120
    )
    return " ".join(made.stdout.decode().split())


class Page(HTMLParser):
    """Tags and text of a page."""

    def __init__(self, page: Path | bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        content = page if isinstance(page, bytes) else page.read_bytes()
        self.feed(content.decode("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.pieces).split())


def check_statements(marts_path: Path, period: str, rendered: Sequence[RenderedStatement]) -> None:
    """Number, total, tax and every line's amount stand in the PDF and the page as the payer writes
    them, and the workbook's numbers add up to the statement."""
    with open_marts(marts_path) as marts:
        facts = {one.statement_id: one for one in read_facts(marts, period)}
    for one in rendered:
        _check(facts[one.statement_id], one)


def _check(facts: StatementFacts, one: RenderedStatement) -> None:
    head = facts.head
    language = head["language"]
    formats = formats_for(language)
    digits = 2 if head["minor_units"] is None else head["minor_units"]

    def money(value: Decimal) -> str:
        return " ".join(formats.amount(value, minor_units=digits).split())

    name = head["statement_number"] or head["statement_id"]
    expected = [name, f"{head['currency']} {money(head['total'])}", money(head["net"])]
    expected += [money(line["amount"]) for line in facts.lines]
    if head["tax"] is not None:
        expected.append(money(head["tax"]))
    for text in (pdf_text(one.paths["pdf"]), Page(one.paths["html"]).text):
        said = " ".join(text.split())
        for word in expected:
            assert re.search(rf"(?<![\d.,]){re.escape(word)}(?![\d])", said), (name, word, said)
    _check_workbook(facts, one, texts(language_of(language, languages())))


def _check_workbook(facts: StatementFacts, one: RenderedStatement, words: Any) -> None:
    book = openpyxl.load_workbook(one.paths["xlsx"])
    header, *lines, total = book[words["sheet_lines"]].iter_rows(values_only=True)
    at = {name: column for column, name in reversed(list(enumerate(header)))}
    for name, key in ((words["amount"], "net"), (words["tax"], "tax")):
        cells = [line[at[name]] for line in lines]
        added = sum((Decimal(str(cell)) for cell in cells if cell is not None), Decimal(0))
        assert added == (facts.head[key] or 0), (one.statement_id, key)
        assert Decimal(str(total[at[name]] or 0)) == added
    quantities = [Decimal(str(line[at[words["quantity"]]])) for line in lines]
    assert quantities == [line["quantity"] for line in facts.lines]
    keys = [line[at[words["line_key"]]] for line in lines]
    assert keys == [line["line_key"] for line in facts.lines]
    if not facts.usage_machine_days:
        return
    header, *days = book[words["sheet_usage"]].iter_rows(values_only=True)
    at = {name: column for column, name in enumerate(header)}
    used = sum((Decimal(str(day[at[words["total"]]])) for day in days), Decimal(0))
    assert used == sum((row["quantity"] for row in facts.usage_machine_days), Decimal(0))
