"""Polling: payments of every sort reach the ledger once, and the cursor never skips anything."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from exporters.ledger import tables


def payments(bench: Any) -> list[tuple[str, Decimal, str]]:
    """Current payments in the ledger."""
    current = tables.current_payments
    rows = bench.ledger.query(select(current).order_by(current.c.id))
    return [(r["statement_number"], r["amount"], r["status"]) for r in rows]


def test_paid(bench: Any) -> None:
    number = bench.issue()
    bench.publish()
    bench.admin.pay(number, on=date(2026, 11, 20), reference="SEPA 1")
    report = bench.poll()
    assert report.exit_code == 0
    (state,) = report.as_dict()["documents"]
    assert state == {
        "number": number,
        "status": "PAID",
        "total": "124.21",
        "amount_due": "0.00",
        "amount_paid": "124.21",
        "amount_credited": "0.00",
    }
    assert payments(bench) == [(number, Decimal("124.21"), "AUTHORISED")]
    row = bench.ledger.query(select(tables.current_payments))[0]
    assert (row["paid_on"], row["reference"], row["currency"]) == (
        date(2026, 11, 20),
        "SEPA 1",
        "EUR",
    )
    assert bench.publish().lines[0].action == "already there"


def test_second_poll_repeats_nothing_but_the_cursor(bench: Any) -> None:
    number = bench.issue()
    bench.publish()
    bench.admin.pay(number)
    bench.poll()
    before = bench.facts()
    report = bench.poll()
    assert (report.changed, report.payments) == ([], [])
    assert [d.number for d in report.documents] == [number]
    assert bench.facts() == before + 2
    assert bench.writes().count("POST /Invoices") == 1


def test_part_paid_then_the_rest(bench: Any) -> None:
    number = bench.issue()
    bench.publish()
    bench.admin.pay(number, amount=Decimal("24.21"))
    bench.poll()
    seen = bench.document(number)
    assert (seen["status"], seen["amount_due"]) == ("AUTHORISED", Decimal("100"))
    bench.admin.pay(number)
    bench.poll()
    seen = bench.document(number)
    assert (seen["status"], seen["amount_paid"]) == ("PAID", Decimal("124.21"))
    assert [p[1] for p in payments(bench)] == [Decimal("24.21"), Decimal("100.00")]


def test_overpaid(bench: Any) -> None:
    number = bench.issue()
    bench.publish()
    bench.admin.pay(number, amount=Decimal("200"))
    bench.poll()
    seen = bench.document(number)
    assert (seen["status"], seen["amount_due"]) == ("PAID", Decimal("0"))
    assert credits_of(bench) == [("payer1", "EUR", Decimal("200") - Decimal("124.21"))]
    assert "payer1: overpayment of EUR 75.79" in bench.reports[-1].describe()
    assert bench.poll().credits == []


def credits_of(bench: Any) -> list[tuple[str, str, Decimal]]:
    """What is left of overpayments, as the ledger has it."""
    current = tables.current_payer_credits
    rows = bench.ledger.query(select(current).order_by(current.c.credit_id))
    return [(row["payer_id"], row["currency"], row["remaining"]) for row in rows]


def test_overpayment_that_is_used_is_no_credit_any_more(bench: Any) -> None:
    first, second = bench.issue(), bench.issue()
    bench.publish()
    bench.admin.pay(first, amount=Decimal("200"))
    bench.poll()
    (over,) = bench.admin.state()["overpayments"]
    bench.admin.call(
        "allocate", overpayment=over["OverpaymentID"], invoice=second, amount=Decimal("75.79")
    )
    bench.poll()
    assert credits_of(bench) == [("payer1", "EUR", Decimal("0"))]
    seen = bench.document(second)
    assert (seen["amount_credited"], seen["amount_due"]) == (Decimal("75.79"), Decimal("48.42"))


def test_overpayments_of_others_are_not_written_down(bench: Any) -> None:
    number = bench.issue()
    bench.publish()
    contact = bench.admin.contact({"Name": "Somebody"})
    theirs = bench.admin.create(
        {
            "Type": "ACCREC",
            "Contact": {"ContactID": contact["ContactID"]},
            "Status": "AUTHORISED",
            "DueDate": "2026-11-30",
            "LineItems": [
                {"Description": "x", "Quantity": 1, "UnitAmount": 1, "AccountCode": "200"}
            ],
        }
    )
    bench.admin.pay(theirs["InvoiceNumber"], amount=Decimal("5"))
    assert bench.poll().exit_code == 0
    assert credits_of(bench) == []
    assert bench.document(number)["status"] == "AUTHORISED"


@pytest.mark.parametrize("status", [403, 404, 503])
def test_payments_are_read_where_overpayments_cannot_be(bench: Any, status: int) -> None:
    number = bench.issue()
    bench.publish()
    bench.admin.pay(number, amount=Decimal("200"))
    bench.admin.fault("status", method="GET", path="^/Overpayments$", status=status, times=3)
    report = bench.poll()
    assert report.exit_code == 0
    assert "overpayments are not known: " in report.notes[0]
    assert bench.document(number)["status"] == "PAID"
    bench.admin.call("clear-faults")
    bench.poll()
    assert len(credits_of(bench)) == 1


def test_payment_taken_back(bench: Any) -> None:
    number = bench.issue()
    bench.publish()
    payment = bench.admin.pay(number)
    bench.poll()
    bench.admin.reverse_payment(payment["PaymentID"])
    report = bench.poll()
    assert [(p.number, p.status) for p in report.payments] == [(number, "DELETED")]
    seen = bench.document(number)
    assert (seen["status"], seen["amount_due"]) == ("AUTHORISED", Decimal("124.21"))
    assert payments(bench) == [(number, Decimal("124.21"), "DELETED")]


def test_credited(bench: Any, make_line: Any) -> None:
    number = bench.issue(period="2026-09")
    bench.publish(period="2026-09")
    bench.issue(
        make_line(quantity=Decimal("-24.5"), amount=Decimal("-2.02"), tax_amount=Decimal("-0.51"))
    )
    bench.publish()
    bench.poll()
    seen = bench.document(number)
    assert (seen["amount_credited"], seen["amount_due"]) == (Decimal("2.53"), Decimal("121.68"))


def test_voided_is_drift_and_stays_reported(bench: Any) -> None:
    number = bench.issue()
    bench.publish()
    bench.admin.void(number)
    for _ in range(2):
        report = bench.poll()
        assert report.exit_code == 1
        assert number in report.drifted[0]
    seen = bench.document(number)
    assert (seen["publish_state"], seen["status"]) == ("drifted", "VOIDED")
    assert seen["amount_due"] == 0


def test_edited_is_drift(bench: Any) -> None:
    number = bench.issue()
    bench.publish()
    bench.admin.edit(number, {"LineItems": [{"UnitAmount": 1}]})
    report = bench.poll()
    assert "LineAmount" in report.drifted[0]
    assert bench.document(number)["publish_state"] == "drifted"


def test_documents_that_are_not_ours_are_left_alone(bench: Any) -> None:
    number = bench.issue()
    bench.publish()
    contact = bench.admin.contact({"Name": "Somebody"})
    bench.admin.create(
        {"Type": "ACCREC", "Contact": {"ContactID": contact["ContactID"]}, "LineItems": []}
    )
    assert [d.number for d in bench.poll().documents] == [number]


def test_cursor_is_the_servers_time_minus_five_minutes(bench: Any) -> None:
    number = bench.issue()
    bench.publish()
    bench.admin.advance(3600)
    bench.poll()
    cursors = tables.current_poll_cursors
    (row,) = bench.ledger.query(select(cursors).where(cursors.c.name.startswith("xero/")))
    gap = bench.clock() - row["cursor_at"]
    assert timedelta(minutes=5) <= gap < timedelta(minutes=5, seconds=20)
    bench.admin.requests(clear=True)
    bench.admin.pay(number)
    bench.poll()
    sent = bench.admin.requests()[0]
    assert sent["headers"]["if-modified-since"] == row["cursor_at"].strftime("%Y-%m-%dT%H:%M:%SZ")


def test_server_clock_set_back_reads_everything_again(bench: Any) -> None:
    number = bench.issue()
    bench.publish()
    bench.admin.advance(7200)
    bench.poll()
    bench.admin.advance(-7200)
    bench.admin.pay(number)
    assert bench.poll().changed == [number]
    assert bench.poll().changed == []


def test_failed_poll_does_not_move_the_cursor(bench: Any) -> None:
    number = bench.issue()
    bench.publish()
    bench.poll()
    bench.admin.pay(number)
    bench.admin.advance(3600)
    bench.admin.fault("status", method="GET", path="^/Invoices$", status=500, times=3)
    before = bench.facts()
    report = bench.poll()
    assert report.exit_code == 3
    assert bench.facts() == before
    assert bench.poll().changed == [number]


def test_poll_pages(bench: Any) -> None:
    bench.admin.call("limits", minute=1000)
    numbers = [bench.issue(payer=f"payer{i % 60 + 1}") for i in range(120)]
    bench.publish()
    for number in numbers[:3] + numbers[-3:]:
        bench.admin.pay(number)
    report = bench.poll()
    assert sorted(report.changed) == sorted(numbers[:3] + numbers[-3:])
    assert report.calls == 4


def test_day_limit_defers_a_poll(bench: Any) -> None:
    bench.issue()
    bench.publish()
    bench.admin.call("use-up-day")
    report = bench.poll()
    assert report.exit_code == 0
    assert "deferred until" in report.describe()


def test_nothing_ever_published_polls_quietly(bench: Any) -> None:
    report = bench.poll()
    assert (report.exit_code, report.documents) == (0, [])
