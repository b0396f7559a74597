"""From an issued statement to the document Xero gets: pure functions, every amount as issued.

A statement above or at zero becomes a sales invoice, one below zero a credit note with all signs
turned. The kWh stays on the invoice: a line goes out as quantity times unit price wherever their
product, within Xero's four decimals, is our amount to the cent; else in a larger unit; else as one
times the amount. The words of a line always say quantity, unit, price, site and period.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Final
from urllib.parse import quote

from exporters.xero.client import Kind
from exporters.xero.facts import BookFacts, Line, Payer, Statement
from exporters.xero.wire import Json

MAX_DESCRIPTION: Final = 4000
CENT: Final = Decimal("0.01")
FOUR: Final = Decimal("0.0001")
LARGER: Final = {
    "Wh": "kWh",
    "kWh": "MWh",
    "MWh": "GWh",
    "B": "kB",
    "kB": "MB",
    "MB": "GB",
    "GB": "TB",
    "TB": "PB",
}
MONTHS: Final = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


@dataclass(frozen=True)
class Priced:
    """A line's quantity and unit price as Xero multiplies them, and the unit they are in."""

    quantity: Decimal
    unit_amount: Decimal
    unit: str | None


class MappingProblemError(Exception):
    """A statement that cannot become a document; the message says what is missing in the book."""


def kind_of(statement: Statement) -> Kind:
    """Invoice, or credit note when the total is below zero."""
    return "credit_note" if statement.total < 0 else "invoice"


def sign_of(statement: Statement) -> int:
    """What our amounts are multiplied by on the document."""
    return -1 if statement.total < 0 else 1


def price(line: Line, *, sign: int) -> Priced:
    """How the line's amount is written as a product, exact to the cent by Xero's arithmetic.

    Xero rounds quantity and unit price half up to four decimals and their product to two.
    """
    amount = line.amount * sign
    quantity, unit_price = line.quantity, line.unit_price
    if sign < 0:
        # The side that carries the minus loses it: -24.5 kWh at 0.08, or 1 at -10.00.
        quantity, unit_price = (-quantity, unit_price) if quantity < 0 else (quantity, -unit_price)
    unit: str | None = line.unit
    while unit is not None:
        q, p = _four(quantity), _four(unit_price)
        if _cents(q * p) == amount:
            return Priced(q, p, unit)
        unit = LARGER.get(unit)
        quantity, unit_price = quantity.scaleb(-3), unit_price.scaleb(3)
    return Priced(Decimal(1), amount, None)


def describe(line: Line, priced: Priced, *, currency: str, site_name: str | None) -> str:
    """The line's words: what it is, then quantity, unit, price, site and period."""
    if line.unit == "flat":
        figures = f"{currency} {line.amount:,.2f}"
    else:
        figures = f"{_plain(line.quantity)} {line.unit} at {currency} {_plain(line.unit_price)}"
        figures += f" per {line.unit}"
        if priced.unit is None:
            figures += f" = {currency} {line.amount:,.2f}"
        elif priced.unit != line.unit:
            figures += f" (quantity and price here per {priced.unit})"
    place = ""
    if line.site_id is not None:
        named = site_name is not None and site_name != line.site_id
        place = f"{site_name} ({line.site_id})" if named else line.site_id
    period = period_words(line.adjusts_period or line.period)
    if line.adjusts_period:
        period = f"adjustment of {period}"
    tail = "; ".join(part for part in (figures, place, period) if part)
    head = line.description.strip()
    room = MAX_DESCRIPTION - len(tail) - 1
    if len(head) > room:
        head = head[: room - 1] + "…"
    return f"{head}\n{tail}"


def period_words(period: str) -> str:
    """`2026-10` as October 2026."""
    year, month = period.split("-")
    return f"{MONTHS[int(month) - 1]} {year}"


def reference(statement: Statement, facts: BookFacts) -> str:
    """The purchase order: that of the contracts, if they agree on one; else the payer's."""
    numbers = {
        facts.po_numbers[line.contract_id]
        for line in statement.lines
        if line.contract_id in facts.po_numbers
    }
    if len(numbers) == 1:
        return numbers.pop()
    payer = facts.payers.get(statement.payer_id)
    return payer.po_number if payer is not None else ""


