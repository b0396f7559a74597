"""Rating on an in-memory database: a book loaded as the product loads it, and landed rows.

The book goes the whole way: files, loader, compiled tables, models. Nothing is issued: the tables
of the ledger are those of a ledger that does not exist yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from connectors.book.compiled import SCHEMAS, tables
from connectors.book.load import load_book
from exporters.ledger.extract import write_extract
from tests.unit.warehouse.templates import Warehouse

_TYPES = {
    "text": pa.string(),
    "instant": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
    "whole": pa.int64(),
    "bool": pa.bool_(),
    "value": pa.decimal128(24, 9),
    "decimal": pa.decimal128(18, 6),
}


def _schema(columns: str) -> pa.Schema:
    """Columns in order; a column without type is text."""
    named = [column.partition(":") for column in columns.split()]
    return pa.schema([(name, _TYPES[kind or "text"]) for name, _, kind in named])


# The landing zone as the models read it: readings, charge events, index prices.
LANDED = {
    "landed": _schema(
        "site_id source meter_id metric kind unit interval_start:instant interval_end:instant"
        " value:value quality batch_id ingested_at:instant"
    ),
    "stg_landing__charge_events": _schema(
        "event_id site_id machine_id contract_id service_code classification occurred_at:instant"
        " quantity:decimal unit unit_amount:decimal currency description batch_id"
        " ingested_at:instant"
    ),
    "stg_landing__index_prices": _schema(
        "index_id hour_start:instant price:decimal currency batch_id ingested_at:instant"
    ),
}
MANIFEST = _schema("partition_key date:date path rows:whole rows_digest refused:bool")
CONTEXT = _schema("also_period now_at:instant code_version last_issued_period")
WANTED = (
    *("statement_lines", "adjustments", "statement_inputs"),
    *("int_rating__exceptions", "int_rating__settled"),
)


class RatingWarehouse(Warehouse):
    """The models from landed rows to statement lines."""

    def __init__(self, folder: Path) -> None:
        """Make the tables; the folder is for the extract of a ledger without facts."""
        ledger = write_extract(None, folder)
        fixed = {f"ledger__{path.stem}": pq.read_table(path) for path in ledger}
        fixed["context__build_context"] = pa.table(
            {"code_version": ["test"]}
            | {name: [None] for name in ("also_period", "now_at", "last_issued_period")},
            schema=CONTEXT,
        )
        fixed["manifest__readings"] = MANIFEST.empty_table()
        book = {f"book__{name}": schema.empty_table() for name, schema in SCHEMAS.items()}
        landed = {name: schema.empty_table() for name, schema in LANDED.items()}
        everything = {**fixed, **book, **landed}
        super().__init__(everything, WANTED, threads=2)
        for name, table in everything.items():
            self._put(name, table)

    def rate(
        self,
        book_folder: Path,
        readings: Sequence[Mapping[str, Any]],
        events: Sequence[Mapping[str, Any]],
        prices: Sequence[Mapping[str, Any]],
    ) -> None:
        """Load the book, take these rows as landed and compute every model from nothing."""
        self.take(book_folder, readings, events, prices)
        self._forget()
        self._compute()

    def take(
        self,
        book_folder: Path,
        readings: Sequence[Mapping[str, Any]],
        events: Sequence[Mapping[str, Any]],
        prices: Sequence[Mapping[str, Any]],
    ) -> None:
        """Load the book and take these rows as landed."""
        for name, table in tables(load_book(book_folder)).items():
            self._put(f"book__{name}", table)
        for (name, schema), rows in zip(LANDED.items(), (readings, events, prices), strict=True):
            columns = {column: [row.get(column) for row in rows] for column in schema.names}
            self._put(name, pa.table(columns, schema=schema))

    def _put(self, name: str, table: pa.Table) -> None:
        self._warehouse.register("given", table)
        self._warehouse.execute(f"create or replace table {name} as from given")
        self._warehouse.unregister("given")

    def told(self, query: str) -> list[dict[str, Any]]:
        """The rows of a query by column."""
        answer = self._warehouse.execute(query)
        names = [column[0] for column in answer.description or ()]
        return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]
