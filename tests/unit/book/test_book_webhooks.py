"""webhooks.yml: systems that are told what happens."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from connectors.book import BookError, compile_book, load_book
from tests.unit.book.conftest import BookFiles

ENDPOINTS = """\
- endpoint_id: erp
  url: https://erp.example.com/m2c?tenant=7
  secret: M2C_WEBHOOK_ERP
  events: [invoice.*, machines.suspended]
- endpoint_id: acme
  url: http://127.0.0.1:9000/events
  secret: [M2C_WEBHOOK_NEW, M2C_WEBHOOK_OLD]
  events: [invoice.paid]
  customers: [acme, acme-labs]
  payers: [ACME]
  description: On trial
  active: false
  private: true
"""


def write(files: BookFiles, text: str) -> Path:
    (files.folder / "webhooks.yml").write_text(text, encoding="utf-8")
    return files.folder


def test_endpoints_become_a_table(book_files: BookFiles, tmp_path: Path) -> None:
    book = load_book(write(book_files, ENDPOINTS))
    assert book.warnings == load_book(write(book_files, "")).warnings
    compile_book(book, tmp_path / "out")
    rows = duckdb.sql(f"from '{tmp_path}/out/webhook_endpoints.parquet'").fetchall()
    assert rows == [
        (
            *("erp", "https://erp.example.com/m2c?tenant=7", "M2C_WEBHOOK_ERP"),
            *("invoice.*|machines.suspended", None, None, None, True, False),
        ),
        (
            *("acme", "http://127.0.0.1:9000/events", "M2C_WEBHOOK_NEW|M2C_WEBHOOK_OLD"),
            *("invoice.paid", "acme|acme-labs", "ACME", "On trial", False, True),
        ),
    ]


def test_a_book_without_endpoints_has_the_empty_table(
    book_files: BookFiles, tmp_path: Path
) -> None:
    compile_book(load_book(book_files.folder), tmp_path / "out")
    assert duckdb.sql(f"from '{tmp_path}/out/webhook_endpoints.parquet'").fetchall() == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("https://erp", "http://erp", "expected https://"),
        ("https://erp", "ftp://erp", "expected an address such as"),
        ("https://erp", "https://me:pw@erp", "a name or password does not stand here"),
        ("?tenant=7", "#here", "expected an address such as"),
        ("erp.example.com", "erp.example.com:port", "expected an address such as"),
        ("https://erp.example.com", "https://169.254.169.254", "private: true"),
        ("https://erp.example.com", "https://10.1.2.3", "private: true"),
        ("https://erp.example.com", "https://[fd00::1]", "private: true"),
        ("  private: true\n", "", "private: true"),
        ("secret: M2C_WEBHOOK_ERP", "secret: whsec_abc", "name of an environment variable"),
        ("M2C_WEBHOOK_OLD]", "M2C_WEBHOOK_NEW]", "a list of two"),
        ("M2C_WEBHOOK_OLD]", "M2C_WEBHOOK_OLD, M2C_X]", "a list of two"),
        ("secret: M2C_WEBHOOK_ERP\n", "secret: []\n", "a list of two"),
        ("invoice.*", "Invoice paid", "expected an event such as"),
        ("invoice.*", "invoice*", "expected an event such as"),
        ("[acme,", "[acne,", "no such customer"),
        ("[ACME]", "[GAMMA]", "no such payer"),
        ("endpoint_id: acme", "endpoint_id: erp", "stands here twice"),
        ("active: false", "active: no-one", "expected true or false"),
        ("description:", "descr:", "unknown key"),
    ],
)
def test_faults(book_files: BookFiles, old: str, new: str, words: str) -> None:
    assert old in ENDPOINTS
    with pytest.raises(BookError, match=words) as refused:
        load_book(write(book_files, ENDPOINTS.replace(old, new)))
    assert "webhooks.yml" in str(refused.value)


def test_who_is_told_of_a_customer_only_should_not_hear_of_everything(
    book_files: BookFiles,
) -> None:
    text = ENDPOINTS.replace("  events: [invoice.paid]\n", "")
    (warning,) = set(load_book(write(book_files, text)).warnings) - set(
        load_book(write(book_files, ENDPOINTS)).warnings
    )
    assert "webhooks.yml" in warning
    assert "name its events" in warning
