"""Which statements a line pays, and how sure that is."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporters.bank.matching import (
    Document,
    Line,
    NumberIn,
    Payment,
    Proposal,
    explain,
    match,
    names_agree,
)

DAY = date(2026, 11, 12)
IBAN = "DE89370400440532013000"


def line(amount: str, text: str = "", line_id: str = "bl-1", **changes: Any) -> Line:
    base: dict[str, Any] = {
        "account": "OURS",
        "currency": "EUR",
        "booked_on": DAY,
        "counterparty_name": "Aurora Rendering GmbH",
        "counterparty_account": IBAN,
    }
    return Line(line_id=line_id, amount=Decimal(amount), text=text, **(base | changes))


def document(number: str, amount: str, **changes: Any) -> Document:
    base: dict[str, Any] = {
        "payer_id": "aurora",
        "payer_name": "Aurora Rendering GmbH",
        "currency": "EUR",
        "due_date": DAY + timedelta(days=int(number[-1])),
        "accounts": frozenset({"OURS"}),
    }
    return Document(number=number, open_amount=Decimal(amount), **(base | changes))


def parts(found: Proposal) -> dict[str, str]:
    return {number: str(amount) for number, amount in found.parts}


ONE = [document("AURORA-0001", "1250.00")]


@pytest.mark.parametrize(
    "text",
    [
        "AURORA-0001",
        "Invoice aurora-0001 of 3 November",
        "AURORA 0001",
        "AURORA0001",
        "AURO\nRA-00\n01",
        "ref:AURORA/0001.",
        "AURORA\u20110001",
    ],
)
def test_the_number_however_it_is_written_and_the_amount_is_certain(text: str) -> None:
    found = match([line("1250.00", text)], ONE).proposals["bl-1"]
    assert (parts(found), found.confidence) == ({"AURORA-0001": "1250.00"}, "certain")
    assert found.reasons == ("number AURORA-0001 in the text", "amount equal", "name agrees")


@pytest.mark.parametrize("text", ["AURORA-00011", "XAURORA-0001", "AURORA-000", "AURORA-0001A"])
def test_a_longer_number_is_another(text: str) -> None:
    assert not NumberIn("AURORA-0001").stands_in(text)


@pytest.mark.parametrize(
    ("amount", "confidence", "paid", "rest", "words"),
    [
        ("1249.99", "likely", "1249.99", "0.00", "one cent less"),
        ("1235.00", "likely", "1235.00", "0.00", "15.00 less than what is due: charges"),
        ("500.00", "likely", "500.00", "0.00", "a part payment"),
        ("1300.00", "likely", "1250.00", "50.00", "50.00 more than the 1,250.00 that is due"),
    ],
)
def test_amounts_that_differ(
    amount: str, confidence: str, paid: str, rest: str, words: str
) -> None:
    found = match([line(amount, "AURORA-0001")], ONE).proposals["bl-1"]
    assert (parts(found), found.confidence) == ({"AURORA-0001": paid}, confidence)
    assert found.rest == Decimal(rest)
    assert words in "; ".join(found.reasons)


def test_one_line_for_several_statements() -> None:
    documents = [document("AURORA-0001", "100.00"), document("AURORA-0002", "200.00")]
    text = "AURORA-0001, AURORA-0002"
    found = match([line("300.00", text)], documents).proposals["bl-1"]
    assert (parts(found), found.confidence) == (
        {"AURORA-0001": "100.00", "AURORA-0002": "200.00"},
        "certain",
    )
    found = match([line("200.00", text)], documents).proposals["bl-1"]
    assert (parts(found), found.confidence) == ({"AURORA-0002": "200.00"}, "likely")
    found = match([line("150.00", text)], documents).proposals["bl-1"]
    assert (parts(found), found.confidence) == (
        {"AURORA-0001": "100.00", "AURORA-0002": "50.00"},
        "possible",
    )


def test_statements_that_fit_equally_are_no_more_than_possible() -> None:
    documents = [document("AURORA-0001", "100.00"), document("AURORA-0002", "100.00")]
    found = match([line("100.00", "November")], documents).proposals["bl-1"]
    assert (found.confidence, found.also) == ("possible", ("AURORA-0002",))
    assert "AURORA-0002 would fit as well" in found.reasons
    found = match([line("100.00", "AURORA-0001 AURORA-0002")], documents).proposals["bl-1"]
    assert (found.confidence, found.also) == ("possible", ("AURORA-0002",))


def test_another_sender_makes_the_number_only_likely() -> None:
    found = match([line("1250.00", "AURORA-0001", counterparty_name="Somebody Ltd")], ONE)
    assert found.proposals["bl-1"].confidence == "likely"
    assert "the sender Somebody Ltd is not Aurora" in "; ".join(found.proposals["bl-1"].reasons)
    seen = {IBAN: frozenset({"aurora"})}
    found = match(
        [line("1250.00", "AURORA-0001", counterparty_name="Somebody Ltd")], ONE, seen_accounts=seen
    )
    assert found.proposals["bl-1"].confidence == "certain"


def test_without_number_payer_and_amount_are_likely_and_the_amount_alone_possible() -> None:
    assert match([line("1250.00")], ONE).proposals["bl-1"].confidence == "likely"
    stranger = line("1250.00", counterparty_name="Somebody Ltd")
    assert match([stranger], ONE).proposals["bl-1"].confidence == "possible"
    assert (
        match([stranger], ONE, seen_accounts={IBAN: frozenset({"aurora"})})
        .proposals["bl-1"]
        .confidence
        == "likely"
    )
    assert "no open statement has this amount" in match([line("77.00")], ONE).hints["bl-1"]
    both = [document("AURORA-0001", "100.00"), document("AURORA-0002", "200.00")]
    assert parts(match([line("300.00")], both).proposals["bl-1"]) == {
        "AURORA-0001": "100.00",
        "AURORA-0002": "200.00",
    }


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"currency": "USD"}, "AURORA-0001 in the text is in EUR, not USD"),
        ({"account": "OTHER"}, "another seller's"),
        ({"amount": "-1250.00"}, "money that went out"),
        ({"amount": "-1250.00", "reversal": True}, "the bank took back"),
    ],
)
def test_what_cannot_be_is_never_proposed(changes: dict[str, Any], words: str) -> None:
    amount = changes.pop("amount", "1250.00")
    found = match([line(amount, "AURORA-0001", **changes)], ONE)
    assert found.proposals == {}
    assert words in found.hints["bl-1"]


def test_the_second_of_two_payments_of_one_statement_is_not_proposed() -> None:
    lines = [line("1250.00", "AURORA-0001", f"bl-{n}") for n in (1, 2)]
    found = match(lines, ONE)
    assert set(found.proposals) == {"bl-1"}
    assert found.hints["bl-2"] == "nothing is open on AURORA-0001 in the text any more"


def test_what_a_person_rejected_does_not_come_back() -> None:
    rejected = frozenset({("bl-1", "AURORA-0001")})
    assert match([line("1250.00", "AURORA-0001")], ONE, rejected=rejected).proposals == {}


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [
        ("AURORA RENDERING GMBH", "Aurora Rendering GmbH", True),
        ("Rendering Aurora", "Aurora Rendering GmbH", True),
        ("Aurora Rendering Gm", "Aurora Rendering GmbH", True),
        ("BOREALIS MOLLER", "Borealis Møller AS", True),
        ("Aurora Renderinq", "Aurora Rendering GmbH", True),
        ("Aurora", "Aurora Rendering GmbH", True),
        ("AS", "Borealis AS", False),
        ("Borealis", "Aurora Rendering GmbH", False),
        ("", "Aurora", False),
    ],
)
def test_names(one: str, other: str, agree: bool) -> None:
    assert names_agree(one, other) is agree


def payment(number: str, amount: str, days: int = 0, **changes: Any) -> Payment:
    base: dict[str, Any] = {
        "payment_id": f"p-{number}-{amount}",
        "payer_id": "aurora",
        "payer_name": "Aurora Rendering GmbH",
        "currency": "EUR",
        "paid_on": DAY + timedelta(days=days),
    }
    return Payment(number=number, amount=Decimal(amount), **(base | changes))


def test_payments_in_xero_explain_lines() -> None:
    paid = [payment("AURORA-0001", "100.00", 2)]
    (found,) = explain([line("100.00", "AURORA-0001")], paid)
    assert found.reasons == ("number in the text", "amount equal", "2 days apart")
    assert [found.reasons[0] for found in explain([line("100.00")], paid)] == ["name agrees"]
    assert explain([line("100.00", counterparty_name="Somebody Ltd")], paid) == []
    assert explain([line("100.01", "AURORA-0001")], paid) == []
    assert explain([line("100.00", "AURORA-0001")], [payment("AURORA-0001", "100.00", 6)]) == []
    assert explain([line("100.00", currency="USD")], paid) == []


def test_payments_that_fit_equally_explain_nothing() -> None:
    paid = [payment("AURORA-0001", "100.00"), payment("AURORA-0002", "100.00")]
    assert explain([line("100.00")], paid) == []
    (found,) = explain([line("100.00", "AURORA-0002")], paid)
    assert found.payments == (paid[1],)


def test_one_line_is_several_payments_of_a_day() -> None:
    paid = [payment("AURORA-0001", "100.00"), payment("AURORA-0002", "200.00")]
    (found,) = explain([line("300.00", "AURORA-0001 AURORA-0002")], paid)
    assert found.payments == tuple(paid)


_amounts = st.sampled_from(["100.00", "99.99", "50.00", "200.00", "150.00", "300.00"])
_numbers = st.sampled_from(["AURORA-0001", "AURORA-0002", "BOREALIS-0001"])
_lines = st.lists(
    st.tuples(
        _amounts,
        st.lists(_numbers, max_size=3),
        st.sampled_from(["Aurora Rendering", "Borealis", "Nobody", ""]),
        st.integers(0, 3),
    ),
    max_size=7,
)


@settings(max_examples=150, deadline=None)
@given(
    given_lines=_lines, open_amounts=st.lists(_amounts, min_size=3, max_size=3), seed=st.randoms()
)
def test_no_line_is_used_twice_and_no_document_gets_more_than_its_due(
    given_lines: list[Any], open_amounts: list[str], seed: Any
) -> None:
    lines = [
        line(
            amount,
            " ".join(numbers),
            f"bl-{n}",
            counterparty_name=name,
            booked_on=DAY + timedelta(days=days),
        )
        for n, (amount, numbers, name, days) in enumerate(given_lines)
    ]
    documents = [
        document("AURORA-0001", open_amounts[0]),
        document("AURORA-0002", open_amounts[1]),
        document(
            "BOREALIS-0001", open_amounts[2], payer_id="borealis", payer_name="Borealis Møller AS"
        ),
    ]
    found = match(lines, documents)
    given_to: dict[str, Decimal] = defaultdict(Decimal)
    for one in lines:
        proposal = found.proposals.get(one.line_id)
        assert (proposal is None) == (one.line_id in found.hints)
        if proposal is not None:
            used = sum((amount for _, amount in proposal.parts), Decimal(0))
            assert used + proposal.rest == one.amount
            assert all(amount > 0 for _, amount in proposal.parts)
            assert len({number for number, _ in proposal.parts}) == len(proposal.parts)
            assert not (proposal.also and proposal.confidence == "certain")
            for number, amount in proposal.parts:
                given_to[number] += amount
    for one in documents:
        assert given_to[one.number] <= one.open_amount
    seed.shuffle(lines)
    seed.shuffle(documents)
    assert match(lines, documents) == found
