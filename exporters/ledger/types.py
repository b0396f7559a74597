"""Column types of the ledger. Here is how an exact value of Python becomes a stored value and comes
back the same on SQLite and PostgreSQL alike, and how it is written down when a row is hashed. What
the columns mean is said in `tables`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Date, DateTime, Dialect, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

INSTANT_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


class ExactDecimal(TypeDecorator[Decimal]):
    """A decimal kept as text, digit for digit, its scale too: SQLite has no decimal type and would
    take it through a binary float. SQL must not compare or add such columns; Python does."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        if value is None:
            return None
        if not isinstance(value, Decimal):
            raise TypeError(f"expected a Decimal, got {type(value).__name__} {value!r}")
        if not value.is_finite():
            raise ValueError(f"expected a finite decimal, got {value}")
        return format(value, "f")

    def process_result_value(self, value: str | None, dialect: Dialect) -> Decimal | None:  # noqa: ARG002
        return None if value is None else Decimal(value)


class Instant(TypeDecorator[datetime]):
    """An aware UTC instant to the microsecond: timestamptz on PostgreSQL, fixed-width ISO text
    (which sorts as time does) on SQLite. A naive datetime is refused: nobody knows which instant
    it is."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(DateTime(timezone=True))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if not isinstance(value, datetime) or value.utcoffset() is None:
            raise TypeError(f"expected an aware datetime, got {value!r}")
        in_utc = value.astimezone(UTC)
        return in_utc if dialect.name == "postgresql" else in_utc.strftime(INSTANT_FORMAT)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        if isinstance(value, datetime):
            return value.astimezone(UTC)
        instant = datetime.fromisoformat(value)  # many times faster than strptime
        if instant.tzinfo is None:
            raise ValueError(f"the ledger holds an instant without offset: {value!r}")
        return instant


class CalendarDate(TypeDecorator[date]):
    """A date of the calendar. A datetime is refused, though Python calls it a date: cutting it
    would choose a timezone silently."""

    impl = Date
    cache_ok = True

    def process_bind_param(self, value: date | None, dialect: Dialect) -> date | None:  # noqa: ARG002
        if value is not None and (isinstance(value, datetime) or not isinstance(value, date)):
            raise TypeError(f"expected a date, got {type(value).__name__} {value!r}")
        return value

    def process_result_value(self, value: date | None, dialect: Dialect) -> date | None:  # noqa: ARG002
        return value


class JsonText(TypeDecorator[str]):
    """JSON as text. A mapping or a list is written with sorted keys, decimals, dates and instants
    as strings; text is kept as it came (an answer is evidence, also when it is not JSON). Reads
    give text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        if value is None or isinstance(value, str):
            return value
        return to_json(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return value


def to_json(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """JSON text with sorted keys; decimals, dates and instants become strings, floats are
    refused."""
    return json.dumps(jsonable(value), sort_keys=True, ensure_ascii=False)


def canonical(value: object) -> str | int | None:
    """The one spelling of a value: decimals digit for digit, instants in UTC to the microsecond."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime(INSTANT_FORMAT)
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"the ledger keeps no {type(value).__name__}: {value!r}")


def jsonable(value: Any) -> Any:
    """The value with nothing in it that JSON lacks: decimals, dates and instants become strings."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    return canonical(value)
