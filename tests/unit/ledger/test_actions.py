"""What people say: who and why are needed, subjects must exist, saying it twice writes once."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from sqlalchemy import select

from exporters.ledger import Ledger, actions, tables

TODAY = date(2026, 11, 20)
WHO = {"by": "anna", "reason": "agreed by phone"}


@pytest.fixture
def issued(ledger: Ledger) -> Ledger:
    ledger.record(
        tables.issued_statements,
        statement_id="acme/2026-10/all",
        statement_number="acme-0001",
        series="acme",
        series_no=1,
        period="2026-10",
        statement_kind="consolidated",
        payer_id="acme",
        seller_id="nordic",
        currency="EUR",
        net=Decimal("10.00"),
        tax=Decimal("2.55"),
        total=Decimal("12.55"),
        content_hash="h",
        book_version="b",
        code_version="c",
        issue_date=date(2026, 11, 5),
        due_date=date(2026, 11, 19),
    )
    return ledger


def test_a_hold_and_its_release(issued: Ledger) -> None:
    first = actions.hold(issued, scope="payer", subject="acme", known_payers={"acme"}, **WHO)
    again = actions.hold(issued, scope="payer", subject="acme", **WHO)
    assert (first.recorded, again.recorded) == (True, False)
    (row,) = issued.query(select(tables.active_holds))
    assert (row["scope"], row["subject"], row["by"]) == ("payer", "acme", "anna")
    actions.release(issued, scope="payer", subject="acme", **WHO)
    assert issued.query(select(tables.active_holds)) == []
    assert len(issued.query(select(tables.holds))) == 2


def test_a_statement_is_held_by_number_however_it_is_named(issued: Ledger) -> None:
    report = actions.hold(issued, scope="statement", subject="acme/2026-10/all", **WHO)
    assert report.subject == "acme-0001"
    assert not actions.hold(issued, scope="statement", subject="acme-0001", **WHO).recorded


def test_unknown_subjects_name_near_ones(issued: Ledger) -> None:
    with pytest.raises(actions.ActionError, match="did you mean acme-0001"):
        actions.hold(issued, scope="statement", subject="acme-001", **WHO)
    with pytest.raises(actions.ActionError, match="no payer 'acm'; did you mean acme"):
        actions.hold(issued, scope="payer", subject="acm", known_payers=["acme"], **WHO)
    with pytest.raises(actions.ActionError, match="not on a 'machine'"):
        actions.hold(issued, scope="machine", subject="m", **WHO)
    with pytest.raises(actions.ActionError, match="no hold on payer acme"):
        actions.release(issued, scope="payer", subject="acme", **WHO)


def test_the_newest_promise_counts(issued: Ledger) -> None:
    for day in (25, 28, 28):
        actions.promise(issued, payer_id="acme", until=date(2026, 11, day), today=TODAY, **WHO)
    (row,) = issued.query(select(tables.current_promises))
    assert row["until_date"] == date(2026, 11, 28)
    assert len(issued.query(select(tables.promises))) == 2


def test_a_promise_for_the_past_is_refused(issued: Ledger) -> None:
    with pytest.raises(actions.ActionError, match="before 2026-11-20"):
        actions.promise(issued, payer_id="acme", until=date(2026, 11, 19), today=TODAY, **WHO)


def test_exceptions_are_acknowledged_and_resolved(ledger: Ledger) -> None:
    known = {"missing_readings/FI-HEL1/m1"}
    name = "missing_readings/FI-HEL1/m1"
    assert actions.acknowledge_exception(ledger, exception_id=name, known=known, **WHO).recorded
    assert actions.resolve_exception(ledger, exception_id=name, known=known, **WHO).recorded
    assert not actions.resolve_exception(ledger, exception_id=name, **WHO).recorded
    (row,) = ledger.query(select(tables.current_exception_actions))
    assert row["action"] == "resolve"
    with pytest.raises(actions.ActionError, match="did you mean missing_readings/FI-HEL1/m1"):
        actions.acknowledge_exception(ledger, exception_id=name[:-1], known=known, **WHO)


@pytest.mark.parametrize(("by", "reason"), [("", "r"), ("b", " ")])
def test_who_and_why_are_needed(issued: Ledger, by: str, reason: str) -> None:
    with pytest.raises(actions.ActionError, match="--by"):
        actions.hold(issued, scope="payer", subject="acme", by=by, reason=reason)
    assert issued.query(select(tables.holds)) == []


def test_a_report_in_words(issued: Ledger) -> None:
    report = actions.hold(issued, scope="payer", subject="acme", **WHO)
    assert report.describe() == ["acme: held, by anna: agreed by phone"]
    assert report.as_dict()["recorded"] is True
