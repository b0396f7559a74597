"""The demo from four sites to reminders, and the demo run again."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from decimal import Decimal
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest

from exporters.explain import explain
from exporters.marts import open_marts
from exporters.statements import render_statements
from tests.integration.statements.checks import check_statements

PERIOD = "2026-10"


def test_the_demo_ends_well(demo: Any) -> None:
    answer = demo.answers["demo"]
    assert answer.code == 0, answer.out + answer.err
    for word in ("Where to look next", "Statements of 2026-10", "make ui"):
        assert word in answer.out


def test_every_site_was_billed(demo: Any) -> None:
    sites = demo.place.published(
        f"""
        select site_id from statement_lines
        where period = '{PERIOD}' and site_id is not null group by site_id order by site_id
        """
    )
    assert [site for (site,) in sites] == ["ET-ADD1", "FI-HEL1", "ID-JKT1", "NO-OSL1"]


def test_each_statement_of_the_month_became_one_invoice(demo: Any) -> None:
    rows = demo.place.published(
        f"""
        select statements.statement_id, statements.total, invoices.total, xero_id, online_url,
            xero_status, amount_due
        from statements left join invoices using (statement_id)
        where statements.period = '{PERIOD}'
        """
    )
    assert rows
    for statement_id, total, invoiced, xero_id, url, status, _ in rows:
        assert total == invoiced, statement_id
        assert xero_id
        if total > 0:
            assert url.startswith("http://127.0.0.1:")
        assert status in ("AUTHORISED", "PAID")
    assert len({row[3] for row in rows}) == len(rows)
    paid = [amount for *_, status, amount in rows if status == "PAID"]
    assert paid
    assert set(paid) == {Decimal("0.00")}
    assert sum(amount for *_, amount in rows) > 0


def test_who_has_not_paid_is_reminded(demo: Any) -> None:
    overdue = demo.place.published(
        """
        select statement_number from invoices
        where amount_due > 0 and due_date < date '2026-12-05' order by 1
        """
    )
    mails = [
        message_from_bytes(path.read_bytes(), policy=policy.default)
        for path in (demo.place / "outbox").glob("*.eml")
    ]
    bodies = "\n".join(mail.get_body(("plain",)).get_content() for mail in mails)
    assert overdue
    for (number,) in overdue:
        assert number in bodies


def test_who_has_paid_is_not_reminded(demo: Any) -> None:
    paid = demo.place.published("select statement_number from invoices where amount_due = 0")
    bodies = b"".join(path.read_bytes() for path in (demo.place / "outbox").glob("*.eml"))
    for (number,) in paid:
        assert number.encode() not in bodies


def test_nothing_is_left_over(demo: Any) -> None:
    assert demo.place.published(
        """
        select count(*) filter (where accepted != assigned + unassigned),
            count(*) filter (where rows_landed != rows_accepted + rows_quarantined
                + rows_rejected + rows_superseded + rows_unused_kind),
            sum(rows_quarantined) > 0, sum(rows_superseded) > 0
        from usage_reconciliation
        """
    ) == [(0, 0, True, True)]


def test_each_statement_has_its_reports(demo: Any) -> None:
    [(count,)] = demo.place.published(f"select count(*) from statements where period = '{PERIOD}'")
    folder = demo.place / "reports" / PERIOD
    for ending in ("pdf", "xlsx", "html"):
        assert len([p for p in folder.rglob(f"*.{ending}") if "review" not in p.name]) == count


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="apt-get install poppler-utils")
def test_its_reports_say_what_the_marts_say(demo: Any, tmp_path: Path) -> None:
    place = demo.place.data_dir
    marts = place / "published" / "marts.duckdb"
    rendered = render_statements(marts, PERIOD, tmp_path, book_dir=place / "book")
    check_statements(marts, PERIOD, rendered)
    for one in rendered:
        kept = place / "reports" / PERIOD / one.paths["pdf"].name
        assert kept.read_bytes() == one.paths["pdf"].read_bytes(), kept


def test_every_line_comes_apart_and_adds_up(demo: Any) -> None:
    data_dir = demo.place.data_dir
    with open_marts(data_dir / "published" / "marts.duckdb") as marts:
        keys = [row["line_key"] for row in marts.rows("select line_key from statement_lines")]
        assert keys
        for key in keys:
            told = explain(marts, data_dir, key)
            assert told.agrees, (key, told.as_dict())
            days = [
                row["day"] for level in told.levels if level.name == "days" for row in level.rows
            ]
            # One day of each line down to the landed files; the golden scenarios look at all.
            for day in days[len(days) // 2 :][:1]:
                readings, batches = explain(marts, data_dir, key, day=day).levels[-2:]
                assert (readings.agrees, batches.agrees) == (True, True), (key, day, readings.notes)


def test_the_ledger_was_not_tampered_with(demo: Any) -> None:
    assert demo.place.chain_faults() == ()


def test_no_run_failed(demo: Any) -> None:
    assert set(demo.place.run_states()) == {"SUCCESS"}


def test_no_secret_is_written_down(demo: Any) -> None:
    answer = demo.answers["demo"]
    secrets = [b"local-secret"]
    ledger = demo.place / "ledger/ledger.sqlite"
    logs = demo.place / "warehouse/logs"
    texts = {str(path): path.read_bytes() for path in logs.rglob("*.log")}
    with closing(sqlite3.connect(ledger)) as store:
        texts["ledger"] = "\n".join(store.iterdump()).encode()
    texts["output"] = (answer.out + answer.err).encode()
    for path in (demo.place / "dagster").rglob("*"):
        if path.is_file():
            texts[str(path)] = path.read_bytes()
    for name, text in texts.items():
        for secret in secrets:
            assert secret not in text, name


def test_running_it_again_changes_nothing(built: Any) -> None:
    before = built.lines()
    documents = _documents(built)
    mails = sorted(path.name for path in (built / "outbox").glob("*.eml"))

    answer = built.run("demo")

    assert answer.code == 0, answer.out + answer.err
    assert built.lines() == before
    assert _documents(built) == documents
    assert sorted(path.name for path in (built / "outbox").glob("*.eml")) == mails
    assert built.chain_faults() == ()


def _documents(place: Any) -> list[tuple[Any, ...]]:
    """Everything the local Xero keeps, read from its own store; only tokens may be new."""
    with closing(sqlite3.connect(place / "sandbox/xero.sqlite")) as store:
        return store.execute(
            "select kind, id, body from objects where kind != 'token' order by kind, id"
        ).fetchall()
