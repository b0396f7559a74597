"""Numbers, dates and months as people of a language write them. Decimals in, text out: nothing is
rounded here beyond dropping trailing zeros, and no float is involved.

Plain `en` is written the European way (15 November 2026), `en-US` the American one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cache, cached_property

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_interval, format_skeleton
from babel.numbers import (
    NumberPattern,
    format_decimal,
    get_decimal_symbol,
    get_group_symbol,
    parse_pattern,
)

DEFAULT_LANGUAGE = "en"
_PLAIN = {"en": "en_GB", "no": "nb", "nn": "nb"}


@dataclass(frozen=True)
class Formats:
    """How `locale` writes things."""

    locale: Locale

    def amount(self, value: Decimal, *, minor_units: int = 2) -> str:
        """An amount with exactly `minor_units` decimals; more only if it really has more."""
        decimals = max(minor_units, _decimals(value))
        return self._decimal(value, least=decimals, most=decimals)

    def unit_price(self, value: Decimal, *, minor_units: int = 2) -> str:
        return self._decimal(value, least=minor_units, most=9)

    def quantity(self, value: Decimal) -> str:
        return self._decimal(value, least=0, most=9)

    def percent(self, value: Decimal) -> str:
        separator = "" if self.locale.language in ("en", "id") else "\u00a0"
        return f"{self._decimal(value, least=0, most=4)}{separator}%"

    def day(self, value: date) -> str:
        """15 November 2026"""
        return format_date(value, format="long", locale=self.locale)

    def short_day(self, value: date) -> str:
        """15 Nov 2026"""
        return format_date(value, format="medium", locale=self.locale)

    def day_and_month(self, value: date) -> str:
        return format_skeleton("MMMd", value, locale=self.locale)

    def month(self, period: str) -> str:
        """`2026-10` as October 2026."""
        return str(format_skeleton("yMMMM", first_day(period), locale=self.locale))

    def country(self, code: str) -> str:
        """The name of a country (ISO 3166-1 alpha-2), the code itself if it has none."""
        return str(self.locale.territories.get(code, code))

    def span(self, first: date, last: date) -> str:
        """1–31 October 2026; both days belong to it."""
        return str(format_interval(first, last, "yMMMMd", locale=self.locale))

    def fixed(self, value: Decimal, *, decimals: int) -> str:
        """`value` with exactly `decimals` decimals, half away from zero: for a column of usage,
        never for anything that is billed."""
        shown = value.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP)
        return self._decimal(shown, least=decimals, most=decimals)

    def _decimal(self, value: Decimal, *, least: int, most: int) -> str:
        if not value.is_finite():
            raise ValueError(f"{value} is no number to show")
        if _decimals(value) > most:
            return format_decimal(value, format=_pattern(least, most), locale=self.locale)
        # A statement has thousands of numbers; this is what the above makes of them, ten times as
        # fast.
        whole, _, fraction = f"{abs(value):,f}".partition(".")
        fraction = fraction.rstrip("0").ljust(least, "0")
        group, point, minus = self._symbols
        shown = whole.replace(",", group) + (point + fraction if fraction else "")
        return minus + shown if value < 0 else shown

    @cached_property
    def _symbols(self) -> tuple[str, str, str]:
        return (
            get_group_symbol(self.locale),
            get_decimal_symbol(self.locale),
            "-",
        )


@cache
def formats_for(language: str | None) -> Formats:
    """The formats of `language` (BCP 47, as payers.language has it), English if unknown."""
    tag = (language or DEFAULT_LANGUAGE).replace("-", "_")
    try:
        locale = Locale.parse(_PLAIN.get(tag.lower(), tag))
    except (UnknownLocaleError, ValueError):
        locale = Locale.parse(_PLAIN[DEFAULT_LANGUAGE])
    return Formats(locale=locale)


def language_of(language: str | None, available: frozenset[str]) -> str:
    """The one of `available` languages that serves `language` best; English if none does."""
    formats = formats_for(language)
    return formats.locale.language if formats.locale.language in available else DEFAULT_LANGUAGE


def first_day(period: str) -> date:
    """First calendar day of a period `YYYY-MM`."""
    return date(int(period[:4]), int(period[5:7]), 1)


def last_day(period: str) -> date:
    """Last calendar day of a period `YYYY-MM`."""
    return (first_day(period) + timedelta(days=32)).replace(day=1) - timedelta(days=1)


def previous_period(period: str) -> str:
    """The month before `YYYY-MM`."""
    return (first_day(period) - timedelta(days=1)).isoformat()[:7]


@cache
def _pattern(least: int, most: int) -> NumberPattern:
    decimals = "." + "0" * least + "#" * (most - least) if most else ""
    return parse_pattern(f"#,##0{decimals}")


def _decimals(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
