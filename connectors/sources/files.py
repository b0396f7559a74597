"""Files that a site drops into a folder: exports, logs, feeds.

A folder on disk, or any that fsspec reaches (S3, SFTP …, each with its own package). Every file the
pattern names is read each time; what is in it already landed is not landed again, so files may come
late, twice, or again with corrections (the one changed last wins). A file that is cut off gives the
rows before the cut, and the rest when it is sent again. How files are taken to pieces is in
``connectors.sources.formats``.
"""

from __future__ import annotations

import datetime as dt
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import fsspec
from pydantic import Discriminator, Field, SecretStr, Tag, field_validator, model_validator

from connectors.base import SECRET_NAME, Batch, ConfigModel, SourceContext, Window
from connectors.errors import ConfigError, ConfigFault, SourceRefused, SourceUnavailable
from connectors.rows import (
    BatchBuilder,
    EventMap,
    PriceMap,
    ReadingMap,
    RowMapper,
)
from connectors.sources.formats import (
    CsvFormat,
    GreenButtonFormat,
    IpmiFormat,
    JsonLinesFormat,
    OpenFile,
    ParquetFormat,
    read_green_button,
    read_ipmi,
    records_of,
)
from connectors.tables import CHARGE_EVENTS, INDEX_PRICES, READINGS

logger = logging.getLogger("connectors.files")

KIND: Final = "files"


# --- configuration -------------------------------------------------------------------------------


