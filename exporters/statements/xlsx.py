"""The statement as a workbook: summary, lines and usage down to machine and day, for people who
check and reuse numbers.

Numbers are numbers with a format and dates are dates; everything else is written as text whatever
it looks like, so that a name beginning with `=` is a name. A number with more digits than a
spreadsheet can hold (15) is written as text rather than changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

import xlsxwriter  # type: ignore[import-untyped]
from xlsxwriter.format import Format  # type: ignore[import-untyped]
from xlsxwriter.worksheet import Worksheet  # type: ignore[import-untyped]

from exporters.statements.facts import StatementFacts
from exporters.statements.text import one_line

MOST_DIGITS = 15
_LONGEST_TEXT = 32_767
# What a file says about when it was made; the same content gives the same bytes.
_MADE = datetime(2000, 1, 1, tzinfo=UTC).replace(tzinfo=None)

QUANTITY = "#,##0.00####"
UNIT_PRICE = "#,##0.00#######"
USAGE = "#,##0.000######"
PERCENT = '0.##"%"'
DATE = "yyyy-mm-dd"


def money_format(minor_units: int) -> str:
    return "#,##0." + "0" * minor_units if minor_units else "#,##0"


class Book:
    """A workbook being written, with the few styles the reports use."""

    def __init__(self, *, title: str) -> None:
        self._bytes = BytesIO()
        self.workbook = xlsxwriter.Workbook(
            self._bytes,
            {
                "in_memory": True,
                "strings_to_formulas": False,
                "strings_to_urls": False,
                "strings_to_numbers": False,
            },
        )
        self.workbook.set_properties({"title": one_line(title), "created": _MADE})
        self._styles: dict[tuple[str, bool], Format] = {}

    def sheet(self, name: str) -> Sheet:
        return Sheet(self, self.workbook.add_worksheet(name))

    def style(self, number: str = "", *, bold: bool = False) -> Format:
        key = (number, bold)
        if key not in self._styles:
            properties: dict[str, Any] = {"valign": "top"}
            if number:
                properties["num_format"] = number
            if bold:
                properties["bold"] = True
            self._styles[key] = self.workbook.add_format(properties)
        return self._styles[key]

    def heading(self) -> Format:
        return self.workbook.add_format({"bold": True, "bottom": 1, "text_wrap": True})

    def warning(self) -> Format:
        return self.workbook.add_format({"bold": True, "font_color": "#A4341A", "font_size": 14})

    def finish(self) -> bytes:
        self.workbook.close()
        return self._bytes.getvalue()


class Sheet:
    """A worksheet written from top to bottom."""

    def __init__(self, book: Book, worksheet: Worksheet) -> None:
        self.book = book
        self.worksheet = worksheet
        self.row = 0

    def put(
        self, column: int, value: object, number: str = "", *, style: Format | None = None,
        bold: bool = False,
    ) -> None:  # fmt: skip
        """One cell of the current row: None stays empty, text stays text."""
        chosen = style or self.book.style(number, bold=bold)
        if value is None or value == "":
            if bold:
                self.worksheet.write_blank(self.row, column, None, chosen)
        elif isinstance(value, Decimal | int) and not isinstance(value, bool):
            if _fits(value):
                self.worksheet.write_number(self.row, column, value, chosen)
            else:
                self.worksheet.write_string(self.row, column, format(value, "f"), chosen)
        elif isinstance(value, date):
            self.worksheet.write_datetime(self.row, column, value, chosen)
        else:
            text = one_line(str(value))[:_LONGEST_TEXT]
            self.worksheet.write_string(self.row, column, text, chosen)

    def pairs(self, rows: Sequence[tuple[str, object, str]]) -> None:
        """Label and value, a row each; empty values are left out."""
        for label, value, number in rows:
            if value is None or value == "":
                continue
            self.put(0, label)
            self.put(1, value, number, style=self.book.style(number or "@"))
            self.row += 1

    def title(self, text: str) -> None:
        self.row += 1
        self.put(0, text, bold=True)
        self.row += 1

    def table(
        self,
        columns: Sequence[tuple[str, str, int]],
        rows: Sequence[Sequence[object]],
        *,
        freeze: bool = False,
    ) -> None:
        """A table: columns are (heading, number format, width in characters; 0 = leave)."""
        top = self.row
        heading = self.book.heading()
        for column, (name, _, width) in enumerate(columns):
            self.put(column, name, style=heading)
            if width:
                self.worksheet.set_column(column, column, width)
        self.row += 1
        styles = [self.book.style(number) for _, number, _ in columns]
        for row in rows:
            for column, (value, style) in enumerate(zip(row, styles, strict=True)):
                if value is not None:
                    self.put(column, value, style=style)
            self.row += 1
        if freeze:
            self.worksheet.freeze_panes(top + 1, 0)
            self.worksheet.autofilter(top, 0, max(top, self.row - 1), len(columns) - 1)


def to_xlsx(facts: StatementFacts, words: dict[str, str], *, title: str) -> bytes:
    """The workbook of a statement; `words` are those of the document in the payer's language."""
    head = facts.head
    minor_units = 2 if head["minor_units"] is None else head["minor_units"]
    money = money_format(minor_units)
    book = Book(title=f"{title} {head['statement_number'] or head['statement_id']}")
    _summary(book, facts, words, title=title, money=money)
    _lines(book, facts, words, money=money)
    if facts.usage_machine_days:
        _usage(book, facts, words)
    if facts.rules:
        sheet = book.sheet("Rules")
        rules = [
            (rule["plan_id"], rule["plan_version"], text)
            for rule in facts.rules
            for text in (rule["words"] or "").splitlines()
            if text
        ]
        sheet.table([("Plan", "", 24), ("Version", "0", 9), (words["rules"], "", 100)], rules)
    return book.finish()


