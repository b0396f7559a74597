"""Opening the ledger's database: which URLs there are, and how a connection is set up so that a
commit is on disk when it returns and writers wait for one another. Nothing here knows a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from exporters.ledger.errors import LedgerError

BUSY_SECONDS: Final = 60
WRITES: Final = "m2c_writes"  # execution option of connections that will write
# One number for "the ledger of this database", in PostgreSQL's space of advisory locks.
ADVISORY_LOCK: Final = 0x6D32635F6C656467


def parse_url(url: str) -> URL:
    """The URL with its driver named. `sqlite:///path`, `postgresql://…` and `postgres://…` are
    known.

    Raises LedgerError for anything else, and for a SQLite ledger without a file; no message has a
    password in it.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise LedgerError(
            "the ledger URL is not a URL; write sqlite:////path/ledger.sqlite or "
            "postgresql://user@host/database"
        ) from error
    backend = parsed.drivername.split("+")[0]
    if backend == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise LedgerError(
                f"ledger URL {url!r} names no file; a ledger must outlive its process"
            )
        return parsed
    if backend in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg")
    shown = parsed.render_as_string(hide_password=True)
    raise LedgerError(f"ledger URL {shown!r}: only sqlite and postgresql are supported")


def sqlite_path(url: URL) -> Path | None:
    """The file of a SQLite URL, None for PostgreSQL."""
    return Path(url.database) if url.drivername.startswith("sqlite") and url.database else None


def create(url: URL) -> Engine:
    """An engine for the ledger. Makes no connection and no file yet."""
    if sqlite_path(url) is None:
        return create_engine(url)
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: object) -> None:
        # The driver's own transaction handling begins too late to be a lock; ours is below.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute("PRAGMA recursive_triggers = ON")  # REPLACE must meet the delete triggers
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def begin_writing(connection: Connection) -> None:
    """Wait for this transaction's turn: from here to its end nobody else writes to the ledger."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})")
