"""The ledger as an object: open it, write facts, read them, prove that nobody touched them.

    ledger = Ledger.open("sqlite:////data/ledger/ledger.sqlite", clock=clock, actor=Actor.current())
    ledger.record(tables.poll_cursors, name="xero", cursor_at=clock())      # one fact
    with ledger.transaction() as tx:                                         # several, or none
        tx.record(tables.reminders, statement_number=…, stage=…, …)
        intent_id = tx.intent("send_mail", subject=number, body={…})
    …the effect itself, outside any transaction…
    ledger.outcome(intent_id, "ok", external_id=message_id)
    ledger.query(select(tables.current_documents))                           # list of dicts

There is no update and no delete. One transaction writes at a time: others, of other processes too,
wait for it. What a fact means is in `tables`; rules about money are not here.
"""

from __future__ import annotations

import getpass
import json
import socket
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    Table,
    func,
    insert,
    select,
)
from sqlalchemy.exc import DBAPIError, OperationalError, StatementError

from exporters.ledger import tables
from exporters.ledger.chain import (
    GENESIS,
    ChainedFact,
    ChainFault,
    ChainHead,
    KnownHead,
    link_hash,
    row_hash,
    row_text,
)
from exporters.ledger.engine import WRITES, begin_writing, create, parse_url, sqlite_path
from exporters.ledger.errors import AlreadyRecorded, AppendOnlyError, LedgerError, StorageError
from exporters.ledger.verify import as_stored, verify

Clock = Callable[[], datetime]
WRITTEN_BY_US: Final = frozenset({"id", "at", "actor", "os_user", "host"})
UNIQUE_VIOLATION: Final = "23505"  # SQLSTATE of the SQL standard


@dataclass(frozen=True)
class Actor:
    """Who acts: the name a person (or job) gives, and the account and machine it runs under."""

    name: str
    os_user: str
    host: str

    @classmethod
    def current(cls, name: str | None = None) -> Actor:
        """The account and host of this process; `name` defaults to the account."""
        try:
            os_user = getpass.getuser()
        except (OSError, KeyError):  # an account without a name, as in some containers
            os_user = "unknown"
        return cls(name=name or os_user, os_user=os_user, host=socket.gethostname())


@dataclass(frozen=True)
class Intent:
    """An effect that was going to be made and whose outcome nobody wrote down. It may have
    happened: look before making it again. `unknowns` counts the attempts that ended in an unknown
    outcome."""

    intent_id: str
    kind: str
    subject: str
    idempotency_key: str
    body: Any
    at: datetime
    actor: str
    unknowns: int


