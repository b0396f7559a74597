"""Running the steps of an evidence folder on nothing but the folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb

from exporters.statements.evidence.model import Row, Verdict


def connect(folder: Path) -> duckdb.DuckDBPyConnection:
    """A database in memory, in which `data/…` is the folder's."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET file_search_path = ?", [str(folder)])
    return connection


def run(connection: duckdb.DuckDBPyConnection, scripts: Iterable[Path]) -> None:
    """Run scripts, one after the other."""
    for script in scripts:
        connection.execute(script.read_text(encoding="utf-8"))


def verdict(connection: duckdb.DuckDBPyConnection) -> Verdict:
    """What the last steps said."""
    (said,) = rows(connection, "select * from verdict")
    differing = rows(connection, "select * from compared where not is_equal order by line_key")
    return Verdict(
        stated_total=said["stated_total"],
        recomputed_total=said["recomputed_total"],
        lines=said["lines"],
        lines_not_equal=said["lines_not_equal"],
        files_not_as_written=said["files_not_as_written"],
        facts_not_as_in_the_ledger=said["facts_not_as_in_the_ledger"],
        all_equal=said["all_equal"],
        differing=tuple(differing),
    )


def rows(connection: duckdb.DuckDBPyConnection, sql: str, given: Any = None) -> list[Row]:
    """The rows of a query by column name."""
    cursor = connection.execute(sql, given or {})
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
