"""From a site's records to rows of the landing zone, as the site's configuration maps them.

A record is whatever a source reads: a line of a file, an object of an answer, a row of a query. The
mapping says field by field where a value stands or what it is; nothing is guessed and nothing is
defaulted. A record that cannot be read becomes a ``Rejected`` naming meter, field and value, and
the records after it go on.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import re
import string
import uuid
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

import polars as pl
from pydantic import BeforeValidator, Field, model_validator

from connectors.base import Batch, ConfigModel, Rejected
from connectors.tables import CHARGE_EVENTS, IDENTIFIER, INDEX_PRICES, READINGS, Table
from connectors.times import TimeField, TimeReader, TimeSpec
from connectors.units import fit_decimal, multiply_exactly, parse_decimal

Get = Callable[[Any, str], object]
"""How a source looks a field up in its records: None if it is not there or empty of meaning."""

BATCH_ROWS: Final = 10_000
_RAW_LENGTH: Final = 500
# What stands for itself when printed; bytes, lists and objects do not.
_SCALARS: Final = (str, int, Decimal, float, dt.date, uuid.UUID)

FRAME_SCHEMAS: Final[Mapping[str, Mapping[str, pl.DataType]]] = {
    READINGS.name: {
        "site_id": pl.String(),
        "source": pl.String(),
        "meter_id": pl.String(),
        "metric": pl.String(),
        "kind": pl.String(),
        "unit": pl.String(),
        "interval_start": pl.Datetime("us", "UTC"),
        "interval_end": pl.Datetime("us", "UTC"),
        "value": pl.Decimal(24, 9),
        "quality": pl.String(),
    },
    CHARGE_EVENTS.name: {
        "event_id": pl.String(),
        "site_id": pl.String(),
        "machine_id": pl.String(),
        "contract_id": pl.String(),
        "service_code": pl.String(),
        "classification": pl.String(),
        "occurred_at": pl.Datetime("us", "UTC"),
        "quantity": pl.Decimal(18, 6),
        "unit": pl.String(),
        "unit_amount": pl.Decimal(18, 6),
        "currency": pl.String(),
        "description": pl.String(),
    },
    INDEX_PRICES.name: {
        "index_id": pl.String(),
        "hour_start": pl.Datetime("us", "UTC"),
        "price": pl.Decimal(18, 6),
        "currency": pl.String(),
    },
}
"""Columns of the frames connectors yield: those of the landing table less what landing adds."""


# --- configuration -------------------------------------------------------------------------------


class ValueFrom(ConfigModel):
    """Where a value comes from: a field, a fixed text, or a text made of several fields."""

    field: str | None = None
    """Column or path of the value."""
    fixed: str | None = None
    """The same value for every record."""
    template: str | None = None
    """Text with fields in braces, such as `{rack}/{outlet}`."""
    map: dict[str, str] | None = None
    """What the site's words mean, such as `{Watts: W}`; a word that is not listed is rejected."""

    @model_validator(mode="after")
    def _one_origin(self) -> ValueFrom:
        if sum(v is not None for v in (self.field, self.fixed, self.template)) != 1:
            raise ValueError("give exactly one of field, fixed and template")
        if self.map is not None and self.fixed is not None:
            raise ValueError("a fixed value needs no map")
        if self.template is not None:
            fields_of(self.template)
        return self


@functools.lru_cache(maxsize=256)
def fields_of(template: str) -> tuple[str, ...]:
    """Return the fields a template names; raises ``ValueError`` if it is none."""
    names = []
    for _, name, spec, conversion in string.Formatter().parse(template):
        if name is None:
            continue
        if not name or spec or conversion:
            raise ValueError(f"expected fields in braces such as {{rack}}, got {template}")
        names.append(name)
    if not names:
        raise ValueError(f"{template} names no field in braces; use fixed")
    return tuple(names)


def _from_text(value: Any) -> Any:
    return {"field": value} if isinstance(value, str) else value


Origin = Annotated[ValueFrom, BeforeValidator(_from_text)]
"""A ``ValueFrom``, or just the name of the field."""


