"""The extract: always all files, typed, unchanged ones untouched, nothing rounded."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
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
    "payments",
    "promises",
    "reminders",
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
