"""Every line once: the same file, overlapping files, another format, any order."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from shutil import copy
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from exporters.bank import CsvFormat, ImportReport, import_files
from exporters.bank.importing import put_away, waiting
from exporters.ledger import Ledger, tables
from tests.unit.bank.conftest import ACCOUNTS, NOK, open_at
from tests.unit.bank.messages import Entry, Stmt, Tx, camt

FORMAT = CsvFormat(
    format_id="example",
    files="example*.csv",
    delimiter=";",
    decimal=",",
    thousands=".",
    date_format="DD.MM.YYYY",
    account="9999.00.00029",
    currency="EUR",
    order="oldest_first",
    columns={
        "booked_on": "Date",
        "amount": "Amount",
        "counterparty_name": "Name",
        "remittance": ["Text"],
        "balance": "Balance",
    },
)
CSV = """Date;Amount;Name;Text;Balance
12.11.2026;1.250,00;Aurora;AURORA-0001;2.250,00
12.11.2026;10,00;Same;x;2.260,00
12.11.2026;10,00;Same;x;2.270,00
13.11.2026;-40,00;Power;=cmd();2.230,00
"""


def paid(amount: str, text: str = "", day: str = "2026-11-12", reference: str = "") -> Entry:
    return Entry(
        amount=amount.lstrip("-"),
        debit=amount.startswith("-"),
        booked=day,
        reference=reference,
        txs=[Tx(text=text, name="Same")],
    )


TWICE = [paid("1250.00", "AURORA-0001"), paid("10.00", "x"), paid("10.00", "x")]


def take(ledger: Ledger, folder: Path, **files: bytes) -> ImportReport:
    paths = []
    for name, content in files.items():
        path = folder / name.replace("_", ".")
        path.write_bytes(content)
        paths.append(path)
    return import_files(ledger, paths, formats=[FORMAT], accounts=ACCOUNTS)


def lines(ledger: Ledger) -> list[tuple[str, date, Decimal]]:
    rows = ledger.query(select(tables.bank_lines))
    return sorted((r["line_id"], r["booked_on"], r["amount"]) for r in rows)


def test_a_file_adds_its_lines_once_and_equal_payments_are_two(
    ledger: Ledger, tmp_path: Path
) -> None:
    content = camt(Stmt(entries=TWICE))
    first = take(ledger, tmp_path, a_xml=content)
    assert (first.files[0].new_lines, first.exit_code) == (3, 0)
    facts = ledger.head()
    again = take(ledger, tmp_path, b_xml=content)
    assert (again.files[0].new_lines, again.files[0].known_lines) == (0, 3)
    assert ledger.head() == facts
    assert [amount for _, _, amount in lines(ledger)].count(Decimal("10.00")) == 2


@pytest.mark.parametrize("csv_first", [True, False])
def test_the_same_statement_as_csv_and_as_camt_adds_nothing_twice(
    ledger: Ledger, tmp_path: Path, csv_first: bool
) -> None:
    later = paid("-40.00", "=cmd()", "2026-11-13")
    message = camt(Stmt(entries=[*TWICE, later], closed="2026-11-13"))
    files = {"example_csv": CSV.encode(), "a_xml": message}
    for name in sorted(files, reverse=csv_first):
        assert take(ledger, tmp_path, **{name: files[name]}).exit_code == 0
    assert len(lines(ledger)) == 4
    take(ledger, tmp_path, **files)
    assert len(lines(ledger)) == 4


def test_another_format_that_names_another_payer_is_another_payment(
    ledger: Ledger, tmp_path: Path
) -> None:
    named = replace(FORMAT, columns={**FORMAT.columns, "counterparty_account": "Account"})
    (tmp_path / "example.csv").write_text(
        "Date;Amount;Name;Text;Balance;Account\n12.11.2026;10,00;B;y;1.010,00;DE02120300000000202051\n"
    )
    take(ledger, tmp_path, a_xml=camt(Stmt(entries=[paid("10.00", "x")])))
    import_files(ledger, [tmp_path / "example.csv"], formats=[named], accounts=ACCOUNTS)
    assert len(lines(ledger)) == 2


def test_overlapping_statements_and_a_gap(ledger: Ledger, tmp_path: Path) -> None:
    monday, friday = paid("10.00", "m"), paid("20.00", "f", "2026-11-16")
    week = Stmt(entries=[monday, friday], ident="W", closed="2026-11-16")
    day = Stmt(
        entries=[friday], ident="D", opening="1010.00", opened="2026-11-16", closed="2026-11-16"
    )
    assert take(ledger, tmp_path, w_xml=camt(week), d_xml=camt(day)).exit_code == 0
    assert len(lines(ledger)) == 2
    later = Stmt(
        entries=[paid("5.00", "l", "2026-11-18")],
        ident="L",
        opening="1100.00",
        opened="2026-11-18",
        closed="2026-11-18",
    )
    report = take(ledger, tmp_path, l_xml=camt(later))
    assert report.exit_code == 1
    assert "statement L (l.xml) opens on 2026-11-18 with 1100.00" in report.gaps[0]
    assert "closed on 2026-11-16 with 1030.00" in report.gaps[0]
    missing = Stmt(
        entries=[paid("70.00", "g", "2026-11-17")],
        ident="G",
        opening="1030.00",
        opened="2026-11-17",
        closed="2026-11-17",
    )
    assert take(ledger, tmp_path, g_xml=camt(missing)).gaps == []


def test_a_faulty_file_is_not_taken_and_the_others_are(ledger: Ledger, tmp_path: Path) -> None:
    bad = CSV.replace("13.11.2026;-40,00", "31.11.2026;-40,00")
    report = take(ledger, tmp_path, a_xml=camt(Stmt(entries=TWICE)), example_csv=bad.encode())
    assert report.exit_code == 1
    assert report.files[1].problem == (
        "example.csv: row 5, column 'Date': '31.11.2026' is no date written DD.MM.YYYY"
    )
    assert len(lines(ledger)) == 3


def test_names_of_the_bank_are_kept_on_one_line(ledger: Ledger, tmp_path: Path) -> None:
    entry = Entry(amount="5.00", txs=[Tx(name="A\u202eB\nC", text="two\nlines")])
    take(ledger, tmp_path, a_xml=camt(Stmt(entries=[entry])))
    (row,) = ledger.query(select(tables.bank_lines))
    assert (row["counterparty_name"], row["remittance"]) == ("AB C", "two\nlines")
    assert "\u202e" in json.loads(row["raw"])["names"][0]


def test_accounts_that_are_nobodys_are_left_out(ledger: Ledger, tmp_path: Path) -> None:
    payroll = Stmt(entries=[paid("7.00")], ident="P", account="NO9386011117947")
    krone = Stmt(
        entries=[replace(paid("5.00"), currency="NOK")], ident="N", account=NOK, currency="NOK"
    )
    report = take(ledger, tmp_path, a_xml=camt(payroll, krone))
    assert [row["account"] for row in ledger.query(select(tables.bank_lines))] == [NOK]
    assert "1 lines of account NO9386011117947 are left out" in report.files[0].notes[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("1.250,00", "1,250.00"), "row 2, column 'Amount': '1,250.00' is no amount"),
        (("1.250,00", "1.25,00"), "'1.25,00' is no amount"),
        (("Amount;", "Amt;"), "column 'Amount' of bank.yml is not there"),
        (("2.260,00", "2.261,00"), "row 3: the balance before, 2250.00, and 10.00 give 2260.00"),
        ((";=cmd()", ";a;b"), "row 5: has 6 columns, the header 5"),
        (("12.11.2026;1.", "12/11/2026;1."), "row 2, column 'Date'"),
        (("Aurora", "\udcff"), "is not utf-8"),
    ],
)
def test_csv_that_does_not_fit_its_format(
    ledger: Ledger, tmp_path: Path, change: tuple[str, str], words: str
) -> None:
    content = CSV.replace(*change, 1).encode("utf-8", "surrogateescape")
    report = take(ledger, tmp_path, example_csv=content)
    assert words in str(report.files[0].problem)
    assert lines(ledger) == []


def test_a_csv_without_format_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    assert "no format of bank.yml" in str(take(ledger, tmp_path, other_csv=b"a").files[0].problem)


def test_the_drop_folder(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    assert waiting(inbox) == []
    inbox.mkdir()
    for name in ("b.xml", "a.csv", ".hidden", "half.xml.part"):
        (inbox / name).write_text(name)
    assert [path.name for path in waiting(inbox)] == ["a.csv", "b.xml"]
    put_away(inbox / "a.csv", tmp_path / "taken")
    assert [path.name for path in waiting(inbox)] == ["b.xml"]
    assert [path.name[13:] for path in (tmp_path / "taken").iterdir()] == ["a.csv"]


_movements = st.lists(
    st.tuples(
        st.integers(0, 3), st.sampled_from(["10.00", "20.00", "-5.00"]), st.sampled_from("xy")
    ),
    max_size=8,
)


@settings(max_examples=25, deadline=None)
@given(moved=_movements, seed=st.integers(0, 2**16))
def test_any_order_and_overlap_of_files_gives_the_same_lines(
    empty_ledger: Path, moved: Sequence[tuple[int, str, str]], seed: int
) -> None:
    """Files of whole days that overlap, taken in any order, some twice."""
    first = date(2026, 11, 2)
    entries = [paid(a, t, str(first + timedelta(days=d))) for d, a, t in sorted(moved)]

    def span(start: int, end: int) -> bytes:
        before = sum((e.moved for e in entries if _day(e, first) < start), Decimal("1000.00"))
        inside = [e for e in entries if start <= _day(e, first) <= end]
        return camt(
            Stmt(
                entries=inside,
                ident=f"{start}-{end}",
                opening=str(before),
                opened=str(first + timedelta(days=start)),
                closed=str(first + timedelta(days=end)),
            )
        )

    spans = [(0, 3), *((day, day) for day in range(4)), (1, 2), (0, 0)]
    random.Random(seed).shuffle(spans)
    found = []
    for order in (spans, sorted(spans), spans[::-1] + spans):
        with (
            TemporaryDirectory() as folder,
            open_at(Path(copy(empty_ledger, folder))) as ledger,
        ):
            paths = []
            for number, (start, end) in enumerate(order):
                paths.append(Path(folder) / f"{number}.xml")
                paths[-1].write_bytes(span(start, end))
            report = import_files(ledger, paths, formats=[], accounts=ACCOUNTS)
            assert report.gaps == []
            found.append(lines(ledger))
    assert found[0] == found[1] == found[2]
    assert sorted(amount for _, _, amount in found[0]) == sorted(e.moved for e in entries)
    assert {row[0][:3] for row in found[0]} <= {"bl-"}


def _day(entry: Entry, first: date) -> int:
    return (date.fromisoformat(entry.booked) - first).days
