"""The demo from four sites to reminders, and the demo run again."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from decimal import Decimal
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import duckdb

PERIOD = "2026-10"


def published(data_dir: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(data_dir / "published" / "marts.duckdb"), read_only=True) as marts:
        marts.execute("set TimeZone = 'UTC'")
        return marts.execute(sql).fetchall()


def lines(data_dir: Path) -> list[tuple[Any, ...]]:
    columns = "* exclude (book_version)"
    return published(
        data_dir,
        f"select {columns} from statement_lines where period = '{PERIOD}' order by line_key",
    )


def test_the_demo_ends_well(demo: tuple[Path, Any]) -> None:
    _, answer = demo
    assert answer.code == 0, answer.out + answer.err
    for word in ("Where to look next", "Statements of 2026-10", "make ui"):
        assert word in answer.out


def test_every_site_was_billed(demo: tuple[Path, Any]) -> None:
    data_dir, _ = demo
    sites = published(
        data_dir,
        f"""
        select site_id from statement_lines
        where period = '{PERIOD}' and site_id is not null group by site_id order by site_id
        """,
    )
    assert [site for (site,) in sites] == ["ET-ADD1", "FI-HEL1", "ID-JKT1", "NO-OSL1"]


def test_each_statement_of_the_month_became_one_invoice(demo: tuple[Path, Any]) -> None:
    data_dir, _ = demo
    rows = published(
        data_dir,
        f"""
        select statements.statement_id, statements.total, invoices.total, xero_id, online_url,
            xero_status, amount_due
        from statements left join invoices using (statement_id)
        where statements.period = '{PERIOD}'
        """,
    )
    assert rows
    for statement_id, total, invoiced, xero_id, url, status, _ in rows:
        assert total == invoiced, statement_id
        assert xero_id
        assert url.startswith("http://127.0.0.1:")
        assert status in ("AUTHORISED", "PAID")
    assert len({row[3] for row in rows}) == len(rows)
    due = {status: amount for *_, status, amount in rows}
    assert due["PAID"] == Decimal("0.00")
    assert due["AUTHORISED"] > 0


def test_who_has_not_paid_is_reminded(demo: tuple[Path, Any]) -> None:
    data_dir, _ = demo
    unpaid = published(
        data_dir, "select statement_number from invoices where amount_due > 0 order by 1"
    )
    mails = [
        message_from_bytes(path.read_bytes(), policy=policy.default)
        for path in (data_dir / "outbox").glob("*.eml")
    ]
    bodies = "\n".join(mail.get_body(("plain",)).get_content() for mail in mails)
    assert unpaid
    for (number,) in unpaid:
        assert number in bodies


def test_nothing_is_left_over(demo: tuple[Path, Any]) -> None:
    data_dir, _ = demo
    assert published(
        data_dir,
        """
        select count(*) filter (where accepted != assigned + unassigned),
            count(*) filter (where rows_landed != rows_accepted + rows_quarantined
                + rows_rejected + rows_superseded + rows_unused_kind),
            sum(rows_quarantined) > 0, sum(rows_superseded) > 0
        from usage_reconciliation
        """,
    ) == [(0, 0, True, True)]


def test_each_statement_has_its_reports(demo: tuple[Path, Any]) -> None:
    data_dir, _ = demo
    count = published(data_dir, f"select count(*) from statements where period = '{PERIOD}'")[0][0]
    folder = data_dir / "reports" / PERIOD
    for ending in ("pdf", "xlsx", "html"):
        assert len([p for p in folder.rglob(f"*.{ending}") if "review" not in p.name]) == count


def test_no_secret_is_written_down(demo: tuple[Path, Any]) -> None:
    data_dir, answer = demo
    secrets = [b"local-secret"]
    ledger = data_dir / "ledger" / "ledger.sqlite"
    texts = {str(p): p.read_bytes() for p in (data_dir / "warehouse" / "logs").rglob("*.log")}
    texts["ledger"] = "\n".join(sqlite3.connect(ledger).iterdump()).encode()
    texts["output"] = (answer.out + answer.err).encode()
    for name, text in texts.items():
        for secret in secrets:
            assert secret not in text, name


def test_running_it_again_changes_nothing(demo: tuple[Path, Any], m2c: Callable[..., Any]) -> None:
    data_dir, _ = demo
    before = lines(data_dir)
    documents = _documents(data_dir)
    mails = sorted(path.name for path in (data_dir / "outbox").glob("*.eml"))

    answer = m2c(data_dir, "demo")

    assert answer.code == 0, answer.out + answer.err
    assert lines(data_dir) == before
    assert _documents(data_dir) == documents
    assert sorted(path.name for path in (data_dir / "outbox").glob("*.eml")) == mails


def _documents(data_dir: Path) -> list[tuple[Any, ...]]:
    """Every document in the local Xero, read from its own store."""
    with sqlite3.connect(data_dir / "sandbox" / "xero.sqlite") as store:
        tables = [
            name for (name,) in store.execute("select name from sqlite_master where type = 'table'")
        ]
        return sorted(
            (name, *store.execute(f"select count(*) from {name}").fetchone()) for name in tables
        )