class RecordFilter(ConfigModel):
    """Which records of an answer are meant."""

    only: dict[str, list[str]] = Field(default_factory=dict)
    """Field and the values it must have; all must hold. Others are passed over."""
    without: dict[str, list[str]] = Field(default_factory=dict)
    """Field and the values it must not have."""


class Numbers(ConfigModel):
    """How the site prints numbers."""

    decimal_mark: Literal[".", ","] = "."
    group_mark: Literal["", ".", ",", " ", "'", "\u00a0", "\u202f"] = ""
    """What groups digits by three, if anything does."""

    @model_validator(mode="after")
    def _differ(self) -> Numbers:
        if self.decimal_mark == self.group_mark:
            raise ValueError("one character cannot mark the decimals and group the digits")
        return self


class ReadingMap(ConfigModel):
    """How records become meter readings."""

    meter_id: Origin
    """The source's own name of the device."""
    metric: Origin
    """energy, power, runtime, traffic or fuel."""
    kind: Origin
    """interval, register or gauge."""
    unit: Origin
    value: str
    """Column or path of the number."""
    multiply: Decimal = Field(default=Decimal(1), gt=0)
    """Exact factor, for meters that count in tenths: `"0.1"`."""
    start: TimeSpec | None = None
    """When the interval starts, or when a register or gauge was read."""
    end: TimeSpec | None = None
    """When the interval ends."""
    minutes: int | None = Field(default=None, ge=1, le=44640)
    """Length of each interval, where only its start or only its end is given."""
    quality: Origin = ValueFrom(fixed="good")
    """good, estimated or suspect; most sites need a `map` from their codes."""
    numbers: Numbers = Numbers()
    no_reading: list[str] = Field(default_factory=list)
    """Values that mean there is none, such as `""`, `N/A` or `-1`; such records are passed over."""
    records: RecordFilter = RecordFilter()
    repeated: Literal["reject", "last"] = "reject"
    """What to do with two different values for one meter and time in one answer: reject both, or
    take the last."""

    @model_validator(mode="after")
    def _times(self) -> ReadingMap:
        if self.start is None and (self.end is None or self.minutes is None):
            raise ValueError("give start, or end and minutes")
        if self.start is not None and self.end is not None and self.minutes is not None:
            raise ValueError("start, end and minutes say the same thing twice; leave one out")
        return self


class EventMap(ConfigModel):
    """How records become charge events."""

    event_id: Origin
    """The site's own number of the event; one that is no identifier is hashed, and kept in the
    description."""
    machine_id: Origin | None = None
    contract_id: Origin | None = None
    service_code: Origin
    classification: Origin
    """recurring, variable, exception or disputed."""
    occurred_at: TimeSpec
    quantity: Origin
    unit: Origin
    unit_amount: Origin
    currency: Origin
    description: Origin = ValueFrom(fixed="")
    numbers: Numbers = Numbers()
    records: RecordFilter = RecordFilter()
    repeated: Literal["reject", "last"] = "reject"


class PriceMap(ConfigModel):
    """How records become hourly index prices, per MWh."""

    index_id: Origin
    hour_start: TimeSpec
    price: str
    """Column or path of the price."""
    multiply: Decimal = Field(default=Decimal(1), gt=0)
    """Exact factor to a price per MWh: `"1000"` for a price per kWh."""
    currency: Origin
    numbers: Numbers = Numbers()
    records: RecordFilter = RecordFilter()
    repeated: Literal["reject", "last"] = "reject"


# --- building ------------------------------------------------------------------------------------


class RowFault(Exception):  # noqa: N818 - a fault of the record, not of the program
    """A record cannot be read; caught where the record is at hand, to make a ``Rejected``."""

    def __init__(self, field: str, value: object, reason: str) -> None:
        super().__init__(field, value, reason)
        self.field = field
        self.value = value
        self.reason = reason


