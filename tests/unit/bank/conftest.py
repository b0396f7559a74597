"""A ledger, our accounts, and files of a bank made to order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from shutil import copy
from typing import Any

import pytest

from exporters.bank import OurAccount
from exporters.ledger import Actor, Ledger, tables

EUR = "NO8099990000029"
NOK = "NO8199990000011"
ACCOUNTS = [
    OurAccount(EUR, frozenset({EUR, "99990000029"}), "main", "EUR"),
    OurAccount(NOK, frozenset({NOK, "99990000011"}), "main", "NOK"),
]
NAMES = {"aurora": "Aurora Rendering GmbH", "borealis": "Borealis Møller AS"}


def statement(
    number: str, total: str, *, payer: str = "aurora", currency: str = "EUR"
) -> dict[str, Any]:
    """An issued statement as the ledger has it."""
    series_no = int(number[-4:])
    issued = date(2026, 11, 3)
    return {
        "statement_id": f"{payer}/2026-10/{series_no}",
        "statement_number": number,
        "series": payer,
        "series_no": series_no,
        "period": "2026-10",
        "statement_kind": "consolidated",
        "payer_id": payer,
        "seller_id": "main",
        "currency": currency,
        "net": Decimal(total),
        "tax": Decimal("0.00"),
        "total": Decimal(total),
        "content_hash": "h",
        "book_version": "b",
        "code_version": "c",
        "issue_date": issued,
        "due_date": issued + timedelta(days=14 + series_no),
    }


def open_at(path: Path) -> Ledger:
    """The ledger of a file."""
    return Ledger.open(
        f"sqlite:///{path}",
        clock=lambda: datetime(2026, 11, 20, 12, tzinfo=UTC),
        actor=Actor("test", "test", "test"),
    )


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an empty ledger, to be copied: making one takes a while."""
    path = tmp_path_factory.mktemp("empty") / "ledger.sqlite"
    open_at(path).close()
    return path


@pytest.fixture
def ledger(tmp_path: Path, empty_ledger: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    with open_at(Path(copy(empty_ledger, tmp_path / "ledger.sqlite"))) as opened:
        yield opened


@pytest.fixture
def issue(ledger: Ledger) -> Callable[..., str]:
    """Issue a statement of a payer; its number."""
    counts: dict[str, int] = {}

    def make(payer: str = "aurora", total: str = "1250.00", currency: str = "EUR") -> str:
        counts[payer] = counts.get(payer, 0) + 1
        number = f"{payer.upper()}-{counts[payer]:04d}"
        row = statement(number, total, payer=payer, currency=currency)
        ledger.record(tables.issued_statements, **row)
        return number

    return make


@pytest.fixture
def paid_in_xero(ledger: Ledger) -> Callable[..., None]:
    """A payment that Xero shows."""

    def make(number: str, amount: str, on: date, **changes: Any) -> None:
        row = {
            "payment_id": f"p-{number}-{amount}",
            "statement_number": number,
            "amount": Decimal(amount),
            "currency": "EUR",
            "paid_on": on,
            "status": "AUTHORISED",
        }
        ledger.record(tables.payments, **(row | changes))

    return make
