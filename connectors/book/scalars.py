"""How a single value of the book is read: identifiers, decimals, dates, months, instants, codes.

A value arrives as text, exactly as a person wrote it, and is either understood completely or
refused with what was expected. Nothing is trimmed, rounded, guessed or converted from a binary
number. The types are pydantic's, so that a table of the book is a model with one line a column.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, NoReturn
from urllib.parse import urlsplit

from pydantic import PlainValidator
from pydantic_core import PydanticCustomError

from connectors.book.iso import COUNTRIES, CURRENCY_DIGITS
from connectors.book.localtime import known_zones, local_midnight
from connectors.units import METRICS, UNITS

CANONICAL_UNIT = {"energy": "kWh", "runtime": "h", "traffic": "GB", "fuel": "l"}
BILLABLE_METRICS = tuple(metric for metric in METRICS if metric in CANONICAL_UNIT)

_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DECIMAL = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?")
_WHOLE = re.compile(r"-?[0-9]{1,9}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})"
)
_CLOCK = re.compile(r"([0-9]{2}):([0-9]{2})")
_EMAIL = re.compile(r"[^@\s,;]+@[^@\s,;]+")
_LANGUAGE = re.compile(r"[a-z]{2,3}([-_][A-Za-z0-9]{2,8})*")
_ENVIRONMENT = re.compile(r"[A-Z_][A-Z0-9_]*")
_EVENTS = re.compile(r"[a-z_]+(\.[a-z_]+)*(\.\*)?|\*")


class Scalar(str):
    """A plain (unquoted) YAML scalar as written, with the `kind` YAML would have made of it."""

    __slots__ = ("kind",)
    kind: str

    def __new__(cls, text: str, kind: str) -> Scalar:
        self = super().__new__(cls, text)
        self.kind = kind
        return self


def refuse(message: str) -> NoReturn:
    """Say what was expected; the reader of the file adds where and what was there."""
    raise PydanticCustomError("book", "{message}", {"message": message})


@dataclass(frozen=True, slots=True)
class When:
    """A moment as written: a bare local date, or an instant with offset."""

    text: str
    day: date | None
    instant: datetime | None

    def resolve(self, zone: str) -> datetime:
        """The instant in UTC; a bare date begins at local midnight of `zone`."""
        if self.instant is not None:
            return self.instant
        if self.day is None:  # pragma: no cover - one of the two is always there
            raise ValueError(self.text)
        return local_midnight(self.day, zone)


def _text(value: object) -> str:
    if isinstance(value, Scalar) and value.kind in {"bool", "null"}:
        refuse("expected text; put it in quotes if it is meant as text")
    if not isinstance(value, str):
        refuse(f"expected text, not a {_kind_of(value)}")
    if not value.strip():
        refuse("expected text, found nothing")
    if value != value.strip():
        refuse("remove the spaces at the beginning or end")
    if _CONTROL.search(value):
        refuse("contains a control character (a tab or line break, for instance); remove it")
    return str(value)


def _kind_of(value: object) -> str:
    names: dict[type, str] = {dict: "mapping", list: "list", type(None): "null"}
    return names.get(type(value), type(value).__name__)


def _identifier(value: object) -> str:
    text = _text(value)
    if not _IDENTIFIER.fullmatch(text):
        refuse(
            "expected an identifier: letters, digits, '_', '.', '-', beginning with a letter or "
            "digit, at most 64 characters"
        )
    return text


def _group_identifier(value: object) -> str:
    text = _identifier(value)
    if text in {"all", "general"} or text.startswith("x-"):
        refuse("is reserved: 'all', 'general' and names beginning with 'x-' name statement groups")
    return text


def _charge_code(value: object) -> str:
    text = _identifier(value)
    if text == "credit":
        refuse("'credit' is the code of credits and cannot be the code of a charge")
    return text


def _meter(value: object) -> str:
    text = _text(value)
    if len(text) > 128:
        refuse("expected at most 128 characters")
    return text


def _decimal(decimals: int, digits: int, *, least: str = "0", above: bool = False) -> Any:
    """Decimal text with at most `decimals` decimals and `digits` digits before the point."""
    bound = Decimal(least)

    def read(value: object) -> Decimal:
        if isinstance(value, Scalar) and value.kind in {"int", "float"}:
            refuse(
                "expected a decimal in quotes; an unquoted number is a binary float to many "
                f'programs, so write it as a quoted decimal string: "{value}"'
            )
        if isinstance(value, bool | int | float):
            refuse("expected a decimal; write it as a quoted decimal string")
        text = _text(value)
        match = _DECIMAL.fullmatch(text)
        if match is None:
            refuse(
                "expected a plain decimal such as 1234.50 (point for the decimals, no thousands "
                "separator, no exponent, no unit)"
            )
        whole, fraction = match[2].lstrip("0"), match[3] or ""
        if len(fraction) > decimals:
            refuse(f"expected at most {decimals} decimals, found {len(fraction)}")
        if len(whole) > digits:
            refuse(f"expected at most {digits} digits before the point, found {len(whole)}")
        number = Decimal(text)
        if above and number <= bound:
            refuse(f"expected more than {least}")
        if number < bound:
            refuse(f"expected {least} or more")
        return number

    return PlainValidator(read)


def _whole(least: int, most: int) -> Any:
    def read(value: object) -> int:
        if isinstance(value, Scalar) and value.kind != "int":
            refuse("expected a whole number")
        text = _text(value)
        if not _WHOLE.fullmatch(text):
            refuse("expected a whole number")
        number = int(text)
        if not least <= number <= most:
            refuse(f"expected a whole number from {least} to {most}")
        return number

    return PlainValidator(read)


def _one_of(*words: str) -> Any:
    def read(value: object) -> str:
        text = _text(value)
        if text not in words:
            refuse("expected one of: " + ", ".join(words))
        return text

    return PlainValidator(read)


def _yaml_bool(value: object) -> bool:
    if not (isinstance(value, Scalar) and value.kind == "bool"):
        refuse("expected true or false")
    return value == "true"


def _yes(value: object) -> bool:
    if _text(value) != "yes":
        refuse("expected 'yes' or nothing")
    return True


def _piped(read: Callable[[object], str]) -> Any:
    def split(value: object) -> tuple[str, ...]:
        parts = tuple(read(part) for part in _text(value).split("|"))
        if len(set(parts)) != len(parts):
            refuse("names something twice")
        return parts

    return PlainValidator(split)


def _metric(value: object) -> str:
    text = _text(value)
    if text not in METRICS:
        refuse("expected one of: " + ", ".join(METRICS))
    return text


def _billable_metric(value: object) -> str:
    text = _metric(value)
    if text not in CANONICAL_UNIT:
        refuse("power becomes energy before it is billed; write energy")
    return text


def _unit(value: object) -> str:
    text = _text(value)
    if not any(text in UNITS[metric] for metric in BILLABLE_METRICS):
        known = ", ".join(unit for metric in BILLABLE_METRICS for unit in UNITS[metric])
        refuse(f"expected one of the units {known}")
    return text


def _country(value: object) -> str:
    text = _text(value)
    if text not in COUNTRIES:
        refuse("expected a country as ISO 3166-1 alpha-2, for example NO")
    return text


def _currency(value: object) -> str:
    text = _text(value)
    if text not in CURRENCY_DIGITS:
        refuse("expected a currency as ISO 4217, for example EUR")
    return text


def _billing_currency(value: object) -> str:
    text = _currency(value)
    if CURRENCY_DIGITS[text] > 2:
        refuse(
            f"amounts have at most 2 decimals, and this currency has {CURRENCY_DIGITS[text]} "
            "(ISO 4217); bill in another"
        )
    return text


def _zone(value: object) -> str:
    text = _text(value)
    if text not in known_zones():
        refuse("expected a time zone of the IANA database, for example Europe/Oslo")
    return text


def _read_day(text: str) -> date:
    if not _DAY.fullmatch(text):
        refuse("expected a date YYYY-MM-DD")
    try:
        day = date.fromisoformat(text)
    except ValueError:
        refuse("is no date of the calendar")
    if day.year < 1970:
        refuse("expected a date from 1970-01-01 on")
    return day


def _calendar_date(value: object) -> date:
    return _read_day(_text(value))


def _month(value: object) -> str:
    text = _text(value)
    if not _MONTH.fullmatch(text):
        refuse("expected a month YYYY-MM: versions change only between periods")
    if text < "1970-01":
        refuse("expected a month from 1970-01 on")
    return text


def _instant(value: object) -> datetime:
    text = _text(value)
    if not _INSTANT.fullmatch(text):
        refuse("expected an instant with its offset, for example 2026-10-15T12:00:00Z")
    try:
        instant = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        refuse("is no instant of the calendar")
    if instant.year < 1970:
        refuse("expected an instant from 1970 on")
    return instant


def _utc_hour(value: object) -> datetime:
    instant = _instant(value)
    if instant.minute or instant.second or instant.microsecond:
        refuse("expected the beginning of an hour in UTC, for example 2026-10-15T12:00:00Z")
    return instant


def _when(value: object) -> When:
    text = _text(value)
    if "T" in text or " " in text:
        return When(text, None, _instant(text))
    if not _DAY.fullmatch(text):
        refuse(
            "expected a date YYYY-MM-DD (local midnight) or an instant with its offset, for "
            "example 2026-10-15T12:00:00Z"
        )
    return When(text, _read_day(text), None)


def _minute_of_day(value: object) -> int:
    text = _text(value)
    match = _CLOCK.fullmatch(text)
    if match is None:
        refuse('expected a time of day "HH:MM"')
    minute = int(match[1]) * 60 + int(match[2])
    if int(match[2]) > 59 or minute > 24 * 60:
        refuse('expected a time of day from "00:00" to "24:00"')
    if minute % 15:
        refuse("expected a time on a quarter of an hour (:00, :15, :30, :45)")
    return minute


def clock_text(minute: int) -> str:
    """`1440` gives `24:00`."""
    return "24:00" if minute == 24 * 60 else time(minute // 60, minute % 60).strftime("%H:%M")


def _email(value: object) -> str:
    text = _text(value)
    if not _EMAIL.fullmatch(text):
        refuse("expected one e-mail address")
    return text


def _language(value: object) -> str:
    text = _text(value)
    if not _LANGUAGE.fullmatch(text):
        refuse("expected a language tag, for example en or nb-NO")
    return text


def _environment_name(value: object) -> str:
    text = _text(value)
    if not _ENVIRONMENT.fullmatch(text):
        refuse("expected the name of an environment variable (a secret itself never stands here)")
    return text


def _secret_names(value: object) -> tuple[str, ...]:
    names = tuple(
        _environment_name(name) for name in (value if isinstance(value, list) else [value])
    )
    if not 1 <= len(names) <= 2 or len(set(names)) != len(names):
        refuse("expected one name, or a list of two while secrets are exchanged: [NEW, OLD]")
    return names


def _webhook_url(value: object) -> str:
    text = _text(value)
    parts = urlsplit(text)
    try:
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or parts.fragment or " " in text:
        refuse("expected an address such as https://billing.example.com/events")
    if parts.username is not None or parts.password is not None:
        refuse("a name or password does not stand here; requests are signed with the secret")
    if parts.scheme == "http" and not is_loopback_host(host):
        refuse("expected https://; without TLS only a receiver on this machine is told")
    return text


def is_loopback_host(host: str) -> bool:
    """Whether a host name or address is this machine by its name alone."""
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def is_private_host(host: str) -> bool:
    """Whether a host is, by its name alone, this machine or one that the internet does not know."""
    address = _address(host)
    return host == "localhost" or (address is not None and not address.is_global)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _event_pattern(value: object) -> str:
    text = _text(value)
    if not _EVENTS.fullmatch(text):
        refuse("expected an event such as invoice.paid, a group such as invoice.*, or *")
    return text


def _statement_url(value: object) -> str:
    text = _text(value)
    fields = re.findall(r"\{([^{}]*)\}", text)
    parts = urlsplit(re.sub(r"\{[^{}]*\}", "x", text))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        refuse("expected the address of a statement, such as https://billing.example.com/{number}")
    if "number" not in fields or set(fields) - {"number", "period", "payer_id"}:
        refuse("expected an address with {number}, and at most {period} and {payer_id} besides")
    return text


Text = Annotated[str, PlainValidator(_text)]
Identifier = Annotated[str, PlainValidator(_identifier)]
GroupIdentifier = Annotated[str, PlainValidator(_group_identifier)]
ChargeCode = Annotated[str, PlainValidator(_charge_code)]
MeterId = Annotated[str, PlainValidator(_meter)]
Metric = Annotated[str, PlainValidator(_metric)]
BillableMetric = Annotated[str, PlainValidator(_billable_metric)]
Metrics = Annotated[tuple[str, ...], _piped(_metric)]
Methods = Annotated[tuple[str, ...], _piped(_identifier)]
Unit = Annotated[str, PlainValidator(_unit)]
Country = Annotated[str, PlainValidator(_country)]
Currency = Annotated[str, PlainValidator(_currency)]
BillingCurrency = Annotated[str, PlainValidator(_billing_currency)]
Zone = Annotated[str, PlainValidator(_zone)]
CalendarDate = Annotated[date, PlainValidator(_calendar_date)]
Month = Annotated[str, PlainValidator(_month)]
Instant = Annotated[datetime, PlainValidator(_instant)]
UtcHour = Annotated[datetime, PlainValidator(_utc_hour)]
Moment = Annotated[When, PlainValidator(_when)]
MinuteOfDay = Annotated[int, PlainValidator(_minute_of_day)]
Email = Annotated[str, PlainValidator(_email)]
Language = Annotated[str, PlainValidator(_language)]
StatementUrl = Annotated[str, PlainValidator(_statement_url)]
EnvironmentName = Annotated[str, PlainValidator(_environment_name)]
SecretNames = Annotated[tuple[str, ...], PlainValidator(_secret_names)]
WebhookUrl = Annotated[str, PlainValidator(_webhook_url)]
EventPattern = Annotated[str, PlainValidator(_event_pattern)]
YamlBool = Annotated[bool, PlainValidator(_yaml_bool)]
Yes = Annotated[bool, PlainValidator(_yes)]

# Digits are those of the compiled columns: money DECIMAL(24,9), percentages DECIMAL(18,4), taxes
# DECIMAL(9,4), exchange rates DECIMAL(24,12), index prices DECIMAL(18,6).
Money = Annotated[Decimal, _decimal(9, 15)]
PositiveMoney = Annotated[Decimal, _decimal(9, 15, above=True)]
# A price of one unit: lines show it as DECIMAL(18,9).
Rate = Annotated[Decimal, _decimal(9, 9)]
SignedMoney = Annotated[Decimal, _decimal(9, 15, least="-999999999999999")]
Quantity = Annotated[Decimal, _decimal(9, 15)]
PositiveQuantity = Annotated[Decimal, _decimal(9, 15, above=True)]
Percent = Annotated[Decimal, _decimal(4, 14)]
Multiplier = Annotated[Decimal, _decimal(4, 14)]
TaxPercent = Annotated[Decimal, _decimal(4, 5)]
ExchangeRate = Annotated[Decimal, _decimal(12, 12, above=True)]
IndexPrice = Annotated[Decimal, _decimal(6, 12, least="-999999999999")]

Priority = Annotated[int, _whole(-999_999_999, 999_999_999)]
Days = Annotated[int, _whole(0, 3_650)]
Count = Annotated[int, _whole(0, 1_000_000)]
PositiveCount = Annotated[int, _whole(1, 1_000_000)]
IntervalMinutes = Annotated[int, _whole(1, 1_440)]
Estimation = Annotated[str, _one_of("none", "interpolate", "like_day")]
Consolidation = Annotated[str, _one_of("one", "by_region", "by_site")]
CreditKind = Annotated[str, _one_of("sla", "goodwill", "promotion", "prepaid")]
EditAction = Annotated[str, _one_of("reject", "accept", "set")]
AlertMeasure = Annotated[str, _one_of("energy_kwh", "amount")]
DayType = Annotated[str, _one_of("mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday")]
DunningAction = Annotated[str, _one_of("email", "suspend_machines")]
DunningApproval = Annotated[str, _one_of("auto", "manual")]
BankDates = Annotated[
    str,
    _one_of("YYYY-MM-DD", "DD.MM.YYYY", "DD/MM/YYYY", "MM/DD/YYYY", "DD-MM-YYYY", "YYYYMMDD"),
]
BankDecimal = Annotated[str, _one_of("point", "comma")]
BankThousands = Annotated[str, _one_of("none", "point", "comma", "space", "apostrophe")]
BankDelimiter = Annotated[str, _one_of("comma", "semicolon", "tab")]
BankEncoding = Annotated[str, _one_of("utf-8", "iso-8859-1", "windows-1252")]
BankOrder = Annotated[str, _one_of("oldest_first", "newest_first")]
PerGraduated = Annotated[str, _one_of("site", "contract", "machine")]
PerVolume = Annotated[str, _one_of("site", "contract")]
PerSite = Annotated[str, _one_of("site")]
PerRecurring = Annotated[str, _one_of("contract", "site", "machine")]
Prorate = Annotated[str, _one_of("time", "none")]
DemandUnit = Annotated[str, _one_of("kW")]
EnergyMetric = Annotated[str, _one_of("energy")]


def _window(value: object) -> int:
    text = _text(value)
    if text not in {"15", "30", "60"} or (isinstance(value, Scalar) and value.kind != "int"):
        refuse("expected 15, 30 or 60")
    return int(text)


def _whole_or_decimal_percent(value: object) -> Decimal:
    text = _text(value)
    if isinstance(value, Scalar) and value.kind == "float":
        refuse(f'write it as a quoted decimal string: "{value}"')
    match = _DECIMAL.fullmatch(text)
    if match is None or match[1] or len(match[3] or "") > 4 or len(match[2].lstrip("0")) > 14:
        refuse("expected a percentage of 0 or more with at most 4 decimals")
    return Decimal(text)


WindowMinutes = Annotated[int, PlainValidator(_window)]
# The one percentage of the book that is no price: 30 may be written without quotes.
Tolerance = Annotated[Decimal, PlainValidator(_whole_or_decimal_percent)]
