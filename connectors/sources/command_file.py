"""Power control by people: orders in a file that a site's staff read, states in one they fill.

For sites whose machines no program can switch. An order is a row of ``orders.csv``; what became of
it is a row that somebody adds to ``states.csv``. Nothing is carried out here, so a machine whose
state nobody has written down since its last order is ``unknown``, never what was ordered.
"""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from zoneinfo import ZoneInfo

import filelock
from pydantic import field_validator

from connectors.base import ConfigModel, PowerState, SourceContext
from connectors.errors import (
    ConfigError,
    ConfigFault,
    SourceAnswerError,
    SourceRefused,
    SourceUnavailable,
)
from connectors.files import write_atomically
from connectors.times import TimeField, TimeReader

KIND: Final = "command_file"
ORDERS: Final = "orders.csv"
STATES: Final = "states.csv"
README: Final = "README.txt"

_ORDER_COLUMNS: Final = ("meter_id", "state", "ordered_at")
_STATE_COLUMNS: Final = ("meter_id", "state", "at", "by")
_SEPARATORS: Final = ",;\t"
_LOCK_SECONDS: Final = 30
_AHEAD: Final = dt.timedelta(hours=1)
# How spreadsheets in many countries show a time; with dots the day always comes first.
_DOTTED: Final = re.compile(r"\d{1,2}\.\d{1,2}\.\d{4} \d{1,2}:\d{2}(:\d{2})?")
_DAY: Final = re.compile(r"\d{4}-?\d{2}-?\d{2}")
_TO_THE_SECOND: Final = re.compile(r":\d{2}:\d{2}")

_README: Final = """\
Machines to switch at {site_id}
{underline}

orders.csv   What is asked of you. One row a meter, its newest order: meter_id, state (on or off)
             and since when it is asked (ordered_at, in UTC). Please do not change this file.
states.csv   What you did. Add one row each time you have switched a machine, below the others:

             meter_id   as in orders.csv
             state      on or off, as the machine is now
             at         when: 2026-11-27 14:05, on the clocks of {timezone}{time_note}
             by         your name

             For example:  {example}

An order is open as long as states.csv has no row for its meter that is as new as the order. Until
then the machine counts as neither on nor off. An order that is carried out stays in orders.csv.
Semicolons between the values do as well as commas, so a spreadsheet may be used to edit the file.
"""


class Config(ConfigModel):
    """A site whose people switch its machines, told by a file."""

    folder: str | None = None
    """Folder of `orders.csv` and `states.csv`, shared with the site's people; a relative one lies
    below the data dir. Default: `power/<site_id>` below the data dir."""
    time_format: str = "iso"
    """How `at` is written in `states.csv`: `iso` (2026-11-27 14:05, seconds and offset as liked;
    27.11.2026 14:05 is also read), or a pattern such as `%m/%d/%Y %I:%M %p` (Python's strptime).
    A time without offset is the site's local time."""

    @field_validator("time_format")
    @classmethod
    def _readable(cls, time_format: str) -> str:
        if time_format != "iso" and "%" not in time_format:
            raise ValueError("expected iso or a strptime pattern such as %m/%d/%Y %H:%M")
        return time_format

    def power_hosts(self) -> tuple[str, ...]:
        """Return none: a file is written, whoever reads it."""
        return ()

    def power_target(self, meter_id: str) -> str:
        """Return the meter: people know which machine that is."""
        return meter_id


