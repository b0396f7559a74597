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
    ledger.record(
        "issued_lines",
        statement_number="acme-0001",
        line_no=1,
        period="2026-10",
        statement_id="acme/2026-10/all",
        statement_kind="consolidated",
        payer_id="acme",
        contract_id="K",
        book_version="b-1",
        charge_code="energy",
        charge_model="per_unit",
        classification="variable",
        quantity=Decimal(1),
        unit="kWh",
        unit_price=Decimal(1000),
        amount=Decimal("1000.00"),
        currency="EUR",
        tax_code="T",
        tax_rate_percent=Decimal("23.45"),
        tax_amount=Decimal("234.50"),
        line_key="K/2026-10/1/energy/OSL/-",
    )
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
