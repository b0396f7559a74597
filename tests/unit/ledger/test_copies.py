"""Copies of the ledger: of one moment while others write, the same on either database, verified
before anything is put in place, and nothing lost that nobody said may be lost."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import select

from exporters.ledger import (
    Actor,
    Ledger,
    LedgerError,
    copies,
    restored,
    tables,
)
from exporters.ledger.copies import Restored, back_up, checked_copy
from exporters.ledger.errors import NewerFactsError, NotReconciledError, SpoiledCopyError

ACTOR = Actor("restorer", "os-restorer", "host-2")
Clock = Callable[[], datetime]


def fill(ledger: Ledger, count: int = 3) -> None:
    """Facts with every kind of value."""
    for no in range(1, count + 1):
        ledger.record(
            tables.payments,
            payment_id=f"pay-{no}",
            statement_number="acme-0001",
            amount=Decimal("12345678901234567890.1200"),
            currency="EUR",
            paid_on=date(2026, 11, no),
            status="AUTHORISED",
            raw={"Amount": Decimal("1.10"), "what": "Zahlung „Nr. 1“"},
        )
        ledger.record(
            "holds", scope="payer", subject="acme", active=bool(no % 2), reason="r", by="b"
        )
    ledger.record(
        "poll_cursors",
        name="xero/t",
        cursor_at=datetime.fromisoformat("2026-11-01T00:00:00.000001Z"),
    )
    ledger.intent("x", subject="s", body={"a": [1, None, True]}, intent_id="i")
    ledger.outcome("i", "ok", answer={"b": 1})


def hold(ledger: Ledger, subject: str, *, active: bool = True) -> None:
    ledger.record("holds", scope="payer", subject=subject, active=active, reason="r", by="b")


def facts(ledger: Ledger) -> dict[str, list[dict[str, Any]]]:
    """All there is, chain included."""
    return {
        table.name: ledger.query(select(table).order_by(table.primary_key.columns.values()[0]))
        for table in (*tables.FACT_TABLES, tables.chain)
    }


def put(url: str, path: Path, clock: Clock, folder: Path, **more: Any) -> Restored:
    return copies.restore(
        url, path, clock=clock, actor=ACTOR, source="a test", kept_aside=folder / "aside", **more
    )


@pytest.fixture
def elsewhere(ledger_engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """An empty place for another ledger in the same kind of database."""
    if ledger_engine == "postgresql":
        return str(request.getfixturevalue("postgres").new_database())
    return f"sqlite:///{tmp_path}/elsewhere/ledger.sqlite"


@pytest.fixture
def opened(ticking: Clock) -> Iterator[Callable[[str], Ledger]]:
    """Opens ledgers, and closes them when the test is over."""
    held: list[Ledger] = []

    def open_it(url: str) -> Ledger:
        held.append(Ledger.open(url, clock=ticking, actor=ACTOR))
        return held[-1]

    yield open_it
    for ledger in held:
        ledger.close()


def test_a_copy_holds_everything(ledger: Ledger, tmp_path: Path, ticking: Clock) -> None:
    fill(ledger)
    copy = back_up(ledger, tmp_path / "copies" / "one.sqlite")
    assert copy.head == ledger.head()
    assert copy.faults == ()
    assert [path.name for path in copy.path.parent.iterdir()] == ["one.sqlite"]
    with checked_copy(copy.path, clock=ticking) as read:
        assert facts(read) == facts(ledger)


def test_a_restored_ledger_is_the_copy_and_says_that_it_was_restored(
    ledger: Ledger, elsewhere: str, opened: Any, tmp_path: Path, ticking: Clock
) -> None:
    fill(ledger)
    copy = back_up(ledger, tmp_path / "one.sqlite")
    done = put(elsewhere, copy.path, ticking, tmp_path)
    assert (done.copy, done.replaced, done.kept_aside) == (copy.head, None, None)
    new = opened(elsewhere)
    (mark,) = new.query(select(tables.restores))
    assert (mark["actor"], mark["copy_facts"], mark["copy_head"]) == (
        "restorer",
        copy.head.facts,
        copy.head.hash,
    )
    found, expected = facts(new), facts(ledger)
    assert found["chain"][:-1] == expected["chain"]
    assert {k: v for k, v in found.items() if k not in ("chain", "restores")} == {
        k: v for k, v in expected.items() if k not in ("chain", "restores")
    }
    assert new.verify(heads=[copy.head]) == ()
    new.record("holds", scope="payer", subject="b", active=True, reason="r", by="b")
    assert new.verify() == ()
    with pytest.raises(LedgerError, match="append-only"), new.transaction() as tx:
        tx.connection.exec_driver_sql("DELETE FROM payments")


@pytest.mark.needs_postgres
@pytest.mark.sqlite_only
def test_a_ledger_moves_to_postgresql_and_back(
    ledger: Ledger, postgres: Any, opened: Any, tmp_path: Path, ticking: Clock
) -> None:
    fill(ledger)
    first = back_up(ledger, tmp_path / "one.sqlite")
    there = postgres.new_database()
    put(there, first.path, ticking, tmp_path)
    moved = opened(there)
    back = back_up(moved, tmp_path / "two.sqlite")
    assert back.head == moved.head()
    home = f"sqlite:///{tmp_path}/home/ledger.sqlite"
    put(home, back.path, ticking, tmp_path)
    returned = opened(home)
    assert returned.verify(heads=[first.head, back.head]) == ()
    assert facts(returned)["payments"] == facts(ledger)["payments"]
    with closing(sqlite3.connect(tmp_path / "home" / "ledger.sqlite")) as con:
        assert con.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_newer_facts_are_not_lost_unless_told(
    ledger: Ledger, ledger_url: str, tmp_path: Path, ticking: Clock
) -> None:
    fill(ledger)
    copy = back_up(ledger, tmp_path / "one.sqlite")
    ledger.record("promises", payer_id="acme", until_date=date(2026, 12, 1), by="b", reason="r")
    ledger.record("holds", scope="payer", subject="b", active=True, reason="r", by="b")
    newest = ledger.head()
    with pytest.raises(NewerFactsError, match=r"2 facts .* 1 of holds, 1 of promises"):
        put(ledger_url, copy.path, ticking, tmp_path)
    assert ledger.head() == newest

    done = put(ledger_url, copy.path, ticking, tmp_path, lose_newer=True)

    assert done.lost == {"holds": 1, "promises": 1}
    assert done.replaced == newest
    assert done.kept_aside is not None
    # Who had the ledger open goes on with what was restored.
    assert ledger.query(select(tables.promises)) == []
    ledger.record("holds", scope="payer", subject="c", active=True, reason="r", by="b")
    assert ledger.verify(heads=[copy.head]) == ()
    with checked_copy(done.kept_aside, clock=ticking) as aside:
        assert aside.head() == newest
    with ledger.snapshot() as reader:
        mark = restored.open_restore(reader)
        assert mark is not None
        assert (mark["replaced_facts"], mark["replaced_head"]) == (newest.facts, newest.hash)
        with pytest.raises(NotReconciledError, match="put back to an older copy"):
            restored.require_reconciled(reader)


def test_the_newer_ledger_can_be_put_back(
    ledger: Ledger, ledger_url: str, tmp_path: Path, ticking: Clock
) -> None:
    fill(ledger)
    copy = back_up(ledger, tmp_path / "one.sqlite")
    ledger.record("holds", scope="payer", subject="b", active=True, reason="r", by="b")
    newest = ledger.head()
    done = put(ledger_url, copy.path, ticking, tmp_path, lose_newer=True)
    assert done.kept_aside is not None
    put(ledger_url, done.kept_aside, ticking, tmp_path, lose_newer=True)
    assert ledger.verify(heads=[newest]) == ()
    assert ledger.head().facts == newest.facts + 1


def test_a_restore_that_was_cut_short_afterwards_is_done_once(
    ledger: Ledger, ledger_url: str, tmp_path: Path, ticking: Clock
) -> None:
    fill(ledger)
    copy = back_up(ledger, tmp_path / "one.sqlite")
    put(ledger_url, copy.path, ticking, tmp_path)
    head = ledger.head()
    assert put(ledger_url, copy.path, ticking, tmp_path).already
    assert ledger.head() == head


def spoil(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as con:
        for (name,) in con.execute(
            "SELECT name FROM sqlite_master WHERE type='trigger'"
        ).fetchall():
            con.execute(f"DROP TRIGGER {name}")
        con.execute(statement)
        con.commit()


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE payments SET amount = '1.00' WHERE id = 2", "payments 2 was altered"),
        ("DELETE FROM holds WHERE id = 1", "holds 1 is gone"),
        ("UPDATE chain SET row_hash = '' WHERE seq = 4", "chain row 4 was altered"),
        ("DROP TABLE chain", "no hash chain"),
    ],
)
def test_a_spoiled_copy_is_put_nowhere(
    ledger: Ledger, ledger_url: str, tmp_path: Path, ticking: Clock, statement: str, words: str
) -> None:
    fill(ledger)
    head = ledger.head()
    copy = back_up(ledger, tmp_path / "one.sqlite")
    spoil(copy.path, statement)
    with pytest.raises(SpoiledCopyError, match=words):
        put(ledger_url, copy.path, ticking, tmp_path, lose_newer=True)
    assert ledger.head() == head
    assert not (tmp_path / "aside").exists()


@pytest.mark.sqlite_only
def test_any_altered_byte_of_a_copy_is_found(
    ledger: Ledger, tmp_path: Path, ticking: Clock
) -> None:
    """Wherever it lies: or the copy still says exactly the same facts."""
    fill(ledger)
    expected = facts(ledger)
    copy = back_up(ledger, tmp_path / "one.sqlite")
    whole = copy.path.read_bytes()
    spoiled = 0
    for at in range(0, len(whole), 7019):
        copy.path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x15]) + whole[at + 1 :])
        try:
            with checked_copy(copy.path, clock=ticking) as read:
                assert facts(read) == expected
        except LedgerError:
            spoiled += 1
    assert spoiled > 0


@pytest.mark.parametrize("content", [b"", b"no database at all, not even nearly", None])
def test_what_is_no_copy_is_refused(
    ledger_url: str, tmp_path: Path, ticking: Clock, content: bytes | None
) -> None:
    path = tmp_path / "x.sqlite"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SpoiledCopyError, match=r"x\.sqlite"):
        put(ledger_url, path, ticking, tmp_path)


def test_a_ledger_that_cannot_be_read_is_put_aside_as_it_is(
    ledger: Ledger, ledger_file: Path, tmp_path: Path, ticking: Clock
) -> None:
    fill(ledger)
    copy = back_up(ledger, tmp_path / "one.sqlite")
    ledger.close()
    rubbish = b"rubbish" * 1000
    for suffix in ("-wal", "-shm"):
        ledger_file.with_name(ledger_file.name + suffix).unlink(missing_ok=True)
    ledger_file.write_bytes(rubbish)
    url = f"sqlite:///{ledger_file}"
    with pytest.raises(NewerFactsError, match="cannot be read"):
        put(url, copy.path, ticking, tmp_path)
    done = put(url, copy.path, ticking, tmp_path, lose_newer=True)
    assert done.kept_aside is not None
    assert done.kept_aside.read_bytes() == rubbish
    with Ledger.open(url, clock=ticking) as again:
        assert again.verify(heads=[copy.head]) == ()


def test_a_copy_of_an_older_version_is_brought_to_this_one(
    ledger_url: str, tmp_path: Path, ticking: Clock, opened: Any
) -> None:
    path = tmp_path / "old.sqlite"
    with closing(sqlite3.connect(path)) as con:
        con.executescript(Path(__file__).with_name("ledger_0001.sql").read_text())
    whole = path.read_bytes()
    done = put(ledger_url, path, ticking, tmp_path)
    new = opened(ledger_url)
    assert new.verify(heads=[done.copy]) == ()
    assert new.head().facts == done.copy.facts + 1
    assert path.read_bytes() == whole


def test_copies_are_of_one_moment_while_others_write(
    ledger: Ledger, ledger_url: str, tmp_path: Path, opened: Any
) -> None:
    stop = threading.Event()
    writer = opened(ledger_url)
    failures: list[BaseException] = []

    def write() -> None:
        try:
            while not stop.is_set():
                with writer.transaction() as tx:
                    for part in range(5):
                        tx.record(
                            "exception_actions",
                            exception_id=str(part),
                            action="ack",
                            by="b",
                            reason="r",
                        )
        except LedgerError as error:
            failures.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        found = [back_up(ledger, tmp_path / f"{no}.sqlite") for no in range(5)]
    finally:
        stop.set()
        thread.join()
    assert failures == []
    assert all(copy.faults == () and copy.head.facts % 5 == 0 for copy in found)
    assert found[-1].head.facts > found[0].head.facts
    assert ledger.verify(heads=[copy.head for copy in found]) == ()


@pytest.mark.needs_postgres
@pytest.mark.sqlite_only
def test_a_restore_into_postgresql_is_whole_or_nothing(
    ledger: Ledger,
    postgres: Any,
    tmp_path: Path,
    ticking: Clock,
    opened: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = postgres.new_database()
    there = opened(url)
    there.record("holds", scope="payer", subject="kept", active=True, reason="r", by="b")
    head = there.head()
    fill(ledger)
    copy = back_up(ledger, tmp_path / "one.sqlite")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("exporters.ledger.copies.Transaction.verify", die)
        with pytest.raises(KeyboardInterrupt):
            put(url, copy.path, ticking, tmp_path, lose_newer=True)
    assert there.head() == head
    assert there.verify() == ()
    with psycopg.connect(url) as con:
        assert con.execute("SELECT count(*) FROM holds").fetchone() == (1,)


def test_who_wrote_meanwhile_stops_a_restore(
    ledger: Ledger,
    ledger_url: str,
    tmp_path: Path,
    ticking: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fill(ledger)
    copy = back_up(ledger, tmp_path / "one.sqlite")
    real = copies._put_aside

    def and_write(*given: Any) -> Path:
        aside = real(*given)
        ledger.record("holds", scope="payer", subject="late", active=True, reason="r", by="b")
        return aside

    monkeypatch.setattr(copies, "_put_aside", and_write)
    with pytest.raises(LedgerError, match="while it was being restored"):
        put(ledger_url, copy.path, ticking, tmp_path)
    assert len(ledger.query(select(tables.holds).where(tables.holds.c.subject == "late"))) == 1
    assert ledger.verify() == ()


def test_a_copy_is_never_half_there(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(ledger)
    copy = back_up(ledger, tmp_path / "one.sqlite")
    before = copy.path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(OSError, match="No space"):
        back_up(ledger, copy.path)
    assert copy.path.read_bytes() == before
    assert [path.name for path in tmp_path.glob("*.sqlite*")] == ["one.sqlite"]
