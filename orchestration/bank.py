"""Bank lines of a data dir: what the book says of accounts, payers and the bank's formats, put
together with the ledger. Without Dagster: commands and the job `bank` do the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from connectors.book import Book, load_book
from exporters import bank
from exporters.bank.importing import put_away, waiting
from exporters.ledger import Ledger
from exporters.marts import open_marts
from orchestration.settings import DataDir

_SIGNS = {
    "point": ".",
    "comma": ",",
    "semicolon": ";",
    "tab": "\t",
    "space": " ",
    "apostrophe": "'",
    "none": "",
}


def bank_book(data_dir: DataDir) -> dict[str, Any]:
    """`payer_names` and `accounts`, as exporters.bank takes them, from the published marts."""
    with open_marts(data_dir.marts) as marts:
        return {
            "payer_names": {payer_id: row["name"] for payer_id, row in marts.payers().items()},
            "accounts": bank.our_accounts(marts),
        }


def csv_formats(book: Book) -> list[bank.CsvFormat]:
    """The formats of bank.yml."""
    found = []
    for one in book.bank_formats:
        columns = one.columns.model_dump(exclude_none=True)
        found.append(
            bank.CsvFormat(
                **one.model_dump(exclude={"columns", "decimal", "thousands", "delimiter"}),
                columns={name: column for name, column in columns.items() if column},
                decimal=_SIGNS[one.decimal],
                thousands=_SIGNS[one.thousands],
                delimiter=_SIGNS[one.delimiter],
            )
        )
    return found


def take_files(data_dir: DataDir, ledger: Ledger, paths: Sequence[Path]) -> bank.ImportReport:
    """Bring in files; without any those of the drop folder, which go to `bank/taken` then. What
    Xero shows already explains lines at once."""
    book = bank_book(data_dir)
    dropped = [] if paths else waiting(data_dir.bank_inbox)
    report = bank.import_files(
        ledger,
        paths or dropped,
        formats=csv_formats(load_book(data_dir.book)),
        accounts=book["accounts"],
    )
    for path, file in zip(dropped, report.files, strict=False):
        if file.problem is None:
            put_away(path, data_dir.bank_taken)
    report.matched = bank.settle(ledger, **book)
    return report


def settle_lines(data_dir: DataDir, ledger: Ledger) -> list[str]:
    """Which bank lines the payments that Xero shows explain, in words."""
    return bank.settle(ledger, **bank_book(data_dir))
