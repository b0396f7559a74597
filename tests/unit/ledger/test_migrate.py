"""The schema comes into being by its migrations alone, an older ledger is copied aside, a newer one
left alone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from exporters.ledger import AppendOnlyError, Ledger, LedgerError, migrate, tables

OLDER = Path(__file__).with_name("ledger_0001.sql")  # written by the first version
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


def test_migrations_give_exactly_the_tables(ledger: Ledger) -> None:
    with ledger._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []
        inspector = inspect(connection)
        for view in tables._views.tables.values():
            columns = [column["name"] for column in inspector.get_columns(view.name)]
            assert columns == [column.name for column in view.columns]
        for table in tables.metadata.tables.values():
            checks = {check["name"] for check in inspector.get_check_constraints(table.name)}
            wanted = {c.name for c in table.constraints if type(c).__name__ == "CheckConstraint"}
            assert checks == wanted


def test_opening_again_changes_nothing(ledger: Ledger, ledger_file: Path, ticking: Any) -> None:
    Ledger.open(f"sqlite:///{ledger_file}", clock=ticking).close()
    assert ledger.head().facts == 0
    assert list(ledger_file.parent.glob("*.bak")) == []


def test_an_older_ledger_is_copied_aside_first(
    ledger: Ledger, ledger_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.intent("x", subject="s", body={})  # in the write-ahead log only
    revision = migrate.head_revision()
    monkeypatch.setattr(migrate, "head_revision", lambda: "9999")
    backup = migrate.upgrade(ledger._engine, now=NOW)
    assert backup is not None
    assert backup.parent == ledger_file.parent
    assert backup.name == f"ledger.sqlite.{revision}-20261101T120000Z.bak"
    with closing(sqlite3.connect(backup)) as con:
        assert con.execute("SELECT count(*) FROM intents").fetchone() == (1,)


def _ledger_of_first_version(path: Path) -> str:
    """A ledger as the first version left it, with facts; the head of its chain."""
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as con:
        con.executescript(OLDER.read_text())
        (head,) = con.execute("SELECT hash FROM chain ORDER BY seq DESC LIMIT 1").fetchone()
    return str(head)


def test_a_ledger_of_the_first_version_goes_on(ledger_file: Path, ticking: Any) -> None:
    head = _ledger_of_first_version(ledger_file)
    with Ledger.open(f"sqlite:///{ledger_file}", clock=ticking) as opened:
        assert opened.head().hash == head
        assert opened.verify(heads=[opened.head()]) == ()
        assert migrate.current_revision(opened._engine) == migrate.head_revision()
        before = opened.head().facts
        opened.record(tables.restores, source="a test", copy_facts=before, copy_head=head)
        opened.record("holds", scope="payer", subject="x", active=True, reason="r", by="b")
        assert opened.verify() == ()
        with pytest.raises(AppendOnlyError), opened.transaction() as tx:
            tx.connection.exec_driver_sql("DELETE FROM restores")
    (backup,) = ledger_file.parent.glob("ledger.sqlite.0001-*.bak")
    with closing(sqlite3.connect(backup)) as con:
        assert con.execute(
            "SELECT max(seq), version_num FROM chain, alembic_version"
        ).fetchone() == (before, "0001")
        tables_then = {n for (n,) in con.execute("SELECT name FROM sqlite_master")}
    assert "restores" not in tables_then


def test_a_migration_that_dies_leaves_the_older_ledger(
    ledger_file: Path, ticking: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = _ledger_of_first_version(ledger_file)

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("alembic.op.create_index", stop)  # after a new table, before the triggers
        with pytest.raises(KeyboardInterrupt):
            Ledger.open(f"sqlite:///{ledger_file}", clock=ticking)
    with closing(sqlite3.connect(ledger_file)) as con:
        assert con.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
        names = {name for (name,) in con.execute("SELECT name FROM sqlite_master")}
    assert not {"issued_inputs", "restores"} & names
    with Ledger.open(f"sqlite:///{ledger_file}", clock=ticking) as opened:
        assert opened.head().hash == head
        assert opened.verify() == ()


def test_a_newer_ledger_is_refused(ledger: Ledger, ledger_file: Path, ticking: Any) -> None:
    ledger.close()
    with closing(sqlite3.connect(ledger_file)) as con:
        con.execute("UPDATE alembic_version SET version_num = '9999'")
        con.commit()
    with pytest.raises(LedgerError, match=r"9999.*a newer version wrote it"):
        Ledger.open(f"sqlite:///{ledger_file}", clock=ticking)


def test_a_failed_migration_leaves_nothing(
    ledger_file: Path, ticking: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        # The first thing that the step makes after its tables.
        patched.setattr("alembic.op.execute", stop, raising=True)
        with pytest.raises(KeyboardInterrupt):
            Ledger.open(f"sqlite:///{ledger_file}", clock=ticking)
    with closing(sqlite3.connect(ledger_file)) as con:
        assert con.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    Ledger.open(f"sqlite:///{ledger_file}", clock=ticking).close()


def test_a_path_with_a_percent_sign(tmp_path: Path, ticking: Any) -> None:
    url = f"sqlite:///{tmp_path}/a%25b c/ledger.sqlite"
    with Ledger.open(url, clock=ticking) as opened:
        assert opened.path == tmp_path / "a%b c" / "ledger.sqlite"
        assert opened.path.exists()


def test_the_steps_travel_in_the_package() -> None:
    assert migrate.MIGRATIONS.joinpath("env.py").is_file()
    assert migrate.MIGRATIONS.joinpath("__init__.py").is_file()
    assert migrate.MIGRATIONS.joinpath("versions", "__init__.py").is_file()
    newest = max(migrate.MIGRATIONS.joinpath("versions").glob("0*.py"))
    assert newest.name.startswith(f"{migrate.head_revision()}_")
