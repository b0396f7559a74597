"""Units a source may give, by metric, and the exact form in which a value is landed.

Here: which unit belongs to which metric, and how a number from the wire becomes the decimal that is
written down. Not here: conversion to canonical units. A landed value stays in the unit of its
source; turning it into kWh, h, GB or l is the warehouse's work, done once and in one place.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Final

UNITS: Final[Mapping[str, tuple[str, ...]]] = {
    "energy": ("Wh", "kWh", "MWh", "GWh", "J", "kJ", "MJ", "GJ"),
    "power": ("W", "kW", "MW"),
    "runtime": ("s", "min", "h"),
    "traffic": ("B", "kB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB"),
    "fuel": ("l", "m3"),
}
METRICS: Final = tuple(UNITS)
KINDS: Final = ("interval", "register", "gauge")

# Wide enough for any number a source prints; the default context of 28 digits is not.
_WIDE: Final = Context(prec=400)


def kinds_of(metric: str) -> tuple[str, ...]:
    """Return the kinds a metric may come in: a gauge goes with power and nothing else."""
    return ("gauge",) if metric == "power" else ("interval", "register")


def parse_decimal(text: str, *, decimal_mark: str = ".", group_mark: str = "") -> Decimal:
    """Read a decimal number as printed by a source, exactly.

    Raises ``ValueError`` for anything that is not a finite number. Exponents are read (``1e3``);
    a grouping mark is removed only if one is named and it groups digits by three, because
    ``1.234`` means two numbers to two people.
    """
    cleaned = text.strip()
    if group_mark and group_mark in cleaned:
        whole, mark, fraction = cleaned.partition(decimal_mark)
        first, *groups = whole.lstrip("+-").split(group_mark)
        if group_mark in fraction or not 1 <= len(first) <= 3 or any(len(g) != 3 for g in groups):
            raise ValueError(f"{text!r} is not grouped by threes with {group_mark!r}")
        cleaned = whole.replace(group_mark, "") + mark + fraction
    if decimal_mark != ".":
        if "." in cleaned:
            raise ValueError(f"{text!r} has a point where {decimal_mark!r} marks the decimals")
        cleaned = cleaned.replace(decimal_mark, ".")
    if "_" in cleaned:
        raise ValueError(f"{text!r} is not a number")
    try:
        number = Decimal(cleaned)
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a number") from None
    if not number.is_finite():
        raise ValueError(f"{text!r} is not a finite number")
    return number


def fit_decimal(number: Decimal, *, precision: int, scale: int) -> Decimal:
    """Bring a number to ``scale`` decimals, half away from zero.

    The landing zone keeps 9 decimals of a reading. Sources that print binary floats (Prometheus)
    give up to 17 digits, of which those beyond the ninth decimal are below any meter's
    resolution; this is the only rounding before the warehouse. Raises ``ValueError`` if the number
    does not fit ``precision`` digits.
    """
    if not number.is_finite():
        raise ValueError(f"{number} is not a finite number")
    if number and number.adjusted() >= precision - scale:
        raise ValueError(f"{number} has more than {precision - scale} digits before the point")
    fitted = number.quantize(Decimal(1).scaleb(-scale), rounding=ROUND_HALF_UP, context=_WIDE)
    if fitted and fitted.adjusted() >= precision - scale:
        raise ValueError(f"{number} has more than {precision - scale} digits before the point")
    return fitted.copy_abs() if fitted.is_zero() else fitted


def multiply_exactly(number: Decimal, factor: Decimal) -> Decimal:
    """Multiply without rounding; the usual context keeps only 28 digits of a product."""
    return _WIDE.multiply(number, factor)
