"""The ledger on a real PostgreSQL: the same schema, facts and refusals as on SQLite."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import func, inspect, select

from exporters.ledger import Actor, AlreadyRecorded, Ledger, LedgerError, tables
from exporters.ledger.extract import write_extract

pytestmark = pytest.mark.needs_postgres
ACTOR = Actor("tester", "os-tester", "host-1")
PAYMENT: dict[str, Any] = {
    "payment_id": "p",
    "statement_number": "acme-0001",
    "amount": Decimal("12345678901234567890.123456789"),
    "currency": "EUR",
    "paid_on": date(2026, 11, 3),
    "status": "AUTHORISED",
}


@pytest.fixture
def url(postgres: Any) -> str:
    return str(postgres.new_database())


@pytest.fixture
def ledger(url: str, utc_clock: Callable[[], datetime]) -> Iterator[Ledger]:
    with Ledger.open(url, clock=utc_clock, actor=ACTOR) as opened:
        yield opened


def test_migrations_give_exactly_the_tables(ledger: Ledger) -> None:
    with ledger._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []
        for view in tables._views.tables.values():
            columns = [column["name"] for column in inspect(connection).get_columns(view.name)]
            assert columns == [column.name for column in view.columns]


def test_values_come_back_exactly(ledger: Ledger) -> None:
    at = datetime(2026, 10, 25, 0, 30, 0, 123456, tzinfo=UTC)
    ledger.record(tables.payments, **PAYMENT)
    ledger.record(tables.poll_cursors, name="xero", cursor_at=at)
    ledger.record(tables.holds, scope="payer", subject="a", active=True, reason="r", by="b")
    (row,) = ledger.query(select(tables.current_payments))
    assert row["amount"] == PAYMENT["amount"]
    assert row["paid_on"] == date(2026, 11, 3)
    (cursor,) = ledger.query(select(tables.current_poll_cursors))
    assert cursor["cursor_at"] == at
    assert cursor["cursor_at"].tzinfo is UTC  # whatever the server's timezone
    assert len(ledger.query(select(tables.active_holds))) == 1
    assert ledger.verify(heads=[ledger.head()]) == ()


@pytest.mark.parametrize(
    "statement",
    ["UPDATE payments SET amount = '1'", "DELETE FROM payments", "TRUNCATE payments"],
)
def test_facts_cannot_be_changed(ledger: Ledger, url: str, statement: str) -> None:
    ledger.record(tables.payments, **PAYMENT)
    with (
        psycopg.connect(url) as con,
        pytest.raises(psycopg.errors.RaiseException, match="append-only"),
    ):
        con.execute(statement.encode())
    assert len(ledger.query(select(tables.payments))) == 1


def test_tampering_is_named(ledger: Ledger, url: str) -> None:
    for _ in range(3):
        ledger.record(tables.payments, **PAYMENT)
    head = ledger.head()
    with psycopg.connect(url) as con:
        for table in ("payments", "chain"):
            con.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())
        con.execute("UPDATE payments SET amount = '1' WHERE id = 1")
        con.execute("DELETE FROM payments WHERE id = 2")
        con.execute("DELETE FROM payments WHERE id = 3")
        con.execute("DELETE FROM chain WHERE seq = 3")
    found = {(fault.kind, fault.table, fault.row_id) for fault in ledger.verify(heads=[head])}
    assert found == {("altered", "payments", 1), ("missing", "payments", 2), ("cut", "chain", 3)}


def test_refusals_are_in_the_same_words(ledger: Ledger) -> None:
    ledger.intent("x", subject="s", body={}, intent_id="i")
    with pytest.raises(AlreadyRecorded):
        ledger.intent("x", subject="s", body={}, intent_id="i")
    with pytest.raises(LedgerError, match="ck_outcomes_status"):
        ledger.outcome("i", "maybe")
    with pytest.raises(LedgerError, match="fk_outcomes"):
        ledger.outcome("never-said", "ok")
    assert [intent.intent_id for intent in ledger.open_intents()] == ["i"]
    assert ledger.head().facts == 1


def test_writers_at_once_make_one_chain(ledger: Ledger, url: str, utc_clock: Any) -> None:
    failures: list[BaseException] = []

    def write() -> None:
        try:
            with Ledger.open(url, clock=utc_clock, actor=ACTOR) as mine:
                for _ in range(20):
                    mine.record(tables.payments, **PAYMENT)
        except LedgerError as error:
            failures.append(error)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert ledger.head().facts == 80
    assert ledger.verify() == ()
    ids = select(tables.payments.c.id).order_by(tables.payments.c.id)
    assert [row["id"] for row in ledger.query(ids)] == list(range(1, 81))


def test_numbers_have_no_gaps_between_connections(ledger: Ledger, url: str, utc_clock: Any) -> None:
    table = tables.series_advances
    failures: list[BaseException] = []

    def write() -> None:
        try:
            with Ledger.open(url, clock=utc_clock, actor=ACTOR) as mine:
                for _ in range(10):
                    with mine.transaction() as tx:
                        last = tx.scalar(select(func.max(table.c.series_no))) or 0
                        tx.record(table, series="s", series_no=last + 1, reason="r")
        except LedgerError as error:
            failures.append(error)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    found = ledger.query(select(table.c.series_no).order_by(table.c.id))
    assert [row["series_no"] for row in found] == list(range(1, 41))


def test_a_failed_transaction_leaves_no_gap(ledger: Ledger) -> None:
    ledger.intent("x", subject="s", body={}, intent_id="i")

    def write_twice() -> None:
        with ledger.transaction() as tx:
            tx.record(tables.payments, **PAYMENT)
            tx.intent("x", subject="s", body={}, intent_id="i")

    with pytest.raises(AlreadyRecorded):
        write_twice()
    assert ledger.record(tables.payments, **PAYMENT) == 1
    assert ledger.head().facts == 2
    assert ledger.verify() == ()


def test_openers_at_once_migrate_once(postgres: Any, utc_clock: Any) -> None:
    url = postgres.new_database()
    failures: list[BaseException] = []

    def open_it() -> None:
        try:
            Ledger.open(url, clock=utc_clock, actor=ACTOR).close()
        except LedgerError as error:
            failures.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_the_extract(ledger: Ledger, url: str, tmp_path: Path) -> None:
    ledger.record(tables.payments, **(PAYMENT | {"amount": Decimal("12.5")}))
    write_extract(url, tmp_path)
    (row,) = pq.read_table(tmp_path / "payments.parquet").to_pylist()
    assert row["amount"] == Decimal("12.50")
    assert write_extract(url, tmp_path) == []


def test_a_server_that_is_not_there(utc_clock: Any) -> None:
    with pytest.raises(LedgerError, match="cannot be reached"):
        Ledger.open("postgresql://m2c@127.0.0.1:1/none", clock=utc_clock, actor=ACTOR)
