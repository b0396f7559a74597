"""The hash chain over all facts: what a row's hash covers, how hashes are linked, and what a broken
chain looks like. Reading and writing the rows is `store`'s."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from exporters.ledger.types import canonical

GENESIS: Final = "0" * 64


@dataclass(frozen=True)
class ChainHead:
    """The end of the chain: how many facts there are and the hash that covers them all. Kept
    outside the ledger too (backups, marts), it betrays a tail that was cut off."""

    facts: int
    hash: str


@dataclass(frozen=True)
class KnownHead:
    """A head that was seen once, and where (`source`, in words). `facts` is None where only the
    hash was kept, as in the published marts."""

    hash: str
    source: str
    facts: int | None = None


@dataclass(frozen=True)
class ChainedFact:
    """A fact as text, just as it is hashed, with its link of the chain."""

    seq: int
    table: str
    row_id: int
    text: str
    row_hash: str
    prev_hash: str
    hash: str


@dataclass(frozen=True)
class ChainFault:
    """One thing wrong with the chain. `table` and `row_id` name the fact, where one can be
    named."""

    kind: str  # altered | missing | unchained | broken | cut
    table: str | None
    row_id: int | None
    message: str


def row_hash(table: str, row: Mapping[str, Any]) -> str:
    """sha256 over `row_text`."""
    return hashlib.sha256(row_text(table, row).encode()).hexdigest()


def row_text(table: str, row: Mapping[str, Any]) -> str:
    """A fact as it is hashed: table name and values by column name. Empty values are left out, so a
    column that a later version adds does not change the hash of the rows before it."""
    values = {
        # SQLite keeps a truth value as 0 or 1; the hash is the same on either database.
        name: int(value) if isinstance(value, bool) else canonical(value)
        for name, value in row.items()
        if value is not None
    }
    return json.dumps([table, values], sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def link_hash(*, seq: int, table: str, row_id: int, row_hash: str, prev_hash: str) -> str:
    """The hash that chains a fact to all facts before it."""
    text = f"{seq}\n{table}\n{row_id}\n{row_hash}\n{prev_hash}"
    return hashlib.sha256(text.encode()).hexdigest()
