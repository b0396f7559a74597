"""What people do in Xero by hand is seen, never overwritten, never silently made good."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from exporters.ledger.actions import resolve_exception
from exporters.xero.records import exception_id


def unresolved(bench: Any, number: str, action: str, words: str) -> None:
    """The document is reported in words on this run and the next, and nothing is sent for it."""
    bench.writes()
    for _ in range(2):
        report = bench.publish()
        assert report.exit_code == 1
        (line,) = (x for x in report.lines if x.statement_number == number)
        assert line.action == action, report.describe()
        assert words in line.detail, line.detail
        assert number in line.describe()
        assert bench.document(number)["publish_state"] == action
    assert bench.writes() == []


def bill(bench: Any, number: str, **changes: Any) -> dict[str, Any]:
    """A document of a person under one of our numbers."""
    contact = bench.admin.contact({"Name": "Somebody", "ContactNumber": "somebody"})
    return {
        "Type": "ACCREC",
        "InvoiceNumber": number,
        "Contact": {"ContactID": contact["ContactID"]},
        "Date": "2026-11-03",
        "DueDate": "2026-11-17",
        "LineItems": [{"Description": "x", "Quantity": 1, "UnitAmount": 5, "AccountCode": "200"}],
        **changes,
    }


def test_voided(bench: Any) -> None:
    number = bench.issue()
    bench.publish()
    bench.admin.void(number)
    unresolved(bench, number, "drifted", "voided")
    assert bench.document(number)["status"] == "VOIDED"
    assert len(bench.live(number)) == 1


def test_what_a_person_settled_asks_nobody_any_more_until_it_is_something_else(bench: Any) -> None:
    number = bench.issue()
    bench.publish()
    bench.admin.edit(number, {"Reference": "their own"})
    (line,) = bench.publish().unresolved
    resolve_exception(
        bench.ledger,
        exception_id=exception_id("drifted", number, line.detail),
        by="kim",
        reason="the customer asked for it",
    )
    report = bench.publish()
    assert (report.exit_code, bench.poll().exit_code) == (0, 0)
    assert "(settled by kim: the customer asked for it)" in report.describe()
    bench.admin.void(number)
    assert (bench.publish().exit_code, bench.poll().exit_code) == (1, 1)


def test_recorded_draft_deleted_is_never_created_again(bench: Any) -> None:
    number = bench.issue()
    bench.admin.fault("status", method="POST", path="^/Invoices$", status=403)
    assert bench.publish().exit_code == 3
    bench.admin.delete_draft(number)
    unresolved(bench, number, "drifted", "deleted")


def test_unrecorded_draft_deleted_may_be_created_once_more(bench: Any) -> None:
    number = bench.issue()
    bench.admin.create(bill(bench, number))
    bench.admin.delete_draft(number)
    assert bench.publish().exit_code == 0
    assert bench.admin.invoice(number)["Status"] == "AUTHORISED"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"LineItems": [{"UnitAmount": 1}]}, "line 1: LineAmount"),
        ({"LineItems": [{"Description": "Something else"}]}, "the description was changed"),
        ({"LineItems": [{"AccountCode": "200"}]}, "AccountCode is 200, sent 201"),
        ({"LineItems": [{}, {"Description": "more", "UnitAmount": 1}]}, "2 lines, sent 1"),
        ({"Reference": "PO-1"}, "the reference is 'PO-1'"),
        ({"Date": "2026-11-01"}, "the date is 2026-11-01"),
        ({"CurrencyCode": "USD"}, "CurrencyCode is USD"),
        ({"InvoiceNumber": "renumbered"}, "the number is renumbered"),
    ],
)
def test_edited(bench: Any, changes: dict[str, Any], words: str) -> None:
    number = bench.issue()
    bench.publish()
    bench.admin.edit(number, changes)
    unresolved(bench, number, "drifted", words)


def test_due_date_contact_name_and_sent_flag_are_theirs(bench: Any) -> None:
    number = bench.issue()
    bench.publish()
    bench.admin.edit(number, {"DueDate": "2027-01-31"})
    bench.admin.call("rename-contact", contact="payer1", name="Payer One AS")
    assert bench.publish().lines[0].action == "already there"
    assert bench.document(number)["due_date"] == date(2027, 1, 31)


def test_drift_that_is_taken_back_is_published_again(bench: Any) -> None:
    number = bench.issue()
    bench.publish()
    bench.admin.edit(number, {"Reference": "PO-1"})
    assert bench.publish().exit_code == 1
    bench.admin.edit(number, {"Reference": "PO-77"})
    assert bench.publish().exit_code == 0
    assert bench.document(number)["publish_state"] == "published"


def test_number_held_by_a_foreign_invoice(bench: Any) -> None:
    number, fine = bench.issue(), bench.issue(payer="payer2")
    bench.admin.create(bill(bench, number, Status="AUTHORISED"))
    assert bench.publish().exit_code == 1
    assert bench.admin.invoice(fine)["Status"] == "AUTHORISED"
    unresolved(bench, number, "conflict", "another document holds the number")
    assert bench.document(number)["xero_id"] is None


def test_number_taken_by_a_person_after_an_attempt_that_was_never_made(bench: Any) -> None:
    number = bench.issue()
    bench.admin.fault("status", method="PUT", path="^/Invoices$", status=403)
    assert bench.publish().exit_code == 3
    bench.admin.create(bill(bench, number, Status="AUTHORISED"))
    unresolved(bench, number, "conflict", "another contact than payer payer1")


def test_voided_foreign_invoice_holds_the_number(bench: Any) -> None:
    number = bench.issue()
    bench.admin.create(bill(bench, number, Status="AUTHORISED"))
    bench.admin.void(number)
    unresolved(bench, number, "conflict", "a voided document")


def test_purchase_bill_never_holds_the_number(bench: Any) -> None:
    number = bench.issue()
    bench.admin.create(bill(bench, number, Type="ACCPAY", Status="AUTHORISED"))
    assert bench.publish().exit_code == 0
    assert bench.admin.invoice(number)["Status"] == "AUTHORISED"


def test_ledger_lost_and_xero_full_is_adopted(bench: Any, tmp_path: Any) -> None:
    number = bench.issue()
    bench.publish()
    bench.writes()
    bench.ledger.close()
    (tmp_path / "ledger" / "ledger.sqlite").unlink()
    for name in ("ledger.sqlite-wal", "ledger.sqlite-shm"):
        (tmp_path / "ledger" / name).unlink(missing_ok=True)
    bench.ledger = type(bench.ledger).open(
        f"sqlite:///{tmp_path}/ledger/ledger.sqlite", clock=bench.clock, actor=bench.ledger.actor
    )
    bench.issued = 0
    assert bench.issue() == number
    report = bench.publish()
    assert [x.action for x in report.lines] == ["adopt"]
    assert bench.writes() == []
    assert bench.document(number)["publish_state"] == "published"


def test_name_taken_by_a_contact_without_our_number(bench: Any) -> None:
    number, fine = bench.issue(), bench.issue(payer="payer2")
    bench.admin.contact({"Name": "PAYER 1 as "})
    assert bench.publish().exit_code == 1
    unresolved(bench, number, "quarantined", "does not carry our number")
    assert bench.admin.invoice(fine)["Status"] == "AUTHORISED"
    assert len(bench.admin.state()["contacts"]) == 2


def test_archived_contact(bench: Any) -> None:
    bench.issue()
    bench.publish()
    bench.admin.archive_contact("payer1")
    number = bench.issue(period="2026-11")
    report = bench.publish(period="2026-11")
    assert report.exit_code == 1
    assert "is archived in Xero" in report.lines[0].detail
    assert bench.live(number) == []
    assert [c["ContactStatus"] for c in bench.admin.state()["contacts"]] == ["ARCHIVED"]
    assert bench.publish().lines[0].action == "already there"


def test_merged_contact(bench: Any) -> None:
    bench.issue()
    bench.publish()
    other = bench.admin.contact({"Name": "Other"})
    bench.admin.call("merge-contact", contact="payer1", into=other["ContactID"])
    assert bench.publish().lines[0].action == "already there"
    bench.issue(period="2026-11")
    report = bench.publish(period="2026-11")
    assert "was merged into another" in report.lines[0].detail


@pytest.mark.parametrize(
    ("action", "content", "words"),
    [
        ("lock", {"until": "2026-11-03"}, "lock date 2026-11-03"),
        ("deactivate", {"kind": "account", "key": "201"}, "account 201"),
        ("deactivate", {"kind": "taxrate", "key": "OUTPUT25"}, "OUTPUT25 of NO25 is not active"),
        ("tax-rate", {"tax_type": "OUTPUT25", "percent": "24"}, "is 24 % in Xero, NO25 is 25 %"),
        (
            "deactivate",
            {"kind": "tracking", "key": "Site"},
            "no active tracking category Site with option NO-OSL1",
        ),
    ],
)
def test_preflight_holds_back_that_document_alone(
    bench: Any, make_line: Any, action: str, content: dict[str, Any], words: str
) -> None:
    number = bench.issue()
    fine = bench.issue(
        make_line(
            charge_code="x",
            tax_code="RC",
            tax_rate_percent=Decimal(0),
            tax_amount=Decimal(0),
            site_id=None,
        ),
        payer="payer2",
        issued_on=date(2026, 11, 4),
    )
    bench.admin.call(action, **content)
    report = bench.publish()
    assert report.exit_code == 1
    assert bench.admin.invoice(fine)["Status"] == "AUTHORISED"
    unresolved(bench, number, "quarantined", words)
    assert bench.live(number) == []


def test_currency_the_organisation_does_not_have(bench: Any) -> None:
    number = bench.issue(currency="NOK")
    unresolved(bench, number, "quarantined", "no currency NOK")


def test_locked_between_draft_and_approval(bench: Any) -> None:
    number = bench.issue()
    bench.admin.fault("status", method="POST", path="^/Invoices$", status=403)
    bench.publish()
    bench.admin.lock(date(2026, 11, 30))
    report = bench.publish()
    assert report.exit_code == 1
    assert "lock date" in report.lines[0].detail
    bench.admin.lock(None)
    assert bench.publish().exit_code == 0
    assert bench.admin.invoice(number)["Status"] == "AUTHORISED"
