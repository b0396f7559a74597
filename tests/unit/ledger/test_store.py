"""Writing and reading facts: exact values, nothing half-written, nothing changed, effects accounted
for."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from exporters.ledger import (
    Actor,
    AlreadyRecorded,
    AppendOnlyError,
    Ledger,
    LedgerError,
    Transaction,
    tables,
)


def payment(**changes: Any) -> dict[str, Any]:
    return {
        "payment_id": "pay-1",
        "statement_number": "acme-0001",
        "amount": Decimal("10.00"),
        "currency": "EUR",
        "paid_on": date(2026, 11, 3),
        "status": "AUTHORISED",
    } | changes


def test_a_fact_says_who_when_and_where(ledger: Ledger) -> None:
    row_id = ledger.record(tables.payments, **payment())
    (row,) = ledger.query(select(tables.payments))
    assert row_id == row["id"] == 1
    assert (row["actor"], row["os_user"], row["host"]) == ("tester", "os-tester", "host-1")
    assert row["at"].tzinfo is UTC
    assert row["amount"] == Decimal("10.00")
    assert row["paid_on"] == date(2026, 11, 3)
    assert row["reference"] is None


def test_instants_come_back_in_utc(ledger: Ledger) -> None:
    nepal = timezone(timedelta(hours=5, minutes=45))
    there = datetime(2026, 11, 1, 3, 15, 0, 123456, tzinfo=nepal)
    ledger.record("poll_cursors", name="xero", cursor_at=there)
    (row,) = ledger.query(select(tables.current_poll_cursors))
    assert row["cursor_at"] == there
    assert row["cursor_at"].isoformat() == "2026-10-31T21:30:00.123456+00:00"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"amount": 10.0}, "expected a Decimal, got float"),
        ({"amount": Decimal("NaN")}, "finite"),
        ({"amount": None}, "(?i)not.null"),
        ({"paid_on": datetime(2026, 11, 3, tzinfo=UTC)}, "expected a date"),
        ({"amounts": Decimal(1)}, "no column amounts"),
        ({"at": datetime(2026, 11, 3, tzinfo=UTC)}, "no column at"),
    ],
)
def test_wrong_values_are_refused_in_words(
    ledger: Ledger, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(LedgerError, match=words):
        ledger.record(tables.payments, **payment(**changes))
    assert ledger.head().facts == 0


def test_naive_instants_are_refused(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="aware"):
        ledger.record("poll_cursors", name="x", cursor_at=datetime(2026, 11, 1))  # noqa: DTZ001


def test_tables_that_are_no_facts_are_refused(ledger: Ledger) -> None:
    for name in ("chain", "nothing"):
        with pytest.raises(LedgerError, match="no fact table"):
            ledger.record(name, seq=1)


def test_a_transaction_that_raises_writes_nothing(ledger: Ledger) -> None:
    def die(tx: Transaction) -> None:
        tx.record(tables.payments, **payment())
        raise RuntimeError("power")

    with pytest.raises(RuntimeError, match="power"), ledger.transaction() as tx:
        die(tx)
    assert ledger.query(select(tables.payments)) == []
    assert ledger.head().facts == 0
    assert ledger.record(tables.payments, **payment()) == 1


def test_what_can_be_there_once_is_there_once(ledger: Ledger) -> None:
    stage = {
        "statement_number": "acme-0001",
        "stage": "final_notice",
        "payer_id": "acme",
        "policy_id": "standard",
    }
    ledger.record(tables.reminders, **stage)
    with pytest.raises(AlreadyRecorded):
        ledger.record(tables.reminders, **stage)
    assert ledger.head().facts == 1


def test_a_transaction_inside_a_transaction_is_refused(ledger: Ledger) -> None:
    with ledger.transaction(), pytest.raises(LedgerError, match="open already"):
        ledger.record(tables.payments, **payment())
    ledger.record(tables.payments, **payment())


@pytest.mark.parametrize("table", [table.name for table in (*tables.FACT_TABLES, tables.chain)])
def test_no_table_can_be_changed(ledger: Ledger, ledger_file: Path, table: str) -> None:
    ledger.close()
    with closing(sqlite3.connect(ledger_file)) as con:
        triggers = con.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?", [table]
        ).fetchall()
    assert {name for (name,) in triggers} == {f"{table}_no_update", f"{table}_no_delete"}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE payments SET amount = '1'",
        "DELETE FROM payments",
        "UPDATE chain SET hash = ''",
        "DELETE FROM chain",
    ],
)
def test_changes_behind_its_back_are_refused(
    ledger: Ledger, ledger_file: Path, statement: str
) -> None:
    ledger.record(tables.payments, **payment())
    with (
        closing(sqlite3.connect(ledger_file)) as con,
        pytest.raises(sqlite3.IntegrityError, match="append-only"),
    ):
        con.execute(statement)
    assert ledger.verify() == ()


@pytest.mark.sqlite_only
def test_changes_through_the_ledgers_own_connection_are_refused(ledger: Ledger) -> None:
    ledger.record(tables.payments, **payment())
    with pytest.raises(AppendOnlyError, match="write a new fact"), ledger.transaction() as tx:
        tx._connection.exec_driver_sql("REPLACE INTO payments SELECT * FROM payments")


def test_open_intents_are_those_without_a_known_outcome(ledger: Ledger) -> None:
    done = ledger.intent("create_document", subject="acme-0001", body={"total": Decimal("1.10")})
    lost = ledger.intent("create_document", subject="acme-0002", body=[1, 2], idempotency_key="k")
    other = ledger.intent("send_mail", subject="acme-0001", body={})
    ledger.outcome(done, "ok", external_id="x-1", answer={"id": "x-1"})
    ledger.outcome(lost, "unknown", message="timeout")
    ledger.outcome(lost, "unknown", message="timeout")
    (found,) = ledger.open_intents("create_document")
    assert (found.intent_id, found.subject, found.unknowns) == (lost, "acme-0002", 2)
    assert (found.body, found.idempotency_key) == ([1, 2], "k")
    assert [intent.intent_id for intent in ledger.open_intents()] == [lost, other]
    assert [i.intent_id for i in ledger.open_intents(subject="acme-0001")] == [other]
    ledger.outcome(lost, "failed")
    assert ledger.open_intents("create_document") == []


def test_an_outcome_needs_its_intent(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match=r"(?i)foreign key"):
        ledger.outcome("never-said", "ok")
    intent_id = ledger.intent("x", subject="s", body={})
    with pytest.raises(LedgerError, match="ck_outcomes_status"):
        ledger.outcome(intent_id, "maybe")


def test_json_keeps_decimals_exact_and_refuses_floats(ledger: Ledger) -> None:
    ledger.intent("x", subject="s", body={"b": Decimal("1.10"), "a": [date(2026, 1, 2), True]})
    assert ledger.open_intents()[0].body == {"a": ["2026-01-02", True], "b": "1.10"}
    with pytest.raises(LedgerError, match="float"):
        ledger.intent("x", subject="s", body={"amount": 1.1})


def test_views_show_the_newest_word(ledger: Ledger) -> None:
    ledger.record("payments", **payment())
    ledger.record("payments", **payment(payment_id="pay-2"))
    ledger.record("payments", **payment(status="DELETED"))
    states = {r["payment_id"]: r["status"] for r in ledger.query(select(tables.current_payments))}
    assert states == {"pay-1": "DELETED", "pay-2": "AUTHORISED"}


def test_acting_as_somebody_else_keeps_account_and_host(ledger: Ledger) -> None:
    ledger.acting_as("scheduler").record(tables.payments, **payment())
    (row,) = ledger.query(select(tables.payments))
    assert (row["actor"], row["os_user"]) == ("scheduler", "os-tester")


def test_the_actor_of_this_process_has_a_name() -> None:
    actor = Actor.current("anna")
    assert actor.name == "anna"
    assert actor.os_user
    assert actor.host


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("mysql://host/db", "only sqlite and postgresql"),
        ("no url", "is not a URL"),
    ],
)
def test_urls_are_checked(url: str, words: str, ticking: Any) -> None:
    with pytest.raises(LedgerError, match=words):
        Ledger.open(url, clock=ticking)


@pytest.mark.sqlite_only
def test_a_commit_is_on_disk(ledger: Ledger) -> None:
    with ledger.snapshot() as reader:
        connection = reader._connection
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
