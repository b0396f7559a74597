"""bank.yml: how banks write their CSV; and what seller.yml says of posting payments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connectors.book import BookError, load_book
from tests.unit.book.conftest import BookFiles

FORMAT = """\
- format_id: example
  files: "example-*.csv"
  delimiter: semicolon
  decimal: comma
  thousands: space
  date_format: DD.MM.YYYY
  account: NO9386011117947
  currency: EUR
  columns: {booked_on: Dato, amount: Beløp, remittance: [Melding, KID]}
"""


def test_a_format_is_loaded(sound_book: Any) -> None:
    book = load_book(_write(sound_book, FORMAT))
    (one,) = book.bank_formats
    assert (one.format_id, one.delimiter, one.decimal, one.skip_lines) == (
        "example",
        "semicolon",
        "comma",
        0,
    )
    assert one.columns.remittance == ("Melding", "KID")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("DD.MM.YYYY", "DD.MM.YY", "YYYY-MM-DD"),
        ("decimal: comma", "decimal: ','", "point"),
        ("thousands: space", "thousands: comma", "another sign than decimal"),
        ("amount: Beløp", "money_in: Inn", "both money_in and money_out"),
        ("amount: Beløp", "amount: B, money_out: Ut", "the column amount, or both"),
        ("  currency: EUR\n", "", "expected currency here or in columns"),
        ("amount: Beløp", "amount: Beløp, balance: Saldo", "expected order"),
        ("amount: Beløp", "amount: Beløp, colour: Farge", "unknown key"),
        ("columns: {", "columns: {account: Konto, ", "account here or in columns, not in both"),
    ],
)
def test_faults(sound_book: Any, old: str, new: str, words: str) -> None:
    with pytest.raises(BookError, match=words) as refused:
        load_book(_write(sound_book, FORMAT.replace(old, new)))
    assert "bank.yml" in str(refused.value)


def test_a_format_stands_there_once(sound_book: Any) -> None:
    with pytest.raises(BookError, match="stands here twice"):
        load_book(_write(sound_book, FORMAT + FORMAT))


def _write(book: Path, text: str) -> Path:
    (book / "bank.yml").write_text(text, encoding="utf-8")
    return book


@pytest.fixture
def sound_book(book_files: BookFiles) -> Path:
    """The folder of a sound book."""
    return book_files.folder