@dataclass(frozen=True, slots=True)
class _Order:
    state: Literal["on", "off"]
    ordered_at: dt.datetime


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of a file: its line, and values by column."""

    line: int
    values: Mapping[str, str]


class CommandFile:
    """Power control of one site by a pair of files."""

    def __init__(self, config: Config, context: SourceContext, folder: Path) -> None:
        self._config = config
        self._context = context
        self._zone = ZoneInfo(context.timezone)
        self._readers: dict[str, TimeReader] = {}
        self._folder = folder

    def capabilities(self) -> frozenset[str]:
        """Return that machines are switched."""
        return frozenset({"power"})

    def close(self) -> None:
        """Nothing is held open."""

    def power_lane(self, meter_id: str) -> str:  # noqa: ARG002 - all meters have one
        """Return the folder: a file is written as a whole."""
        return str(self._folder)

    def power(self, meter_id: str, state: Literal["on", "off"]) -> None:
        """Write the order down. One that stands there already is left as it is, with its time."""
        try:
            with self._locked():
                self._explain()
                orders = self._orders()
                standing = orders.get(meter_id)
                if standing is not None and standing.state == state:
                    return
                now = self._context.clock().astimezone(dt.UTC).replace(microsecond=0)
                orders[meter_id] = _Order(state, now)
                self._write(orders)
        except OSError as error:
            raise self._unreachable(error) from error

    def power_state(self, meter_id: str) -> PowerState:
        """Return the newest state written down since the meter's order, else ``unknown``."""
        try:
            order = self._orders().get(meter_id)
            found: tuple[dt.datetime, PowerState] | None = None
            for row in self._rows(STATES, _STATE_COLUMNS):
                state, at, until = self._state(row), *self._at(row)
                if row.values["meter_id"] != meter_id:
                    continue
                if order is not None and until < order.ordered_at:
                    continue
                # Of two of the same time the lower row was added later.
                if found is None or at >= found[0]:
                    found = (at, state)
        except OSError as error:
            raise self._unreachable(error) from error
        return "unknown" if found is None else found[1]

    # --- reading ---

    def _orders(self) -> dict[str, _Order]:
        found: dict[str, _Order] = {}
        for row in self._rows(ORDERS, _ORDER_COLUMNS):
            text = row.values["ordered_at"]
            try:
                at = dt.datetime.fromisoformat(text)
            except ValueError:
                at = None
            if at is None or at.utcoffset() is None:
                raise self._fault(
                    ORDERS, row.line, "ordered_at", text, "expected a time such as "
                    "2026-11-27T14:05:00Z, as it was written there; restore the file"
                )  # fmt: skip
            found[row.values["meter_id"]] = _Order(
                self._state(row, file=ORDERS), at.astimezone(dt.UTC)
            )
        return found

    def _rows(self, name: str, columns: tuple[str, ...]) -> Iterator[_Row]:
        """Yield the rows of a file, every value there; none if the file is not there yet."""
        try:
            content = (self._folder / name).read_bytes()
        except FileNotFoundError:
            return
        lines = self._decoded(name, content).splitlines(keepends=True)
        skipped = 0
        separator = None
        if lines and (told := re.fullmatch(r"sep=(.)\s*", lines[0], re.I)):
            separator, skipped = told[1], 1
        first = next((line for line in lines[skipped:] if line.strip()), "")
        separator = separator or max(_SEPARATORS, key=first.count)
        reader = csv.reader(
            io.StringIO("".join(lines[skipped:]), newline=""),
            delimiter=separator,
            skipinitialspace=True,
            strict=True,
        )
        header: list[str] | None = None
        end = skipped
        try:
            for record in reader:
                line, end = end + 1, skipped + reader.line_num
                values = [value.strip() for value in record]
                if not any(values):
                    continue
                if header is None:
                    header = self._header(name, line, values, columns)
                    continue
                yield self._row(name, line, header, values, columns)
        except csv.Error as error:
            raise self._fault(name, end + 1, None, None, f"is not CSV ({error})") from None

    def _decoded(self, name: str, content: bytes) -> str:
        encodings = ("utf-16",) if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig",)
        # A spreadsheet's other way to save CSV; only names of people hold more than ASCII.
        for encoding in (*encodings, "cp1252"):
            with contextlib.suppress(UnicodeDecodeError):
                return content.decode(encoding)
        raise self._fault(name, None, None, None, "is not text in UTF-8")

    def _header(
        self, name: str, line: int, values: list[str], columns: tuple[str, ...]
    ) -> list[str]:
        header = [value.lower() for value in values]
        for column in columns:
            if header.count(column) != 1:
                how = "is missing" if column not in header else "stands there twice"
                raise self._fault(
                    name, line, column, None, f"{how}; the first row names the columns "
                    f"{', '.join(columns)}"
                )  # fmt: skip
        return header

    def _row(
        self, name: str, line: int, header: list[str], values: list[str], columns: tuple[str, ...]
    ) -> _Row:
        if len(values) > len(header) and any(values[len(header) :]):
            raise self._fault(
                name, line, None, None, f"has {len(values)} values under {len(header)} columns"
            )
        found = dict(zip(header, values, strict=False))
        for column in columns:
            if not found.get(column):
                raise self._fault(name, line, column, "", "a value is required")
        return _Row(line, found)

    def _state(self, row: _Row, *, file: str = STATES) -> Literal["on", "off"]:
        match row.values["state"].lower():
            case "on":
                return "on"
            case "off":
                return "off"
        raise self._fault(file, row.line, "state", row.values["state"], "expected on or off")

    def _at(self, row: _Row) -> tuple[dt.datetime, dt.datetime]:
        """Return the first and last instant a row's time may mean: people write whole minutes."""
        text = row.values["at"]
        try:
            at = self._parsed(text)
        except ValueError as error:
            raise self._fault(STATES, row.line, "at", text, str(error)) from None
        precise = _TO_THE_SECOND.search(text) is not None
        if at - self._context.clock() > _AHEAD:
            raise self._fault(
                STATES, row.line, "at", text, "lies ahead of now; write when it was switched, in "
                f"the time of {self._zone.key} or with an offset"
            )  # fmt: skip
        return at, at if precise else at + dt.timedelta(seconds=59)

    def _parsed(self, text: str) -> dt.datetime:
        form = self._config.time_format
        if form == "iso" and _DOTTED.fullmatch(text):
            form = "%d.%m.%Y %H:%M:%S" if text.count(":") == 2 else "%d.%m.%Y %H:%M"
        if form not in self._readers:
            # Of an hour that comes twice in autumn the earlier one: a state from before an order
            # must not be taken for one since then; the other way round it is only unknown.
            field = TimeField(field="at", format=form, timezone="site", doubled_hour="earlier")
            self._readers[form] = TimeReader(field, site_timezone=self._zone.key)
        if form == "iso" and _DAY.fullmatch(text):
            raise ValueError("has no time of day; write it as 2026-11-27 14:05")
        try:
            return self._readers[form].read(text, of=None)
        except ValueError as error:
            form = "2026-11-27 14:05" if form == "iso" else form
            raise ValueError(
                f"{error}; write it as {form}, or set time_format in sources.yml"
            ) from None

    # --- writing ---

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(self._folder / ".orders.lock")
        try:
            lock.acquire(timeout=_LOCK_SECONDS)
        except filelock.Timeout:
            raise SourceUnavailable(
                self._context.site_id, f"{self._folder} is being written to by somebody else"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def _write(self, orders: Mapping[str, _Order]) -> None:
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow(_ORDER_COLUMNS)
        for meter_id, order in sorted(orders.items()):
            stamp = order.ordered_at.isoformat().replace("+00:00", "Z")
            writer.writerow((meter_id, order.state, stamp))
        write_atomically(self._folder / ORDERS, text.getvalue().encode())

    def _explain(self) -> None:
        """Lay out what people need: a description, and a file with the columns to fill."""
        note = "" if self._config.time_format == "iso" else f", as {self._config.time_format}"
        title = f"Machines to switch at {self._context.site_id}"
        written = note.removeprefix(", as ") or "%Y-%m-%d %H:%M"
        text = _README.format(
            site_id=self._context.site_id,
            underline="=" * len(title),
            timezone=self._zone.key,
            time_note=note,
            example=f"PDU-7/12,off,{dt.datetime(2026, 11, 27, 14, 5, tzinfo=self._zone):{written}}"
            ",Anna Berg",
        )
        readme = self._folder / README
        content = text.replace("\n", "\r\n").encode()
        if not readme.is_file() or readme.read_bytes() != content:
            write_atomically(readme, content)
        with contextlib.suppress(FileExistsError), (self._folder / STATES).open("xb") as stream:
            stream.write((",".join(_STATE_COLUMNS) + "\r\n").encode())

    # --- errors ---

    def _fault(
        self, name: str, line: int | None, column: str | None, value: str | None, message: str
    ) -> SourceAnswerError:
        where = f"{self._folder / name}" + ("" if line is None else f" line {line}")
        where += "" if column is None else f", {column}"
        said = "" if value is None else f" {value!r}"
        return SourceAnswerError(self._context.site_id, f"{where}{said}: {message}")

    def _unreachable(self, error: OSError) -> SourceUnavailable | SourceRefused:
        where = error.filename or self._folder
        if isinstance(error, PermissionError):
            return SourceRefused(
                self._context.site_id, f"{where} may not be read or written by this user"
            )
        return SourceUnavailable(
            self._context.site_id, f"{where} cannot be used: {error.strerror or error}"
        )


def build(config: Config, context: SourceContext) -> CommandFile:
    """Build the power control of one site."""
    folder = Path(config.folder if config.folder is not None else f"power/{context.site_id}")
    if not folder.is_absolute():
        if context.data_dir is None:
            raise ConfigError(
                context.site_id,
                (
                    ConfigFault(
                        "power.config.folder",
                        repr(str(folder)),
                        "is relative, and there is no data dir it could be below",
                    ),
                ),
            )
        folder = context.data_dir / folder
    return CommandFile(config, context, folder)
