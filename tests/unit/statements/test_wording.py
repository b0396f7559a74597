"""Lines in the payer's language: the same facts as the mart's English, or the mart's English."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.statements.document import texts
from exporters.statements.formats import formats_for
from exporters.statements.wording import Words, adjustment_notes, label

NBSP = "\u00a0"


def words(language: str, *, minor_units: int = 2) -> Words:
    return Words(texts=texts(language), formats=formats_for(language), minor_units=minor_units)


def line(description: str, **columns: Any) -> dict[str, Any]:
    return {
        "description": description,
        "period": "2026-10",
        "charge_code": "energy",
        "charge_model": "per_unit",
        "site_id": "NO-OSL1",
        "site_name": "Oslo 1",
        "band": None,
        "quantity": Decimal("1204.500000"),
        "unit": "kWh",
        "unit_price": Decimal("0.082500000"),
        "amount": Decimal("99.37"),
        "tax_amount": Decimal("0.00"),
        "currency": "EUR",
        "line_key": "K-1/2026-10/1/energy/NO-OSL1/-",
        "adjusts_period": None,
    } | columns


ENERGY = "October 2026 Energy at Oslo 1 (NO-OSL1)"
AT = "1,204.5 kWh at EUR 0.0825"
LINES = {
    "plain": (line(f"{ENERGY}: {AT}"), "Energy", "Energie"),
    "tier": (
        line(f"{ENERGY}, tier 2: {AT}", charge_model="graduated", band="2"),
        "Energy, tier 2",
        "Energie, Stufe 2",
    ),
    "step": (
        line(
            f"{ENERGY}, step 1: EUR 99.37",
            charge_model="stairstep",
            band="1",
            unit="flat",
            quantity=Decimal(1),
        ),
        "Energy, step 1",
        "Energie, Staffel 1",
    ),
    "band": (
        line(f"{ENERGY}, band night: {AT}", charge_model="time_of_use", band="night"),
        "Energy, band night",
        "Energie, Tarifzeit Nacht",
    ),
    "event": (
        line(
            "October 2026 Remote hands at Oslo 1 (NO-OSL1), event ev-7 (Disk (new)): "
            "1 hour at EUR 99.37",
            charge_model="pass_through",
            band="ev-7",
            unit="hour",
            quantity=Decimal(1),
            unit_price=Decimal("99.37"),
        ),
        "Remote hands, event ev-7 (Disk (new))",
        "Technikereinsätze, Vorgang ev-7 (Disk (new))",
    ),
    "service": (
        line(
            "October 2026 Parts, service parts: EUR 99.37",
            charge_model="pass_through",
            site_id=None,
            site_name=None,
            band="parts",
            unit="flat",
            quantity=Decimal(1),
        ),
        "Parts, service parts",
        "Parts, Leistung parts",
    ),
    "months": (
        line(
            "October 2026 Hosting at Oslo 1 (NO-OSL1): 11.5 months at EUR 42.00",
            charge_model="recurring",
            quantity=Decimal("11.500000"),
            unit="month",
            unit_price=Decimal(42),
        ),
        "Hosting",
        "Hosting",
    ),
    "credit": (
        line(
            "October 2026 sla credit c-1 (late: sorry): EUR -99.37",
            charge_model="credit",
            charge_code="credit",
            site_id=None,
            site_name=None,
            unit="flat",
            quantity=Decimal(1),
            amount=Decimal("-99.37"),
            line_key="K-1/2026-10/0/credit/-/c-1",
        ),
        "SLA credit c-1 (late: sorry)",
        "SLA-Gutschrift c-1 (late: sorry)",
    ),
    "a name with a place in it": (
        line(f"October 2026 Energy at cost at Oslo 1 (NO-OSL1): {AT}"),
        "Energy at cost",
        "Energy at cost",
    ),
    "a site that had another name": (
        line(f"October 2026 Energy at Oslo West (NO-OSL1): {AT}"),
        "Energy",
        "Energie",
    ),
}


@pytest.mark.parametrize("name", LINES)
def test_a_line_in_two_languages(name: str) -> None:
    row, english, german = LINES[name]
    assert label(row, words("en")) == english
    assert label(row, words("de")) == german


@pytest.mark.parametrize(
    ("description", "shown"),
    [
        # A number, a month or a band that is not the line's: nothing is translated.
        (f"{ENERGY}: 1,204.4 kWh at EUR 0.0825", "Energy"),
        (f"September 2026 Energy at Oslo 1 (NO-OSL1): {AT}", "September 2026 Energy"),
        ("Something else entirely", "Something else entirely"),
        ("", "Energy"),
    ],
)
def test_what_does_not_agree_stays_english(description: str, shown: str) -> None:
    assert label(line(description), words("de")) == shown


def test_no_translation_without_agreement() -> None:
    wrong = line(f"{ENERGY}, tier 1: {AT}", charge_model="graduated", band="2")
    assert label(wrong, words("de")) == "Energy, tier 1"


def adjustment(description: str, **columns: Any) -> dict[str, Any]:
    return (
        line(
            description,
            charge_model="graduated",
            band="1",
            adjusts_period="2026-09",
            period="2026-10",
            quantity=Decimal("24.500000"),
            amount=Decimal("7.60"),
            old_quantity=Decimal("1180.000000"),
            old_amount=Decimal("365.80"),
            old_tax_amount=Decimal("0.00"),
            original_number="ACME-0006",
            cause="readings",
        )
        | columns
    )


def test_an_adjustment_says_what_it_was_and_why() -> None:
    row = adjustment(
        "September 2026 energy at Oslo 1 (NO-OSL1), 1: 1,204.5 kWh instead of 1,180 kWh"
    )
    assert label(row, words("en")) == (
        "September 2026 energy, tier 1: 1,204.5 kWh instead of 1,180 kWh"
    )
    assert label(row, words("de")) == "September 2026 Energie, Stufe 1: 1.204,5 kWh statt 1.180 kWh"
    assert label(row, words("fi")).startswith("Syyskuu 2026, Energia, porras 1: nyt 1")
    assert adjustment_notes(row, words("en")) == (
        "Adjustment of September 2026 (ACME-0006): later readings"
    )
    assert adjustment_notes(row | {"cause": None, "original_number": None}, words("nb")) == (
        "Korreksjon for september 2026"
    )


def test_an_adjustment_of_price_or_tax() -> None:
    price = adjustment(
        "September 2026 energy at Oslo 1 (NO-OSL1), 1: EUR 373.40 instead of EUR 365.80",
        quantity=Decimal(0),
    )
    assert label(price, words("id")) == (
        f"September 2026 Energi, tingkat 1: EUR{NBSP}373,40, sebelumnya EUR{NBSP}365,80"
    )
    tax = adjustment(
        "September 2026 energy at Oslo 1 (NO-OSL1), 1: tax of EUR 9.00 instead of EUR 0.00",
        quantity=Decimal(0),
        amount=Decimal(0),
        tax_amount=Decimal("9.00"),
    )
    assert "Steuer von EUR\u00a09,00 statt EUR\u00a00,00" in label(tax, words("de"))


def test_an_adjustment_whose_past_is_not_known_is_as_the_mart_has_it() -> None:
    told = "September 2026 energy at Oslo 1 (NO-OSL1), 1: 1,204.5 kWh instead of 1,100 kWh"
    assert label(adjustment(told), words("de")) == told


@given(
    st.text(min_size=1, max_size=30),
    st.sampled_from(["per_unit", "graduated", "pass_through", "credit", "recurring"]),
    st.none() | st.text(max_size=8),
    st.booleans(),
)
def test_any_description_can_be_shown(
    description: str, model: str, band: str | None, adjusts: bool
) -> None:
    row = (adjustment if adjusts else line)(description, charge_model=model, band=band)
    for language in ("en", "de"):
        assert "\n" not in label(row, words(language))


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=30))
def test_no_name_is_lost(name: str) -> None:
    row = line(f"October 2026 {name} at Oslo 1 (NO-OSL1): {AT}")
    assert label(row, words("en")) == name
