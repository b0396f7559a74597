"""Exact figures: converting, rounding and showing quantities without a float.

A context of 60 digits holds every sum and product that a level is checked by; the default one of 28
digits would round.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Final
from zoneinfo import ZoneInfo

EXACT: Final = Context(prec=60, rounding=ROUND_HALF_UP)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def rounded(value: Decimal, digits: int) -> Decimal:
    """`value` to `digits` decimals, half away from zero."""
    return value.quantize(Decimal(1).scaleb(-digits), context=EXACT)


def nearest(numerator: int, denominator: int) -> int:
    """The whole number nearest to numerator ÷ denominator (above 0), half away from zero."""
    whole = (2 * abs(numerator) + denominator) // (2 * denominator)
    return -whole if numerator < 0 else whole


def ratio(numerator: int, denominator: int, digits: int) -> Decimal:
    """numerator ÷ denominator (above 0), rounded once to `digits` decimals, half away from zero."""
    return Decimal(nearest(numerator * 10**digits, denominator)).scaleb(-digits, context=EXACT)


def product(*factors: Decimal) -> Decimal:
    """The exact product."""
    result = Decimal(1)
    for factor in factors:
        result = EXACT.multiply(result, factor)
    return result


def number(value: Decimal) -> str:
    """A quantity as people read it: thousands separators, no trailing zeros."""
    return f"{_trimmed(value):,f}"


def price(value: Decimal, currency: str) -> str:
    """A unit price: at least two decimals, no more than it has."""
    trimmed = _trimmed(value)
    exponent = trimmed.as_tuple().exponent
    if isinstance(exponent, int) and exponent > -2:
        trimmed = trimmed.quantize(Decimal("0.01"), context=EXACT)
    return f"{currency} {trimmed:,f}"


def amount(value: Decimal, currency: str, minor_units: int = 2) -> str:
    """An amount with the currency's decimals; more are shown if there are any."""
    fitted = value.quantize(Decimal(1).scaleb(-minor_units), context=EXACT)
    return f"{currency} {fitted if fitted == value else _trimmed(value):,f}"


def instant(at: datetime) -> str:
    """An instant in UTC, to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def microseconds(at: datetime) -> int:
    """Whole microseconds since 1970-01-01 UTC."""
    return (at - EPOCH) // _MICROSECOND


def from_microseconds(us: int) -> datetime:
    """The instant, aware, in UTC."""
    return EPOCH + us * _MICROSECOND


def day_bounds(day: date, timezone: str) -> tuple[datetime, datetime]:
    """The instants between which a local day lies, in UTC."""
    return _midnight(day, timezone), _midnight(day + timedelta(days=1), timezone)


def utc_days(start: datetime, end: datetime) -> list[date]:
    """The UTC days that [start, end) touches."""
    first, last = start.astimezone(UTC).date(), (end - _MICROSECOND).astimezone(UTC).date()
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def _midnight(day: date, timezone: str) -> datetime:
    zone = ZoneInfo(timezone)
    # One that comes twice is meant the first time; one that is skipped is the end of the gap.
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def _trimmed(value: Decimal) -> Decimal:
    return value.normalize(EXACT) if value else Decimal(0)
