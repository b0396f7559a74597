"""The formats files come in: delimited text, JSON lines, Parquet, Green Button, ``ipmitool`` logs.

A reader takes an open file to pieces and never gives up on it for one bad line: what it cannot read
is rejected with its line number, the rest goes on. Compressed files that are cut off give what is
whole. What the pieces mean is in the mapping, except for the two formats that say it themselves.
"""

from __future__ import annotations

import codecs
import csv
import datetime as dt
import gzip
import lzma
import re
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import IO, Any, Final, Literal, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, field_validator, model_validator

from connectors.base import ConfigModel
from connectors.http import parse_json
from connectors.rows import BatchBuilder, Get, fields_of, get_column, get_path
from connectors.times import TimeField, TimeReader
from connectors.units import fit_decimal, parse_decimal

SOURCE: Final = "files"
_PIECE: Final = 256 * 1024
_MAX_LINE: Final = 4 * 1024 * 1024


# --- configuration -------------------------------------------------------------------------------


def _regular(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    return pattern


class CsvFormat(ConfigModel):
    """Delimited text with a header line, or with columns named here."""

    type: Literal["csv"]
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    """`,`, `;`, or a tab for TSV."""
    quote: str = Field(default='"', min_length=1, max_length=1)
    encoding: str = "utf-8"
    """Such as `utf-8` (with or without a BOM), `cp1252`, `utf-16`."""
    columns: list[str] | None = None
    """Names of the columns, for files without a header line."""
    skip_lines: int = Field(default=0, ge=0)
    """Lines before the header that are no data."""
    ignore_lines: list[str] = Field(default_factory=list)
    """Regular expressions of lines that are no data, such as a footer: `^Total;`."""
    final_newline: Literal["required", "optional"] = "required"
    """With `required`, a last line without its end is taken for cut off (`12` may be the beginning
    of `123`) and set aside until the file comes whole; `optional` for sites that never end it."""

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str) -> str:
        try:
            codecs.lookup(encoding)
        except LookupError:
            raise ValueError("is no encoding that Python knows") from None
        return encoding

    @field_validator("ignore_lines")
    @classmethod
    def _patterns(cls, patterns: list[str]) -> list[str]:
        return [_regular(pattern) for pattern in patterns]


class JsonLinesFormat(ConfigModel):
    """A JSON object a line."""

    type: Literal["jsonl"]


class ParquetFormat(ConfigModel):
    """Parquet."""

    type: Literal["parquet"]


class GreenButtonFormat(ConfigModel):
    """Green Button (ESPI, NAESB REQ.21): an Atom feed that says itself what it measures."""

    type: Literal["green_button"]
    meter_id: str
    """Made from `{usage_point}` and `{meter_reading}` (the last step of their addresses) and
    `{title}` (of the usage point)."""
    flow: Literal["forward", "reverse"] = "forward"
    """Which direction is meant: energy delivered to the site, or by it."""

    @field_validator("meter_id")
    @classmethod
    def _template(cls, meter_id: str) -> str:
        unknown = set(fields_of(meter_id)) - {"usage_point", "meter_reading", "title"}
        if unknown:
            raise ValueError("known: {usage_point}, {meter_reading}, {title}")
        return meter_id


class IpmiFormat(ConfigModel):
    """Logs of `ipmitool sdr`, a line with the time before each listing."""

    type: Literal["ipmitool"]
    sensors: list[str] = Field(min_length=1)
    """Sensors that measure the machine's power, by their whole names, such as `Sys Power`. One that
    is shared by an enclosure (`Chassis Power`) would bill it to each machine in it."""
    file_name: str
    """Regular expression for the file's name, its groups usable in meter_id, such as
    `(?P<node>[^/]+)-\\d{4}-\\d{2}-\\d{2}`."""
    meter_id: str
    """Made from the groups of `file_name` and `{sensor}`, such as `{node}`."""
    statuses: list[str] = Field(default_factory=lambda: ["ok"])
    """States in which a reading counts; in others it is passed over."""
    no_reading: list[str] = Field(default_factory=list)
    """Numbers that mean there is none, such as `2555` of a saturated sensor."""
    time_line: str = "Timestamp: "
    """What the line with the time begins with."""
    time_format: str = "%Y-%m-%d %H:%M:%S UTC"
    timezone: str = "UTC"

    @model_validator(mode="after")
    def _fits(self) -> IpmiFormat:
        _regular(self.file_name)
        TimeField(field="time", format=self.time_format, timezone=self.timezone)
        known = {*re.compile(self.file_name).groupindex, "sensor"}
        unknown = set(fields_of(self.meter_id)) - known
        if unknown:
            raise ValueError(
                f"meter_id uses {', '.join(sorted(unknown))}; file_name gives "
                f"{', '.join(sorted(known))}"
            )
        if len(self.sensors) > 1 and "sensor" not in fields_of(self.meter_id):
            raise ValueError("with several sensors meter_id needs {sensor}, one meter each")
        return self


