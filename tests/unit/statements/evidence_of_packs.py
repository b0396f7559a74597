"""Evidence of statements that random books come to: the models rate them in memory, what landed is
written as files, and the statements stand in a marts file as the product publishes one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
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
# As the README says it, with Python: nothing of the project is there.
RUN = (
    "import duckdb, glob; db = duckdb.connect(); "
    "[r.show(max_width=250, max_rows=1000) for f in sorted(glob.glob('sql/*.sql')) "
    "for s in duckdb.extract_statements(open(f, encoding='utf-8').read()) "
    "if (r := db.sql(s)) is not None]"
)
UNITS = Path(__file__).parents[3] / "dbt_project" / "seeds" / "units.csv"
_KEYS = {
    "readings": ("site_id", "interval_start"),
    "charge_events": ("site_id", "occurred_at"),
    "index_prices": ("index_id", "hour_start"),
}


_STATEMENTS = """
select statement_id, null::varchar as statement_number, 'open' as state,
    any_value(period) as period, any_value(statement_kind) as statement_kind,
    any_value(payer_id) as payer_id, any_value(currency) as currency,
    sum(amount)::decimal(18, 2) as net,
    sum(coalesce(tax_amount, 0))::decimal(18, 2) as tax,
    (net + tax)::decimal(18, 2) as total,
    null::varchar as content_hash, any_value(book_version) as book_version,
    null::timestamptz as issued_at, null::varchar as approved_by,
    null::timestamptz as approved_at
from statement_lines
"""
Listed = tuple[str, str, date, str]


def _list_files(marts: duckdb.DuckDBPyConnection, files: Sequence[Listed]) -> None:
    marts.executemany(
        "insert into landed_files values (?, ?, ?, ?, ?, 0, false, null)",
        [
            (
                table,
                None if table == "index_prices" else key,
                key if table == "index_prices" else None,
                day,
                path,
            )
            for table, key, day, path in files
        ],
    )


def land(data_dir: Path, table: str, rows: Sequence[Row], name: str = "b") -> list[Listed]:
    """Write rows as the landing zone holds them, a file a partition and day; what landed_files says
    of each."""
    partition, instant = _KEYS[table]
    schema = TABLES[table].schema
    listed = []

    def place(row: Row) -> tuple[str, date]:
        return str(row[partition]), row[instant].date()

    for (key, day), group in groupby(sorted(rows, key=place), key=place):
        path = Path("landing") / table / f"{partition}={key}" / f"date={day}" / f"{name}.parquet"
        (data_dir / path).parent.mkdir(parents=True, exist_ok=True)
        taken = list(group)
        columns = {name: [row.get(name) for row in taken] for name in schema.names}
        pq.write_table(pa.table(columns, schema=schema), data_dir / path)
        listed.append((table, key, day, str(path)))
    return listed


def units() -> list[dict[str, Any]]:
    """The mart usage_units."""
    with duckdb.connect() as connection:
        cursor = connection.execute(f"from read_csv('{UNITS}')")
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def publish(data_dir: Path, lines: pa.Table, files: Sequence[Listed]) -> Path:
    """A marts file with these lines, their statements (not issued) and the landed files."""
    path = data_dir / "published" / "marts.duckdb"
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(path)) as marts:
        marts.execute("set TimeZone = 'UTC'")
        marts.register("given", lines)
        marts.execute("create table statement_lines as from given")
        marts.unregister("given")
        marts.execute(f"create table statements as {_STATEMENTS} group by statement_id")
        marts.execute(
            "create table landed_files (landing_table varchar, site_id varchar, "
            "index_id varchar, file_date date, path varchar, rows bigint, refused boolean, "
            "reason varchar)"
        )
        _list_files(marts, files)
        marts.execute(f"create table usage_units as from read_csv('{UNITS}')")
    return path


class Place:
    """A data dir with a random pack that was rated."""

    def __init__(self, seed: int, books: int, root: Path, warehouse: RatingWarehouse) -> None:
        self.root = root
        self.pack = pack = random_pack(seed, books, root / "book")
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

    def land_late(self, change: Callable[[Any], Any], *, at: datetime) -> list[dict[str, Any]]:
        """Land all readings once more, with other values; the rows."""
        rows = [
            {**row, "value": change(row["value"]), "batch_id": "late", "ingested_at": at}
            for row in self.pack.readings
        ]
        files = land(self.root, "readings", rows, name="late")
        with duckdb.connect(str(self.marts)) as marts:
            _list_files(marts, files)
        return rows

    def rated_again(self, warehouse: RatingWarehouse, late: Sequence[Row]) -> list[dict[str, Any]]:
        """The lines with what landed late, nothing being issued."""
        pack = self.pack
        warehouse.rate(self.root / "book", [*pack.readings, *late], pack.events, pack.prices)
        return warehouse.told("select * from statement_lines")

    def add_lines(self, lines: Sequence[Row]) -> None:
        """Lines of one more statement that is not issued."""
        with duckdb.connect(str(self.marts)) as marts:
            names = [row[0] for row in marts.execute("describe statement_lines").fetchall()]
            marks = ", ".join("?" for _ in names)
            marts.executemany(
                f"insert into statement_lines values ({marks})",
                [[line.get(name) for name in names] for line in lines],
            )
            marts.execute(
                f"insert into statements {_STATEMENTS} where statement_id = ? "
                "group by statement_id",
                [lines[0]["statement_id"]],
            )

    def evidence(self, statement: str, out: Path | None, ledger: Ledger | None = None) -> Evidence:
        return evidence(
            self.marts,
            ledger,
            statement,
            data_dir=self.root,
            books=lambda _: [self.book],
            out=out,
            code_version="test",
        )


def run_alone(folder: Path) -> str:
    """What the folder says of itself, run by a process that knows nothing but the folder."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", RUN],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONIOENCODING": "utf-8"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.rstrip().rsplit("┐\n", 1)[-1]
