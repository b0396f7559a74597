"""The extract: always all files, typed, unchanged ones untouched, nothing rounded."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exporters.ledger import Ledger, LedgerError, tables
from exporters.ledger.extract import write_extract

FILES = {
    "approvals",
    "charge_disputes",
    "deliveries",
    "disputes",
    "documents",
    "exception_actions",
    "holds",
    "issued_inputs",
    "issued_lines",
    "issued_statements",
    "ledger_head",
    "payer_credits",
    "bank_lines",
    "bank_matches",
    "bank_dismissals",
    "bank_payments",
    "payments",
    "promises",
    "reminders",
    "suspensions",
    "suspended_machines",
    "machine_states",
    "resumptions",
    "story_events",
}


def document(ledger: Ledger, number: str, **changes: Any) -> None:
    ledger.record(
        tables.documents,
        **{
            "statement_number": number,
            "document_type": "ACCREC",
            "publish_state": "published",
            "currency": "EUR",
            "total": Decimal("12.5"),
            "amount_due": Decimal("12.5000"),
            "date": date(2026, 11, 5),
            "updated_at": datetime(2026, 11, 5, 1, tzinfo=UTC),
        }
        | changes,
    )


@pytest.mark.parametrize("url", [None, "sqlite:////nowhere/at/all.sqlite"])
def test_without_a_ledger_all_files_are_there_and_empty(tmp_path: Path, url: str | None) -> None:
    written = write_extract(url, tmp_path)
    assert {path.stem for path in written} == FILES
    assert all(pq.read_table(path).num_rows == 0 for path in written)
    assert not Path("/nowhere").exists()


def test_types_do_not_depend_on_rows(ledger: Ledger, ledger_url: str, tmp_path: Path) -> None:
    write_extract(None, tmp_path / "empty")
    document(ledger, "acme-0001")
    write_extract(ledger_url, tmp_path / "full")
    for name in FILES:
        empty, full = (pq.read_schema(tmp_path / d / f"{name}.parquet") for d in ("empty", "full"))
        assert empty == full
    schema = pq.read_schema(tmp_path / "full" / "documents.parquet")
    assert schema.field("total").type == pa.decimal128(18, 2)
    assert schema.field("date").type == pa.date32()
    assert schema.field("observed_at").type == pa.timestamp("us", tz="UTC")


def test_documents_and_payments_are_current_state(
    ledger: Ledger, ledger_url: str, tmp_path: Path
) -> None:
    document(ledger, "acme-0001", status="DRAFT")
    document(ledger, "acme-0002", status="DRAFT")
    document(ledger, "acme-0001", status="AUTHORISED")
    write_extract(ledger_url, tmp_path)
    rows = pq.read_table(tmp_path / "documents.parquet").to_pylist()
    assert {row["statement_number"]: row["status"] for row in rows} == {
        "acme-0001": "AUTHORISED",
        "acme-0002": "DRAFT",
    }
    assert rows[0]["amount_due"] == Decimal("12.50")


def test_files_that_would_say_the_same_are_untouched(
    ledger: Ledger, ledger_url: str, tmp_path: Path
) -> None:
    document(ledger, "acme-0001")
    write_extract(ledger_url, tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert write_extract(ledger_url, tmp_path) == []
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    ledger.record(tables.promises, payer_id="a", until_date=date(2026, 12, 1), by="b", reason="r")
    changed = write_extract(ledger_url, tmp_path)
    assert {path.stem for path in changed} == {"promises", "ledger_head"}


def facts(ledger: Ledger, dice: Random, count: int) -> None:
    """Facts of every table that is extracted, about few subjects, in any order."""
    for _ in range(count):
        number = f"acme-{dice.randrange(4):04d}"
        match dice.randrange(5):
            case 0:
                document(ledger, number, amount_due=Decimal(dice.randrange(2)))
            case 1:
                active = dice.random() < 0.5
                subject = {"scope": "payer", "subject": dice.choice(["acme", "b"])}
                ledger.record(tables.holds, **subject, active=active, by="b", reason="r")
            case 2:
                until = date(2026, 12, dice.randrange(1, 28))
                ledger.record(tables.promises, payer_id="acme", until_date=until, by="b", reason="")
            case 3:
                state = dice.choice(["open", "resolved"])
                ledger.record(tables.disputes, subject=number, state=state, by="b", reason="r")
            case 4:
                issue(ledger, f"acme-{ledger.head().facts + 5:04d}")


def issue(ledger: Ledger, number: str) -> None:
    ledger.record(
        tables.issued_statements,
        statement_id=f"acme/2026-10/{number}",
        statement_number=number,
        series="acme",
        series_no=int(number[-4:]),
        period="2026-10",
        statement_kind="consolidated",
        payer_id="acme",
        seller_id="s",
        currency="EUR",
        net=Decimal("1.00"),
        tax=Decimal("0.00"),
        total=Decimal("1.00"),
        content_hash="h",
        book_version="b",
        code_version="c",
        issue_date=date(2026, 11, 1),
        due_date=date(2026, 12, 1),
    )


@pytest.mark.parametrize("seed", range(5))
def test_files_that_grow_say_what_files_from_nothing_say(
    ledger: Ledger, ledger_url: str, tmp_path: Path, seed: int
) -> None:
    dice = Random(seed)
    for number in range(4):
        issue(ledger, f"acme-{number:04d}")
    for step in range(4):
        facts(ledger, dice, dice.randrange(1, 12))
        write_extract(ledger_url, tmp_path / "grown")
        write_extract(ledger_url, tmp_path / str(step))
        for name in FILES:
            grown, new = (
                pq.read_table(tmp_path / folder / f"{name}.parquet")
                for folder in ("grown", str(step))
            )
            assert grown.equals(new), name


def test_files_of_another_ledger_are_not_built_on(
    ledger: Ledger, ledger_url: str, tmp_path: Path
) -> None:
    document(ledger, "acme-0001")
    write_extract(ledger_url, tmp_path / "extract")
    url = f"sqlite:///{tmp_path / 'other.sqlite'}"
    with Ledger.open(url, clock=ledger.clock, actor=ledger.actor) as other:
        document(other, "bolt-0001")
        document(other, "bolt-0002")
    write_extract(url, tmp_path / "extract")
    rows = pq.read_table(tmp_path / "extract" / "documents.parquet").to_pylist()
    assert [row["statement_number"] for row in rows] == ["bolt-0001", "bolt-0002"]


def test_the_head_is_that_of_the_ledger(ledger: Ledger, ledger_url: str, tmp_path: Path) -> None:
    document(ledger, "acme-0001")
    write_extract(ledger_url, tmp_path)
    (row,) = pq.read_table(tmp_path / "ledger_head.parquet").to_pylist()
    assert (row["head_hash"], row["facts"]) == (ledger.head().hash, 1)


def test_digits_are_not_dropped(ledger: Ledger, ledger_url: str, tmp_path: Path) -> None:
    document(ledger, "acme-0001", total=Decimal("12.505"))
    with pytest.raises(LedgerError, match=r"documents.total holds 12.505"):
        write_extract(ledger_url, tmp_path / "extract")
    assert list((tmp_path / "extract").iterdir()) == []
