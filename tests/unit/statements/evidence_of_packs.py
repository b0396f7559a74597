"""Evidence of statements that random books come to: the models rate them in memory, what landed is
written as files, and the statements stand in a marts file as the product publishes one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from connectors.book import compile_book, load_book
from connectors.tables import TABLES
from exporters.ledger import Ledger
from exporters.statements.evidence import Book, Evidence, evidence
from tests.unit.rating.random_books import random_pack
from tests.unit.rating.warehouse import RatingWarehouse

Row = Mapping[str, Any]
UNITS = Path(__file__).parents[3] / "dbt_project" / "seeds" / "units.csv"
_KEYS = {
    "readings": ("site_id", "interval_start"),
    "charge_events": ("site_id", "occurred_at"),
    "index_prices": ("index_id", "hour_start"),
}


def land(data_dir: Path, table: str, rows: Sequence[Row]) -> list[tuple[str, str, date, str]]:
    """Write rows as the landing zone holds them, a file a partition and day; what landed_files says
    of each."""
    partition, instant = _KEYS[table]
    schema = TABLES[table].schema
    listed = []

    def place(row: Row) -> tuple[str, date]:
        return str(row[partition]), row[instant].date()

    for (key, day), group in groupby(sorted(rows, key=place), key=place):
        path = Path("landing") / table / f"{partition}={key}" / f"date={day}" / "b.parquet"
        (data_dir / path).parent.mkdir(parents=True, exist_ok=True)
        taken = list(group)
        columns = {name: [row.get(name) for row in taken] for name in schema.names}
        pq.write_table(pa.table(columns, schema=schema), data_dir / path)
        listed.append((table, key, day, str(path)))
    return listed


def publish(data_dir: Path, lines: pa.Table, files: Sequence[tuple[str, str, date, str]]) -> Path:
    """A marts file with these lines, their statements (not issued) and the landed files."""
    path = data_dir / "published" / "marts.duckdb"
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(path)) as marts:
        marts.execute("set TimeZone = 'UTC'")
        marts.register("given", lines)
        marts.execute("create table statement_lines as from given")
        marts.unregister("given")
        marts.execute(
            """
            create table statements as
            select statement_id, null::varchar as statement_number, 'open' as state,
                any_value(period) as period, any_value(statement_kind) as statement_kind,
                any_value(payer_id) as payer_id, any_value(currency) as currency,
                sum(amount)::decimal(18, 2) as net,
                sum(coalesce(tax_amount, 0))::decimal(18, 2) as tax,
                (net + tax)::decimal(18, 2) as total,
                null::varchar as content_hash, any_value(book_version) as book_version,
                null::timestamptz as issued_at, null::varchar as approved_by,
                null::timestamptz as approved_at
            from statement_lines group by statement_id
            """
        )
        marts.execute(
            "create table landed_files (landing_table varchar, site_id varchar, "
            "index_id varchar, file_date date, path varchar, rows bigint, refused boolean, "
            "reason varchar)"
        )
        marts.executemany(
            "insert into landed_files values (?, ?, ?, ?, ?, 0, false, null)",
            [
                (
                    table,
                    None if table == "index_prices" else key,
                    key if table == "index_prices" else None,
                    day,
                    name,
                )
                for table, key, day, name in files
            ],
        )
        marts.execute(f"create table usage_units as from read_csv('{UNITS}')")
    return path


class Place:
    """A data dir with a random pack that was rated."""

    def __init__(self, seed: int, books: int, root: Path, warehouse: RatingWarehouse) -> None:
        self.root = root
        pack = random_pack(seed, books, root / "book")
        warehouse.rate(root / "book", pack.readings, pack.events, pack.prices)
        lines = warehouse._warehouse.sql("select * from statement_lines").to_arrow_table()
        given = (
            ("readings", pack.readings),
            ("charge_events", pack.events),
            ("index_prices", pack.prices),
        )
        files = [file for table, rows in given for file in land(root, table, rows)]
        self.marts = publish(root, lines, files)
        book = load_book(root / "book")
        compile_book(book, root / "compiled")
        self.book = Book(tables=root / "compiled", version=book.version, words="as it is")

    def statements(self) -> list[str]:
        with duckdb.connect(str(self.marts), read_only=True) as marts:
            rows = marts.execute("select statement_id from statements order by 1").fetchall()
        return [str(row[0]) for row in rows]

    def models(self, statement: str) -> set[str]:
        with duckdb.connect(str(self.marts), read_only=True) as marts:
            rows = marts.execute(
                "select distinct charge_model from statement_lines where statement_id = ?",
                [statement],
            ).fetchall()
        return {str(row[0]) for row in rows}

    def evidence(self, statement: str, out: Path, ledger: Ledger | None = None) -> Evidence:
        return evidence(
            self.marts,
            ledger,
            statement,
            data_dir=self.root,
            books=lambda _: [self.book],
            out=out,
            code_version="test",
        )