# --- an open file --------------------------------------------------------------------------------


@dataclass
class OpenFile:
    """A file being read once from its beginning; knows afterwards whether it was cut off."""

    name: str
    stream: IO[bytes]
    compression: Literal["by_name", "none", "gzip", "xz"] = "by_name"
    cut: str | None = field(default=None, init=False)

    def pieces(self) -> Iterator[bytes]:
        """Yield the decompressed content; where it breaks off, say why in ``cut``."""
        unpacked: Any = self.stream
        if self._is("gzip", ".gz"):
            unpacked = gzip.GzipFile(fileobj=self.stream, mode="rb")
        elif self._is("xz", ".xz"):
            unpacked = lzma.LZMAFile(self.stream)  # noqa: SIM115 - the stream is its owner's
        while True:
            try:
                # One step of the decompressor at a time: a longer read would lose what was
                # unpacked before a cut.
                piece = unpacked.read(_PIECE) if unpacked is self.stream else unpacked.read1(_PIECE)
            except EOFError:
                self.cut = "the compressed file is cut off"
                return
            except (zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
                self.cut = f"the compressed file is damaged ({error})"
                return
            if not piece:
                return
            yield piece

    def lines(self, encoding: str) -> Iterator[Line]:
        """Yield the lines with their numbers, and whether each was whole."""
        if codecs.lookup(encoding).name == "utf-8":
            encoding = "utf-8-sig"
        decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
        number = 0
        rest = ""
        for piece in self.pieces():
            *whole, rest = (rest + decoder.decode(piece)).split("\n")
            for text in whole:
                number += 1
                yield Line(number, text.removesuffix("\r"), ended=True)
            if len(rest) > _MAX_LINE:
                self.cut = f"line {number + 1} does not end within {_MAX_LINE} characters"
                return
        rest += decoder.decode(b"", final=True)
        if rest:
            yield Line(number + 1, rest.removesuffix("\r"), ended=False)

    def _is(self, compression: str, suffix: str) -> bool:
        if self.compression == "by_name":
            return self.name.lower().endswith(suffix)
        return self.compression == compression


@dataclass(frozen=True)
class Line:
    """A line of text; one that is not ended is the last, and may be cut off."""

    number: int
    text: str
    ended: bool


@dataclass(frozen=True)
class Record:
    """A record of a file and the line it ends on."""

    value: Any
    line: int | None


class Records(Protocol):
    """How one format gives records, and how fields are looked up in them."""

    get: Get

    def read(self, builder: BatchBuilder, fields: Iterable[str]) -> Iterator[Record]:
        """Yield the records; what cannot be read is rejected in the builder."""
        ...


def records_of(opened: OpenFile, format_: CsvFormat | JsonLinesFormat | ParquetFormat) -> Records:
    """Return the reader of a file in its format."""
    match format_:
        case CsvFormat():
            return _Csv(opened, format_)
        case JsonLinesFormat():
            return _JsonLines(opened)
        case ParquetFormat():
            return _Parquet(opened)


def _report_cut(opened: OpenFile, builder: BatchBuilder, line: int) -> None:
    if opened.cut is not None:
        builder.reject(
            f"{opened.cut} after line {line}; what is whole was read, the rest comes when the file "
            "is sent again",
            row=line,
        )


# --- delimited text ------------------------------------------------------------------------------


class _Csv:
    get: Get = staticmethod(get_column)

    def __init__(self, opened: OpenFile, format_: CsvFormat) -> None:
        self._opened = opened
        self._format = format_
        self._ignored = [re.compile(pattern) for pattern in format_.ignore_lines]
        self._last = Line(0, "", ended=True)

    def read(self, builder: BatchBuilder, fields: Iterable[str]) -> Iterator[Record]:
        rows = csv.reader(
            self._texts(builder),
            delimiter=self._format.delimiter,
            quotechar=self._format.quote,
            strict=True,
        )
        header = self._format.columns
        while True:
            try:
                row = next(rows)
            except StopIteration:
                break
            except csv.Error as error:
                builder.reject(
                    f"is no row of delimited text ({error})",
                    row=self._last.number,
                    raw=self._last.text,
                )
                continue
            if not row:
                continue
            if header is None:
                header = [name.strip() for name in row]
                if not self._header_fits(header, fields, builder):
                    return
                continue
            if self._whole(row, header, builder):
                yield Record(dict(zip(header, row, strict=True)), self._last.number)
        _report_cut(self._opened, builder, self._last.number)

    def _texts(self, builder: BatchBuilder) -> Iterator[str]:
        for line in self._opened.lines(self._format.encoding):
            self._last = line
            if line.number <= self._format.skip_lines or not line.text.strip():
                continue
            if any(pattern.search(line.text) for pattern in self._ignored):
                continue
            if "\ufffd" in line.text or "\0" in line.text:
                builder.reject(
                    f"is not text in {self._format.encoding}", row=line.number, raw=line.text
                )
                continue
            yield line.text + "\n"

    def _header_fits(self, header: list[str], fields: Iterable[str], builder: BatchBuilder) -> bool:
        missing = [name for name in dict.fromkeys(fields) if name not in header]
        double = [name for name in dict.fromkeys(fields) if header.count(name) > 1]
        if missing or double:
            fault = "columns missing" if missing else "columns named twice"
            builder.reject(
                f"{fault}: {', '.join(missing or double)}; nothing of the file was read",
                row=self._last.number,
                raw=self._format.delimiter.join(header),
            )
        return not (missing or double)

    def _whole(self, row: list[str], header: list[str], builder: BatchBuilder) -> bool:
        raw = self._format.delimiter.join(row)
        if len(row) != len(header):
            cut = "" if self._last.ended else "; the file is cut off here"
            builder.reject(
                f"has {len(row)} fields, expected {len(header)}{cut}",
                row=self._last.number,
                raw=raw,
            )
            return False
        required = self._format.final_newline == "required" or self._opened.cut is not None
        if not self._last.ended and required:
            builder.reject(
                "the last line is not ended, so its last number may be cut off; if this site never "
                "ends it, write final_newline: optional",
                row=self._last.number,
                raw=raw,
            )
            return False
        return True


# --- JSON lines ----------------------------------------------------------------------------------


class _JsonLines:
    get: Get = staticmethod(get_path)

    def __init__(self, opened: OpenFile) -> None:
        self._opened = opened

    def read(self, builder: BatchBuilder, fields: Iterable[str]) -> Iterator[Record]:  # noqa: ARG002
        number = 0
        for line in self._opened.lines("utf-8"):
            number = line.number
            if not line.text.strip():
                continue
            try:
                value = parse_json(line.text.encode("utf-8"))
            except (ValueError, ArithmeticError, RecursionError) as error:
                cut = "" if line.ended else "; the file is cut off here"
                builder.reject(f"is not JSON ({error}){cut}", row=number, raw=line.text)
                continue
            if "\ufffd" in line.text:
                builder.reject("is not text in utf-8", row=number, raw=line.text)
            elif not isinstance(value, dict):
                builder.reject("is no JSON object", row=number, raw=line.text)
            else:
                yield Record(value, number)
        _report_cut(self._opened, builder, number)


# --- Parquet -------------------------------------------------------------------------------------


class _Parquet:
    get: Get = staticmethod(get_path)

    def __init__(self, opened: OpenFile) -> None:
        self._opened = opened

    def read(self, builder: BatchBuilder, fields: Iterable[str]) -> Iterator[Record]:
        number = 0
        try:
            with pq.ParquetFile(self._opened.stream) as parquet:
                columns = list(dict.fromkeys(name.split(".")[0] for name in fields))
                missing = [name for name in columns if name not in parquet.schema_arrow.names]
                if missing:
                    builder.reject(
                        f"columns missing: {', '.join(missing)}; nothing of the file was read",
                        raw=", ".join(parquet.schema_arrow.names),
                    )
                    return
                for batch in parquet.iter_batches(batch_size=10_000, columns=columns):
                    for value in _in_microseconds(batch).to_pylist():
                        number += 1
                        yield Record(value, number)
        except (pa.ArrowException, OSError, ValueError) as error:
            builder.reject(
                f"is no whole Parquet file ({str(error).splitlines()[0] if str(error) else error}) "
                f"after row {number}; it is read when it is sent again"
            )


def _in_microseconds(batch: pa.RecordBatch) -> pa.Table:
    """Bring timestamps to the resolution Python has; finer ones are cut."""
    table = pa.Table.from_batches([batch])
    for position, column in enumerate(table.schema):
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
            type_ = pa.timestamp("us", tz=column.type.tz)
            cast = table.column(position).cast(type_, safe=False)
            table = table.set_column(position, pa.field(column.name, type_), cast)
    return table


# --- Green Button --------------------------------------------------------------------------------

_ATOM: Final = "{http://www.w3.org/2005/Atom}"
_ESPI: Final = "{http://naesb.org/espi}"

# ESPI UomType: 72 Wh, 38 W. AccumulationBehaviourType: 4 deltaData; 1 bulkQuantity, 3 cumulative;
# 6 indicating, 12 instantaneous.
_MEASURES: Final[Mapping[tuple[str, str], tuple[str, str, str]]] = {
    ("72", "4"): ("energy", "interval", "Wh"),
    ("72", "1"): ("energy", "register", "Wh"),
    ("72", "3"): ("energy", "register", "Wh"),
    ("38", "6"): ("power", "gauge", "W"),
    ("38", "12"): ("power", "gauge", "W"),
}
_FLOWS: Final = {"forward": "1", "reverse": "19"}

# ESPI QualityOfReading. 12 (projected) is a forecast and no reading at all.
_QUALITIES: Final[Mapping[str, str]] = {
    "0": "good", "7": "good", "11": "good", "14": "good", "17": "good", "18": "good", "19": "good",
    "8": "estimated", "9": "estimated", "15": "estimated",
    "10": "suspect", "13": "suspect", "16": "suspect",
}  # fmt: skip
_PROJECTED: Final = "12"
_WORST_FIRST: Final = ("suspect", "estimated", "good")


@dataclass
class _Feed:
    """What a feed says, gathered before it is put together: entries come in any order."""

    titles: dict[str, str] = field(default_factory=dict)
    types_of_readings: dict[str, str] = field(default_factory=dict)
    types: dict[str, dict[str, str]] = field(default_factory=dict)
    blocks: list[tuple[str, list[dict[str, Any]]]] = field(default_factory=list)


def read_green_button(
    opened: OpenFile, format_: GreenButtonFormat, builder: BatchBuilder, *, site_id: str
) -> Iterator[None]:
    """Read a feed into the builder, yielding now and then so that batches can be taken."""
    feed = _Feed()
    parser = ET.XMLPullParser(["end"])
    try:
        for piece in opened.pieces():
            parser.feed(piece)
            _gather(parser, feed)
        parser.close()
        _gather(parser, feed)
    except ET.ParseError as error:
        builder.reject(
            f"is not whole XML ({error}); the entries before were read, the rest comes when the "
            "file is sent again"
        )
    if opened.cut is not None:
        builder.reject(opened.cut)
    for address, readings in feed.blocks:
        _add_block(feed, address, readings, format_, builder, site_id)
        yield


def _gather(parser: ET.XMLPullParser, feed: _Feed) -> None:
    for event in parser.read_events():
        element: object = event[-1]
        if not isinstance(element, ET.Element) or element.tag != f"{_ATOM}entry":
            continue
        links: dict[str, list[str]] = {}
        for link in element.findall(f"{_ATOM}link"):
            links.setdefault(link.get("rel", ""), []).append(link.get("href", ""))
        own = next(iter(links.get("self", [])), "")
        content = element.find(f"{_ATOM}content")
        thing = content[0] if content is not None and len(content) else None
        if thing is not None:
            _gather_entry(feed, thing, own, links, element)
        element.clear()


def _gather_entry(
    feed: _Feed, thing: ET.Element, own: str, links: Mapping[str, list[str]], entry: ET.Element
) -> None:
    match thing.tag.removeprefix(_ESPI):
        case "UsagePoint":
            feed.titles[own] = (entry.findtext(f"{_ATOM}title") or "").strip()
        case "MeterReading":
            types = [href for href in links.get("related", []) if "/ReadingType/" in href]
            if types:
                feed.types_of_readings[own] = types[0]
        case "ReadingType":
            feed.types[own] = {
                child.tag.removeprefix(_ESPI): (child.text or "").strip() for child in thing
            }
        case "IntervalBlock":
            up = next(iter(links.get("up", [])), "").removesuffix("/IntervalBlock")
            blocks = [item for item in _content_of(entry) if item.tag == f"{_ESPI}IntervalBlock"]
            for block in blocks:
                readings = [_plain_reading(r) for r in block.findall(f"{_ESPI}IntervalReading")]
                feed.blocks.append((up, readings))


def _content_of(entry: ET.Element) -> list[ET.Element]:
    """Return the things an entry holds; one entry may hold several interval blocks."""
    content = entry.find(f"{_ATOM}content")
    return [] if content is None else list(content)


def _plain_reading(reading: ET.Element) -> dict[str, Any]:
    period = f"{_ESPI}timePeriod/{_ESPI}"
    return {
        "start": reading.findtext(f"{period}start"),
        "duration": reading.findtext(f"{period}duration"),
        "value": reading.findtext(f"{_ESPI}value"),
        "qualities": [
            (quality.text or "").strip()
            for quality in reading.findall(f"{_ESPI}ReadingQuality/{_ESPI}quality")
        ],
    }


def _add_block(
    feed: _Feed,
    address: str,
    readings: list[dict[str, Any]],
    format_: GreenButtonFormat,
    builder: BatchBuilder,
    site_id: str,
) -> None:
    usage_point = address.split("/MeterReading/")[0]
    parts = {
        "usage_point": usage_point.rstrip("/").rsplit("/", 1)[-1],
        "meter_reading": address.rstrip("/").rsplit("/", 1)[-1],
        "title": feed.titles.get(usage_point, ""),
    }
    meter_id = _named(format_.meter_id, parts)
    type_ = feed.types.get(feed.types_of_readings.get(address, ""))
    if type_ is None:
        for reading in readings:
            builder.reject(
                "its ReadingType is not in the feed, so its unit is not known",
                meter=meter_id,
                field="ReadingType",
                value=feed.types_of_readings.get(address),
                raw=reading,
            )
        return
    if type_.get("flowDirection", "1") != _FLOWS[format_.flow]:
        for _ in readings:
            builder.skip()
        return
    measure = _MEASURES.get((type_.get("uom", ""), type_.get("accumulationBehaviour", "")))
    for reading in readings:
        if measure is None:
            builder.reject(
                "is measured in a unit (uom) or manner (accumulationBehaviour) that is not billed",
                meter=meter_id,
                field="uom/accumulationBehaviour",
                value=f"{type_.get('uom')}/{type_.get('accumulationBehaviour')}",
                raw=reading,
            )
        else:
            _add_reading(reading, type_, measure, meter_id, builder, site_id)


def _add_reading(
    reading: dict[str, Any],
    type_: Mapping[str, str],
    measure: tuple[str, str, str],
    meter_id: str,
    builder: BatchBuilder,
    site_id: str,
) -> None:
    metric, kind, unit = measure
    where = "timePeriod"
    try:
        start = dt.datetime.fromtimestamp(int(reading["start"]), dt.UTC)
        end = start + dt.timedelta(seconds=int(reading["duration"])) if kind == "interval" else None
        where = "value"
        power = int(type_.get("powerOfTenMultiplier") or 0)
        value = fit_decimal(parse_decimal(reading["value"]).scaleb(power), precision=24, scale=9)
        where = "quality"
        quality = _quality(reading["qualities"])
    except (TypeError, ValueError, AttributeError, OverflowError, OSError) as error:
        builder.reject(
            f"is not readable: {error}", meter=meter_id, field=where, raw=reading,
            value=reading["value"] if where == "value" else None,
        )  # fmt: skip
        return
    builder.add((site_id, SOURCE, meter_id, metric, kind, unit, start, end, value, quality))


def _quality(codes: list[str]) -> str:
    if _PROJECTED in codes:
        raise ValueError("it is a forecast (quality 12), not a reading")
    unknown = [code for code in codes if code not in _QUALITIES]
    if unknown:
        raise ValueError(f"quality {unknown[0]} is not known")
    said = {_QUALITIES[code] for code in codes} or {"good"}
    return next(quality for quality in _WORST_FIRST if quality in said)


def _named(template: str, parts: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: parts[match[1]], template)


# --- ipmitool ------------------------------------------------------------------------------------

_WATTS: Final = {"Watts": "W", "W": "W", "kWatts": "kW", "kW": "kW"}


def read_ipmi(
    opened: OpenFile,
    format_: IpmiFormat,
    builder: BatchBuilder,
    *,
    site_id: str,
    site_timezone: str,
) -> Iterator[None]:
    """Read a log into the builder, yielding now and then so that batches can be taken."""
    match = re.search(format_.file_name, opened.name)
    if match is None:
        builder.reject(
            f"the file's name does not match file_name {format_.file_name}, so it is not known "
            "whose log it is",
            value=opened.name,
        )
        return
    parts = {name: text or "" for name, text in match.groupdict().items()}
    meters = {s: _named(format_.meter_id, {**parts, "sensor": s}) for s in format_.sensors}
    clock = TimeReader(
        TimeField(field="time", format=format_.time_format, timezone=format_.timezone),
        site_timezone=site_timezone,
    )
    instant: dt.datetime | None = None
    number = 0
    for line in opened.lines("utf-8"):
        number = line.number
        if line.text.startswith(format_.time_line):
            instant = _log_time(clock, line, format_, builder)
            yield
            continue
        name, bar, rest = line.text.partition("|")
        sensor = name.strip()
        if not bar or sensor not in meters:
            continue
        text, bar, status = (part.strip() for part in rest.partition("|"))
        if not bar or (status not in format_.statuses and not line.ended):
            builder.reject("the line is cut off", row=number, meter=meters[sensor], raw=line.text)
        elif status not in format_.statuses:
            builder.skip()
        elif instant is None:
            builder.reject(
                "no time stands above it", row=number, meter=meters[sensor], raw=line.text
            )
        else:
            _add_power(builder, text, instant, meters[sensor], line, format_, site_id)
    _report_cut(opened, builder, number)


def _log_time(
    clock: TimeReader, line: Line, format_: IpmiFormat, builder: BatchBuilder
) -> dt.datetime | None:
    text = line.text.removeprefix(format_.time_line)
    try:
        return clock.read(text, of=line.number)
    except ValueError as error:
        builder.reject(str(error), row=line.number, field="time", value=text, raw=line.text)
        return None


def _add_power(
    builder: BatchBuilder,
    text: str,
    instant: dt.datetime,
    meter_id: str,
    line: Line,
    format_: IpmiFormat,
    site_id: str,
) -> None:
    number, _, unit = text.partition(" ")
    if number in format_.no_reading:
        builder.skip()
        return
    try:
        value: Decimal = fit_decimal(parse_decimal(number), precision=24, scale=9)
    except ValueError as error:
        builder.reject(str(error), row=line.number, meter=meter_id, field="value", value=text)
        return
    if unit not in _WATTS:
        builder.reject("is no power", row=line.number, meter=meter_id, field="unit", value=text)
        return
    builder.add(
        (site_id, SOURCE, meter_id, "power", "gauge", _WATTS[unit], instant, None, value, "good")
    )
