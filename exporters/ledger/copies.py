"""A copy of the ledger as one file, and putting one back. A copy is a SQLite ledger whatever
database the ledger itself is in: it can be opened, verified and queried like any ledger, and a
ledger moves from SQLite to PostgreSQL, or back, by a copy of the one restored as the other.

A restored ledger says so in itself (`restores`), written in the same transaction that puts the copy
in place: no kill and no later copy can lose it. What follows from it is `restored`'s.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, func, insert, select
from sqlalchemy.exc import DBAPIError

from exporters.ledger import migrate, tables
from exporters.ledger.chain import GENESIS, ChainFault, ChainHead
from exporters.ledger.engine import (
    BUSY_SECONDS,
    WRITES,
    begin_writing,
    create,
    parse_url,
    sqlite_path,
)
from exporters.ledger.errors import LedgerError, NewerFactsError, SpoiledCopyError
from exporters.ledger.store import Actor, Ledger, Reader, Transaction

ROWS_AT_ONCE: Final = 2000
Clock = Callable[[], datetime]


@dataclass(frozen=True)
class LedgerCopy:
    """What a copy holds: the end of its chain, the schema it was written with, and what is wrong
    with it (nothing, unless the ledger itself is spoiled)."""

    path: Path
    head: ChainHead
    schema: str
    faults: tuple[ChainFault, ...] = ()


@dataclass(frozen=True)
class Restored:
    """What a restore did. `replaced` is the head of the ledger that was there, `kept_aside` where
    that lies now, `lost` how many of its facts the copy has not, by table. `already`: the ledger
    holds this very copy, and nothing was done."""

    copy: ChainHead
    replaced: ChainHead | None
    kept_aside: Path | None
    lost: dict[str, int]
    already: bool = False


def back_up(ledger: Ledger, target: Path) -> LedgerCopy:
    """Write a copy of the ledger to `target`, whole or not at all, and verify it. Others may write
    meanwhile; the copy is of one moment.

    Raises LedgerError; OSError where `target` cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="m2c-ledger-") as folder:
        made = Path(folder) / "ledger.sqlite"
        if ledger.path is not None:
            _copy_file(ledger.path, made)
        else:
            _dump(ledger, made)
        with _opened(made, ledger.clock) as copy:
            found = LedgerCopy(target, copy.head(), _schema(copy), copy.verify())
        _make_one_file(made)
        _put(made, target)
    return found


@contextmanager
def checked_copy(path: Path, *, clock: Clock) -> Iterator[Ledger]:
    """The copy at `path` as a ledger of this version, verified: a private one, which may be written
    to and goes when the block ends. The file itself is only read.

    Raises SpoiledCopyError if it is no copy of a ledger or its chain does not verify, LedgerError
    if a newer version of the program wrote it.
    """
    if not path.is_file():
        raise SpoiledCopyError(f"there is no copy of a ledger at {path}")
    with tempfile.TemporaryDirectory(prefix="m2c-ledger-") as folder:
        mine = Path(folder) / "ledger.sqlite"
        shutil.copyfile(path, mine)
        try:
            _require_ledger(mine, path)
            with _opened(mine, clock) as copy:
                if faults := copy.verify():
                    raise SpoiledCopyError(f"{path}: {in_words(faults)}")
                yield copy
        except (DBAPIError, sqlite3.DatabaseError) as error:
            raise SpoiledCopyError(f"{path} is not a whole copy of a ledger: {error}") from error


