"""Where a folder is put together: a database in memory that sees the book's compiled tables and
the folder's own data, and writes query results as the folder's Parquet files.

Instants become UTC timestamps without a zone, so that reading them needs no settings; rows are
written in order, so that the same input gives the same rows in the same files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from exporters.statements.evidence.model import Row
from exporters.statements.evidence.recompute import connect, rows, run

SQL: Final = Path(__file__).with_name("sql")


class Workshop:
    """Puts one folder together; `folder` must exist and be empty. `book` holds the compiled
    book."""

    def __init__(self, folder: Path, book: Path) -> None:
        self.folder = folder
        (folder / "data").mkdir()
        self.connection = connect(folder)
        self.execute("create schema book")
        for table in sorted(book.glob("*.parquet")):
            self.execute(
                f"create view book.{quoted(table.stem, mark=chr(34))} as "
                f"select * from read_parquet({quoted(str(table))})"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.connection.close()

    def rows(self, sql: str, **given: object) -> list[Row]:
        """The rows of a query; `given` are its named parameters."""
        return rows(self.connection, sql, given)

    def values(self, sql: str, **given: object) -> list[Any]:
        """The first column of a query."""
        return [row[0] for row in self.connection.execute(sql, given).fetchall()]

    def execute(self, sql: str, **given: object) -> None:
        """A statement whose result nobody reads."""
        self.connection.execute(sql, given)

    def table(
        self, name: str, columns: Mapping[str, str], values: Sequence[Sequence[object]]
    ) -> None:
        """A temporary table from values; columns with their types."""
        listed = ", ".join(f"{column} {kind}" for column, kind in columns.items())
        self.execute(f"create or replace temp table {name} ({listed})")
        if values:
            marks = ", ".join("?" for _ in columns)
            self.connection.executemany(f"insert into {name} values ({marks})", list(values))

    def put(
        self, name: str, columns: Mapping[str, str], values: Sequence[Sequence[object]]
    ) -> None:
        """Write `data/<name>.parquet` from values."""
        self.table("putting", columns, values)
        self.write(name, "select * from putting")

    def write(self, name: str, sql: str, **given: object) -> int:
        """Write `data/<name>.parquet` from a query; how many rows it has."""
        self.execute(f"create or replace temp table writing as {sql}", **given)
        selected = ", ".join(
            f'"{column}" at time zone \'UTC\' as "{column}"'
            if kind == "TIMESTAMP WITH TIME ZONE"
            else f'"{column}"'
            for column, kind, *_ in self.connection.execute("describe writing").fetchall()
        )
        self.execute(
            f"copy (select {selected} from writing order by all) "
            f"to {quoted(str(self.folder / 'data' / f'{name}.parquet'))} "
            "(format parquet, compression zstd)"
        )
        (count,) = self.values("select count(*) from writing")
        return int(count)

    def run(self, *steps: str) -> None:
        """Run steps of the recomputation on what is in the folder so far."""
        run(self.connection, [SQL / f"{step}.sql" for step in steps])


def quoted(text: str, *, mark: str = "'") -> str:
    """Text as a literal of SQL (as a name, between double quotes)."""
    return mark + text.replace(mark, mark * 2) + mark
