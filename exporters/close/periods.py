"""Dates around a period: whether it is over, and which day it is where the seller is. A period ends
at local midnight in each contract's billing timezone, so for one statement it ends with the last of
its contracts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

import pytz

from exporters.close.errors import CloseError

PERIOD: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
LAST_ZONE: Final = timezone(timedelta(hours=-12))
# pytz names a country's zones in an order of its own; here the first is not where the capital is.
CAPITALS: Final = {
    "AU": "Australia/Sydney",
    "BR": "America/Sao_Paulo",
    "CA": "America/Toronto",
    "RU": "Europe/Moscow",
    "UA": "Europe/Kyiv",
}


def check_period(period: str) -> str:
    """The period as given. Raises CloseError unless it is written YYYY-MM."""
    if not PERIOD.fullmatch(period):
        raise CloseError(f"period {period!r} is not a month; write it like 2026-10")
    return period


def period_end(period: str, timezones: Iterable[str]) -> datetime:
    """The UTC instant at which the period is over in all the timezones; where none is given, over
    everywhere on Earth."""
    year, month = (int(part) for part in period.split("-"))
    following = (year + month // 12, month % 12 + 1)
    zones: list[tzinfo] = [ZoneInfo(name) for name in timezones] or [LAST_ZONE]
    return max(datetime(*following, 1, tzinfo=zone).astimezone(UTC) for zone in zones)


def local_date(now: datetime, country: str) -> date:
    """The date at `now` in the country's (capital's) timezone; the UTC date for an unknown
    country."""
    code = country.upper()
    names = [CAPITALS[code]] if code in CAPITALS else pytz.country_timezones.get(code, [])
    return now.astimezone(ZoneInfo(names[0]) if names else UTC).date()
