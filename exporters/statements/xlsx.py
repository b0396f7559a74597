"""The statement as a workbook: summary, lines and usage down to machine and day, for people who
check and reuse numbers.

Numbers are numbers with a format and dates are dates; everything else is written as text whatever
it looks like, so that a name beginning with `=` is a name. A number with more digits than a
spreadsheet can hold (15) is written as text rather than changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO
from operator import itemgetter
from typing import Any

import xlsxwriter  # type: ignore[import-untyped]
from xlsxwriter.format import Format  # type: ignore[import-untyped]
from xlsxwriter.worksheet import Worksheet  # type: ignore[import-untyped]

from exporters.marts import price_of_one
from exporters.statements.facts import StatementFacts
from exporters.statements.text import one_line, web_link

MOST_DIGITS = 15
_LONGEST_TEXT = 32_767
_DAY_0 = date(1899, 12, 30).toordinal()  # what spreadsheets count days from
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
        # One write a cell is what a workbook costs: what is plain is written without asking twice.
        write_number = self.worksheet.write_number
        write_string = self.worksheet.write_string
        for row in rows:
            at = self.row
            for column, (value, style) in enumerate(zip(row, styles, strict=True)):
                if type(value) is Decimal and _fits(value):
                    write_number(at, column, value, style)
                elif type(value) is str and value:
                    write_string(at, column, one_line(value)[:_LONGEST_TEXT], style)
                elif type(value) is date:
                    write_number(at, column, value.toordinal() - _DAY_0, style)
                elif value is not None:
                    self.put(column, value, style=style)
            self.row += 1
        if freeze:
            self.worksheet.freeze_panes(top + 1, 0)
            self.worksheet.autofilter(top, 0, max(top, self.row - 1), len(columns) - 1)


def to_xlsx(facts: StatementFacts, document: Mapping[str, Any]) -> bytes:
    """The workbook of a statement; `document` is what `document.build` made of the same facts, for
    its words and the names of lines."""
    head, words, title = facts.head, document["words"], document["title"]
    minor_units = 2 if head["minor_units"] is None else head["minor_units"]
    money = money_format(minor_units)
    book = Book(title=f"{title} {head['statement_number'] or head['statement_id']}")
    _summary(book, facts, document, money=money)
    _lines(book, facts, document, money=money)
    if facts.usage_machine_days:
        _usage(book, facts, words)
    if facts.rules:
        sheet = book.sheet(words["sheet_rules"])
        rules = [
            (rule["plan_id"], rule["plan_version"], text)
            for rule in facts.rules
            for text in (rule["words"] or "").splitlines()
            if text
        ]
        sheet.table(
            [(words["plan_id"], "", 24), (words["version"], "0", 9), (words["rules"], "", 100)],
            rules,
        )
    return book.finish()


def _summary(book: Book, facts: StatementFacts, document: Mapping[str, Any], *, money: str) -> None:
    head, words = facts.head, document["words"]
    sheet = book.sheet(words["sheet_statement"])
    sheet.worksheet.set_column(0, 0, 30)
    sheet.worksheet.set_column(1, 1, 44)
    sheet.worksheet.set_column(2, 5, 16)
    if not facts.is_issued:
        sheet.put(0, words["preview_banner"], style=book.warning())
        sheet.row += 1
    sheet.put(0, document["title"], bold=True)
    sheet.row += 1
    is_credit = document["is_credit"]
    seller, payer = document["seller"], document["payer"]
    paid = head if facts.is_issued and not is_credit else {}
    sheet.pairs(
        [
            (words["credit_number" if is_credit else "number"], head["statement_number"], ""),
            (words["refers_to"], ", ".join(facts.corrected) if is_credit else None, ""),
            (words["statement"], head["statement_id"], ""),
            (words["issue_date"], head["issue_date"], DATE),
            (words["due_date"], None if is_credit else head["due_date"], DATE),
            (words["period"], head["period"], ""),
            (words["currency"], head["currency"], ""),
            (words["po_number"], ", ".join(facts.po_numbers), ""),
            (words["bill_to"], ", ".join([payer["name"], *payer["lines"]]), ""),
            *((i["label"], i["value"], "") for i in payer["identities"]),
            (words["pay_to"], ", ".join([seller["name"], *seller["lines"]]), ""),
            *((i["label"] or "E-mail", i["value"], "") for i in seller["identities"]),
            (words["bank"], paid.get("bank"), ""),
            (words["iban"], paid.get("iban"), ""),
            (words["bic"], paid.get("bic"), ""),
            (words["account"], paid.get("account"), ""),
            (words["pay_online"], web_link(paid.get("online_url")), ""),
            (words["disputed"], document["dispute"], ""),
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
            (shown["code"], shown["note"], row["net"], row["tax"], row["tax_rate_percent"])
            for row, shown in zip(facts.taxes, document["taxes"], strict=True)
        ],
    )


def _lines(book: Book, facts: StatementFacts, document: Mapping[str, Any], *, money: str) -> None:
    words = document["words"]
    sheet = book.sheet(words["sheet_lines"])
    columns: list[tuple[str, str, int, Callable[[Any], object]]] = [
        (f"{words['site']} ID", "", 12, lambda line: line["site_id"]),
        (words["site"], "", 18, lambda line: line["site_name"]),
        (words["contract"], "", 14, lambda line: line["contract_id"]),
        (words["charge"], "", 14, lambda line: line["charge_code"]),
        (words["model"], "", 15, lambda line: line["charge_model"]),
        (words["description"], "", 50, lambda line: line["label"]),
        (words["quantity"], QUANTITY, 16, lambda line: line["quantity"]),
        (words["unit"], "", 9, lambda line: line["unit"]),
        (words["unit_price"], UNIT_PRICE, 15, _unit_price),
        (words["amount"], money, 15, lambda line: line["amount"]),
        (words["currency"], "", 9, lambda line: line["currency"]),
        (f"{words['tax']}: {words['tax_code']}", "", 14, lambda line: line["tax_code"]),
        (words["tax_rate"], PERCENT, 9, lambda line: line["tax_rate_percent"]),
        (words["tax"], money, 13, lambda line: line["tax_amount"]),
        (words["estimated_usage"], QUANTITY, 14, lambda line: line["estimated_quantity"] or None),
        (words["adjusts"], "", 10, lambda line: line["adjusts_period"]),
        (words["line_key"], "", 44, lambda line: line["line_key"]),
        (words["as_billed"], "", 70, lambda line: line["description"]),
    ]
    if facts.corrected:
        columns += [
            (words["refers_to"], "", 18, lambda line: line["original_number"]),
            (words["cause"], "", 26, lambda line: document["causes"].get(line["cause"])),
        ]
    if any(line["disputed"] for line in facts.lines):
        disputed = words["disputed"]
        columns.append((disputed, "", 12, lambda line: disputed if line["disputed"] else None))
    sheet.table(
        [(name, number, width) for name, number, width, _ in columns],
        [
            [get({**line, "label": label}) for *_, get in columns]
            for line, label in zip(facts.lines, document["labels"], strict=True)
        ],
        freeze=True,
    )
    sheet.put(0, words["total"], bold=True)
    sheet.put(9, facts.head["net"], money, bold=True)
    sheet.put(13, facts.head["tax"], money, bold=True)


def _unit_price(line: Mapping[str, Any]) -> Decimal:
    price: Decimal | None = line["unit_price"]
    return price_of_one(line["amount"], line["quantity"]) if price is None else price


def _usage(book: Book, facts: StatementFacts, words: Mapping[str, str]) -> None:
    sheet = book.sheet(words["sheet_usage"])
    columns = (
        "site_id", "machine_id", "contract_id", "metric", "usage_date", "metered_quantity",
        "estimated_quantity", "quantity", "unit",
    )  # fmt: skip
    get = itemgetter(*columns)
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
        [get(row) for row in facts.usage_machine_days],
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
