"""camt.053 to lines: every version, batches, reversals, several accounts; and what is refused."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from exporters.bank.camt import read_camt
from exporters.bank.model import BankError
from tests.unit.bank.conftest import EUR, NOK
from tests.unit.bank.messages import Entry, Stmt, Tx, camt

PAID = Entry(
    amount="1250.00",
    reference="R1",
    txs=[Tx(amount="1250.00", text="Invoice\nAURORA-0001", end_to_end="E2E-1")],
)


@pytest.mark.parametrize("version", range(2, 15))
def test_every_version_gives_the_same_line(version: int) -> None:
    (line,) = read_camt("a.xml", camt(Stmt(entries=[PAID]), version=version)).lines
    assert (line.account, line.currency, line.amount) == (EUR, "EUR", Decimal("1250.00"))
    assert (line.booked_on, line.value_on) == (date(2026, 11, 12), date(2026, 11, 12))
    assert line.counterparty_name == "Aurora Rendering GmbH"
    assert line.counterparty_account == "DE89370400440532013000"
    assert line.remittance == "Invoice\nAURORA-0001"
    assert (line.end_to_end_id, line.bank_reference) == ("E2E-1", "R1")
    assert line.place == "statement 1 (S1), entry 1"


def test_a_prefix_changes_nothing() -> None:
    plain = read_camt("a.xml", camt(Stmt(entries=[PAID])))
    assert read_camt("a.xml", camt(Stmt(entries=[PAID]), prefix="ns2")).lines == plain.lines


@pytest.mark.parametrize("version", [2, 4, 8])
def test_a_batch_becomes_a_line_a_transaction(version: int) -> None:
    batch = Entry(
        amount="300.00",
        reference="B1",
        txs=[
            Tx(amount="100.00", text="AURORA-0001", reference="T1"),
            Tx(amount="200.00", name="Borealis AS", text="BOREALIS-0001", reference="T2"),
        ],
    )
    lines = read_camt("a.xml", camt(Stmt(entries=[batch]), version=version)).lines
    assert [(x.amount, x.counterparty_name, x.bank_reference) for x in lines] == [
        (Decimal("100.00"), "Aurora Rendering GmbH", "T1"),
        (Decimal("200.00"), "Borealis AS", "T2"),
    ]
    assert [x.place[-13:] for x in lines] == ["transaction 1", "transaction 2"]


@pytest.mark.parametrize("amounts", [("", ""), ("100.00", "150.00"), ("100.00", "")])
def test_a_batch_whose_amounts_do_not_add_up_stays_one_line(amounts: tuple[str, str]) -> None:
    txs = [Tx(amount=amount, text=f"part {n}") for n, amount in enumerate(amounts)]
    found = read_camt("a.xml", camt(Stmt(entries=[Entry(amount="300.00", txs=txs)])))
    assert [line.amount for line in found.lines] == [Decimal("300.00")]
    assert found.lines[0].remittance == "part 0\npart 1"
    assert "a batch of 2" in found.notes[0]


def test_debits_reversals_and_what_is_not_booked() -> None:
    entries = [
        Entry(amount="40.00", debit=True, txs=[Tx(name="Power Ltd")]),
        Entry(amount="1250.00", debit=True, reversal=True, txs=[Tx(amount="1250.00")]),
        Entry(amount="9.00", status="PDNG"),
    ]
    found = read_camt("a.xml", camt(Stmt(entries=entries)))
    assert [(x.amount, x.reversal) for x in found.lines] == [
        (Decimal("-40.00"), False),
        (Decimal("-1250.00"), True),
    ]
    assert found.lines[0].counterparty_name == "Power Ltd"
    assert "1 entries that are not booked" in found.notes[0]


def test_several_statements_and_accounts_and_a_copy() -> None:
    one, two = Stmt(entries=[PAID]), Stmt(entries=[], ident="S2", account=NOK, currency="NOK")
    found = read_camt("a.xml", camt(one, two, one))
    assert [(s.account, s.line_count) for s in found.statements] == [(EUR, 1), (NOK, 0)]
    assert len(found.lines) == 1
    assert "twice" in found.notes[-1]


def test_overdrawn_balances_count_as_negative() -> None:
    (statement,) = read_camt("a.xml", camt(Stmt(entries=[PAID], opening="-2000.00"))).statements
    assert (statement.opening_balance, statement.closing_balance) == (
        Decimal("-2000.00"),
        Decimal("-750.00"),
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (camt(Stmt(entries=[PAID], closing="2250.01")), "not the closing balance 2250.01"),
        (
            camt(Stmt(entries=[PAID, Entry(amount="12.50")])).replace(b">12.50<", b">12,50<"),
            "bad.xml: statement 1, entry 2: Failed to convert value for "
            "`ActiveOrHistoricCurrencyAndAmount.value` `12,50`",
        ),
        (
            camt(Stmt(entries=[Entry(amount="1.005")], opening="0.995")),
            "Bal, Amt: 0.995 is no amount",
        ),
        (
            camt(Stmt(entries=[PAID, PAID])).replace(b"<CdtDbtInd>CRDT</CdtDbtInd><Sts>", b"<Sts>"),
            "statement 1, entry 1: ReportEntry10 lacks 'cdt_dbt_ind'",
        ),
        (camt(Stmt(entries=[PAID], currency="NOK")), "expected one currency"),
        (
            camt(Stmt(entries=[PAID])).replace(b"<Sts><Cd>BOOK</Cd></Sts>", b"<Sts>BOOK</Sts>"),
            "entry 1, Sts: expected BOOK, PDNG, INFO, FUTR, got ''",
        ),
        (b"<Document/>", "expected a camt.053 message, got 'Document'"),
        (camt(Stmt(entries=[PAID])).replace(b".053.", b".054."), "got 'urn:"),
        (camt(Stmt(entries=[PAID]), version=77), "77 is no version"),
        (camt(Stmt(entries=[PAID]))[:-30], "not well-formed XML"),
        (
            camt(Stmt(entries=[PAID])).replace(
                b"?>\n", b'?>\n<!DOCTYPE d [<!ENTITY a "aaaa">]>\n', 1
            ),
            "document type declaration",
        ),
        (b"", "not well-formed"),
    ],
)
def test_what_is_refused_says_where(content: bytes, words: str) -> None:
    with pytest.raises(BankError) as refused:
        read_camt("bad.xml", content)
    assert words in str(refused.value)
    assert str(refused.value).startswith("bad.xml: ")
