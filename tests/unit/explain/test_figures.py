"""Figures are exact, and read as people write them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.explain import figures
from exporters.explain.model import added


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**20))
def test_nearest_is_half_away_from_zero(numerator: int, denominator: int) -> None:
    got = figures.nearest(numerator, denominator)
    exact = Fraction(numerator, denominator)
    assert abs(got - exact) <= Fraction(1, 2)
    if abs(got - exact) == Fraction(1, 2):
        assert abs(got) > abs(exact)


def test_sums_and_products_keep_every_digit() -> None:
    long = Decimal("123456789012.1234567890123456789012345")
    rows: list[dict[str, Decimal | None]] = [
        {"x": long},
        {"x": None},
        {"x": Decimal("0.0000000000000000000000001")},
    ]
    assert added(rows, "x") == Decimal("123456789012.1234567890123456789012346")
    assert figures.product(Decimal("1.000000000001"), Decimal("1.000000000001")) == Decimal(
        "1.000000000002000000000001"
    )


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (figures.number(Decimal("1204.500000")), "1,204.5"),
        (figures.number(Decimal("0E-9")), "0"),
        (figures.number(Decimal("1000")), "1,000"),
        (figures.price(Decimal("0.082500000"), "EUR"), "EUR 0.0825"),
        (figures.price(Decimal("42.000000000"), "EUR"), "EUR 42.00"),
        (figures.amount(Decimal("5441.00"), "JPY", 0), "JPY 5,441"),
        (figures.amount(Decimal("1204.50"), "EUR"), "EUR 1,204.50"),
    ],
)
def test_figures_read_well(shown: str, expected: str) -> None:
    assert shown == expected


def test_a_local_day_has_23_or_25_hours_when_clocks_change() -> None:
    start, end = figures.day_bounds(date(2026, 10, 25), "Europe/Oslo")
    assert (start, end) == (
        datetime(2026, 10, 24, 22, tzinfo=UTC),
        datetime(2026, 10, 25, 23, tzinfo=UTC),
    )
    assert figures.utc_days(start, end) == [date(2026, 10, 24), date(2026, 10, 25)]


def test_a_midnight_that_is_skipped_is_the_first_instant_of_the_day() -> None:
    # Beirut's clocks went from 00:00 to 01:00 on 29 March 2026.
    start, _ = figures.day_bounds(date(2026, 3, 29), "Asia/Beirut")
    assert start == datetime(2026, 3, 28, 22, tzinfo=UTC)
