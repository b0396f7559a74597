"""How Xero writes things: JSON with exact decimals, Microsoft JSON dates, page and error bodies.

Only forms belong here; rules of the business do not. This is written apart from the exporter's own
encoder on purpose, so that one fault cannot hide in both.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]

ZERO_ID = "00000000-0000-0000-0000-000000000000"
CENT = Decimal("0.01")
_MS_DATE = re.compile(r"^/Date\((-?\d+)(?:[+-]\d{4})?\)/$")


def dumps(value: Any) -> str:
    """JSON text in which a Decimal is a plain number literal with all its digits."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(str(k))}:{dumps(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(dumps(v) for v in value) + "]"
    return json.dumps(value)


def loads(text: str | bytes) -> Any:
    """JSON value in which every number with a point or an exponent is a Decimal."""
    return json.loads(text, parse_float=Decimal)


def cents(value: Decimal) -> Decimal:
    """Xero's rounding of money: two decimals, half up on the magnitude."""
    return value.quantize(CENT, rounding=ROUND_HALF_UP)


def places(value: Decimal, count: int) -> Decimal:
    """`value` with at most `count` decimals, half up."""
    return value.quantize(Decimal(1).scaleb(-count), rounding=ROUND_HALF_UP)


def ms_date(day: date) -> str:
    """A calendar date as Xero answers it."""
    at = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return f"/Date({int(at.timestamp()) * 1000}+0000)/"


def ms_instant(ms: int) -> str:
    """An instant in epoch milliseconds as Xero answers it."""
    return f"/Date({ms}+0000)/"


def iso_instant(ms: int) -> str:
    """An instant in epoch milliseconds as ISO text without offset (UTC), as in `…String`."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    return at.strftime("%Y-%m-%dT%H:%M:%S")


def parse_date(value: object) -> date | None:
    """A date as Xero accepts it: ISO date or date-time, or a Microsoft JSON date; else None."""
    if not isinstance(value, str):
        return None
    if found := _MS_DATE.match(value):
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(found[1]))).date()
    try:
        return date.fromisoformat(value[:10])
    except ValueError:
        return None


def parse_since(value: str) -> datetime | None:
    """`If-Modified-Since`: ISO with or without offset (then UTC) or HTTP date; in seconds."""
    try:
        if value.endswith(" GMT"):
            return datetime.strptime(value, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return at.replace(microsecond=0)


def decimal_of(value: object) -> Decimal | None:
    """A number of a request as a Decimal; None when it is absent or no number."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, Decimal):
        return value
    if isinstance(value, int):
        return Decimal(value)
    if isinstance(value, str):
        try:
            return Decimal(value)
        except ArithmeticError:
            return None
    return None
