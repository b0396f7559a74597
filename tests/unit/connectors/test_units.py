"""Numbers from the wire: read exactly, or refused."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.units import KINDS, METRICS, fit_decimal, kinds_of, multiply_exactly, parse_decimal


@pytest.mark.parametrize(
    ("text", "marks", "expected"),
    [
        (" 12.50 ", {}, "12.50"),
        ("-1e3", {}, "-1000"),
        ("12,5", {"decimal_mark": ","}, "12.5"),
        ("1.234.567,89", {"decimal_mark": ",", "group_mark": "."}, "1234567.89"),
        ("1 234", {"group_mark": " "}, "1234"),
        ("999", {"group_mark": ","}, "999"),
        ("-12,345.6", {"group_mark": ","}, "-12345.6"),
    ],
)
def test_reads(text: str, marks: dict[str, str], expected: str) -> None:
    assert parse_decimal(text, **marks) == Decimal(expected)


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("", {}),
        ("12,5", {}),
        ("1_000", {}),
        ("NaN", {}),
        ("-Infinity", {}),
        ("0x1f", {}),
        ("1.5", {"decimal_mark": ","}),
        ("1.23,4", {"decimal_mark": ",", "group_mark": "."}),
        ("12.34", {"decimal_mark": ",", "group_mark": "."}),
        ("1234.567", {"decimal_mark": ",", "group_mark": "."}),
        ("1,234.567,8", {"group_mark": ","}),
    ],
)
def test_refuses(text: str, marks: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"not|has a point"):
        parse_decimal(text, **marks)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("0.0000000005", "0.000000001"),
        ("-0.0000000005", "-0.000000001"),
        ("0.00000000049", "0.000000000"),
        ("-0.0000000001", "0.000000000"),
        ("999999999999999.999999999", "999999999999999.999999999"),
    ],
)
def test_rounds_half_away_from_zero(number: str, expected: str) -> None:
    assert format(fit_decimal(Decimal(number), precision=24, scale=9), "f") == expected


@pytest.mark.parametrize("number", ["1e15", "-1e15", "999999999999999.9999999999", "NaN", "1e400"])
def test_does_not_fit(number: str) -> None:
    with pytest.raises(ValueError, match=r"more than 15 digits|finite"):
        fit_decimal(Decimal(number), precision=24, scale=9)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**14), max_value=10**14))
def test_fits_as_arithmetic_says(number: Decimal) -> None:
    fitted = fit_decimal(number, precision=24, scale=9)
    assert abs(fitted - number) <= Decimal("5e-10")
    wide = Context(prec=400)
    assert fitted == number.quantize(Decimal("1e-9"), rounding=ROUND_HALF_UP, context=wide)


def test_products_keep_all_digits() -> None:
    number, factor = Decimal("123456789012345.123456789"), Decimal("0.123456")
    assert Fraction(multiply_exactly(number, factor)) == Fraction(number) * Fraction(factor)


def test_gauge_goes_with_power_only() -> None:
    assert {metric for metric in METRICS if "gauge" in kinds_of(metric)} == {"power"}
    assert {kind for metric in METRICS for kind in kinds_of(metric)} == set(KINDS)
