"""Reading the times a site prints: offset or named zone, the missing hour, the doubled one.

Sites stamp readings in ISO 8601, in seconds since 1970, or in local time without an offset. Which
it is stands in the site's configuration; nothing is guessed. A local time that a clock never
showed is an error. One that it showed twice is read as the configuration says.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections import Counter
from collections.abc import Hashable
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BeforeValidator, field_validator

from connectors.base import ConfigModel

DoubledHour = Literal["refuse", "earlier", "later", "ascending", "descending"]

_EPOCHS: Final = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class TimeField(ConfigModel):
    """Where a time stands in a record, and how it is written."""

    field: str
    """Column or path of the time."""
    format: str = "iso"
    """`iso` (ISO 8601), `epoch_s`, `epoch_ms`, `epoch_us`, or a pattern such as
    `%d.%m.%Y %H:%M` (Python's strptime)."""
    timezone: str | None = None
    """Zone of times without an offset: an IANA name, or `site` for the site's own. Without it,
    a time without an offset is rejected."""
    doubled_hour: DoubledHour = "refuse"
    """What a local time means that the clock shows twice in autumn: `earlier` or `later` of the
    two; `ascending`: the first time a meter shows it in an answer it is the earlier one, the
    second time the later; `descending`: the other way round; `refuse` rejects the row."""

    @field_validator("timezone")
    @classmethod
    def _known(cls, timezone: str | None) -> str | None:
        if timezone not in (None, "site") and timezone not in available_timezones():
            raise ValueError("expected an IANA name such as Europe/Oslo, or site")
        return timezone

    @field_validator("format")
    @classmethod
    def _readable(cls, format_: str) -> str:
        if format_ != "iso" and format_ not in _EPOCHS and "%" not in format_:
            raise ValueError("expected iso, epoch_s, epoch_ms, epoch_us or a strptime pattern")
        return format_


def _from_text(value: Any) -> Any:
    return {"field": value} if isinstance(value, str) else value


TimeSpec = Annotated[TimeField, BeforeValidator(_from_text)]
"""A ``TimeField``, or just the name of the field if it holds ISO 8601 with an offset."""


class TimeReader:
    """Turns what a site printed into an aware instant in UTC.

    Keeps count of doubled local times within one answer; call ``new_answer`` before the next.
    """

    def __init__(self, spec: TimeField, *, site_timezone: str) -> None:
        self._spec = spec
        name = site_timezone if spec.timezone == "site" else spec.timezone
        self._zone = ZoneInfo(name) if name is not None else None
        self._seen: Counter[Hashable] = Counter()

    def new_answer(self) -> None:
        """Forget which doubled times were seen."""
        self._seen.clear()

    def read(self, value: object, *, of: Hashable) -> dt.datetime:
        """Return the instant; ``of`` is whose time it is, to count doubled ones.

        Raises ``ValueError`` saying what is wrong with the value.
        """
        read = self._parse(value)
        if read.utcoffset() is not None:
            return read.astimezone(dt.UTC)
        if self._zone is None:
            raise ValueError(
                "has no offset from UTC, and the configuration names no timezone for it"
            )
        return self._localized(read, of)

    def _parse(self, value: object) -> dt.datetime:
        if isinstance(value, dt.datetime):
            return value
        if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
            raise ValueError("is not a time")
        scale = _EPOCHS.get(self._spec.format)
        if scale is not None:
            return _since_epoch(value, scale)
        if not isinstance(value, str):
            raise ValueError(f"is not a text in the form {self._spec.format}")
        return _parsed(value.strip(), self._spec.format)

    def _localized(self, local: dt.datetime, of: Hashable) -> dt.datetime:
        earlier = local.replace(tzinfo=self._zone, fold=0)
        later = local.replace(tzinfo=self._zone, fold=1)
        if earlier.utcoffset() == later.utcoffset():
            return earlier.astimezone(dt.UTC)
        back = earlier.astimezone(dt.UTC).astimezone(self._zone).replace(tzinfo=None)
        if back != local:
            raise ValueError(f"does not exist in {self._zone}: clocks went forward over it")
        match self._spec.doubled_hour:
            case "refuse":
                raise ValueError(
                    f"happened twice in {self._zone}: clocks went back; say in doubled_hour which "
                    "one is meant"
                )
            case "earlier":
                return earlier.astimezone(dt.UTC)
            case "later":
                return later.astimezone(dt.UTC)
        self._seen[(of, local)] += 1
        seen = self._seen[(of, local)]
        if seen > 2:
            raise ValueError(f"happened twice in {self._zone}, but stands here {seen} times")
        first = self._spec.doubled_hour == "ascending"
        chosen = earlier if (seen == 1) == first else later
        return chosen.astimezone(dt.UTC)


# Many meters are read at one time, so the same text comes again and again.
@functools.lru_cache(maxsize=4096)
def _parsed(text: str, format_: str) -> dt.datetime:
    if format_ == "iso":
        try:
            return dt.datetime.fromisoformat(text)
        except ValueError:
            raise ValueError("is not a time in ISO 8601") from None
    try:
        # The zone comes from the pattern (%z) or from the configuration, in read().
        return dt.datetime.strptime(text, format_)  # noqa: DTZ007
    except ValueError:
        raise ValueError(f"is not a time in the form {format_}") from None


def _since_epoch(value: str | int | Decimal, scale: int) -> dt.datetime:
    try:
        microseconds = Decimal(value) * scale
        return _EPOCH + dt.timedelta(microseconds=int(microseconds.to_integral_value()))
    except (InvalidOperation, OverflowError, ValueError):
        raise ValueError("is not a number of seconds since 1970") from None