def restore(
    url: str,
    path: Path,
    *,
    clock: Clock,
    actor: Actor,
    source: str,
    kept_aside: Path,
    lose_newer: bool = False,
) -> Restored:
    """Put the copy at `path` in the place of the ledger at `url`, which is made if need be.

    source: where the copy came from, in words; it is kept in the ledger. kept_aside: the folder for
    a copy of the ledger that was there. Writers of other processes wait, and go on with what was
    restored. Raises SpoiledCopyError for a copy that does not verify, NewerFactsError where the
    ledger holds facts that the copy has not and `lose_newer` is not set; both before anything is
    touched.
    """
    with checked_copy(path, clock=clock) as copy:
        head = copy.head()
        old = _look_at(url, clock)
        lost: dict[str, int] = {}
        if old is not None and old.head is not None:
            if old.sound and _is_there(old, head):
                return Restored(head, old.head, None, {}, already=True)
            lost = _beyond(url, copy, clock)
            if lost and not lose_newer:
                raise NewerFactsError(_refusal(old, lost, head, path))
        elif old is not None and not lose_newer:
            raise NewerFactsError(
                f"the ledger {old.shown} cannot be read ({old.problem}), so nobody knows whether it"
                " holds facts that the copy has not; with --force it is put aside as it is"
            )
        aside = None if old is None else _put_aside(url, old, kept_aside, clock)
        mark = {
            "source": source,
            "copy_facts": head.facts,
            "copy_head": head.hash,
            "replaced_facts": old.head.facts if old and old.head else None,
            "replaced_head": old.head.hash if old and old.head else None,
            "kept_aside": None if aside is None else str(aside),
        }
        if sqlite_path(parse_url(url)) is None:
            _replace_postgresql(url, copy, mark, old=old, now=clock(), actor=actor)
        else:
            _replace_sqlite(url, copy, mark, old=old, actor=actor)
        return Restored(head, old.head if old else None, aside, lost)


def in_words(faults: tuple[ChainFault, ...], *, shown: int = 20) -> str:
    """Faults as one sentence, the first of them named."""
    told = "; ".join(fault.message for fault in faults[:shown])
    more = f"; and {len(faults) - shown} more" if len(faults) > shown else ""
    return f"{len(faults)} fault{'s' * (len(faults) != 1)}: {told}{more}"


# --- the ledger that is there ---------------------------------------------------------------------


@dataclass(frozen=True)
class _Old:
    """The ledger that a copy is to replace; `head` is None if it cannot be read, and `problem`
    says why. `sound`: its chain verifies."""

    shown: str
    path: Path | None
    head: ChainHead | None = None
    sound: bool = False
    last: tuple[str, int] | None = None  # table and row of its last fact
    mark: Mapping[str, Any] | None = None  # its last restore
    problem: str = ""


def _look_at(url: str, clock: Clock) -> _Old | None:
    """The ledger at `url`, None if there is none or it never held a fact."""
    path = sqlite_path(parse_url(url))
    if path is not None and not path.exists():
        return None
    try:
        with Ledger.open(url, clock=clock) as ledger, ledger.snapshot() as reader:
            head, sound = reader.head(), reader.verify() == ()
            if head.facts == 0 and sound:
                return None
            chain, restores = tables.chain, tables.restores
            last = reader.first(select(chain).order_by(chain.c.seq.desc()))
            return _Old(
                shown=ledger.url,
                path=path,
                head=head,
                sound=sound,
                last=None if last is None else (last["table_name"], last["row_id"]),
                mark=reader.first(select(restores).order_by(restores.c.id.desc())),
            )
    except (LedgerError, DBAPIError) as error:
        if path is None:
            raise
        return _Old(shown=url, path=path, problem=str(error))


def _is_there(old: _Old, copy: ChainHead) -> bool:
    """Whether the ledger holds the copy and the word that it was restored, and nothing since: left
    by a run that was cut short afterwards."""
    mark = old.mark
    return (
        old.head is not None
        and mark is not None
        and mark["copy_head"] == copy.hash
        and old.head.facts == copy.facts + 1
        and old.last == (tables.restores.name, mark["id"])
    )


def _beyond(url: str, copy: Ledger, clock: Clock) -> dict[str, int]:
    """How many facts the ledger holds that the copy has not, by table."""
    chain = tables.chain
    with (
        Ledger.open(url, clock=clock) as ledger,
        ledger.snapshot() as mine,
        copy.snapshot() as theirs,
    ):
        shared = _shared(mine, theirs)
        rows = mine.query(
            select(chain.c.table_name, func.count().label("facts"))
            .where(chain.c.seq > shared)
            .group_by(chain.c.table_name)
        )
    return {row["table_name"]: row["facts"] for row in rows}