class BatchBuilder:
    """Collects rows of one answer and hands them over in batches of bounded size."""

    def __init__(
        self, table: Table, *, origin: str, repeated: Literal["reject", "last"] = "reject"
    ) -> None:
        self._table = table
        self._schema = FRAME_SCHEMAS[table.name]
        self._origin = origin
        self._repeated: Literal["reject", "last"] = repeated
        self._rows: list[tuple[object, ...]] = []
        self._rejected: list[Rejected] = []
        self._skipped = 0

    def add(self, row: tuple[object, ...]) -> None:
        """Take a row, its values in the order of the table's columns."""
        self._rows.append(row)

    def skip(self) -> None:
        """Count a record that is passed over as the configuration says."""
        self._skipped += 1

    def reject(
        self,
        reason: str,
        *,
        row: int | None = None,
        meter: str | None = None,
        field: str | None = None,
        value: object = None,
        raw: object = None,
        origin: str | None = None,
    ) -> None:
        """Set a record aside; ``origin`` where it is narrower than that of the batch."""
        self._rejected.append(
            Rejected(
                reason=reason,
                origin=origin or self._origin,
                row=row,
                meter=meter,
                field=field,
                value=None if value is None else str(value)[:_RAW_LENGTH],
                raw=None if raw is None else str(raw)[:_RAW_LENGTH],
            )
        )

    def full(self) -> bool:
        """Whether it is time to hand over."""
        return len(self._rows) >= BATCH_ROWS or len(self._rejected) >= BATCH_ROWS

    def take(self) -> Batch:
        """Hand over what was collected."""
        batch = Batch(
            frame=pl.DataFrame(self._rows, schema=dict(self._schema), orient="row"),
            origin=self._origin,
            rejected=tuple(self._rejected),
            skipped=self._skipped,
            repeated=self._repeated,
        )
        self._rows, self._rejected, self._skipped = [], [], 0
        return batch

    def rest(self) -> Iterator[Batch]:
        """Hand over what is left, if anything is."""
        if self._rows or self._rejected or self._skipped:
            yield self.take()


