"""Money for people."""

from __future__ import annotations

from decimal import Decimal

import pytest

from exporters.ledger.words import money


@pytest.mark.parametrize(
    ("amount", "currency", "words"),
    [
        ("1204.5", "EUR", "EUR 1,204.50"),
        ("1204.00", "JPY", "JPY 1,204"),
        ("-0.05", "NOK", "NOK -0.05"),
        ("10.005", "EUR", "EUR 10.005"),
        ("1E+3", "EUR", "EUR 1,000.00"),
    ],
)
def test_money(amount: str, currency: str, words: str) -> None:
    assert money(Decimal(amount), currency) == words
