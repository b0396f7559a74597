"""What the steps are built of: fact tables with their first columns, the triggers that keep a table
append-only, views of the newest fact about a subject."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from alembic import op

from exporters.ledger.tables import NAMING, RowId
from exporters.ledger.types import Instant

REFUSAL: Final = "the ledger is append-only: write a new fact instead of changing {table}"
NEWEST: Final = """
    CREATE VIEW {view} AS SELECT f.* FROM {table} f
    WHERE NOT EXISTS (SELECT 1 FROM {table} n WHERE n.id > f.id AND {same}) {also}
"""


def column(name: str, kind: Any, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=nullable)


def fact(name: str, *parts: Any) -> None:
    """A table of facts; its triggers are made apart, when all tables are there."""
    create(
        name,
        sa.Column("id", RowId, primary_key=True, autoincrement=False),
        column("at", Instant),
        column("actor", sa.Text),
        column("os_user", sa.Text),
        column("host", sa.Text),
        *parts,
    )


def create(name: str, *parts: Any) -> None:
    # Built by hand, because op.create_table takes no naming convention.
    metadata = sa.MetaData(naming_convention=NAMING)
    table = sa.Table(name, metadata, *parts, sqlite_autoincrement=True)
    for key in [key for part in table.columns for key in part.foreign_keys]:
        referred, referred_column = key.target_fullname.split(".")
        sa.Table(referred, metadata, sa.Column(referred_column, sa.Text))  # is there already
    table.create(op.get_bind())


def newest(view: str, table: str, subject: tuple[str, ...], also: str = "") -> None:
    """A view of the newest fact about each subject; `also` narrows it (`AND f.active`)."""
    same = " AND ".join(f"n.{name} = f.{name}" for name in subject)
    op.execute(NEWEST.format(view=view, table=table, same=same, also=also))


def append_only(table: str) -> None:
    """Let the database refuse every change and removal of a row."""
    words = REFUSAL.format(table=table)
    if op.get_bind().dialect.name == "sqlite":
        for event in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{event.lower()} BEFORE {event} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{words}'); END"
            )
        return
    op.execute(
        f"CREATE FUNCTION {table}_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{words}'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION {table}_append_only()"
    )
    op.execute(
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_append_only()"
    )