class NameDate(ConfigModel):
    """A date in the file's name, to leave files alone that cannot hold the window."""

    pattern: str
    """Regular expression with the groups `year`, `month` and `day`."""
    days_before: int = Field(default=1, ge=0)
    """A file may hold rows up to this many days before the date in its name."""
    days_after: int = Field(default=1, ge=0)
    """And up to this many days after."""

    @field_validator("pattern")
    @classmethod
    def _with_groups(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groupindex
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from None
        if not {"year", "month", "day"} <= set(groups):
            raise ValueError("expected the groups (?P<year>…), (?P<month>…) and (?P<day>…)")
        return pattern


class FileSet(ConfigModel):
    """Some files of the folder that look alike."""

    pattern: str
    """Which files, below the folder: `*.csv`, `2026/*.csv.gz`, `**/*.jsonl`."""
    compression: Literal["by_name", "none", "gzip", "xz"] = "by_name"
    name_date: NameDate | None = None
    changed_since_window: bool = False
    """Leave files alone that were last changed before the window began: right only where the
    clock of the folder is, and where nothing is published ahead of its time."""
    order: Literal["changed", "name"] = "changed"
    """Which of two files that contradict each other wins: the one changed last, or the last by
    name."""


class ReadingFiles(FileSet):
    """Files with readings in columns or objects."""

    format: Annotated[CsvFormat | JsonLinesFormat | ParquetFormat, Field(discriminator="type")]
    map: ReadingMap


class GreenButtonFiles(FileSet):
    """Green Button feeds (ESPI, NAESB REQ.21)."""

    format: GreenButtonFormat


class IpmiFiles(FileSet):
    """Logs of `ipmitool sdr`, one file per machine or many."""

    format: IpmiFormat


class EventFiles(FileSet):
    """Files with charge events."""

    format: Annotated[CsvFormat | JsonLinesFormat | ParquetFormat, Field(discriminator="type")]
    map: EventMap


class PriceFiles(FileSet):
    """Files with index prices."""

    format: Annotated[CsvFormat | JsonLinesFormat | ParquetFormat, Field(discriminator="type")]
    map: PriceMap


def _kind_of_set(value: Any) -> str:
    """Choose the model by the format, so that a fault is told once and not for each model."""
    format_ = value.get("format") if isinstance(value, dict) else getattr(value, "format", None)
    type_ = format_.get("type") if isinstance(format_, dict) else getattr(format_, "type", None)
    return type_ if type_ in ("green_button", "ipmitool") else "mapped"


ReadingSet = Annotated[
    Annotated[ReadingFiles, Tag("mapped")]
    | Annotated[GreenButtonFiles, Tag("green_button")]
    | Annotated[IpmiFiles, Tag("ipmitool")],
    Discriminator(_kind_of_set),
]


class Config(ConfigModel):
    """A folder of files."""

    folder: str
    """Path or address of the folder, such as `drops/addis`, `s3://bucket/meters` or
    `sftp://host/out`. A relative path is below the data dir."""
    options: dict[str, str] = Field(default_factory=dict)
    """What fsspec needs to reach the folder, such as `{anon: "false"}`; see its documentation."""
    secret_options: Annotated[dict[str, str], SECRET_NAME] = Field(default_factory=dict)
    """The same for secrets: option and the name (under `secrets`) of its value."""
    readings: list[ReadingSet] = Field(default_factory=list)
    charge_events: list[EventFiles] = Field(default_factory=list)
    index_prices: list[PriceFiles] = Field(default_factory=list)

    @model_validator(mode="after")
    def _something(self) -> Config:
        if not (self.readings or self.charge_events or self.index_prices):
            raise ValueError("give at least one of readings, charge_events, index_prices")
        if "://" in self.folder and "@" in self.folder.split("://")[1].split("/")[0]:
            raise ValueError("an address must not hold a password; use options and secret_options")
        return self


# --- the connector -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Found:
    """A file of the folder."""

    path: str
    name: str
    changed_at: dt.datetime | None


class Files:
    """Connector for one folder of files."""

    def __init__(self, config: Config, context: SourceContext) -> None:
        self._config = config
        self._context = context
        self._fs, self._root = self._reach()

    def capabilities(self) -> frozenset[str]:
        """Return what the configuration names files for."""
        names = (READINGS.name, CHARGE_EVENTS.name, INDEX_PRICES.name)
        return frozenset(name for name in names if getattr(self._config, name))

    def close(self) -> None:
        """Do nothing: files are closed as they are read."""

    def readings(self, window: Window) -> Iterator[Batch]:
        """Yield the readings of all files that may hold some of the window."""
        for files in self._config.readings:
            match files:
                case ReadingFiles():
                    yield from self._mapped(files, files.format, files.map, window)
                case GreenButtonFiles():
                    for opened in self._open_all(files, window):
                        builder = BatchBuilder(READINGS, origin=opened.name)
                        yield from self._collected(
                            builder,
                            read_green_button(
                                opened, files.format, builder, site_id=self._context.site_id
                            ),
                        )
                case IpmiFiles():
                    for opened in self._open_all(files, window):
                        builder = BatchBuilder(READINGS, origin=opened.name)
                        yield from self._collected(
                            builder,
                            read_ipmi(
                                opened,
                                files.format,
                                builder,
                                site_id=self._context.site_id,
                                site_timezone=self._context.timezone,
                            ),
                        )

    def charge_events(self, window: Window) -> Iterator[Batch]:
        """Yield the charge events of all files that may hold some of the window."""
        for files in self._config.charge_events:
            yield from self._mapped(files, files.format, files.map, window)

    def index_prices(self, window: Window) -> Iterator[Batch]:
        """Yield the index prices of all files that may hold some of the window."""
        for files in self._config.index_prices:
            yield from self._mapped(files, files.format, files.map, window)

    def _mapped(
        self,
        files: FileSet,
        format_: CsvFormat | JsonLinesFormat | ParquetFormat,
        mapping: ReadingMap | EventMap | PriceMap,
        window: Window,
    ) -> Iterator[Batch]:
        for opened in self._open_all(files, window):
            records = records_of(opened, format_)
            mapper = RowMapper(
                mapping,
                site_id=self._context.site_id,
                site_timezone=self._context.timezone,
                source=KIND,
                get=records.get,
            )
            builder = mapper.builder(opened.name)
            for record in records.read(builder, mapper.fields()):
                mapper.map_into(builder, record.value, row=record.line)
                if builder.full():
                    yield builder.take()
            yield from builder.rest()

    def _collected(self, builder: BatchBuilder, steps: Iterator[None]) -> Iterator[Batch]:
        for _ in steps:
            if builder.full():
                yield builder.take()
        yield from builder.rest()

    def _open_all(self, files: FileSet, window: Window) -> Iterator[OpenFile]:
        for found in self._find(files, window):
            try:
                stream = self._fs.open(found.path, "rb")
            except FileNotFoundError:
                # Taken away since it was listed.
                continue
            except OSError as error:
                raise self._unreachable(found.name, error) from None
            with stream:
                site_id, changed_at = self._context.site_id, found.changed_at
                logger.info("site=%s file=%s changed_at=%s", site_id, found.name, changed_at)
                yield OpenFile(found.name, stream, compression=files.compression)

    def _find(self, files: FileSet, window: Window) -> list[_Found]:
        pattern = f"{self._root.rstrip('/')}/{files.pattern}"
        try:
            self._fs.invalidate_cache()
            if not self._fs.exists(self._root):
                raise SourceUnavailable(
                    self._context.site_id,
                    f"the folder {self._config.folder} is not there; if the site sends nothing "
                    "yet, make it empty",
                )
            listed = self._fs.glob(pattern, detail=True)
        except OSError as error:
            raise self._unreachable(self._config.folder, error) from None
        found = [
            _Found(path, path.removeprefix(self._root).lstrip("/"), _changed_at(info))
            for path, info in listed.items()
            if info.get("type") != "directory" and not path.rsplit("/", 1)[-1].startswith(".")
        ]
        chosen = [file for file in found if self._may_hold(file, files, window)]
        beginning = dt.datetime.min.replace(tzinfo=dt.UTC)
        if files.order == "changed":
            return sorted(chosen, key=lambda file: (file.changed_at or beginning, file.name))
        return sorted(chosen, key=lambda file: file.name)

    def _may_hold(self, file: _Found, files: FileSet, window: Window) -> bool:
        if files.changed_since_window and file.changed_at and file.changed_at < window.start:
            return False
        if files.name_date is None:
            return True
        match = re.search(files.name_date.pattern, file.name)
        if match is None:
            # The pattern promises a date; a file without one is read rather than overlooked.
            return True
        try:
            date = dt.date(int(match["year"]), int(match["month"]), int(match["day"]))
        except ValueError:
            return True
        first = date - dt.timedelta(days=files.name_date.days_before)
        last = date + dt.timedelta(days=files.name_date.days_after)
        return first <= window.end.date() and last >= window.start.date()

    def _reach(self) -> tuple[Any, str]:
        folder = self._config.folder
        options: dict[str, Any] = dict(self._config.options)
        secret: dict[str, SecretStr] = {
            option: self._context.secrets[name]
            for option, name in self._config.secret_options.items()
        }
        if "://" not in folder:
            path = Path(folder)
            if not path.is_absolute():
                if self._context.data_dir is None:
                    raise ConfigError(
                        self._context.site_id,
                        (
                            ConfigFault(
                                "config.folder",
                                repr(folder),
                                "is relative to the data dir, and none is given",
                            ),
                        ),
                    )
                path = self._context.data_dir / path
            return fsspec.filesystem("file"), str(path.resolve())
        options |= {option: value.get_secret_value() for option, value in secret.items()}
        try:
            fs, root = fsspec.core.url_to_fs(folder, **options)
        except (ImportError, ValueError, TypeError) as error:
            # Its text may hold the options, hence only its kind where there are secrets.
            told = type(error).__name__ if secret else str(error)
            raise ConfigError(
                self._context.site_id,
                (ConfigFault("config.folder", repr(folder), f"cannot be reached: {told}"),),
            ) from None
        return fs, root

    def _unreachable(self, name: str, error: OSError) -> SourceUnavailable | SourceRefused:
        if isinstance(error, PermissionError):
            return SourceRefused(self._context.site_id, f"{name} may not be read by this user")
        return SourceUnavailable(
            self._context.site_id, f"{name} cannot be read: {type(error).__name__}"
        )


def _changed_at(info: dict[str, Any]) -> dt.datetime | None:
    """Return when a file was changed, under the names that file systems give it."""
    for name in ("mtime", "LastModified", "last_modified", "updated", "modified", "created"):
        value = info.get(name)
        if isinstance(value, dt.datetime):
            return value if value.tzinfo else value.replace(tzinfo=dt.UTC)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return dt.datetime.fromtimestamp(value, dt.UTC)
    return None


def build(config: Config, context: SourceContext) -> Files:
    """Build the connector of one site."""
    return Files(config, context)
