"""The story of a statement: all of it, in order, in words."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from exporters.ledger import Ledger, actions, tables
from exporters.ledger.events import NOT_TOLD, WORDS
from exporters.ledger.story import story


@pytest.fixture
def told(ledger: Ledger) -> Ledger:
    ledger.record(
        "close_decisions",
        period="2026-10",
        statement_id="acme/2026-10/all",
        content_hash="a" * 64,
        decision="needs_approval",
        reason="42 % above the median",
        total=Decimal("1234.50"),
        currency="EUR",
    )
    ledger.record(
        "approvals",
        statement_id="acme/2026-10/all",
        period="2026-10",
        content_hash="a" * 64,
        automatic=False,
        approved_by="anna",
        reason="new hall",
    )
    ledger.record(
        "issued_statements",
        statement_id="acme/2026-10/all",
        statement_number="acme-0001",
        series="acme",
        series_no=1,
        period="2026-10",
        statement_kind="consolidated",
        payer_id="acme",
        seller_id="nordic",
        currency="EUR",
        net=Decimal("1000.00"),
        tax=Decimal("234.50"),
        total=Decimal("1234.50"),
        content_hash="a" * 64,
        book_version="b-1",
        code_version="c0ffee",
        issue_date=date(2026, 11, 5),
        due_date=date(2026, 11, 19),
    )
    _line(ledger, "acme-0001", "K/2026-10/1/energy/OSL/-", no=1)
    intent = ledger.intent("create_document", subject="acme-0001", body={})
    ledger.outcome(intent, "ok", external_id="x-1")
    part = ledger.intent("attach", subject="acme-0001/statement.pdf", body={})
    ledger.outcome(part, "unknown", message="timeout")
    ledger.intent("create_document", subject="acme-00010", body={})  # another statement's
    ledger.record(
        "documents",
        statement_number="acme-0001",
        document_type="ACCREC",
        status="AUTHORISED",
        publish_state="published",
        amount_due=Decimal("1234.50"),
        currency="EUR",
        updated_at=datetime(2026, 11, 5, tzinfo=UTC),
    )
    ledger.record(
        "reminders",
        statement_number="acme-0001",
        stage="friendly_reminder",
        payer_id="acme",
        policy_id="standard",
        message_id="m-1",
    )
    for message in ("m-1", "m-2"):
        ledger.record(
            "deliveries", message_id=message, channel="smtp", recipient="a@b.c", status="sent"
        )
    who = {"by": "anna", "reason": "phone"}
    ledger.record("disputes", subject="acme-0001", state="open", **who)
    ledger.record(
        "charge_disputes", scope="line", subject="K/2026-10/1/energy/OSL/-", state="open", **who
    )
    actions.hold(ledger, scope="payer", subject="acme", **who)
    actions.hold(ledger, scope="payer", subject="bolt", **who)
    actions.promise(
        ledger, payer_id="acme", until=date(2026, 12, 1), today=date(2026, 11, 20), **who
    )
    ledger.record(
        "payments",
        payment_id="p-1",
        statement_number="acme-0001",
        amount=Decimal("1234.50"),
        currency="EUR",
        paid_on=date(2026, 11, 30),
        status="AUTHORISED",
    )
    return ledger


@pytest.mark.parametrize("named", ["acme-0001", "acme/2026-10/all"])
def test_everything_in_order(told: Ledger, named: str) -> None:
    found = story(told, named)
    assert [event.source_table for event in found.events] == [
        "close_decisions",
        "approvals",
        "issued_statements",
        "intents",
        "outcomes",
        "intents",
        "outcomes",
        "documents",
        "reminders",
        "deliveries",
        "disputes",
        "charge_disputes",
        "holds",
        "promises",
        "payments",
    ]
    words = found.describe()
    assert words[0] == "acme/2026-10/all (acme-0001)"
    assert "closed at EUR 1,234.50, needs approval: 42 % above the median" in words[1]
    assert "approved by anna: new hall" in words[2]
    assert "issued as acme-0001" in words[3]
    assert "outcome unknown: attach: timeout" in words[7]
    assert "payment of EUR 1,234.50 on 2026-11-30 is AUTHORISED" in words[15]
    assert words[1].endswith("[tester (os-tester@host-1)]")


def test_a_fact_about_a_payer_is_told_of_what_it_could_change(told: Ledger) -> None:
    """Of statements that are open, and of one that is issued while it holds."""
    paid = {"document_type": "ACCREC", "publish_state": "published", "currency": "EUR"}
    told.record("documents", statement_number="acme-0001", amount_due=Decimal("0.00"), **paid)
    actions.hold(told, scope="payer", subject="acme", by="anna", reason="again")
    _issue(told, 2)
    actions.release(told, scope="payer", subject="acme", by="anna", reason="settled")
    first = [event.words for event in story(told, "acme-0001").events if event.kind == "hold"]
    second = [event.words for event in story(told, "acme-0002").events if event.kind == "hold"]
    assert first == ["payer acme held by anna: phone"]
    assert second == [
        "payer acme held by anna: phone",
        "payer acme hold released by anna: settled",
    ]


def _issue(ledger: Ledger, number: int) -> str:
    ledger.record(
        "issued_statements",
        statement_id=f"acme/2026-1{number}/all",
        statement_number=f"acme-000{number}",
        series="acme",
        series_no=number,
        period=f"2026-1{number}",
        statement_kind="consolidated",
        payer_id="acme",
        seller_id="nordic",
        currency="EUR",
        net=Decimal("-12.00"),
        tax=Decimal("0.00"),
        total=Decimal("-12.00"),
        content_hash="b" * 64,
        book_version="b-1",
        code_version="c0ffee",
        issue_date=date(2026, 11, 5),
        due_date=date(2026, 11, 19),
    )
    return f"acme-000{number}"


def _line(
    ledger: Ledger, number: str, key: str, *, adjusts: str | None = None, no: int = 2
) -> None:
    ledger.record(
        "issued_lines",
        statement_number=number,
        line_no=no,
        period="2026-10",
        statement_id="acme/2026-10/all",
        statement_kind="consolidated",
        payer_id="acme",
        contract_id="K",
        book_version="b",
        charge_code="energy",
        charge_model="per_unit",
        classification="variable",
        band="ev-1",
        quantity=Decimal("1.000000"),
        unit="kWh",
        unit_price=Decimal("1.000000000"),
        amount=Decimal("-12.00"),
        currency="EUR",
        tax_code="t",
        tax_rate_percent=Decimal("0.0000"),
        tax_amount=Decimal("0.00"),
        line_key=key,
        adjusts_period=adjusts,
    )


def test_an_adjustment_is_told_of_both_statements(told: Ledger) -> None:
    key = "K/2026-10/1/energy/S/-"
    _line(told, "acme-0001", key)
    _line(told, _issue(told, 2), f"adj/2026-11/{key}", adjusts="2026-10")
    corrected = story(told, "acme-0001").events[-1]
    assert corrected.words == "corrected by acme-0002: 1 line, EUR -12.00 before tax"
    adjusting = [event for event in story(told, "acme-0002").events if event.kind == "adjusts"]
    assert [event.words for event in adjusting] == [
        "adjusts acme-0001: 1 line, EUR -12.00 before tax"
    ]


def test_disputes_of_lines_and_events_are_of_their_statement(told: Ledger) -> None:
    _line(told, "acme-0001", "K/2026-10/1/hands/S/ev-1")
    for scope, subject in (
        ("line", "K/2026-10/1/hands/S/ev-1"),
        ("event", "ev-1"),
        ("event", "ev-2"),
    ):
        said = {"scope": scope, "subject": subject, "by": "anna", "reason": "not ours"}
        told.record("charge_disputes", state="open", **said)
    told_of = [event.words for event in story(told, "acme-0001").events if event.kind == "dispute"]
    assert told_of[-2:] == [
        "line K/2026-10/1/hands/S/ev-1: disputed by anna: not ours",
        "event ev-1: disputed by anna: not ours",
    ]


def test_a_reminder_s_mail_is_of_the_statements_it_reminds_of(told: Ledger) -> None:
    intent = told.intent(
        "reminder_mail", subject="acme", body={"content": "…"}, idempotency_key="m-1"
    )
    told.outcome(intent, "ok", external_id="m-1")
    words = [event.words for event in story(told, "acme-0001").events]
    assert words[-2:] == ["about to do: reminder_mail for acme", "done: reminder_mail (m-1)"]
    sent = [event.fact for event in story(told, "acme-0001").events if event.kind == "request"]
    assert json.loads(sent[-1]["body"]) == {"content": "…"}


def test_every_kind_of_fact_about_a_statement_has_words() -> None:
    assert set(WORDS) == {table.name for table in tables.FACT_TABLES} - NOT_TOLD


def test_json_ready(told: Ledger) -> None:
    plain: dict[str, Any] = json.loads(json.dumps(story(told, "acme-0001").as_dict()))
    assert plain["events"][0]["fact"]["total"] == "1234.50"


def test_before_issue(ledger: Ledger) -> None:
    ledger.record(
        "approvals",
        statement_id="acme/2026-10/all",
        period="2026-10",
        content_hash="a" * 64,
        automatic=True,
        approved_by="m2c close",
        reason="within the limit",
    )
    found = story(ledger, "acme/2026-10/all")
    assert found.statement_number is None
    assert len(found.events) == 1


def test_nothing_known(ledger: Ledger) -> None:
    with pytest.raises(actions.ActionError, match="nothing is known of 'x'"):
        story(ledger, "x")
