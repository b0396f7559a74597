"""Words that reports of the ledger and of the close share."""

from __future__ import annotations

from decimal import Decimal

from babel.numbers import get_currency_precision


def money(amount: Decimal, currency: str) -> str:
    """An amount for people, as `EUR 1,204.50` or `JPY 1,204`; digits beyond the currency's minor
    unit are shown if there are any, never rounded away."""
    digits = get_currency_precision(currency)
    fitted = amount.quantize(Decimal(1).scaleb(-digits))
    return f"{currency} {fitted if fitted == amount else amount:,f}"
