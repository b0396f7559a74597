"""From statement to document: quantities, units, words, signs; exact by Xero's own arithmetic."""

from __future__ import annotations

from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.xero import mapping
from exporters.xero.facts import BookFacts, Line, Payer, Statement


def make(**changes: Any) -> Line:
    """A line of energy."""
    base: dict[str, Any] = {
        "line_no": 1,
        "contract_id": "c1",
        "charge_code": "energy",
        "site_id": "NO-OSL1",
        "region": "nordic",
        "description": "Energy",
        "quantity": Decimal("1204.500000"),
        "unit": "kWh",
        "unit_price": Decimal("0.082500000"),
        "amount": Decimal("99.37"),
        "tax_code": "NO25",
        "tax_rate_percent": Decimal("25"),
        "tax_amount": Decimal("24.84"),
        "period": "2026-10",
        "adjusts_period": None,
    }
    return Line(**(base | changes))


def statement(*lines: Line, **changes: Any) -> Statement:
    """A statement of the lines."""
    net = sum((x.amount for x in lines), Decimal("0.00"))
    tax = sum((x.tax_amount for x in lines), Decimal("0.00"))
    base: dict[str, Any] = {
        "statement_id": "p1/2026-10/all",
        "number": "p1-0001",
        "period": "2026-10",
        "payer_id": "p1",
        "seller_id": "main",
        "currency": "EUR",
        "net": net,
        "tax": tax,
        "total": net + tax,
        "issue_date": date(2026, 11, 3),
        "due_date": date(2026, 11, 17),
        "lines": lines,
    }
    return Statement(**(base | changes))


def book(**changes: Any) -> BookFacts:
    """A book."""
    base: dict[str, Any] = {
        "payers": {
            "p1": Payer("p1", "One AS", "NO", "a@b.c", "", "PO-P", "S 1", "", "0150", "Oslo")
        },
        "po_numbers": {"c1": "PO-1", "c2": "PO-2"},
        "site_names": {"NO-OSL1": "Oslo 1"},
        "accounts": {"default": "200"},
        "tax_types": {"NO25": "OUTPUT25"},
        "site_category": "Site",
        "region_category": "Region",
        "branding_theme": None,
        "statement_url": None,
        "tenants": {},
    }
    return BookFacts(**(base | changes))


@pytest.mark.parametrize(
    ("quantity", "unit", "unit_price", "amount", "expected"),
    [
        # The product of what fits into four decimals is our amount: as it is.
        ("1204.5", "kWh", "0.0825", "99.37", ("1204.5000", "0.0825", "kWh")),
        ("1204.512345", "kWh", "0.0825", "99.37", ("1204.5123", "0.0825", "kWh")),
        # 0.08251 would be cut to 0.0825 and be nine euros off on this quantity: MWh keeps it.
        ("904321", "kWh", "0.08251", "74615.53", ("904.3210", "82.5100", "MWh")),
        # Too fine for MWh too; GWh carries three decimals more.
        ("90432100", "kWh", "0.082549994", "7465169.31", ("90.4321", "82549.9940", "GWh")),
        # No unit helps: one times the amount.
        ("3", "machines", "0.33333", "1.00", ("3.0000", "0.3333", "machines")),
        ("30000", "machines", "0.33333", "9999.90", ("1", "9999.90", None)),
        ("1", "flat", "-10", "-10.00", ("1.0000", "-10.0000", "flat")),
        ("0.000001", "kWh", "0.01", "0.00", ("0.0000", "0.0100", "kWh")),
    ],
)
def test_price(
    quantity: str, unit: str, unit_price: str, amount: str, expected: tuple[str, str, str | None]
) -> None:
    line = make(
        quantity=Decimal(quantity),
        unit=unit,
        unit_price=Decimal(unit_price),
        amount=Decimal(amount),
    )
    priced = mapping.price(line, sign=1)
    assert (priced.quantity, priced.unit_amount, priced.unit) == (
        Decimal(expected[0]),
        Decimal(expected[1]),
        expected[2],
    )


