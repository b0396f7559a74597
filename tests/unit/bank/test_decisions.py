"""What people say of lines, through the file and without it; and what payments in Xero settle."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from shutil import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from exporters import bank
from exporters.bank import BankError
from exporters.ledger import Ledger, tables
from exporters.ledger.actions import ActionError
from exporters.ledger.banking import in_flight, matches
from exporters.ledger.story import story
from tests.unit.bank.conftest import ACCOUNTS, NAMES, open_at, statement
from tests.unit.bank.messages import Entry, Stmt, Tx, camt

BOOK: dict[str, Any] = {"payer_names": NAMES, "accounts": ACCOUNTS}
SAID: dict[str, Any] = {"by": "Kari", "reason": "seen on the bank's statement", **BOOK}
BANK_DAY = date(2026, 11, 12)


@pytest.fixture
def booked(ledger: Ledger, tmp_path: Path) -> Callable[..., str]:
    """Bring in a line; its id."""

    def make(amount: str = "1250.00", text: str = "AURORA-0001", **changes: Any) -> str:
        path = tmp_path / "a.xml"
        entry = Entry(
            amount=amount, txs=[Tx(text=text, **changes)], reference=f"{amount}{text}{changes}"[:35]
        )
        path.write_bytes(camt(Stmt(entries=[entry])))
        before = {row["line_id"] for row in ledger.query(select(tables.bank_lines))}
        bank.import_files(ledger, [path], formats=[], accounts=ACCOUNTS)
        (new,) = {row["line_id"] for row in ledger.query(select(tables.bank_lines))} - before
        return str(new)

    return make


def proposals(ledger: Ledger, path: Path) -> list[dict[str, str]]:
    report = bank.propose(ledger, **BOOK)
    bank.write_csv(report, path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def edited(path: Path, rows: list[dict[str, str]], **changes: str) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, **changes} for row in rows)
    return path


def held(ledger: Ledger) -> dict[str, tuple[str, Decimal]]:
    with ledger.snapshot() as reader:
        return {m.statement_number: (m.state, m.amount) for m in matches(reader)}


def test_a_proposal_is_accepted_in_the_file(
    ledger: Ledger, issue: Any, booked: Any, tmp_path: Path
) -> None:
    issue()
    line_id = booked()
    rows = proposals(ledger, tmp_path / "p.csv")
    assert [(r["line_id"], r["statement"], r["confidence"]) for r in rows] == [
        (line_id, "AURORA-0001", "certain")
    ]
    report = bank.confirm_file(ledger, edited(tmp_path / "p.csv", rows, decision="accept"), **SAID)
    assert (report.exit_code, len(report.taken)) == (0, 1)
    assert held(ledger) == {"AURORA-0001": ("confirmed", Decimal("1250.00"))}
    assert proposals(ledger, tmp_path / "q.csv") == []
    with ledger.snapshot() as reader:
        assert line_id in in_flight(reader)["AURORA-0001"]
    told = [event for event in story(ledger, "AURORA-0001").events if event.kind == "bank"]
    assert [event.words for event in told] == [
        f"EUR 1,250.00 of bank line {line_id} (2026-11-12 EUR 1,250.00 from Aurora Rendering "
        "GmbH): confirmed by Kari: seen on the bank's statement"
    ]


def test_a_file_that_is_out_of_date_takes_nothing_of_that_row(
    ledger: Ledger, issue: Any, booked: Any, tmp_path: Path
) -> None:
    issue()
    issue()
    first, second = booked(), booked(text="AURORA-0002")
    rows = proposals(ledger, tmp_path / "p.csv")
    bank.confirm(ledger, first, ["AURORA-0001"], **SAID)
    facts = ledger.head().facts
    report = bank.confirm_file(ledger, edited(tmp_path / "p.csv", rows, decision="accept"), **SAID)
    assert report.exit_code == 1
    assert f"out of date: {first}" in report.not_taken[0]
    assert "is matched to AURORA-0001 meanwhile, by Kari" in report.not_taken[0]
    assert second in report.taken[0]
    assert ledger.head().facts == facts + 1
    again = bank.confirm_file(ledger, tmp_path / "p.csv", **SAID)
    assert (len(again.not_taken), again.taken) == (2, [])


def test_another_number_and_amount_and_reject_and_dismiss(
    ledger: Ledger, issue: Any, booked: Any, tmp_path: Path
) -> None:
    issue()
    issue()
    line_id = booked()
    rows = proposals(ledger, tmp_path / "p.csv")
    path = edited(tmp_path / "p.csv", rows, decision="reject")
    assert bank.confirm_file(ledger, path, **SAID).taken == [f"{line_id}: not for AURORA-0001"]
    (row,) = proposals(ledger, tmp_path / "p.csv")
    assert row["statement"] == "AURORA-0002"
    path = edited(
        tmp_path / "p.csv",
        [row],
        decision="accept",
        statement="aurora/2026-10/2",
        statement_amount="1000",
    )
    assert "250.00 of it stays" in bank.confirm_file(ledger, path, **SAID).taken[0]
    assert held(ledger) == {"AURORA-0002": ("confirmed", Decimal("1000.00"))}
    other = booked(amount="5.00", text="interest", name="Bank")
    (row,) = proposals(ledger, tmp_path / "p.csv")
    assert (row["line_id"], row["statement"], row["confidence"]) == (other, "", "")
    path = edited(tmp_path / "p.csv", [row], decision="dismiss")
    assert bank.confirm_file(ledger, path, **SAID).exit_code == 0
    assert proposals(ledger, tmp_path / "p.csv") == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"decision": "yes"}, "row 2, column decision: expected accept, reject, dismiss"),
        ({"decision": "accept", "statement_amount": "1,250"}, "row 2, column statement_amount"),
    ],
)
def test_a_file_with_a_fault_is_not_taken_at_all(
    ledger: Ledger, issue: Any, booked: Any, tmp_path: Path, changes: dict[str, str], words: str
) -> None:
    issue()
    booked()
    path = edited(tmp_path / "p.csv", proposals(ledger, tmp_path / "p.csv"), **changes)
    with pytest.raises(BankError, match=words):
        bank.confirm_file(ledger, path, **SAID)
    assert held(ledger) == {}


def test_text_of_the_bank_stays_text_in_a_spreadsheet(
    ledger: Ledger, booked: Any, tmp_path: Path
) -> None:
    booked(text='=HYPERLINK("x")', name="\u202e@evil\u200b")
    (row,) = proposals(ledger, tmp_path / "p.csv")
    assert row["text"] == '\'=HYPERLINK("x")'
    assert row["counterparty"] == "'@evil"


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        (["AURORA-0009"], "no issued statement 'AURORA-0009'"),
        (["AURORA-0001=1250.01"], "1,250.01 cannot be for it"),
        (["AURORA-0001=1000", "AURORA-0002=251"], "only 250.00 of bl-"),
        (["AURORA-0001=100", "AURORA-0001=100"], "is matched to AURORA-0001 already"),
        (["AURORA-0001=x"], "is no amount"),
        (["BOREALIS-0001"], "is in NOK"),
        ([], "say which statement"),
    ],
)
def test_what_cannot_be_confirmed_writes_nothing(
    ledger: Ledger, issue: Any, booked: Any, statements: list[str], words: str
) -> None:
    issue()
    issue()
    issue("borealis", currency="NOK")
    line_id = booked()
    facts = ledger.head()
    with pytest.raises(ActionError, match=words):
        bank.confirm(ledger, line_id, statements, **SAID)
    assert ledger.head() == facts


def test_two_lines_never_give_a_statement_more_than_its_due(
    ledger: Ledger, issue: Any, booked: Any
) -> None:
    issue()
    first, second = booked(amount="1000.00"), booked(amount="500.00")
    bank.confirm(ledger, first, ["AURORA-0001"], **SAID)
    report = bank.confirm(ledger, second, ["AURORA-0001"], **SAID)
    assert "AURORA-0001 = 250.00; 250.00 of it stays" in report.taken[0]
    with pytest.raises(ActionError, match=r"0\.00 EUR open"):
        bank.confirm(ledger, booked(amount="1.00"), ["AURORA-0001"], **SAID)


def test_release_and_dismiss(ledger: Ledger, issue: Any, booked: Any) -> None:
    issue()
    line_id = booked()
    with pytest.raises(ActionError, match="nothing was said"):
        bank.release(ledger, line_id, **SAID)
    bank.confirm(ledger, line_id, ["AURORA-0001"], **SAID)
    with pytest.raises(ActionError, match="release it first"):
        bank.dismiss(ledger, line_id, **SAID)
    bank.release(ledger, line_id, **SAID)
    assert held(ledger) == {}
    bank.dismiss(ledger, line_id, **SAID)
    with pytest.raises(ActionError, match="is dismissed"):
        bank.confirm(ledger, line_id, ["AURORA-0001"], **SAID)
    bank.release(ledger, line_id, **SAID)
    bank.confirm(ledger, line_id, ["AURORA-0001"], **SAID)
    with pytest.raises(ActionError, match="no bank line"):
        bank.dismiss(ledger, "bl-x", **SAID)


def test_a_payment_in_xero_explains_a_line_until_it_is_taken_back(
    ledger: Ledger, issue: Any, booked: Any, paid_in_xero: Any
) -> None:
    number = issue()
    line_id = booked()
    paid_in_xero(number, "1250.00", BANK_DAY)
    (told,) = bank.settle(ledger, **BOOK)
    assert f"{line_id} (" in told
    assert held(ledger) == {number: ("explained", Decimal("1250.00"))}
    assert bank.settle(ledger, **BOOK) == []
    assert bank.propose(ledger, **BOOK).offers == []
    paid_in_xero(number, "1250.00", BANK_DAY, status="DELETED")
    assert held(ledger) == {}
    assert len(bank.propose(ledger, **BOOK).offers) == 1


def test_a_confirmed_payment_that_somebody_entered_in_xero_is_in_flight_no_more(
    ledger: Ledger, issue: Any, booked: Any, paid_in_xero: Any
) -> None:
    number = issue()
    bank.confirm(ledger, booked(), [number], **SAID)
    paid_in_xero(number, "1250.00", date(2026, 11, 25))
    assert "it was confirmed by Kari" in bank.settle(ledger, **BOOK)[0]
    with ledger.snapshot() as reader:
        assert in_flight(reader) == {}


def test_a_person_may_name_the_payment_that_xero_shows(
    ledger: Ledger, issue: Any, booked: Any, paid_in_xero: Any
) -> None:
    number = issue()
    ledger.record(
        tables.documents,
        statement_number=number,
        document_type="ACCREC",
        status="PAID",
        publish_state="published",
        amount_due=Decimal("0.00"),
    )
    paid_in_xero(number, "1250.00", date(2026, 11, 30))
    line_id = booked(name="Somebody Ltd", text="")
    report = bank.confirm(ledger, line_id, [number], **SAID)
    assert "(the payment that Xero shows)" in report.taken[0]
    assert held(ledger) == {number: ("explained", Decimal("1250.00"))}


_said = st.lists(
    st.tuples(
        st.sampled_from(["confirm", "release", "dismiss"]),
        st.integers(0, 2),
        st.lists(
            st.sampled_from(["AURORA-0001", "AURORA-0001=60.00", "AURORA-0002", "AURORA-0002=150"]),
            min_size=1,
            max_size=2,
        ),
    ),
    max_size=9,
)


_SETTINGS = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@_SETTINGS
@given(said=_said)
def test_whatever_people_say_no_line_and_no_statement_is_overdrawn(
    empty_ledger: Path, tmp_path: Path, said: list[tuple[str, int, list[str]]]
) -> None:
    with open_at(Path(copy(empty_ledger, tmp_path / "any.sqlite"))) as ledger:
        for number, total in (("AURORA-0001", "100.00"), ("AURORA-0002", "200.00")):
            ledger.record(tables.issued_statements, **statement(number, total))
        path = tmp_path / "any.xml"
        amounts = ["100.00", "120.00", "250.00"]
        path.write_bytes(camt(Stmt(entries=[Entry(amount=one, reference=one) for one in amounts])))
        bank.import_files(ledger, [path], formats=[], accounts=ACCOUNTS)
        lines = {row["line_id"]: row for row in ledger.query(select(tables.bank_lines))}
        for what, index, statements in said:
            line_id = sorted(lines)[index]
            facts = ledger.head()
            try:
                if what == "confirm":
                    bank.confirm(ledger, line_id, statements, **SAID)
                else:
                    getattr(bank, what)(ledger, line_id, **SAID)
            except ActionError:
                assert ledger.head() == facts
        with ledger.snapshot() as reader:
            live = matches(reader)
        for line_id, row in lines.items():
            assert sum(m.amount for m in live if m.line_id == line_id) <= row["amount"]
        for number, total in (("AURORA-0001", 100), ("AURORA-0002", 200)):
            assert sum(m.amount for m in live if m.statement_number == number) <= total
        assert all(m.amount > 0 for m in live)
