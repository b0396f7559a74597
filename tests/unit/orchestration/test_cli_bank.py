"""`m2c bank`: from the drop folder to what a person confirms, by exit codes and words."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from exporters.ledger import tables
from exporters.ledger.banking import matches
from orchestration import cli
from orchestration.bank import csv_formats
from orchestration.commands import bank as commands
from orchestration.ledger import open_ledger
from orchestration.settings import DataDir
from tests.unit.bank.messages import Entry, Stmt, Tx, camt
from tests.unit.book.conftest import BookFiles

SAID = ("--by", "Kari", "--reason", "seen")
Run = Callable[..., Result]


@pytest.fixture
def data_dir(tmp_path: Path) -> DataDir:
    """A book with a bank's CSV, marts with our account, and an issued statement of 1,250.00."""
    found = DataDir(tmp_path)
    BookFiles(found.book).write(
        "bank.yml",
        """\
- format_id: example
  files: "example*.csv"
  delimiter: semicolon
  decimal: comma
  thousands: point
  date_format: DD.MM.YYYY
  account: NO9386011117947
  currency: EUR
  columns: {booked_on: Date, amount: Amount, counterparty_name: Name, remittance: [Text]}
""",
    )
    found.marts.parent.mkdir(parents=True)
    with duckdb.connect(str(found.marts)) as marts:
        marts.execute(
            "create table payers as select 'aurora' as payer_id, 'Aurora Rendering GmbH' as name; "
            "create table seller_bank_accounts as select 'main' as seller_id, 'EUR' as currency, "
            "'NO9386011117947' as iban, null::varchar as account"
        )
    with open_ledger(found, acting_as="test") as ledger:
        ledger.record(
            tables.issued_statements,
            statement_id="aurora/2026-10/all",
            statement_number="AURORA-0001",
            series="aurora",
            series_no=1,
            period="2026-10",
            statement_kind="consolidated",
            payer_id="aurora",
            seller_id="main",
            currency="EUR",
            net=Decimal("1250.00"),
            tax=Decimal("0.00"),
            total=Decimal("1250.00"),
            content_hash="h",
            book_version="b",
            code_version="c",
            issue_date=date(2026, 11, 3),
            due_date=date(2026, 11, 17),
        )
    return found


@pytest.fixture
def run(data_dir: DataDir, monkeypatch: pytest.MonkeyPatch) -> Run:
    refreshed: list[object] = []
    monkeypatch.setattr(commands, "refresh_marts", refreshed.append)

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(
            cli.cli, ["--data-dir", str(data_dir.root), "bank", *arguments], standalone_mode=False
        )

    return invoke


def drop(data_dir: DataDir, name: str, content: bytes) -> Path:
    data_dir.bank_inbox.mkdir(parents=True, exist_ok=True)
    path = data_dir.bank_inbox / name
    path.write_bytes(content)
    return path


def paid(text: str = "AURORA-0001") -> bytes:
    entry = Entry(amount="1250.00", txs=[Tx(text=text)])
    return camt(Stmt(entries=[entry], account="NO9386011117947"))


def test_from_the_drop_folder_to_a_confirmed_payment(data_dir: DataDir, run: Run) -> None:
    drop(data_dir, "a.xml", paid())
    drop(data_dir, "example.csv", b"Date;Amount;Name;Text\n13.11.2026;7,00;Bank;interest\n")
    bad = drop(data_dir, "bad.xml", b"<Document/>")
    done = run("import")
    assert done.return_value == 1
    assert "not taken: bad.xml: expected a camt.053 message" in done.stdout
    assert [path.name for path in data_dir.bank_inbox.iterdir()] == ["bad.xml"]
    assert len(list(data_dir.bank_taken.iterdir())) == 2
    bad.unlink()
    assert run("import").return_value == 0
    out = data_dir.root / "p.csv"
    assert run("proposals", "--out", str(out)).return_value == 1
    with out.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["statement"], row["confidence"]) for row in rows] == [
        ("AURORA-0001", "certain"),
        ("", ""),
    ]
    rows[0]["decision"], rows[1]["decision"] = "accept", "dismiss"
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    done = run("confirm", str(out), *SAID)
    assert (done.return_value, "confirmed for AURORA-0001 = 1,250.00" in done.stdout) == (0, True)
    assert run("proposals").return_value == 0
    with open_ledger(data_dir, acting_as="t") as ledger, ledger.snapshot() as reader:
        (match,) = matches(reader)
        (row,) = reader.query(select(tables.bank_matches))
    assert (match.state, row["actor"], row["by"]) == ("confirmed", "Kari", "Kari")
    done = run("confirm", str(out), *SAID)
    assert (done.return_value, done.stdout.count("out of date")) == (1, 2)
    assert run("release", match.line_id, *SAID).return_value == 0
    assert run("dismiss", match.line_id, *SAID).return_value == 0


def test_a_file_that_is_named_stays_where_it_is(
    data_dir: DataDir, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "mine.xml"
    path.write_bytes(paid())
    done = run("import", str(path), "--json")
    assert done.return_value == 0
    (file,) = json.loads(done.stdout)["files"]
    assert (file["new_lines"], path.exists(), data_dir.bank_taken.exists()) == (1, True, False)


def test_what_does_not_fit_needs_a_person(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "mine.xml"
    path.write_bytes(paid())
    run("import", str(path))
    (line,) = json.loads(run("proposals", "--json").stdout)["lines"]
    done = run("confirm", line["line_id"], "AURORA-0001=1300", *SAID)
    assert (done.return_value, "1,300.00 cannot be for it" in done.stderr) == (1, True)
    (tmp_path / "no.csv").write_text("a,b\n1,2\n")
    done = run("confirm", str(tmp_path / "no.csv"), *SAID)
    assert (done.return_value, "no file of m2c bank proposals" in done.stderr) == (1, True)
    assert run("confirm", line["line_id"], "AURORA-0001", *SAID).return_value == 0


def test_signs_of_the_book_in_words(data_dir: DataDir) -> None:
    from connectors.book import load_book

    (one,) = csv_formats(load_book(data_dir.book))
    assert (one.delimiter, one.decimal, one.thousands) == (";", ",", ".")
    assert one.columns == {
        "booked_on": "Date",
        "amount": "Amount",
        "counterparty_name": "Name",
        "remittance": ("Text",),
    }
