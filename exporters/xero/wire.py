"""Exact numbers to and from JSON of Xero: an amount is a Decimal here and digits on the wire.

The SDK sends money as binary floats and reads answers into models that raise on what they do
not know; both are avoided by coding here. Nothing in this module knows what a field means.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]

_MS_DATE = re.compile(r"^/Date\((-?\d+)(?:[+-]\d{4})?\)/$")


def encode(value: object) -> str:
    """JSON text; a Decimal becomes a number literal with its own digits, never an exponent.

    Raises TypeError for a float: no binary fraction may reach an invoice.
    """
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dict):
        inside = ",".join(f"{json.dumps(str(k))}:{encode(v)}" for k, v in value.items())
        return "{" + inside + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(encode(item) for item in value) + "]"
    if isinstance(value, date):
        return json.dumps(value.isoformat())
    if value is None or isinstance(value, str | bool | int):
        return json.dumps(value)
    raise TypeError(f"a {type(value).__name__} cannot be sent to Xero: {value!r}")


def decode(text: str) -> Any:
    """JSON value with exact decimals. Raises ValueError when it is no JSON."""
    return json.loads(text, parse_float=Decimal)


def money(value: object) -> Decimal | None:
    """A number of an answer as a Decimal; None when it is null, absent or no number."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, Decimal):
        return value
    if isinstance(value, int | str):
        try:
            return Decimal(value)
        except ArithmeticError:
            return None
    return None


def day(value: object) -> date | None:
    """A date of an answer: `/Date(ms+0000)/` or ISO text; None when it is neither."""
    if not isinstance(value, str):
        return None
    if found := _MS_DATE.match(value):
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(found[1]))).date()
    try:
        return date.fromisoformat(value[:10])
    except ValueError:
        return None


def instant(value: object) -> datetime | None:
    """An instant of an answer, `/Date(ms+0000)/` or ISO text (UTC); None when it is neither."""
    if not isinstance(value, str):
        return None
    if found := _MS_DATE.match(value):
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(found[1]))
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def items(answer: object, name: str) -> list[Json]:
    """The objects under `name` in an answer; an empty list when there are none."""
    found = answer.get(name) if isinstance(answer, dict) else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
