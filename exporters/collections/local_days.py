"""Days as a payer sees them: the local date of a country, its weekends and its public holidays.

Public holidays are those of the book; nothing here asks a package for them. A country's date is
that of its (only) timezone, or of its seat of government's where it has several
(`country_timezones.yml`). Weekends by country are Unicode CLDR's.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import pytz
import yaml
from babel import Locale, UnknownLocaleError


@cache
def _seats_of_government() -> dict[str, str]:
    path = Path(__file__).with_name("country_timezones.yml")
    with path.open(encoding="utf-8") as file:
        return {str(country): str(zone) for country, zone in yaml.safe_load(file).items()}


@cache
def timezone_of(country: str) -> ZoneInfo:
    """The timezone whose date is the local date of `country` (ISO 3166-1 alpha-2); UTC for a
    code that the tz database does not know."""
    zone = _seats_of_government().get(country)
    if zone is None:
        zones = pytz.country_timezones.get(country, [])
        zone = zones[0] if zones else "UTC"
    return ZoneInfo(zone)


def local_date(instant: datetime, *, country: str) -> date:
    """The date in `country` at `instant` (aware)."""
    return instant.astimezone(timezone_of(country)).date()


@cache
def weekend_of(country: str) -> frozenset[int]:
    """Weekdays (Monday = 0) that are the weekend of `country`."""
    try:
        locale = Locale.parse(f"und_{country}")
    except (UnknownLocaleError, ValueError):
        return frozenset({5, 6})
    day, days = locale.weekend_start, [locale.weekend_start]
    while day != locale.weekend_end:
        day = (day + 1) % 7
        days.append(day)
    return frozenset(days)


def why_no_business_day(
    day: date, *, country: str, holidays: Collection[tuple[str, date]]
) -> str | None:
    """Why `day` is no business day of `country`, in words; None if it is one."""
    if (country, day) in holidays:
        return f"{day} is a public holiday in {country}"
    if day.weekday() in weekend_of(country):
        return f"{day} is a {day:%A}, weekend in {country}"
    return None
