"""The SQL of exact shares, roundings and words against plain fractions of Python.

The macros are rendered as dbt renders them and run in DuckDB, so what is tested is the arithmetic
that bills, including the digits at which a decimal of 38 places would overflow.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.warehouse.templates import Project

PROJECT = Project(None, ())


def render(expression: str) -> str:
    """The SQL of a macro call."""
    return PROJECT.expression(expression)


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty database in memory."""
    with duckdb.connect() as opened:
        yield opened


def half_away(value: Fraction, digits: int) -> Decimal:
    """value rounded half away from zero."""
    scaled = abs(value) * 10**digits
    whole = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    return Decimal(whole if value >= 0 else -whole).scaleb(-digits)


def evaluate(connection: duckdb.DuckDBPyConnection, sql: str, **values: Any) -> Any:
    """The value of an expression over a row whose columns are given as text with a type."""
    columns = ", ".join(f"'{value}'::{kind} as {name}" for name, (value, kind) in values.items())
    row = connection.execute(f"select {sql} from (select {columns})").fetchone()
    assert row is not None
    return row[0]


money = st.decimals(Decimal("-1e9"), Decimal("1e9"), places=9)
quantities = st.decimals(Decimal("0.000001"), Decimal("9e13"), places=12)


@settings(max_examples=25, deadline=None)
@given(amount=money, part=st.integers(0, 10**16), whole=st.integers(1, 3 * 10**12))
@pytest.mark.parametrize("minor_units", [0, 1, 2])
def test_share_of_money_is_rounded_once(
    connection: duckdb.DuckDBPyConnection, amount: Decimal, part: int, whole: int, minor_units: int
) -> None:
    exact = Fraction(amount) * part / whole
    if abs(exact) >= 10**15:
        return
    found = evaluate(
        connection,
        render("share_of_money('amount', 'part', 'whole', 'minor_units')"),
        amount=(amount, "decimal(24, 9)"),
        part=(part, "bigint"),
        whole=(whole, "bigint"),
        minor_units=(minor_units, "integer"),
    )
    assert found == half_away(exact, minor_units)


@settings(max_examples=40, deadline=None)
@given(quantity=quantities, whole=quantities, share=st.fractions(0, 1))
def test_share_of_quantity_divides_products_of_24_decimals(
    connection: duckdb.DuckDBPyConnection, quantity: Decimal, whole: Decimal, share: Fraction
) -> None:
    part = half_away(Fraction(whole) * share, 12)
    found = evaluate(
        connection,
        render("share_of_quantity('quantity', 'part', 'whole')"),
        quantity=(format(quantity, "f"), "decimal(38, 12)"),
        part=(format(part, "f"), "decimal(38, 12)"),
        whole=(format(whole, "f"), "decimal(38, 12)"),
    )
    assert found == half_away(Fraction(quantity) * Fraction(part) / Fraction(whole), 6)


@settings(max_examples=12, deadline=None)
@given(
    tier=quantities,
    usages=st.lists(
        st.decimals(Decimal("0.000001"), Decimal("1e9"), places=9), min_size=1, max_size=6
    ),
)
def test_cumulative_shares_never_fall_nor_exceed_the_tier(
    connection: duckdb.DuckDBPyConnection, tier: Decimal, usages: list[Decimal]
) -> None:
    total = sum(usages, Decimal(0))
    tier = min(tier, total)
    so_far, last = Decimal(0), Decimal(0)
    for usage in usages:
        so_far += usage
        found = evaluate(
            connection,
            render("share_of_quantity('quantity', 'part', 'whole')"),
            quantity=(format(tier, "f"), "decimal(38, 12)"),
            part=(format(so_far, "f"), "decimal(38, 12)"),
            whole=(format(total, "f"), "decimal(38, 12)"),
        )
        assert last <= found <= tier + Decimal("0.0000005")
        last = found


@settings(max_examples=25, deadline=None)
@given(value=st.decimals(Decimal("-1e12"), Decimal("1e12"), places=22))
@pytest.mark.parametrize("minor_units", [0, 1, 2])
def test_amounts_round_half_away_from_zero(
    connection: duckdb.DuckDBPyConnection, value: Decimal, minor_units: int
) -> None:
    found = evaluate(
        connection,
        render("to_minor_unit('value', 'minor_units')"),
        value=(format(value, "f"), "decimal(38, 22)"),
        minor_units=(minor_units, "integer"),
    )
    assert found == half_away(Fraction(value), minor_units)


@settings(max_examples=25, deadline=None)
@given(value=st.decimals(Decimal("-9e15"), Decimal("9e15"), places=22))
def test_digits_are_taken_without_overflow(
    connection: duckdb.DuckDBPyConnection, value: Decimal
) -> None:
    found = evaluate(
        connection,
        render("digits_integer('value', 22)"),
        value=(format(value, "f"), "decimal(38, 22)"),
    )
    assert found == Fraction(value) * 10**22


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("1204.500000", "1,204.5"),
        ("1000.000000", "1,000"),
        ("0.000001", "0.000001"),
        ("0", "0"),
        ("-12.250000", "-12.25"),
        ("1234567.000000", "1,234,567"),
    ],
)
def test_numbers_in_words(connection: duckdb.DuckDBPyConnection, value: str, words: str) -> None:
    found = evaluate(connection, render("number_in_words('x')"), x=(value, "decimal(18, 6)"))
    assert found == words


@pytest.mark.parametrize(
    ("value", "minor_units", "words"),
    [
        ("0.082500000", 2, "EUR 0.0825"),
        ("42.000000000", 2, "EUR 42.00"),
        ("1.500000000", 2, "EUR 1.50"),
        ("1234.567000000", 2, "EUR 1,234.567"),
        ("-0.100000000", 2, "EUR -0.10"),
        ("5441.000000000", 0, "EUR 5,441"),
        ("5441.122500000", 0, "EUR 5,441.1225"),
        ("7.000000000", 1, "EUR 7.0"),
        ("100.000000000", 0, "EUR 100"),
    ],
)
def test_money_in_words(
    connection: duckdb.DuckDBPyConnection, value: str, minor_units: int, words: str
) -> None:
    found = evaluate(
        connection,
        render("money_in_words('x', \"'EUR'\", 'minor_units')"),
        x=(value, "decimal(18, 9)"),
        minor_units=(minor_units, "integer"),
    )
    assert found == words
