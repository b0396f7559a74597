"""The events of all statements as one Parquet file, for the warehouse. Facts are only ever added,
and what is told of one does not change: a new file is the old one with what is new at its end, as
long as the words are the same."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Final

import pyarrow as pa
from sqlalchemy import select

from exporters import line_keys
from exporters.ledger import events, tables, words
from exporters.ledger.events import Fact, StoryEvent
from exporters.ledger.grown import grown, known_facts, stamped
from exporters.ledger.store import Reader

NAME: Final = "story_events"
_INSTANT: Final = pa.timestamp("us", tz="UTC")
_FIELDS: Final = [
    ("seq", pa.int64()),
    ("statement_id", pa.string()),
    ("exception_id", pa.string()),
    ("happened_at", _INSTANT),
    ("who", pa.string()),
    ("kind", pa.string()),
    ("words", pa.string()),
    ("source_table", pa.string()),
    ("source_row_id", pa.int64()),
]
SCHEMA: Final = pa.schema(_FIELDS)
_TOLD_AT_ONCE: Final = 200_000


def story_table(reader: Reader, path: Path) -> pa.Table | None:
    """All events, read from the file at `path` as far as it goes; None if nothing is new."""
    head = reader.head()
    known = known_facts(reader, path, SCHEMA, _words_version())
    new = [
        _table(
            events.tell(reader, _facts(reader, first, min(first + _TOLD_AT_ONCE - 1, head.facts)))
        )
        for first in range((known or 0) + 1, head.facts + 1, _TOLD_AT_ONCE)
    ]
    told = pa.concat_tables([SCHEMA.empty_table(), *new])
    if known is None:
        return stamped(told, head, _words_version())
    return stamped(grown(path, told), head, _words_version()) if told.num_rows else None


@cache
def _words_version() -> str:
    """Another when the code that tells facts is another."""
    sources = (Path(str(module.__file__)).read_bytes() for module in (events, line_keys, words))
    return hashlib.sha256(b"\0".join(sources)).hexdigest()


def _facts(reader: Reader, first: int, last: int) -> list[Fact]:
    chain = tables.chain
    links = reader.query(
        select(chain.c.seq, chain.c.table_name, chain.c.row_id)
        .where(chain.c.seq.between(first, last))
        .where(chain.c.table_name.not_in(events.NOT_TOLD))
    )
    places: dict[str, dict[int, int]] = {}
    for link in links:
        places.setdefault(link["table_name"], {})[link["row_id"]] = link["seq"]
    found = []
    for table in tables.FACT_TABLES:
        ids = places.get(table.name)
        if not ids:
            continue
        # Payloads are kept in the ledger; what is told does not need them.
        columns = [column for column in table.c if column.name not in {"body", "answer", "raw"}]
        rows = reader.query(select(*columns).where(table.c.id.between(min(ids), max(ids))))
        found += [Fact(ids[row["id"]], table.name, row) for row in rows if row["id"] in ids]
    return found


def _table(told: list[StoryEvent]) -> pa.Table:
    columns = {
        "seq": [event.seq for event in told],
        "statement_id": [event.statement_id for event in told],
        "exception_id": [event.exception_id for event in told],
        "happened_at": [event.at for event in told],
        "who": [event.who for event in told],
        "kind": [event.kind for event in told],
        "words": [event.words for event in told],
        "source_table": [event.table for event in told],
        "source_row_id": [event.row_id for event in told],
    }
    return pa.table(columns, schema=SCHEMA)
