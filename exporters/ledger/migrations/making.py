"""How a step of the schema makes a fact table and keeps it append-only, on either database. What is
made is the steps'; none of this may change what an earlier step made."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from alembic import op

from exporters.ledger.tables import NAMING, RowId
from exporters.ledger.types import Instant

REFUSAL: Final = "the ledger is append-only: write a new fact instead of changing {table}"

metadata: Final = sa.MetaData(naming_convention=NAMING)


def column(name: str, kind: Any, *, nullable: bool = False) -> sa.Column[Any]:
    """A column, which must be filled unless said otherwise."""
    return sa.Column(name, kind, nullable=nullable)


def fact(name: str, *parts: Any) -> None:
    """A table of facts, with who, when and where."""
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
    """A table as it is given."""
    # Built by hand, because op.create_table takes no naming convention.
    sa.Table(name, metadata, *parts, sqlite_autoincrement=True).create(op.get_bind())


def append_only(table: str) -> None:
    """Let the database refuse to change or remove a row of the table."""
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