@given(
    quantity=st.decimals(-(10**8), 10**8, places=6),
    unit_price=st.decimals(-1000, 1000, places=9),
    cents_off=st.integers(-3, 3),
    unit=st.sampled_from(["kWh", "GB", "flat", "month", "machines"]),
    sign=st.sampled_from([1, -1]),
)
def test_the_product_by_xeros_arithmetic_is_always_the_amount(
    quantity: Decimal, unit_price: Decimal, cents_off: int, unit: str, sign: int
) -> None:
    cent = Decimal("0.01")
    amount = (quantity * unit_price).quantize(cent, rounding=ROUND_HALF_UP) + cents_off * cent
    line = make(quantity=quantity, unit=unit, unit_price=unit_price, amount=amount)
    priced = mapping.price(line, sign=sign)
    for value in (priced.quantity, priced.unit_amount):
        assert value == round(value, 4)
    product = (priced.quantity * priced.unit_amount).quantize(cent, rounding=ROUND_HALF_UP)
    assert product == amount * sign


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "1,204.5 kWh at EUR 0.0825 per kWh; Oslo 1 (NO-OSL1); October 2026"),
        ({"site_id": None}, "1,204.5 kWh at EUR 0.0825 per kWh; October 2026"),
        (
            {
                "quantity": Decimal(904321),
                "unit_price": Decimal("0.08251"),
                "amount": Decimal("74615.53"),
            },
            "904,321 kWh at EUR 0.08251 per kWh (quantity and price here per MWh)",
        ),
        (
            {"unit": "x", "quantity": Decimal(30000), "unit_price": Decimal("0.33333")},
            "30,000 x at EUR 0.33333 per x = EUR 99.37",
        ),
        (
            {"unit": "flat", "quantity": Decimal(1), "unit_price": Decimal("99.37")},
            "EUR 99.37; Oslo 1 (NO-OSL1); October 2026",
        ),
        ({"adjusts_period": "2026-08"}, "adjustment of August 2026"),
    ],
)
def test_words(changes: dict[str, Any], words: str) -> None:
    line = make(**changes)
    text = mapping.describe(line, mapping.price(line, sign=1), currency="EUR", site_name="Oslo 1")
    assert text.startswith("Energy\n")
    assert words in text


def test_words_fit_into_xeros_four_thousand_characters() -> None:
    line = make(description="x" * 5000)
    text = mapping.describe(line, mapping.price(line, sign=1), currency="EUR", site_name=None)
    assert len(text) == 4000
    assert text.endswith("October 2026")


def test_reference_is_the_contracts_if_they_agree_else_the_payers() -> None:
    facts = book()
    assert mapping.reference(statement(make(), make()), facts) == "PO-1"
    assert mapping.reference(statement(make(), make(contract_id="c2")), facts) == "PO-P"
    assert mapping.reference(statement(make(contract_id="c3")), facts) == "PO-P"
    assert mapping.reference(statement(make(), make(contract_id="c3")), facts) == "PO-1"


def test_invoice() -> None:
    body = mapping.document(statement(make()), book(), contact_id="k")
    assert (body["Type"], body["InvoiceNumber"], body["Status"]) == ("ACCREC", "p1-0001", "DRAFT")
    assert (body["Date"], body["DueDate"]) == ("2026-11-03", "2026-11-17")
    assert body["LineItems"][0]["Tracking"] == [
        {"Name": "Site", "Option": "NO-OSL1"},
        {"Name": "Region", "Option": "nordic"},
    ]
    assert "BrandingThemeID" not in body


def test_the_invoice_says_where_the_statement_is() -> None:
    facts = book(statement_url="https://bills.example/{payer_id}/{period}/{number}.pdf")
    body = mapping.document(statement(make()), facts, contact_id="x")
    assert body["Url"] == "https://bills.example/p1/2026-10/p1-0001.pdf"
    assert "Url" not in mapping.document(statement(make()), book(), contact_id="x")


def test_credit_note_turns_all_signs() -> None:
    energy = make(quantity=Decimal("-24.5"), amount=Decimal("-2.02"), tax_amount=Decimal("-0.51"))
    flat = make(
        unit="flat",
        quantity=Decimal(1),
        unit_price=Decimal("-7"),
        amount=Decimal("-7.00"),
        tax_amount=Decimal("-1.75"),
    )
    more = make(quantity=Decimal("10"), amount=Decimal("0.83"), tax_amount=Decimal("0.21"))
    body = mapping.document(statement(energy, flat, more), book(), contact_id="k")
    assert (body["Type"], body["CreditNoteNumber"]) == ("ACCRECCREDIT", "p1-0001")
    assert "DueDate" not in body
    pairs = [(x["Quantity"], x["UnitAmount"]) for x in body["LineItems"]]
    assert pairs == [
        (Decimal("24.5"), Decimal("0.0825")),
        (Decimal("1"), Decimal("7")),
        (Decimal("10"), Decimal("-0.0825")),
    ]


@pytest.mark.parametrize(
    ("gap", "words"),
    [
        ({"accounts": {}}, "accounts has neither energy nor default"),
        ({"tax_types": {}}, "tax_types has no NO25"),
    ],
)
def test_gaps_in_the_book(gap: dict[str, Any], words: str) -> None:
    with pytest.raises(mapping.MappingProblemError, match=words):
        mapping.document(statement(make()), book(**gap), contact_id="k")
