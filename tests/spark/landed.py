"""Random books with their readings as a data dir, landed as any connector lands them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from connectors.parquet import write_rows
from connectors.tables import CHARGE_EVENTS, INDEX_PRICES, READINGS, Table
from tests.unit.rating.random_books import random_pack

# A name that a guess of types would make a number of.
NUMBERED = "007"


def write_data_dir(folder: Path, *, seed: int, books: int) -> None:
    """Draw so many books; the first site is called 007."""
    pack = random_pack(seed, books, folder / "book")
    first = pack.tables["sites"][0]["site_id"]
    _rename_in_files(folder / "book", first)
    fetched = {"batch_id": "b", "ingested_at": pack.readings[0]["ingested_at"]}
    for table, rows in (
        (READINGS, pack.readings),
        (CHARGE_EVENTS, pack.events),
        (INDEX_PRICES, pack.prices),
    ):
        renamed = ({k: NUMBERED if v == first else v for k, v in row.items()} for row in rows)
        _land(folder / "landing", table, (fetched | row for row in renamed))


def _rename_in_files(book: Path, site: str) -> None:
    for path in (*book.glob("*.csv"), *book.glob("plans/*.yml")):
        as_text = f"'{NUMBERED}'" if path.suffix == ".yml" else NUMBERED
        text = path.read_text(encoding="utf-8")
        named = re.sub(rf"(?<![\w.-]){re.escape(site)}(?![\w.-])", as_text, text)
        path.write_text(named, encoding="utf-8")


def _land(landing: Path, table: Table, rows: Iterable[Mapping[str, Any]]) -> None:
    files: dict[tuple[str, date, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        files[row[table.partition], row[table.instant].date(), row["batch_id"]].append(row)
    for (part, day, batch), found in files.items():
        folder = landing / table.name / f"{table.partition}={part}" / f"date={day}"
        folder.mkdir(parents=True, exist_ok=True)
        filled = [{name: row.get(name) for name in table.columns} for row in found]
        with (folder / f"{batch}.parquet").open("wb") as stream:
            write_rows(
                stream, table.schema, pa.Table.from_pylist(filled, table.schema).to_batches()
            )
