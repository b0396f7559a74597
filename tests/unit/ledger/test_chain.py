"""The hash chain: whatever is done to the file by somebody with a hex editor, or with SQL and the
triggers dropped, `verify` names the table and the row."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import select

from exporters.ledger import ChainHead, Ledger, tables


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    for no in range(1, 6):
        ledger.record(
            tables.payments,
            payment_id=f"pay-{no}",
            statement_number="acme-0001",
            amount=Decimal(no),
            currency="EUR",
            paid_on=date(2026, 11, no),
            status="AUTHORISED",
        )
        ledger.record(
            tables.holds, scope="payer", subject="acme", active=no % 2 == 1, reason="r", by="b"
        )
    return ledger


def tamper(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as con:
        for (name,) in con.execute(
            "SELECT name FROM sqlite_master WHERE type='trigger'"
        ).fetchall():
            con.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            con.execute(statement)
        con.commit()


def found(ledger: Ledger) -> set[tuple[str, str | None, int | None]]:
    return {(fault.kind, fault.table, fault.row_id) for fault in ledger.verify()}


def test_an_untouched_ledger_verifies(filled: Ledger) -> None:
    assert filled.verify() == ()
    assert filled.head().facts == 10
    assert filled.verify(heads=[filled.head(), ChainHead(0, "0" * 64)]) == ()


def test_the_chain_holds_facts_in_the_order_of_writing(filled: Ledger) -> None:
    links = filled.query(select(tables.chain).order_by(tables.chain.c.seq))
    assert [link["seq"] for link in links] == list(range(1, 11))
    assert [link["table_name"] for link in links[:3]] == ["payments", "holds", "payments"]
    assert all(later["prev_hash"] == earlier["hash"] for earlier, later in pairwise(links))


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE payments SET amount = '2.00' WHERE id = 2", ("altered", "payments", 2)),
        ("UPDATE payments SET amount = 2.5 WHERE id = 2", ("altered", "payments", 2)),
        ("UPDATE payments SET paid_on = 'soon' WHERE id = 2", ("altered", "payments", 2)),
        ("UPDATE payments SET reference = 'x' WHERE id = 2", ("altered", "payments", 2)),
        ("UPDATE payments SET at = x'00' WHERE id = 2", ("altered", "payments", 2)),
        ("UPDATE holds SET active = 0 WHERE id = 3", ("altered", "holds", 3)),
        ("DELETE FROM payments WHERE id = 3", ("missing", "payments", 3)),
        ("DELETE FROM payments WHERE id = 5", ("missing", "payments", 5)),
        (
            "INSERT INTO holds SELECT 6, at, actor, os_user, host, scope, subject, active, reason, "
            "by FROM holds WHERE id = 1",
            ("unchained", "holds", 6),
        ),
        ("UPDATE chain SET row_hash = '' WHERE seq = 4", ("altered", "chain", 4)),
        ("UPDATE chain SET prev_hash = '' WHERE seq = 4", ("altered", "chain", 4)),
        ("DELETE FROM chain WHERE seq = 4", ("missing", "chain", 4)),
        ("DELETE FROM chain WHERE seq = 4", ("unchained", "holds", 2)),
        ("DELETE FROM chain WHERE seq = 10", ("unchained", "holds", 5)),
    ],
)
def test_tampering_is_named(
    filled: Ledger, ledger_file: Path, statement: str, fault: tuple[str, str, int]
) -> None:
    tamper(ledger_file, statement)
    assert fault in found(filled)


def test_every_single_value_is_covered(filled: Ledger, ledger_file: Path) -> None:
    for column in tables.payments.columns:
        if column.name == "id":
            continue
        with closing(sqlite3.connect(ledger_file)) as con:
            (before,) = con.execute(f"SELECT {column.name} FROM payments WHERE id=1").fetchone()
        spoiled = "'2025-01-01'" if column.name == "paid_on" else "'spoiled'"
        tamper(ledger_file, f"UPDATE payments SET {column.name} = {spoiled} WHERE id = 1")
        assert ("altered", "payments", 1) in found(filled), column.name
        back = "NULL" if before is None else f"'{before}'"
        tamper(ledger_file, f"UPDATE payments SET {column.name} = {back} WHERE id = 1")
    assert filled.verify() == ()


def test_a_cut_tail_shows_without_help(filled: Ledger, ledger_file: Path) -> None:
    tamper(
        ledger_file,
        "DELETE FROM holds WHERE id = 5",
        "DELETE FROM chain WHERE seq = 10",
    )
    assert found(filled) == {("cut", "holds", 5), ("cut", "chain", 10)}


def test_a_head_kept_elsewhere_finds_a_ledger_put_back(filled: Ledger, ledger_file: Path) -> None:
    early = ledger_file.with_name("early.sqlite")
    with closing(sqlite3.connect(ledger_file)) as con, closing(sqlite3.connect(early)) as copy:
        con.backup(copy)
    filled.record("exception_actions", exception_id="e", action="ack", by="b", reason="r")
    head = filled.head()
    filled.close()
    for suffix in ("-wal", "-shm"):
        ledger_file.with_name(ledger_file.name + suffix).unlink(missing_ok=True)
    shutil.copy(early, ledger_file)
    assert filled.verify() == ()
    (fault,) = filled.verify(heads=[head])
    assert (fault.kind, fault.table, fault.row_id) == ("cut", "chain", 11)


def test_a_head_of_another_ledger_is_found(filled: Ledger) -> None:
    (fault,) = filled.verify(heads=[ChainHead(3, "f" * 64)])
    assert (fault.kind, fault.row_id) == ("altered", 3)
