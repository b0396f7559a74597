"""Numbers and dates as people write them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from babel.numbers import format_decimal
from hypothesis import given
from hypothesis import strategies as st

from exporters.statements.formats import (
    _pattern,
    first_day,
    formats_for,
    language_of,
    last_day,
    previous_period,
)

NBSP = "\u00a0"


@pytest.mark.parametrize(
    ("language", "amount", "day", "month"),
    [
        (None, "1,234,567.80", "15 November 2026", "October 2026"),
        ("en", "1,234,567.80", "15 November 2026", "October 2026"),
        ("en-US", "1,234,567.80", "November 15, 2026", "October 2026"),
        ("de", "1.234.567,80", "15. November 2026", "Oktober 2026"),
        ("nb-NO", f"1{NBSP}234{NBSP}567,80", "15. november 2026", "oktober 2026"),
        ("no", f"1{NBSP}234{NBSP}567,80", "15. november 2026", "oktober 2026"),
        ("fi", f"1{NBSP}234{NBSP}567,80", "15. marraskuuta 2026", "lokakuu 2026"),
        ("id", "1.234.567,80", "15 November 2026", "Oktober 2026"),
        ("klingon", "1,234,567.80", "15 November 2026", "October 2026"),
        ("; drop", "1,234,567.80", "15 November 2026", "October 2026"),
    ],
)
def test_languages(language: str | None, amount: str, day: str, month: str) -> None:
    formats = formats_for(language)
    assert formats.amount(Decimal("1234567.80")) == amount
    assert formats.day(date(2026, 11, 15)) == day
    assert formats.month("2026-10") == month


def test_the_decimals_of_each_kind_of_number() -> None:
    formats = formats_for("en")
    assert formats.amount(Decimal("5"), minor_units=0) == "5"
    assert formats.amount(Decimal("5.00"), minor_units=0) == "5"
    assert formats.amount(Decimal("5.25"), minor_units=0) == "5.25"
    assert formats.amount(Decimal("-0.05")) == "-0.05"
    assert formats.unit_price(Decimal("0.082500000")) == "0.0825"
    assert formats.unit_price(Decimal("42.000000000")) == "42.00"
    assert formats.quantity(Decimal("1898.765432")) == "1,898.765432"
    assert formats.quantity(Decimal("26000.000000")) == "26,000"
    assert formats.percent(Decimal("25.5000")) == "25.5%"
    assert formats_for("de").percent(Decimal("19.0000")) == f"19{NBSP}%"
    assert formats.fixed(Decimal("2.5"), decimals=0) == "3"
    assert formats.fixed(Decimal("-2.45"), decimals=1) == "-2.5"


@given(st.decimals(min_value="-9999999999999999.99", max_value="9999999999999999.99", places=2))
def test_amounts_lose_nothing(value: Decimal) -> None:
    shown = formats_for("en").amount(value)
    assert Decimal(shown.replace(",", "")) == value


@given(st.decimals(min_value="-999999999.999999999", max_value="999999999.999999999", places=9))
def test_unit_prices_lose_nothing(value: Decimal) -> None:
    shown = formats_for("de").unit_price(value)
    assert Decimal(shown.replace(".", "").replace(",", ".")) == value


@given(
    st.decimals(min_value="-99999999999", max_value="99999999999", places=6),
    st.sampled_from(["en", "en-US", "de", "de-CH", "nb", "fi", "id", "fr", "sv", "pl", "es", "ar"]),
    st.integers(0, 3),
)
def test_numbers_are_written_as_babel_writes_them(
    value: Decimal, language: str, least: int
) -> None:
    formats = formats_for(language)
    expected = format_decimal(value, format=_pattern(least, 9), locale=formats.locale)
    assert formats._decimal(value, least=least, most=9) == expected


def test_periods() -> None:
    assert (first_day("2028-02"), last_day("2028-02")) == (date(2028, 2, 1), date(2028, 2, 29))
    assert last_day("2026-12") == date(2026, 12, 31)
    assert previous_period("2026-01") == "2025-12"


def test_the_language_that_serves_best() -> None:
    available = frozenset({"en", "de", "nb"})
    assert language_of("de-AT", available) == "de"
    assert language_of("no", available) == "nb"
    assert language_of("sv", available) == "en"
    assert language_of(None, available) == "en"
