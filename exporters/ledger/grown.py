"""Files that grow with the ledger: facts are only ever added, so a file that was right stays right
as far as it goes, and only what is new has to be read.

A file says in its metadata how many facts of the chain it knows and the hash that covers them. It
is trusted if the ledger's chain still has that hash there: a ledger that was restored from another
state, or another ledger, has not.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import select

from exporters.ledger import tables
from exporters.ledger.chain import GENESIS, ChainHead
from exporters.ledger.store import Reader


def known_facts(reader: Reader, path: Path, schema: pa.Schema, version: str = "") -> int | None:
    """How many facts the file at `path` knows; None if it is not there, has other columns, was made
    by another version, or does not fit the ledger."""
    try:
        found = pq.read_schema(path)
    except (FileNotFoundError, pa.ArrowInvalid):
        return None
    said = found.metadata or {}
    if not found.equals(schema) or said.get(b"version") != version.encode():
        return None
    facts = int(said.get(b"facts", b"-1"))
    chain = tables.chain.c
    there = GENESIS if not facts else reader.scalar(select(chain.hash).where(chain.seq == facts))
    return facts if there is not None and there.encode() == said.get(b"hash") else None


def stamped(table: pa.Table, head: ChainHead, version: str = "") -> pa.Table:
    """The table, saying that it knows all facts up to `head`."""
    return table.replace_schema_metadata(
        {"facts": str(head.facts), "hash": head.hash, "version": version}
    )


def grown(path: Path, new: pa.Table, subject: tuple[str, ...] = ()) -> pa.Table:
    """The file's rows and the new ones behind them. With a subject, a new row takes the place of
    the one that had the same values in these columns."""
    old = pq.read_table(path).replace_schema_metadata(None)
    if subject:
        replaced = set(zip(*(new.column(name).to_pylist() for name in subject), strict=True))
        subjects = zip(*(old.column(name).to_pylist() for name in subject), strict=True)
        old = old.filter(pa.array([one not in replaced for one in subjects], pa.bool_()))
    return pa.concat_tables([old, new]).combine_chunks()