def _shared(mine: Reader, theirs: Reader) -> int:
    """How many facts two chains have in common: each hash covers all facts before it."""
    chain = tables.chain

    def at(reader: Reader, seq: int) -> Any:
        return reader.scalar(select(chain.c.hash).where(chain.c.seq == seq))

    low, high = 0, min(mine.head().facts, theirs.head().facts)
    while low < high:
        middle = (low + high + 1) // 2
        if at(mine, middle) == at(theirs, middle):
            low = middle
        else:
            high = middle - 1
    return low


def _refusal(old: _Old, lost: Mapping[str, int], copy: ChainHead, path: Path) -> str:
    told = ", ".join(f"{count} of {table}" for table, count in sorted(lost.items()))
    return (
        f"the ledger {old.shown} holds {sum(lost.values())} facts that {path} (of {copy.facts} "
        f"facts) has not: {told}. They would be lost; with --force they are, and the ledger as it "
        "is now is kept aside"
    )


def _put_aside(url: str, old: _Old, folder: Path, clock: Clock) -> Path:
    """A copy of the old ledger, whole and on the disk; its files as they are if it cannot be
    read."""
    stamp = clock().astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    target = folder / f"ledger.sqlite.before-restore-{stamp}.bak"
    if old.head is not None:
        with Ledger.open(url, clock=clock) as ledger:
            return back_up(ledger, target).path
    if old.path is None:
        raise LedgerError(f"the ledger {old.shown} cannot be read: {old.problem}")
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in ("-wal", "-shm", ""):
        file = old.path.with_name(old.path.name + suffix)
        if file.exists():
            file.replace(target.with_name(target.name + suffix))
    _sync(old.path.parent)
    return target


# --- putting a copy in its place ------------------------------------------------------------------


def _replace_sqlite(
    url: str, copy: Ledger, mark: Mapping[str, Any], *, old: _Old | None, actor: Actor
) -> None:
    path = sqlite_path(parse_url(url))
    if path is None or copy.path is None:
        raise LedgerError(f"{copy.url} or the ledger is no SQLite file")
    marked = copy.as_actor(actor)
    marked.record(tables.restores, **mark)
    copy.close()
    _make_one_file(copy.path, journal="WAL")
    if not path.exists():
        _put(copy.path, path)
        return
    head = old.head if old is not None and old.head is not None else ChainHead(0, GENESIS)
    with closing(sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)) as con:
        con.execute("PRAGMA synchronous = FULL")
        con.execute("PRAGMA foreign_keys = OFF")
        con.execute("ATTACH ? AS fresh", [str(copy.path)])
        con.execute("BEGIN IMMEDIATE")
        found = con.execute("SELECT seq, hash FROM main.chain ORDER BY seq DESC LIMIT 1").fetchone()
        _require_unmoved(ChainHead(*found) if found else ChainHead(0, GENESIS), head)
        for kind in ("view", "trigger", "table"):
            for name in _names(con, "main", kind):
                con.execute(f'DROP {kind} main."{name}"')
        for kind in ("table", "index", "view", "trigger"):
            for name in _names(con, "fresh", kind):
                (sql,) = con.execute(
                    "SELECT sql FROM fresh.sqlite_master WHERE type = ? AND name = ?", [kind, name]
                ).fetchone()
                if sql is None:  # an index that its table makes
                    continue
                con.execute(sql)
                if kind == "table":
                    con.execute(f'INSERT INTO main."{name}" SELECT * FROM fresh."{name}"')
        con.execute("COMMIT")


def _names(con: sqlite3.Connection, schema: str, kind: str) -> list[str]:
    rows = con.execute(
        f"SELECT name FROM {schema}.sqlite_master WHERE type = ? AND name NOT LIKE 'sqlite_%' "
        "ORDER BY rowid",
        [kind],
    )
    return [str(name) for (name,) in rows.fetchall()]


