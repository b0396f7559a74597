"""Proof that nobody touched the ledger: every fact is read as it lies in the database and held
against the hash chain. What the hashes cover is `chain`'s."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    DateTime,
    Integer,
    Select,
    Table,
    Text,
    func,
    select,
    text,
    type_coerce,
)

from exporters.ledger import tables
from exporters.ledger.chain import (
    GENESIS,
    ChainFault,
    ChainHead,
    KnownHead,
    link_hash,
    row_hash,
)
from exporters.ledger.types import CalendarDate, ExactDecimal, Instant

READ_ROWS: Final = 2000


def as_stored(fact: Table, connection: Connection) -> Select[Any]:
    """Rows as they lie in the database, past the column types: a spoiled value must not stop the
    check that is looking for it."""
    on_sqlite = connection.dialect.name == "sqlite"
    columns: list[ColumnElement[Any]] = []
    for column in fact.columns:
        if isinstance(column.type, Instant):
            raw: Any = Text() if on_sqlite else DateTime(timezone=True)
        elif isinstance(column.type, ExactDecimal) or (
            on_sqlite and isinstance(column.type, CalendarDate)
        ):
            raw = Text()
        elif on_sqlite and isinstance(column.type, Boolean):
            raw = Integer()
        else:
            raw = column.type
        columns.append(type_coerce(column, raw).label(column.name))
    return select(*columns)


def verify(
    connection: Connection, heads: tuple[ChainHead | KnownHead, ...]
) -> tuple[ChainFault, ...]:
    """All faults of a ledger; see `Ledger.verify`. The connection must read one state
    throughout."""
    faults: list[ChainFault] = []
    elsewhere = _Heads(heads)
    chained: dict[str, dict[int, str]] = {fact.name: {} for fact in tables.FACT_TABLES}
    seq, prev = 0, GENESIS
    statement = select(tables.chain).order_by(tables.chain.c.seq)
    for link in connection.execute(statement.execution_options(yield_per=READ_ROWS)).mappings():
        where = (link["table_name"], link["row_id"])
        if link["seq"] != seq + 1:
            faults.append(
                ChainFault(
                    "missing",
                    "chain",
                    seq + 1,
                    f"chain rows {seq + 1} to {link['seq'] - 1} are gone",
                )
            )
        elif link["prev_hash"] != prev:
            faults.append(
                ChainFault(
                    "broken", *where, f"chain row {link['seq']} does not follow the one before"
                )
            )
        if link["hash"] != link_hash(
            seq=link["seq"],
            table=link["table_name"],
            row_id=link["row_id"],
            row_hash=link["row_hash"],
            prev_hash=link["prev_hash"],
        ):
            faults.append(
                ChainFault("altered", "chain", link["seq"], f"chain row {link['seq']} was altered")
            )
        seq, prev = link["seq"], link["hash"]
        faults.extend(elsewhere.compare(seq, prev))
        chained.setdefault(link["table_name"], {})[link["row_id"]] = link["row_hash"]
    faults.extend(elsewhere.lost(seq))
    for fact in tables.FACT_TABLES:
        faults.extend(_verify_table(connection, fact, chained.pop(fact.name)))
    faults.extend(
        ChainFault("broken", name, row_id, f"the chain names {name} {row_id}, a table unknown here")
        for name, rows in chained.items()
        for row_id in rows
    )
    if connection.dialect.name == "sqlite":
        faults.extend(_verify_counters(connection))
    return tuple(faults)


class _Heads:
    """Heads kept elsewhere that the chain, read from its beginning, must come by."""

    def __init__(self, heads: tuple[ChainHead | KnownHead, ...]) -> None:
        self._placed: dict[int, list[ChainHead | KnownHead]] = {}
        self._anywhere: dict[str, KnownHead] = {}
        for head in heads:
            if head.facts:
                self._placed.setdefault(head.facts, []).append(head)
            elif isinstance(head, KnownHead) and head.facts is None and head.hash != GENESIS:
                self._anywhere.setdefault(head.hash, head)

    def compare(self, seq: int, found: str) -> Iterator[ChainFault]:
        """What differs from the heads that had `seq` facts."""
        self._anywhere.pop(found, None)
        for head in self._placed.pop(seq, ()):
            if head.hash != found:
                yield ChainFault(
                    "altered",
                    "chain",
                    seq,
                    f"the ledger had another head when it held {seq} facts{_said_by(head)}",
                )

    def lost(self, held: int) -> Iterator[ChainFault]:
        """What the chain, which ends at `held` facts, never came by."""
        for facts in sorted(self._placed):
            for head in self._placed[facts]:
                yield ChainFault(
                    "cut",
                    "chain",
                    facts,
                    f"the ledger held {facts} facts once and holds {held} now: its tail was cut "
                    f"off{_said_by(head)}",
                )
        for head in self._anywhere.values():
            yield ChainFault(
                "cut",
                "chain",
                held + 1,
                f"the ledger's head was {head.hash[:12]}… once, which no fact of its chain has: its"
                f" tail was cut off after {held} facts, or this is another ledger{_said_by(head)}",
            )


def _said_by(head: ChainHead | KnownHead) -> str:
    return f" (so {head.source})" if isinstance(head, KnownHead) else ""


def _verify_table(
    connection: Connection, fact: Table, chained: dict[int, str]
) -> Iterator[ChainFault]:
    statement = as_stored(fact, connection).order_by(fact.c.id)
    stored = connection.execute(statement.execution_options(yield_per=READ_ROWS))
    for row in stored.mappings():
        row_id = row["id"]
        expected = chained.pop(row_id, None)
        if expected is None:
            yield ChainFault(
                "unchained",
                fact.name,
                row_id,
                f"{fact.name} {row_id} was not written by the ledger",
            )
            continue
        try:
            found = row_hash(fact.name, dict(row))
        except TypeError:  # SQLite keeps values of any type in any column
            found = ""
        if found != expected:
            yield ChainFault("altered", fact.name, row_id, f"{fact.name} {row_id} was altered")
    for row_id in sorted(chained):
        yield ChainFault("missing", fact.name, row_id, f"{fact.name} {row_id} is gone")


def _verify_counters(connection: Connection) -> Iterator[ChainFault]:
    """SQLite remembers the highest id it ever gave: rows cut off together with their chain rows."""
    counters = connection.execute(text("SELECT name, seq FROM sqlite_sequence"))
    for counter in counters.mappings():
        name, highest = str(counter["name"]), int(counter["seq"])
        table = tables.metadata.tables.get(name)
        if table is None:
            continue
        key = table.primary_key.columns.values()[0]
        last = connection.scalar(select(func.max(key))) or 0
        if highest > last:
            yield ChainFault(
                "cut",
                name,
                last + 1,
                f"{name} {last + 1} to {highest} are gone: a tail was cut off",
            )
