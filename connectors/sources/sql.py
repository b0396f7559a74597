"""A query against PostgreSQL, or TimescaleDB, with a window.

The query runs read-only in one transaction through a server-side cursor, so memory does not grow
with the answer; ``numeric`` comes as exact decimals and ``timestamptz`` with its offset. The
session is in UTC.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import psycopg
import psycopg.rows
import tenacity
from pydantic import Field, field_validator, model_validator

from connectors.base import SECRET_NAME, Batch, ConfigModel, Machine, SourceContext, Window
from connectors.errors import SourceAnswerError, SourceRefused, SourceUnavailable
from connectors.rows import EventMap, PriceMap, ReadingMap, RowMapper, get_column
from connectors.tables import CHARGE_EVENTS, INDEX_PRICES, READINGS

logger = logging.getLogger("connectors.sql")

KIND: Final = "sql"

_PLACEHOLDER: Final = re.compile(r"%\((\w*)\)s|%%|%")


def _checked_query(query: str, allowed: set[str]) -> str:
    for match in _PLACEHOLDER.finditer(query):
        if match[0] == "%":
            raise ValueError("has a lone %; write %% for a percent sign, %(start)s for the start")
        if match[1] is not None and match[1] not in allowed:
            raise ValueError(f"%({match[1]})s stands for nothing; known: start, end")
    missing = [name for name in sorted(allowed) if f"%({name})s" not in query]
    if missing:
        raise ValueError(f"does not use %({missing[0]})s, so it would read everything every night")
    return query


class WindowedQuery(ConfigModel):
    """A query with `%(start)s` (inclusive) and `%(end)s` (exclusive), both `timestamptz`."""

    query: str

    @field_validator("query")
    @classmethod
    def _windowed(cls, query: str) -> str:
        return _checked_query(query, {"start", "end"})


class ReadingsQuery(WindowedQuery):
    """A query whose rows are readings; the map's fields are column names."""

    map: ReadingMap


class EventsQuery(WindowedQuery):
    """A query whose rows are charge events."""

    map: EventMap


class PricesQuery(WindowedQuery):
    """A query whose rows are index prices."""

    map: PriceMap


class MachinesQuery(ConfigModel):
    """A query that lists devices, with the columns meter_id, and optionally name, model,
    serial_number and is_active."""

    query: str

    @field_validator("query")
    @classmethod
    def _plain(cls, query: str) -> str:
        return _checked_query(query, set())


class Config(ConfigModel):
    """A PostgreSQL database."""

    host: str
    """Name or address; or the folder of a Unix socket."""
    port: int = Field(default=5432, ge=1, le=65535)
    database: str
    user: str
    password: Annotated[str | None, SECRET_NAME] = None
    """Name (under `secrets`) of the password."""
    tls: Literal["verify", "unverified", "plain"] = "verify"
    """`verify`: encrypted, certificate and host name checked. `unverified`: encrypted only.
    `plain`: neither, for a loopback or a private line."""
    ca_file: Path | None = None
    """PEM file of the authority that signed the server's certificate, if it is a private one."""
    connect_seconds: int = Field(default=10, ge=1, le=120)
    statement_seconds: int = Field(default=300, ge=1, le=7200)
    """Longest time the server may work on the query."""
    max_attempts: int = Field(default=4, ge=1, le=20)
    """How often connecting is tried."""
    readings: list[ReadingsQuery] = Field(default_factory=list)
    charge_events: list[EventsQuery] = Field(default_factory=list)
    index_prices: list[PricesQuery] = Field(default_factory=list)
    machines: list[MachinesQuery] = Field(default_factory=list)

    @model_validator(mode="after")
    def _something(self) -> Config:
        if not (self.readings or self.charge_events or self.index_prices or self.machines):
            raise ValueError("give at least one of readings, charge_events, index_prices, machines")
        return self