def _replace_postgresql(
    url: str,
    copy: Ledger,
    mark: Mapping[str, Any],
    *,
    old: _Old | None,
    now: datetime,
    actor: Actor,
) -> None:
    """Everything in one transaction: the old tables go, the new ones come, and the chain is
    verified, or nothing happened."""
    engine = create(parse_url(url))
    expected = old.head if old is not None and old.head is not None else ChainHead(0, GENESIS)
    try:
        with engine.connect() as raw:
            connection = raw.execution_options(**{WRITES: True})
            with connection.begin():
                begin_writing(connection)
                _require_unmoved(Reader(connection).head(), expected)
                migrate.build_anew(connection)
                with copy.snapshot() as source:
                    _copy_facts(source.connection, connection)
                transaction = Transaction(connection, now=now, actor=actor)
                transaction.record(tables.restores, **mark)
                if faults := transaction.verify():
                    raise LedgerError(
                        f"the restored ledger does not verify, and nothing was changed: "
                        f"{in_words(faults)}"
                    )
    finally:
        engine.dispose()


def _require_unmoved(found: ChainHead, expected: ChainHead) -> None:
    if found != expected:
        raise LedgerError(
            f"the ledger went from {expected.facts} to {found.facts} facts while it was being "
            "restored; nothing was changed. Run this again when nobody writes to it"
        )


def _copy_facts(source: Connection, target: Connection) -> None:
    """All facts and their chain, as they are: ids, instants, who wrote them, hashes."""
    for table in (*tables.FACT_TABLES, tables.chain):
        key = table.primary_key.columns.values()[0]
        statement = select(table).order_by(key).execution_options(yield_per=ROWS_AT_ONCE)
        for rows in source.execute(statement).mappings().partitions():
            target.execute(insert(table), [dict(row) for row in rows])


# --- files ----------------------------------------------------------------------------------------


def _copy_file(path: Path, target: Path) -> None:
    # A copy of the file would miss what is still in the write-ahead log.
    with (
        closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as source,
        closing(sqlite3.connect(target)) as copy,
    ):
        source.backup(copy)


def _dump(ledger: Ledger, target: Path) -> None:
    engine = create(parse_url(f"sqlite:///{target}"))
    try:
        migrate.upgrade(engine, now=ledger.clock())
        with engine.connect() as raw, ledger.snapshot() as source:
            connection = raw.execution_options(**{WRITES: True})
            with connection.begin():
                _copy_facts(source.connection, connection)
    finally:
        engine.dispose()


@contextmanager
def _opened(path: Path, clock: Clock) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{path}", clock=clock) as ledger:
        yield ledger


def _schema(copy: Ledger) -> str:
    with copy.snapshot() as reader:
        return migrate.revision_in(reader.connection) or ""


def _require_ledger(path: Path, shown: Path) -> None:
    with closing(sqlite3.connect(path)) as con:
        names = {name for (name,) in con.execute("SELECT name FROM sqlite_master")}
        if not {"chain", "alembic_version"} <= names:
            raise SpoiledCopyError(f"{shown} is no copy of a ledger: it has no hash chain")
        (sound,) = con.execute("PRAGMA quick_check").fetchone()
        if sound != "ok":
            raise SpoiledCopyError(f"{shown} is not a whole copy of a ledger: {sound}")


def _make_one_file(path: Path, *, journal: str = "DELETE") -> None:
    """Leave nothing beside the file: no write-ahead log to be forgotten."""
    with closing(sqlite3.connect(path)) as con:
        con.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        con.execute(f"PRAGMA journal_mode = {journal}")


def _put(made: Path, target: Path) -> None:
    """The finished file at `target`, at once; it may lie on another disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
    try:
        with partial.open("xb") as out, made.open("rb") as content:
            shutil.copyfileobj(content, out, 1 << 20)
            out.flush()
            os.fsync(out.fileno())
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _sync(target.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
