"""Bringing a ledger's schema to the version of this program: under a lock, in one transaction, with
a SQLite ledger copied aside before an older one is touched. The steps are in `migrations`."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from filelock import FileLock
from sqlalchemy import Connection, Engine

from exporters.ledger import tables
from exporters.ledger.engine import WRITES, begin_writing, sqlite_path
from exporters.ledger.errors import LedgerError

MIGRATIONS: Final = Path(__file__).with_name("migrations")
LOCK_SECONDS: Final = 300


def head_revision() -> str:
    """The schema version this program writes."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise LedgerError(f"no migrations in {MIGRATIONS}: the installation is incomplete")
    return head


def current_revision(engine: Engine) -> str | None:
    """The schema version of the database; None if there is no ledger in it yet."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def revision_in(connection: Connection) -> str | None:
    """`current_revision` of the database that a connection is to."""
    return MigrationContext.configure(connection).get_current_revision()


def build_anew(connection: Connection) -> None:
    """Remove a PostgreSQL ledger and make an empty one of this version in its place, in the
    transaction that is open; only for a restore, which fills it."""
    for view in tables.VIEWS:
        connection.exec_driver_sql(f'DROP VIEW IF EXISTS "{view.name}"')
    for table in reversed(tables.metadata.sorted_tables):
        connection.exec_driver_sql(f'DROP TABLE IF EXISTS "{table.name}"')
        connection.exec_driver_sql(f'DROP FUNCTION IF EXISTS "{table.name}_append_only"()')
    connection.exec_driver_sql("DROP TABLE IF EXISTS alembic_version")
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def upgrade(engine: Engine, *, now: datetime) -> Path | None:
    """Bring the schema to head; any number of processes may do so at once.

    Returns the path of the copy of a SQLite ledger that was at an older version, else None.
    Raises LedgerError if a newer version of the program wrote this ledger.
    """
    path = sqlite_path(engine.url)
    if path is None:
        if current_revision(engine) != head_revision():
            _upgrade_locked(engine)
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and current_revision(engine) == head_revision():
        return None
    with FileLock(f"{path}.migrate.lock", timeout=LOCK_SECONDS):
        found = current_revision(engine)
        if found == head_revision():
            return None
        _refuse_unknown(found, engine)
        backup = _copy_aside(path, found, now) if found else None
        with closing(sqlite3.connect(path)) as connection:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise LedgerError(
                f"{path}: SQLite cannot use write-ahead logging there (mode is {mode}); "
                "keep the ledger on a local disk"
            )
        _upgrade_locked(engine)
        return backup


def _upgrade_locked(engine: Engine) -> None:
    config = _config()
    with engine.connect() as raw:
        connection = raw.execution_options(**{WRITES: True})
        with connection.begin():
            begin_writing(connection)
            found = MigrationContext.configure(connection).get_current_revision()
            if found == head_revision():
                return
            _refuse_unknown(found, engine)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def _refuse_unknown(found: str | None, engine: Engine) -> None:
    known = {step.revision for step in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found is not None and found not in known:
        raise LedgerError(
            f"the ledger {engine.url.render_as_string(hide_password=True)} has schema version "
            f"{found}, which this program does not know: a newer version wrote it. "
            "Install that version or a later one"
        )


def _copy_aside(path: Path, revision: str, now: datetime) -> Path:
    target = path.with_name(f"{path.name}.{revision}-{now:%Y%m%dT%H%M%SZ}.bak")
    partial = target.with_name(target.name + ".partial")
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(partial)) as copy:
        source.backup(copy)  # a file copy would miss what is still in the write-ahead log
    partial.replace(target)
    return target


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    return config