class Sql:
    """Connector for one database."""

    def __init__(
        self,
        config: Config,
        context: SourceContext,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._config = config
        self._context = context
        self._sleep = sleep

    def capabilities(self) -> frozenset[str]:
        """Return what the configuration names queries for."""
        names = ("readings", "charge_events", "index_prices", "machines")
        return frozenset(name for name in names if getattr(self._config, name))

    def close(self) -> None:
        """Do nothing: a connection lives as long as its query."""

    def readings(self, window: Window) -> Iterator[Batch]:
        """Yield the readings of the window."""
        return self._batches(self._config.readings, READINGS.name, window)

    def charge_events(self, window: Window) -> Iterator[Batch]:
        """Yield the charge events of the window."""
        return self._batches(self._config.charge_events, CHARGE_EVENTS.name, window)

    def index_prices(self, window: Window) -> Iterator[Batch]:
        """Yield the index prices of the window."""
        return self._batches(self._config.index_prices, INDEX_PRICES.name, window)

    def machines(self) -> Iterator[Machine]:
        """Yield the devices the database lists."""
        for query in self._config.machines:
            for row in self._rows(query.query, {}, set()):
                if row.get("meter_id") is None:
                    raise SourceAnswerError(
                        self._context.site_id, f"the query for machines gives no meter_id: {row}"
                    )
                active = row.get("is_active")
                yield Machine(
                    meter_id=str(row["meter_id"]),
                    name=_text(row.get("name")),
                    model=_text(row.get("model")),
                    serial_number=_text(row.get("serial_number")),
                    is_active=active if isinstance(active, bool) else None,
                )

    def _batches(
        self,
        queries: list[ReadingsQuery] | list[EventsQuery] | list[PricesQuery],
        table: str,
        window: Window,
    ) -> Iterator[Batch]:
        for query in queries:
            mapper = RowMapper(
                query.map,
                site_id=self._context.site_id,
                site_timezone=self._context.timezone,
                source=KIND,
                get=get_column,
            )
            builder = mapper.builder(f"{self._config.host}/{self._config.database} {table}")
            rows = self._rows(
                query.query, {"start": window.start, "end": window.end}, mapper.fields()
            )
            for number, row in enumerate(rows):
                mapper.map_into(builder, row, row=number + 1)
                if builder.full():
                    yield builder.take()
            yield from builder.rest()

    def _rows(
        self, query: str, values: dict[str, Any], fields: set[str]
    ) -> Iterator[dict[str, Any]]:
        started = time.monotonic()
        count = 0
        outcome = "failed"
        try:
            with self._connect() as connection:
                connection.read_only = True
                connection.execute(
                    f"SET LOCAL statement_timeout = {self._config.statement_seconds * 1000}"
                )
                connection.execute("SET LOCAL TimeZone = 'UTC'")
                with connection.cursor(
                    name="m2c", row_factory=psycopg.rows.dict_row, scrollable=False
                ) as cursor:
                    cursor.itersize = 5000
                    # The text is the book's, written by the people who run the bill.
                    cursor.execute(query, values or None)
                    columns = {column.name for column in cursor.description or ()}
                    missing = sorted(fields - columns)
                    if missing:
                        raise SourceAnswerError(
                            self._context.site_id,
                            f"the query gives no column {', '.join(missing)}; it gives "
                            f"{', '.join(sorted(columns))}",
                        )
                    for row in cursor:
                        count += 1
                        yield row
                connection.rollback()
            outcome = "ok"
        except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable) as error:
            outcome = type(error).__name__
            raise SourceUnavailable(
                self._context.site_id, f"the query was stopped: {_first_line(error)}"
            ) from None
        except psycopg.OperationalError as error:
            outcome = type(error).__name__
            raise SourceUnavailable(
                self._context.site_id,
                f"the connection to {self._config.host} broke: {_first_line(error)}",
            ) from None
        except (psycopg.DataError, UnicodeDecodeError) as error:
            outcome = type(error).__name__
            raise SourceAnswerError(
                self._context.site_id,
                f"a value of the answer is not readable: {_first_line(error)}",
            ) from None
        except psycopg.Error as error:
            outcome = type(error).__name__
            raise SourceRefused(
                self._context.site_id, f"the query is not accepted: {_first_line(error)}"
            ) from None
        finally:
            logger.info(
                "site=%s host=%s database=%s status=%s rows=%d ms=%d",
                self._context.site_id,
                self._config.host,
                self._config.database,
                outcome,
                count,
                round((time.monotonic() - started) * 1000),
            )

    def _connect(self) -> psycopg.Connection[Any]:
        config = self._config
        password = None
        if config.password is not None:
            password = self._context.secrets[config.password].get_secret_value()
        tls = {"verify": "verify-full", "unverified": "require", "plain": "disable"}[config.tls]
        root = str(config.ca_file) if config.ca_file else "system"

        def connect() -> psycopg.Connection[Any]:
            return psycopg.connect(
                host=config.host,
                port=config.port,
                dbname=config.database,
                user=config.user,
                password=password,
                sslmode=tls,
                sslrootcert=root if tls == "verify-full" else None,
                connect_timeout=config.connect_seconds,
                application_name="meter-to-cash",
                # A database without an encoding of its own (SQL_ASCII) would give bytes.
                client_encoding="utf-8",
            )

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_can_pass),
            stop=tenacity.stop_after_attempt(config.max_attempts),
            wait=tenacity.wait_random_exponential(multiplier=0.5, max=30),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(connect)
        except psycopg.OperationalError as error:
            kind = SourceUnavailable if _can_pass(error) else SourceRefused
            raise kind(
                self._context.site_id,
                f"{config.host}:{config.port} takes no connection of {config.user} to "
                f"{config.database}: {_first_line(error)}",
            ) from None


_NEVER: Final = (
    "password authentication failed",
    "no password supplied",
    "does not exist",
    "no pg_hba.conf entry",
    "certificate",
    "does not support SSL",
    "SSL is not",
    "Ident authentication failed",
    "Peer authentication failed",
)


def _can_pass(error: BaseException) -> bool:
    """Whether connecting may work later; the client library tells such errors apart by text."""
    if not isinstance(error, psycopg.OperationalError):
        return False
    text = str(error)
    if any(words in text for words in _NEVER):
        # A socket that does not exist yet is a server that is not up yet.
        return "No such file or directory" in text
    return True


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def build(config: Config, context: SourceContext) -> Sql:
    """Build the connector of one site."""
    return Sql(config, context)