def _summary(
    book: Book, facts: StatementFacts, words: dict[str, str], *, title: str, money: str
) -> None:
    head = facts.head
    sheet = book.sheet("Statement")
    sheet.worksheet.set_column(0, 0, 30)
    sheet.worksheet.set_column(1, 1, 44)
    sheet.worksheet.set_column(2, 5, 16)
    if not facts.is_issued:
        sheet.put(0, words["preview_banner"], style=book.warning())
        sheet.row += 1
    sheet.put(0, title, bold=True)
    sheet.row += 1
    sheet.pairs(
        [
            (words["number"], head["statement_number"], ""),
            (words["statement"], head["statement_id"], ""),
            (words["issue_date"], head["issue_date"], DATE),
            (words["due_date"], head["due_date"], DATE),
            (words["period"], head["period"], ""),
            (words["currency"], head["currency"], ""),
            (words["po_number"], ", ".join(facts.po_numbers), ""),
            (words["bill_to"], head["payer_name"], ""),
            (words["your_tax_number"], head["payer_tax_number"], ""),
            (words["pay_to"], head["seller_name"], ""),
            (words["tax_number"], head["seller_tax_number"], ""),
            (words["iban"], head["iban"], ""),
            (words["bic"], head["bic"], ""),
            (words["account"], head["account"], ""),
            (words["pay_online"], head["online_url"], ""),
        ]
    )
    sheet.title(words["summary"])
    sheet.table(
        [
            (words["site"], "", 0),
            ("", "", 0),
            (words["net"], money, 0),
            (words["tax"], money, 0),
            (words["total"], money, 0),
        ],
        [
            (row["site_id"] or words["no_site"], row["site_name"], row["net"], row["tax"],
             row["total"])
            for row in facts.sites
        ],
    )  # fmt: skip
    for column, value in enumerate((words["total"], None, head["net"], head["tax"], head["total"])):
        sheet.put(column, value, money if column > 1 else "", bold=True)
    sheet.row += 1
    sheet.title(words["tax_summary"])
    sheet.table(
        [
            (words["tax_code"], "", 0),
            ("", "", 0),
            (words["taxable"], money, 0),
            (words["tax"], money, 0),
            (words["tax_rate"], PERCENT, 0),
        ],
        [
            (row["tax_code"], row["note"], row["net"], row["tax"], row["tax_rate_percent"])
            for row in facts.taxes
        ],
    )


def _lines(book: Book, facts: StatementFacts, words: dict[str, str], *, money: str) -> None:
    sheet = book.sheet("Lines")
    columns: list[tuple[str, str, int, Callable[[Any], object]]] = [
        (f"{words['site']} ID", "", 12, lambda line: line["site_id"]),
        (words["site"], "", 18, lambda line: line["site_name"]),
        (words["contract"], "", 14, lambda line: line["contract_id"]),
        ("Charge", "", 14, lambda line: line["charge_code"]),
        ("Model", "", 15, lambda line: line["charge_model"]),
        (words["description"], "", 70, lambda line: line["description"]),
        (words["quantity"], QUANTITY, 16, lambda line: line["quantity"]),
        (words["unit"], "", 9, lambda line: line["unit"]),
        (words["unit_price"], UNIT_PRICE, 15, lambda line: line["unit_price"]),
        (words["amount"], money, 15, lambda line: line["amount"]),
        (words["currency"], "", 9, lambda line: line["currency"]),
        (f"{words['tax']}: {words['tax_code']}", "", 14, lambda line: line["tax_code"]),
        (words["tax_rate"], PERCENT, 9, lambda line: line["tax_rate_percent"]),
        (words["tax"], money, 13, lambda line: line["tax_amount"]),
        (words["estimated_usage"], QUANTITY, 14, lambda line: line["estimated_quantity"] or None),
        ("Adjusts", "", 10, lambda line: line["adjusts_period"]),
        ("Line key", "", 44, lambda line: line["line_key"]),
    ]
    sheet.table(
        [(name, number, width) for name, number, width, _ in columns],
        [[get(line) for *_, get in columns] for line in facts.lines],
        freeze=True,
    )
    sheet.put(0, words["total"], bold=True)
    sheet.put(9, facts.head["net"], money, bold=True)
    sheet.put(13, facts.head["tax"], money, bold=True)


def _usage(book: Book, facts: StatementFacts, words: dict[str, str]) -> None:
    sheet = book.sheet("Usage by machine and day")
    sheet.table(
        [
            (words["site"], "", 12),
            (words["machine"], "", 24),
            (words["contract"], "", 14),
            (words["metric"], "", 10),
            (words["date"], DATE, 12),
            (words["metered"], USAGE, 18),
            (words["estimated_usage"], USAGE, 18),
            (words["total"], USAGE, 18),
            (words["unit"], "", 8),
        ],
        [
            (
                row["site_id"],
                row["machine_id"],
                row["contract_id"],
                row["metric"],
                row["usage_date"],
                row["metered_quantity"],
                row["estimated_quantity"],
                row["quantity"],
                row["unit"],
            )
            for row in facts.usage_machine_days
        ],
        freeze=True,
    )


def _fits(value: Decimal | int) -> bool:
    """Whether a spreadsheet holds the number exactly as a person would read it."""
    if -1_000_000 < value < 1_000_000 and (isinstance(value, int) or _scale(value) <= 9):
        return True
    return len(Decimal(value).normalize().as_tuple().digits) <= MOST_DIGITS


def _scale(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else MOST_DIGITS
