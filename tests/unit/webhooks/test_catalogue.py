"""Which events follow from which facts, and what is said in them."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from exporters.ledger import tables
from exporters.webhooks import TYPES, note_events
from exporters.webhooks.catalogue import FROM_FACTS
from tests.unit.webhooks.world import START, Story, an_alert, an_exception

pytestmark = pytest.mark.sqlite_only


def told(story: Story) -> list[dict[str, Any]]:
    """Type and data of all events so far."""
    note_events(story.ledger, story.world)
    return [{"type": row["type"], **row["payload"]["data"]} for row in story.events()]


def test_an_invoice_from_issue_to_the_last_payment(story: Story) -> None:
    story.issue(customers=["acme", "acme-labs"])
    story.see(state="draft", status="DRAFT", link=None)
    story.see(link=None)  # approved, its link not read yet
    story.see()
    story.see(due="600.00", paid="400.00")
    story.see(due="600.00", paid="400.00", link="https://pay.example/2")
    story.see(due="0.00", paid="900.00", credited="100.00", status="PAID")
    events = told(story)
    assert [one["type"] for one in events] == [
        "invoice.issued",
        "invoice.published",
        "invoice.partly_paid",
        "invoice.paid",
    ]
    issued, published, partly, paid = events
    assert issued == {
        "type": "invoice.issued",
        "statement_number": "ACME-0001",
        "statement_id": "ACME/2026-10/ACME-0001",
        "period": "2026-10",
        "payer_id": "ACME",
        "customer_ids": ["acme", "acme-labs"],
        "currency": "EUR",
        "total": "1000.00",
        "due_date": "2026-11-17",
        "seller_id": "main",
        "statement_kind": "consolidated",
        "net": "1000.00",
        "tax": "0.00",
        "issue_date": "2026-11-03",
    }
    assert published["payment_url"] == "https://pay.example/1"
    assert (partly["amount_due"], partly["amount_paid"]) == ("600.00", "400.00")
    assert (paid["amount_due"], paid["amount_credited"]) == ("0.00", "100.00")


def test_an_invoice_whose_link_never_came_is_published_when_it_is_paid(story: Story) -> None:
    story.issue()
    story.see(link=None)
    story.see(link=None, due="0.00", paid="1000.00", status="PAID")
    assert [one["type"] for one in told(story)] == [
        "invoice.issued",
        "invoice.published",
        "invoice.paid",
    ]


def test_paid_taken_back_and_paid_again_are_three_events(story: Story) -> None:
    story.issue()
    story.see()
    for _ in range(2):
        story.see(due="0.00", paid="1000.00", status="PAID")
        story.see()
        story.record(
            "payments",
            payment_id="p-1",
            statement_number="ACME-0001",
            amount=Decimal("1000.00"),
            currency="EUR",
            paid_on=date(2026, 11, 5),
            status="DELETED",
            reference="private",
        )
    events = told(story)
    assert [one["type"] for one in events[2:]] == ["invoice.paid", "payment.reversed"] * 2
    assert events[3]["payment_id"] == "p-1"
    assert events[3]["amount"] == "1000.00"
    assert len({row["event_id"] for row in story.events()}) == len(events)


def test_a_voided_invoice_is_told_once(story: Story) -> None:
    story.issue()
    story.see()
    story.see(status="VOIDED", state="drifted", due="0.00")
    story.see(status="VOIDED", state="drifted", due="0.00", link="https://pay.example/2")
    assert [one["type"] for one in told(story)][2:] == ["invoice.voided"]


def test_a_statement_below_zero_is_a_credit_note(story: Story) -> None:
    story.issue(total="-10.00")
    story.see(link=None, due="-10.00")
    story.see(link=None, due="0.00", status="PAID")
    story.see(link=None, due="0.00", status="VOIDED")
    assert [one["type"] for one in told(story)] == [
        "credit_note.issued",
        "credit_note.published",
        "credit_note.voided",
    ]


def test_a_stage_that_is_reached(story: Story) -> None:
    story.issue()
    story.see(due="600.00", paid="400.00")
    story.record(
        "reminders",
        statement_number="ACME-0001",
        stage="final_notice",
        payer_id="ACME",
        policy_id="standard",
        message_id="m",
    )
    story.see(due="500.00", paid="500.00")
    reached = told(story)[-2]
    assert reached["type"] == "invoice.overdue_stage_reached"
    assert (reached["stage"], reached["amount_due"]) == ("final_notice", "600.00")
    assert reached["payment_url"] == "https://pay.example/1"


def close(story: Story, content_hash: str, decision: str = "needs_approval") -> None:
    story.record(
        "close_decisions",
        period="2026-10",
        statement_id="ACME/2026-10/all",
        content_hash=content_hash,
        decision=decision,
        reason="total above the limit",
        total=Decimal("9000.00"),
        currency="EUR",
    )


def test_a_statement_needs_approval_once_for_the_same_lines(story: Story) -> None:
    for content_hash, decision in (
        ("a", "blocked"),
        ("a", "needs_approval"),
        ("a", "blocked"),
        ("a", "needs_approval"),
        ("b", "auto"),
        ("c", "needs_approval"),
    ):
        close(story, content_hash, decision)
    events = told(story)
    assert [(one["type"], one["content_hash"]) for one in events] == [
        ("statement.needs_approval", "a"),
        ("statement.needs_approval", "c"),
    ]
    assert events[0]["payer_id"] == "ACME"
    assert events[0]["total"] == "9000.00"


def test_disputes_of_statements_lines_and_events(story: Story) -> None:
    number = story.issue(customers=["acme", "acme-labs"])
    who = {"by": "Kari Nordmann", "reason": "a private remark"}
    story.record("disputes", subject=number, state="open", **who)
    line = f"{number}/acme-labs/energy"
    story.record("charge_disputes", scope="line", subject=line, state="open", **who)
    story.record("charge_disputes", scope="line", subject=line, state="upheld", **who)
    story.record("charge_disputes", scope="event", subject="e-1", state="open", **who)
    story.record("disputes", subject=number, state="resolved", **who)
    events = told(story)[1:]
    assert [(one["type"], one["scope"], one.get("outcome")) for one in events] == [
        ("dispute.opened", "statement", None),
        ("dispute.opened", "line", None),
        ("dispute.resolved", "line", "upheld"),
        ("dispute.opened", "event", None),
        ("dispute.resolved", "statement", None),
    ]
    assert events[1]["customer_ids"] == ["acme-labs"]
    assert events[1]["statement_number"] == number
    assert events[3]["statement_number"] is None


def test_machines_that_are_suspended_and_resumed(story: Story) -> None:
    story.issue()
    with story.ledger.transaction() as tx:
        tx.record(
            tables.suspensions,
            suspension_id="s-1",
            payer_id="ACME",
            policy_id="standard",
            stage="suspend",
            statement_numbers=["ACME-0001"],
            machines=1,
            by="remind",
            reason="30 days overdue",
        )
        tx.record(
            tables.suspended_machines,
            suspension_id="s-1",
            machine_id="m1",
            contract_id="K-acme",
            site_id="NO-OSL1",
            meters=["pdu-1"],
        )
    story.record(
        "machine_states",
        suspension_id="s-1",
        machine_id="m1",
        site_id="NO-OSL1",
        wanted="off",
        state="off",
        switched=True,
        detail="what the site answered",
    )
    story.record(
        "resumptions", suspension_id="s-1", payer_id="ACME", by="resume", reason="nothing is due"
    )
    suspended, seen, resumed = told(story)[1:]
    assert suspended["type"] == "machines.suspended"
    assert suspended["statement_numbers"] == ["ACME-0001"]
    assert suspended["machines"] == [
        {"machine_id": "m1", "site_id": "NO-OSL1", "contract_id": "K-acme"}
    ]
    assert (seen["type"], seen["state"], seen["machine_id"]) == (
        "machine.state_changed",
        "off",
        "m1",
    )
    assert resumed["type"] == "machines.resumed"
    assert resumed["machines"] == suspended["machines"]
    assert {row["payer_id"] for row in story.events()} == {"ACME"}
    assert {row["customer_ids"] for row in story.events()} == {'["acme"]'}


def test_an_exception_opens_once_and_is_over_when_it_is_gone(story: Story) -> None:
    contract = {"K-1": ("acme",)}
    story.built(exceptions=(an_exception(contract_id="K-1"),), customers=contract)
    (opened,) = told(story)
    assert opened["type"] == "exception.opened"
    assert opened["detail"] == "no readings of pdu-1 for 7 hours"
    story.built()
    assert len(told(story)) == 1
    story.built(exceptions=())
    gone = told(story)[-1]
    assert gone == {**opened, "type": "exception.resolved", "how": "gone"}
    story.built(exceptions=(an_exception(),))
    assert [one["type"] for one in told(story)][2:] == ["exception.opened"]
    assert [row["customer_ids"] for row in story.events()] == ['["acme"]', '["acme"]', "[]"]


def test_an_exception_that_a_person_settled(story: Story) -> None:
    story.built(exceptions=(an_exception(),))
    assert len(told(story)) == 1
    story.settle_exception("x-1", "ack")
    story.settle_exception("x-1")
    assert [one.get("how") for one in told(story)] == [None, "settled"]
    story.built()  # these marts do not know yet what the person said
    assert len(told(story)) == 2
    story.built(exceptions=(an_exception(status="resolved"),))
    assert len(told(story)) == 2
    story.built(exceptions=())
    assert len(told(story)) == 2
    # One that was never told of is over without a word.
    story.settle_exception("x-2")
    assert len(told(story)) == 2


def test_an_exception_settled_and_gone_between_two_runs_is_over_once(story: Story) -> None:
    story.built(exceptions=(an_exception(),))
    told(story)
    story.settle_exception("x-1")
    story.built(exceptions=())
    assert [one.get("how") for one in told(story)] == [None, "settled"]


def test_an_alert_is_told_once_ever(story: Story) -> None:
    story.built(alerts=(an_alert(),))
    told(story)
    story.built(alerts=(an_alert(value=Decimal("600.000000000")),))
    (alert,) = told(story)
    assert alert["type"] == "alert.reached"
    assert (alert["threshold"], alert["value"], alert["projected_value"]) == (
        "500",
        "512.25",
        "1000",
    )
    assert alert["measured_until"] == "2026-11-01T08:00:00.000000Z"


def test_no_event_tells_who_said_what_or_what_others_answered(story: Story) -> None:
    test_disputes_of_statements_lines_and_events(story)
    story.see()
    story.built(exceptions=(an_exception(),))
    note_events(story.ledger, story.world)
    story.settle_exception("x-1")
    note_events(story.ledger, story.world)
    text = json.dumps([row["payload"] for row in story.events()])
    for private in ("Kari", "private remark", "a raw answer"):
        assert private not in text


def test_payloads_are_by_the_convention(story: Story) -> None:
    story.issue()
    note_events(story.ledger, story.world)
    (row,) = story.events()
    assert list(row["payload"]) == ["type", "timestamp", "data"]
    assert row["payload"]["timestamp"] == "2026-11-01T08:00:01.000000Z"
    assert row["occurred_at"] > START
    assert "." not in row["event_id"]
    (stored,) = story.ledger.query(tables.webhook_events.select())
    assert ", " not in stored["payload"]


def test_every_table_of_the_catalogue_is_one_of_facts() -> None:
    assert {tables.metadata.tables[name] for name in FROM_FACTS} <= set(tables.FACT_TABLES)
    assert all(kind == kind.lower() and "." in kind for kind in TYPES)