class RowMapper:
    """Reads records of one kind of answer by its mapping."""

    def __init__(
        self,
        mapping: ReadingMap | EventMap | PriceMap,
        *,
        site_id: str,
        site_timezone: str,
        source: str,
        get: Get,
    ) -> None:
        self._site_id = site_id
        self._source = source
        self._get = get
        self._mapping = mapping
        self._clocks: dict[str, TimeReader] = {}
        self._read: Callable[[Any], tuple[object, ...] | None]
        match mapping:
            case ReadingMap():
                self.table = READINGS
                self._read = functools.partial(self._reading, mapping)
            case EventMap():
                self.table = CHARGE_EVENTS
                self._read = functools.partial(self._event, mapping)
            case PriceMap():
                self.table = INDEX_PRICES
                self._read = functools.partial(self._price, mapping)
        for name in ("start", "end", "occurred_at", "hour_start"):
            spec = getattr(mapping, name, None)
            if spec is not None:
                self._clocks[name] = TimeReader(spec, site_timezone=site_timezone)
        self._only = [(field, frozenset(v)) for field, v in mapping.records.only.items()]
        self._without = [(field, frozenset(v)) for field, v in mapping.records.without.items()]

    def builder(self, origin: str) -> BatchBuilder:
        """Begin a new answer."""
        for clock in self._clocks.values():
            clock.new_answer()
        return BatchBuilder(self.table, origin=origin, repeated=self._mapping.repeated)

    def map_into(
        self,
        builder: BatchBuilder,
        record: Any,
        *,
        row: int | None = None,
        origin: str | None = None,
    ) -> None:
        """Add the record's row to the builder, or its rejection."""
        try:
            read = self._read(record) if self._is_meant(record) else None
        except RowFault as fault:
            builder.reject(
                fault.reason,
                row=row,
                meter=self._subject(record),
                field=fault.field,
                value=fault.value,
                raw=record,
                origin=origin,
            )
            return
        if read is None:
            builder.skip()
        else:
            builder.add(read)

    def fields(self) -> set[str]:
        """Return every field of a record that the mapping looks at."""
        mapping = self._mapping
        fields = {*mapping.records.only, *mapping.records.without}
        for name in type(mapping).model_fields:
            value = getattr(mapping, name)
            if isinstance(value, ValueFrom):
                fields |= {value.field} if value.field is not None else set()
                fields |= set(fields_of(value.template)) if value.template is not None else set()
            elif isinstance(value, TimeField):
                fields.add(value.field)
        fields |= {mapping.value} if isinstance(mapping, ReadingMap) else set()
        fields |= {mapping.price} if isinstance(mapping, PriceMap) else set()
        return fields

    def _subject(self, record: Any) -> str | None:
        mapping = self._mapping
        match mapping:
            case ReadingMap():
                field, origin = "meter_id", mapping.meter_id
            case EventMap():
                field, origin = "event_id", mapping.event_id
            case PriceMap():
                field, origin = "index_id", mapping.index_id
        try:
            return self._text(record, field, origin)
        except RowFault:
            return None

    def _is_meant(self, record: Any) -> bool:
        return all(_plain(self._get(record, f)) in values for f, values in self._only) and all(
            _plain(self._get(record, f)) not in values for f, values in self._without
        )

    # Each value is looked up, and any fault told under the field's own name at the source.

    def _text(self, record: Any, name: str, origin: ValueFrom) -> str:
        if origin.fixed is not None:
            return origin.fixed
        if origin.template is not None:
            where = origin.template
            parts = {f: self._required(record, name, f) for f in fields_of(origin.template)}
            text = re.sub(r"\{([^{}]+)\}", lambda match: parts[match[1]], origin.template)
        else:
            where = origin.field or name
            text = self._required(record, name, where)
        if origin.map is None:
            return text
        try:
            return origin.map[text]
        except KeyError:
            raise RowFault(
                where, text, f"stands for no {name}: it is not in the map of {name}"
            ) from None

    def _required(self, record: Any, name: str, field: str) -> str:
        value = self._get(record, field)
        if value is None:
            raise RowFault(field, None, f"is missing; it gives the {name}")
        if not isinstance(value, _SCALARS):
            raise RowFault(field, value, f"is no text or number; it gives the {name}")
        return _plain(value)

    def _optional(self, record: Any, name: str, origin: ValueFrom | None) -> str | None:
        if origin is None:
            return None
        if origin.field is not None and self._get(record, origin.field) in (None, ""):
            return None
        return self._text(record, name, origin)

    def _number(self, field: str, value: object) -> Decimal:
        numbers = self._mapping.numbers
        if isinstance(value, bool) or value is None:
            raise RowFault(field, value, "is not a number")
        if isinstance(value, (int, Decimal)):
            number = Decimal(value)
            if not number.is_finite():
                raise RowFault(field, value, "is not a finite number")
            return number
        if isinstance(value, float):
            # The shortest text that reads back as the same number is what the source meant.
            value = repr(value)
            numbers = Numbers()
        try:
            return parse_decimal(
                str(value), decimal_mark=numbers.decimal_mark, group_mark=numbers.group_mark
            )
        except ValueError:
            raise RowFault(field, value, "is not a number") from None

    def _time(self, record: Any, name: str, of: Hashable) -> dt.datetime:
        spec = getattr(self._mapping, name)
        value = self._get(record, spec.field)
        if value is None or value == "":
            raise RowFault(spec.field, value, "is missing; it gives the time")
        try:
            return self._clocks[name].read(value, of=of)
        except (ValueError, OverflowError) as error:
            raise RowFault(spec.field, value, str(error)) from None

    def _reading(self, mapping: ReadingMap, record: Any) -> tuple[object, ...] | None:
        value = self._get(record, mapping.value)
        if mapping.no_reading and _plain(value) in mapping.no_reading:
            return None
        meter_id = self._text(record, "meter_id", mapping.meter_id)
        metric = self._text(record, "metric", mapping.metric)
        kind = self._text(record, "kind", mapping.kind)
        of = (meter_id, metric, kind)
        start = self._time(record, "start", of) if mapping.start is not None else None
        end = self._time(record, "end", of) if mapping.end is not None else None
        if mapping.minutes is not None and kind == "interval":
            length = dt.timedelta(minutes=mapping.minutes)
            start, end = (end - length, end) if start is None and end else (start, end)
            end = start + length if end is None and start else end
        if kind != "interval":
            # One instant; an end that a site prints beside it says nothing of its own.
            start, end = start or end, None
        number = multiply_exactly(self._number(mapping.value, value), mapping.multiply)
        try:
            number = fit_decimal(number, precision=24, scale=9)
        except ValueError as error:
            raise RowFault(mapping.value, value, str(error)) from None
        return (
            self._site_id,
            self._source,
            meter_id,
            metric,
            kind,
            self._text(record, "unit", mapping.unit),
            start,
            end,
            number,
            self._text(record, "quality", mapping.quality),
        )

    def _event(self, mapping: EventMap, record: Any) -> tuple[object, ...] | None:
        description = self._optional(record, "description", mapping.description) or ""
        event_id, description = _identified(
            "event_id", self._text(record, "event_id", mapping.event_id), description
        )
        service_code, description = _identified(
            "service_code", self._text(record, "service_code", mapping.service_code), description
        )
        return (
            event_id,
            self._site_id,
            self._optional(record, "machine_id", mapping.machine_id),
            self._optional(record, "contract_id", mapping.contract_id),
            service_code,
            self._text(record, "classification", mapping.classification),
            self._time(record, "occurred_at", event_id),
            self._exact(record, "quantity", mapping.quantity),
            self._text(record, "unit", mapping.unit),
            self._exact(record, "unit_amount", mapping.unit_amount),
            self._text(record, "currency", mapping.currency),
            description,
        )

    def _exact(self, record: Any, name: str, origin: ValueFrom) -> Decimal:
        """Read an amount or a quantity of work: billed as it stands, so never rounded here."""
        where = origin.field or name
        value: object = self._text(record, name, origin)
        if origin.field is not None and origin.map is None:
            value = self._get(record, origin.field)
        return self._six_decimals(where, value, self._number(where, value))

    def _six_decimals(self, field: str, value: object, number: Decimal) -> Decimal:
        try:
            fitted = fit_decimal(number, precision=18, scale=6)
        except ValueError as error:
            raise RowFault(field, value, str(error)) from None
        if fitted != number:
            raise RowFault(field, value, "has more than 6 decimals and would have to be rounded")
        return fitted

    def _price(self, mapping: PriceMap, record: Any) -> tuple[object, ...] | None:
        index_id = self._text(record, "index_id", mapping.index_id)
        value = self._get(record, mapping.price)
        number = multiply_exactly(self._number(mapping.price, value), mapping.multiply)
        return (
            identifier_of(index_id),
            self._time(record, "hour_start", index_id),
            self._six_decimals(mapping.price, value, number),
            self._text(record, "currency", mapping.currency),
        )


def _plain(value: object) -> str:
    """Return a value as the text a person wrote into the configuration."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value)


def identifier_of(text: str) -> str:
    """Return the text if it is an identifier, else one made from its hash."""
    if re.fullmatch(IDENTIFIER, text):
        return text
    return "h-" + hashlib.sha256(text.encode()).hexdigest()[:32]


def _identified(name: str, text: str, description: str) -> tuple[str, str]:
    identifier = identifier_of(text)
    if identifier == text:
        return text, description
    return identifier, f"{description} ({name} {text})".strip()


# --- looking fields up ---------------------------------------------------------------------------


def get_column(record: Mapping[str, object], field: str) -> object:
    """Look a column up by its whole name."""
    return record.get(field)


def get_path(record: object, path: str) -> object:
    """Follow a dotted path into an object; numbers are places in a list."""
    value = record
    for step in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
            if not step.isdigit() or int(step) >= len(value):
                return None
            value = value[int(step)]
        else:
            return None
    return value