def statement_url(template: str, statement: Statement) -> str:
    """Where the payer finds the statement: the template of xero.yml, filled in."""
    return template.format(
        number=quote(statement.number, safe=""),
        period=statement.period,
        payer_id=quote(statement.payer_id, safe=""),
    )


def account_code(line: Line, facts: BookFacts) -> str:
    """The account of a charge. Raises MappingProblemError when xero.yml has none."""
    code = facts.accounts.get(line.charge_code) or facts.accounts.get("default")
    if code is None:
        raise MappingProblemError(f"xero.yml: accounts has neither {line.charge_code} nor default")
    return code


def no_tax_type(tax_code: str) -> str:
    """That xero.yml lacks a tax code, in words."""
    return f"xero.yml: tax_types has no {tax_code}"


def tax_type(line: Line, facts: BookFacts) -> str:
    """The tax type of a tax code. Raises MappingProblemError when xero.yml has none."""
    found = facts.tax_types.get(line.tax_code)
    if found is None:
        raise MappingProblemError(no_tax_type(line.tax_code))
    return found


def tracking(line: Line, facts: BookFacts) -> list[Json]:
    """Site and region of a line, by the names of category and option."""
    pairs = ((facts.site_category, line.site_id), (facts.region_category, line.region))
    return [{"Name": name, "Option": option} for name, option in pairs if name and option]


def document(
    statement: Statement, facts: BookFacts, *, contact_id: str, theme_id: str | None = None
) -> Json:
    """The document as it is sent, a draft. Raises MappingProblemError for a gap in xero.yml."""
    sign = sign_of(statement)
    credit = sign < 0
    lines: list[Json] = []
    for line in statement.lines:
        priced = price(line, sign=sign)
        site_name = facts.site_names.get(line.site_id) if line.site_id else None
        lines.append(
            {
                "Description": describe(
                    line, priced, currency=statement.currency, site_name=site_name
                ),
                "Quantity": priced.quantity,
                "UnitAmount": priced.unit_amount,
                "AccountCode": account_code(line, facts),
                "TaxType": tax_type(line, facts),
                "Tracking": tracking(line, facts),
            }
        )
    body: Json = {
        "Type": "ACCRECCREDIT" if credit else "ACCREC",
        "CreditNoteNumber" if credit else "InvoiceNumber": statement.number,
        "Contact": {"ContactID": contact_id},
        "Date": statement.issue_date.isoformat(),
        "LineAmountTypes": "Exclusive",
        "CurrencyCode": statement.currency,
        "Reference": reference(statement, facts),
        "Status": "DRAFT",
        "LineItems": lines,
    }
    if not credit:
        body["DueDate"] = statement.due_date.isoformat()
    if theme_id is not None:
        body["BrandingThemeID"] = theme_id
    if facts.statement_url is not None and not credit:
        body["Url"] = statement_url(facts.statement_url, statement)
    return body


def contact(payer: Payer) -> Json:
    """The contact a payer gets when Xero has none."""
    body: Json = {"Name": payer.name, "ContactNumber": payer.payer_id}
    if payer.email:
        body["EmailAddress"] = payer.email
    if payer.tax_number:
        body["TaxNumber"] = payer.tax_number
    if payer.address_line1 or payer.city:
        body["Addresses"] = [
            {
                "AddressType": "POBOX",
                "AddressLine1": payer.address_line1,
                "AddressLine2": payer.address_line2,
                "City": payer.city,
                "PostalCode": payer.postal_code,
                "Country": payer.country,
            }
        ]
    return body


def _four(value: Decimal) -> Decimal:
    return value.quantize(FOUR, rounding=ROUND_HALF_UP)


def _cents(value: Decimal) -> Decimal:
    return value.quantize(CENT, rounding=ROUND_HALF_UP)


def _plain(value: Decimal) -> str:
    text = f"{value:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