class Reader:
    """Reads from one consistent state of the ledger."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def connection(self) -> Connection:
        """The connection that reads this state, for those who copy facts as they are."""
        return self._connection

    def query(self, statement: Select[Any]) -> list[dict[str, Any]]:
        """The rows as dicts by column name: Decimal, aware UTC datetime, date, str, int, bool,
        None."""
        return [dict(row) for row in self._connection.execute(statement).mappings()]

    def first(self, statement: Select[Any]) -> dict[str, Any] | None:
        """The first row, None if there is none."""
        row = self._connection.execute(statement.limit(1)).mappings().first()
        return None if row is None else dict(row)

    def scalar(self, statement: Select[Any]) -> Any:
        """The first column of the first row, None if there is none."""
        return self._connection.execute(statement.limit(1)).scalar()

    def open_intents(self, kind: str | None = None, *, subject: str | None = None) -> list[Intent]:
        """Intents without a known outcome, oldest first."""
        view = tables.open_intents
        unknowns = (
            select(func.count())
            .select_from(tables.outcomes)
            .where(tables.outcomes.c.intent_id == view.c.intent_id)
            .scalar_subquery()
            .label("unknowns")
        )
        statement = select(view, unknowns).order_by(view.c.id)
        if kind is not None:
            statement = statement.where(view.c.kind == kind)
        if subject is not None:
            statement = statement.where(view.c.subject == subject)
        return [
            Intent(
                intent_id=row["intent_id"],
                kind=row["kind"],
                subject=row["subject"],
                idempotency_key=row["idempotency_key"],
                body=json.loads(row["body"]),
                at=row["at"],
                actor=row["actor"],
                unknowns=row["unknowns"],
            )
            for row in self.query(statement)
        ]

    def chained(self, fact: Table, where: ColumnElement[bool]) -> list[ChainedFact]:
        """Facts of one table as they lie in the database, with their links, in the order of
        writing."""
        stored = self._connection.execute(as_stored(fact, self._connection).where(where)).mappings()
        texts = {row["id"]: row_text(fact.name, dict(row)) for row in stored}
        if not texts:
            return []
        links = self.query(
            select(tables.chain)
            .where(tables.chain.c.table_name == fact.name)
            .where(tables.chain.c.row_id.between(min(texts), max(texts)))
            .order_by(tables.chain.c.seq)
        )
        return [
            ChainedFact(
                seq=link["seq"],
                table=fact.name,
                row_id=link["row_id"],
                text=texts[link["row_id"]],
                row_hash=link["row_hash"],
                prev_hash=link["prev_hash"],
                hash=link["hash"],
            )
            for link in links
            if link["row_id"] in texts
        ]

    def head(self) -> ChainHead:
        """The end of the hash chain."""
        chain = tables.chain
        row = self.first(select(chain.c.seq, chain.c.hash).order_by(chain.c.seq.desc()))
        return ChainHead(0, GENESIS) if row is None else ChainHead(row["seq"], row["hash"])

    def holds(self, head_hash: str) -> bool:
        """Whether the chain came by this head."""
        chain = tables.chain
        return head_hash == GENESIS or (
            self.first(select(chain.c.seq).where(chain.c.hash == head_hash)) is not None
        )

    def verify(self, *, heads: Iterable[ChainHead | KnownHead] = ()) -> tuple[ChainFault, ...]:
        """`Ledger.verify` of this state."""
        return verify(self._connection, tuple(heads))


class Transaction(Reader):
    """Facts that are written together or not at all. While it is open nobody else writes, so what
    is read inside it still holds when it commits. Keep it short and make no outside call inside
    it."""

    def __init__(self, connection: Connection, *, now: datetime, actor: Actor) -> None:
        super().__init__(connection)
        self.now = now
        self.actor = actor
        self._head = self.head()
        self._last_ids: dict[str, int] = {}

    def record(self, table: Table | str, **values: Any) -> int:
        """Write one fact; returns its id. See `record_many`."""
        return self.record_many(table, [values])[0]

    def record_many(self, table: Table | str, rows: Iterable[Mapping[str, Any]]) -> Sequence[int]:
        """Write facts of one table in order, each with its link of the chain; returns their ids.

        Columns left out are empty. Raises AlreadyRecorded where a fact can be there only once (the
        whole transaction is then lost), LedgerError for an unknown table, a column that is unknown
        or not the caller's, a missing value or one of a wrong type.
        """
        fact = _fact_table(table)
        offered = list(rows)
        columns = {column.name for column in fact.columns} - WRITTEN_BY_US
        for row in offered:
            if strange := sorted(set(row) - columns):
                raise LedgerError(f"ledger table {fact.name} has no column {', '.join(strange)}")
        if not offered:
            return range(0)
        first = self._last_id(fact) + 1
        ids = range(first, first + len(offered))
        stamp = {
            "at": self.now,
            "actor": self.actor.name,
            "os_user": self.actor.os_user,
            "host": self.actor.host,
        }
        complete = [
            {**dict.fromkeys(columns), **row, **stamp, "id": row_id}
            for row_id, row in zip(ids, offered, strict=True)
        ]
        self._insert(fact, complete)
        self._last_ids[fact.name] = ids[-1]
        self._insert(tables.chain, self._links(fact, ids))
        return ids

    def intent(
        self,
        kind: str,
        *,
        subject: str,
        body: Mapping[str, Any] | Sequence[Any],
        idempotency_key: str | None = None,
        intent_id: str | None = None,
    ) -> str:
        """Write down an effect before it is made; returns the intent_id (made up if not given).
        The idempotency key defaults to the intent_id."""
        chosen = intent_id or uuid.uuid4().hex
        self.record(
            tables.intents,
            intent_id=chosen,
            kind=kind,
            subject=subject,
            idempotency_key=idempotency_key or chosen,
            body=body,
        )
        return chosen

    def outcome(
        self,
        intent_id: str,
        status: str,
        *,
        external_id: str | None = None,
        answer: Mapping[str, Any] | Sequence[Any] | str | None = None,
        message: str | None = None,
    ) -> int:
        """Write down what became of an intent: `ok`, `failed` (certainly not made) or `unknown`."""
        return self.record(
            tables.outcomes,
            intent_id=intent_id,
            status=status,
            external_id=external_id,
            answer=answer,
            message=message,
        )

    def _last_id(self, fact: Table) -> int:
        if fact.name not in self._last_ids:
            self._last_ids[fact.name] = self.scalar(select(func.max(fact.c.id))) or 0
        return self._last_ids[fact.name]

    def _insert(self, table: Table, rows: list[dict[str, Any]]) -> None:
        with _in_words(table.name):
            self._connection.execute(insert(table), rows)

    def _links(self, fact: Table, ids: range) -> list[dict[str, Any]]:
        # Hashed as the database gives it back, so that `verify` can never differ by a conversion.
        stored = self._connection.execute(
            as_stored(fact, self._connection)
            .where(fact.c.id.between(ids[0], ids[-1]))
            .order_by(fact.c.id)
        ).mappings()
        links: list[dict[str, Any]] = []
        for row in stored:
            seq, prev = self._head.facts + 1, self._head.hash
            hashed = row_hash(fact.name, dict(row))
            linked = link_hash(
                seq=seq, table=fact.name, row_id=row["id"], row_hash=hashed, prev_hash=prev
            )
            links.append(
                {
                    "seq": seq,
                    "table_name": fact.name,
                    "row_id": row["id"],
                    "row_hash": hashed,
                    "prev_hash": prev,
                    "hash": linked,
                }
            )
            self._head = ChainHead(seq, linked)
        return links


class Ledger:
    """An open ledger. Safe to share between threads; close it, or use it as a context manager."""

    def __init__(self, url: str, *, clock: Clock, actor: Actor) -> None:
        self.clock = clock
        self.actor = actor
        self._engine = create(parse_url(url))
        self._mine = threading.local()

    @classmethod
    def open(cls, url: str, *, clock: Clock, actor: Actor | None = None) -> Ledger:
        """Open the ledger at `url`, made if need be, and bring its schema to this version.

        url: `sqlite:////absolute/path/ledger.sqlite` or `postgresql://user@host/database`.
        A SQLite ledger of an older version is first copied aside (`<name>.<version>-<time>.bak`).
        Raises LedgerError if a newer version of the program wrote it.
        """
        ledger = cls(url, clock=clock, actor=actor or Actor.current())
        with _in_words("schema"), _storage(ledger._engine):
            # Alembic takes a fifth of a second to load, and most commands open no ledger.
            from exporters.ledger import migrate

            migrate.upgrade(ledger._engine, now=clock())
        return ledger

    @property
    def url(self) -> str:
        """The URL as text, a password in it hidden."""
        return self._engine.url.render_as_string(hide_password=True)

    @property
    def path(self) -> Path | None:
        """The file of a SQLite ledger."""
        return sqlite_path(self._engine.url)

    def close(self) -> None:
        """Give back all connections."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def acting_as(self, name: str) -> Ledger:
        """The same ledger, its facts written in the name of somebody else (same account and
        host)."""
        return self.as_actor(Actor(name=name, os_user=self.actor.os_user, host=self.actor.host))

    def as_actor(self, actor: Actor) -> Ledger:
        """The same ledger, its facts written as `actor`'s."""
        other = object.__new__(Ledger)
        other.__dict__.update(self.__dict__)
        other.actor = actor
        return other

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Write facts together: commits at the end of the block, writes nothing if it raises. Waits
        for its turn (up to a minute on SQLite)."""
        if getattr(self._mine, "writing", False):
            raise LedgerError("a transaction of this thread is open already; use that one")
        self._mine.writing = True
        try:
            with (
                _in_words("transaction"),
                _storage(self._engine),
                self._engine.connect() as raw,
            ):
                connection = raw.execution_options(**{WRITES: True})
                with connection.begin():
                    begin_writing(connection)
                    yield Transaction(connection, now=self.clock(), actor=self.actor)
        finally:
            self._mine.writing = False

    @contextmanager
    def snapshot(self) -> Iterator[Reader]:
        """Several reads of one and the same state; writers are not held up."""
        with _storage(self._engine), self._engine.connect() as raw:
            connection = raw
            if raw.dialect.name == "postgresql":
                connection = raw.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield Reader(connection)

    def record(self, table: Table | str, **values: Any) -> int:
        """Write one fact in a transaction of its own; returns its id."""
        with self.transaction() as tx:
            return tx.record(table, **values)

    def intent(
        self,
        kind: str,
        *,
        subject: str,
        body: Mapping[str, Any] | Sequence[Any],
        idempotency_key: str | None = None,
        intent_id: str | None = None,
    ) -> str:
        """`Transaction.intent` in a transaction of its own."""
        with self.transaction() as tx:
            return tx.intent(
                kind,
                subject=subject,
                body=body,
                idempotency_key=idempotency_key,
                intent_id=intent_id,
            )

    def outcome(
        self,
        intent_id: str,
        status: str,
        *,
        external_id: str | None = None,
        answer: Mapping[str, Any] | Sequence[Any] | str | None = None,
        message: str | None = None,
    ) -> int:
        """`Transaction.outcome` in a transaction of its own."""
        with self.transaction() as tx:
            return tx.outcome(
                intent_id, status, external_id=external_id, answer=answer, message=message
            )

    def query(self, statement: Select[Any]) -> list[dict[str, Any]]:
        """The rows as dicts; see `Reader.query`."""
        with self.snapshot() as reader:
            return reader.query(statement)

    def first(self, statement: Select[Any]) -> dict[str, Any] | None:
        """The first row as a dict, None if there is none."""
        with self.snapshot() as reader:
            return reader.first(statement)

    def open_intents(self, kind: str | None = None, *, subject: str | None = None) -> list[Intent]:
        """Intents without a known outcome, oldest first: what a run that died left behind."""
        with self.snapshot() as reader:
            return reader.open_intents(kind, subject=subject)

    def head(self) -> ChainHead:
        """The end of the hash chain, to be kept outside the ledger."""
        with self.snapshot() as reader:
            return reader.head()

    def verify(self, *, heads: Iterable[ChainHead | KnownHead] = ()) -> tuple[ChainFault, ...]:
        """Read the whole ledger and say what was altered, removed, slipped in or cut off behind its
        back; empty if nothing. `heads` are heads kept elsewhere (backups, published marts): the
        ledger must still hold each of them."""
        with self.snapshot() as reader:
            return reader.verify(heads=heads)


def _fact_table(table: Table | str) -> Table:
    name = table if isinstance(table, str) else table.name
    fact = tables.metadata.tables.get(name)
    if fact is None or fact not in tables.FACT_TABLES:
        raise LedgerError(f"the ledger has no fact table {name!r}")
    return fact


@contextmanager
def _storage(engine: Engine) -> Iterator[None]:
    """A disk or server that cannot be written or reached, in words that name it."""
    try:
        yield
    except OperationalError as error:
        words = str(error.orig)
        for sign, what in _OF_STORAGE.items():
            if sign in words:
                path = sqlite_path(engine.url)
                where = path or engine.url.render_as_string(hide_password=True)
                raise StorageError(
                    f"the ledger {where} {what} ({words}). Nothing was half-written: mend that and "
                    "run this again"
                ) from error
        raise


_OF_STORAGE: Final = {
    "disk is full": "cannot be written: its disk is full",
    "readonly database": "cannot be written: it, or its disk, is read-only",
    "disk I/O error": "cannot be read or written: its disk fails, is full or is read-only",
    "unable to open database file": "cannot be opened: its folder is missing or cannot be written",
    "connection failed": "cannot be reached",
    "could not extend file": "cannot be written: the server's disk is full",
    "No space left on device": "cannot be written: the server's disk is full",
    "read-only transaction": "cannot be written: the server is read-only",
}


@contextmanager
def _in_words(table: str) -> Iterator[None]:
    """Database errors that a caller can act on, in the ledger's words."""
    try:
        yield
    except DBAPIError as error:
        words = str(error.orig)
        if isinstance(error, OperationalError) and any(sign in words for sign in _OF_STORAGE):
            raise  # `_storage` says where
        if "append-only" in words:
            raise AppendOnlyError(f"{table}: {words}") from error
        if "UNIQUE" in words or getattr(error.orig, "sqlstate", None) == UNIQUE_VIOLATION:
            raise AlreadyRecorded(
                f"{table}: this fact is in the ledger already: {words}"
            ) from error
        if isinstance(error, OperationalError) and "locked" in words:
            raise LedgerError(
                "the ledger is busy: another process has been writing for too long"
            ) from error
        raise LedgerError(f"{table}: {words}") from error
    except StatementError as error:
        raise LedgerError(f"{table}: {error.orig}") from error
