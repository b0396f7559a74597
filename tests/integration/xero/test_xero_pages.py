"""The local Xero's pages: what a customer sees, and forms that play the bookkeeper."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import httpx
import pytest


@pytest.fixture
def browser(bench: Any) -> Iterator[httpx.Client]:
    """A browser on the local Xero."""
    with httpx.Client(base_url=bench.sandbox.url, follow_redirects=True) as client:
        yield client


@pytest.fixture
def number(bench: Any, make_line: Any) -> str:
    """A published invoice with a file and a line that would be a script."""
    number = bench.issue(
        make_line(description="<script>alert('x')</script>"), make_line(site_id="FI-HEL1")
    )
    folder = bench.config.data_dir / "reports" / "2026-10"
    folder.mkdir(parents=True)
    (folder / f"{number}.pdf").write_bytes(b"%PDF-1.7 a statement")
    assert bench.publish().exit_code == 0
    return str(number)


def press(browser: httpx.Client, page: str, action: str, **typed: str) -> httpx.Response:
    """Fill in a form of a page and send it."""
    text = browser.get(page).text
    found = re.search(rf'<form[^>]*action="/human/{action}">(.*?)</form>', text, re.S)
    assert found is not None, text
    fields = dict(re.findall(r'<input[^>]*name="(\w+)"[^>]*value="([^"]*)"', found[1]))
    headers = {"referer": str(browser.base_url.join(page))}
    return browser.post(f"/human/{action}", data={**fields, **typed}, headers=headers)


def page_of(browser: httpx.Client, number: str) -> str:
    """Where the front page leads for a number."""
    found = re.search(rf'<a href="([^"]+)">{number}</a>', browser.get("/").text)
    assert found is not None
    return found[1]


def test_a_customer_sees_the_invoice(browser: httpx.Client, bench: Any, number: str) -> None:
    page = browser.get(page_of(browser, number)).text
    assert "<script>" not in page
    assert "&lt;script&gt;alert" in page
    for words in (
        f"Invoice {number}",
        "Payer 1 AS",
        "PO-77",
        "2026-11-17",
        "1204.5",
        "0.0825",
        "Pay EUR 248.42",
        "1,204.5 kWh at EUR 0.0825 per kWh",
    ):
        assert words in page, words
    assert bench.document(number)["online_url"].endswith(page_of(browser, number))
    assert "EUR 248.42 outstanding." in browser.get("/").text


def test_files_are_files(browser: httpx.Client, number: str) -> None:
    page = page_of(browser, number)
    answer = browser.get(f"{page}/files/{number}.pdf")
    assert (answer.content, answer.headers["content-type"]) == (
        b"%PDF-1.7 a statement",
        "application/pdf",
    )
    assert answer.headers["content-disposition"].startswith("attachment")
    assert browser.get(f"{page}/files/another.pdf").status_code == 404


def test_the_bookkeeper_books_and_takes_back(
    browser: httpx.Client, bench: Any, number: str
) -> None:
    page = page_of(browser, number)
    press(browser, page, "pay", amount="100", on="2026-11-20", reference="SEPA <1>")
    seen = bench.admin.invoice(number)
    assert seen["AmountDue"] == Decimal("148.42")
    text = browser.get(page).text
    assert "Paid on 2026-11-20" in text
    assert "SEPA &lt;1&gt;" in text
    press(browser, page, "reverse-payment")
    assert bench.admin.invoice(number)["AmountDue"] == Decimal("248.42")
    press(browser, page, "edit-price", line="2", unit_amount="0.1")
    bench.poll()
    assert "line 2" in bench.document(number)["problem"]
    press(browser, page, "void")
    assert bench.admin.invoice(number)["Status"] == "VOIDED"
    text = browser.get(page).text
    assert '<div class="stamp VOIDED">' in text
    assert "Pay EUR" not in text


def test_what_is_refused_is_said(browser: httpx.Client, bench: Any, number: str) -> None:
    page = page_of(browser, number)
    assert "&#39;much&#39; is no amount" in press(browser, page, "pay", amount="much").text
    assert "there is no somebody" in press(browser, "/", "archive-contact", contact="somebody").text
    assert (
        "is no number of a line"
        in press(browser, page, "edit-price", line="x", unit_amount="1").text
    )
    press(browser, page, "pay")
    assert bench.admin.invoice(number)["Status"] == "PAID"
    refused = press(browser, page, "void").text
    assert "problem" in refused
    assert bench.admin.invoice(number)["Status"] == "PAID"


def test_no_other_site_can_post(browser: httpx.Client, bench: Any, number: str) -> None:
    form = {"number": number, "kind": "invoice"}
    assert browser.post("/human/void", data=form).status_code == 403
    assert browser.post("/human/void", data={**form, "token": "guess"}).status_code == 403
    form["token"] = bench.sandbox.app.pages.token
    stranger = {"host": "attacker.example"}
    assert browser.post("/human/void", data=form, headers=stranger).status_code == 403
    assert bench.admin.invoice(number)["Status"] == "AUTHORISED"


def test_the_organisation_is_set_from_the_front_page(browser: httpx.Client, bench: Any) -> None:
    press(browser, "/", "lock", until="2026-10-31")
    press(browser, "/", "reminders")
    settings = bench.sandbox.app.org.settings()
    assert (settings["_period_lock"], settings["_reminders"]) == ("2026-10-31", True)
    assert "reminders are on" in browser.get("/").text
    press(browser, "/", "lock", until="")
    assert bench.sandbox.app.org.settings()["_period_lock"] is None


def test_a_credit_note_has_a_page(browser: httpx.Client, bench: Any, make_line: Any) -> None:
    bench.issue(period="2026-09")
    bench.publish(period="2026-09")
    note = bench.issue(
        make_line(quantity=Decimal("-24.5"), amount=Decimal("-2.02"), tax_amount=Decimal("-0.51")),
        issued_on=date(2026, 11, 4),
    )
    bench.publish()
    page = browser.get(page_of(browser, note)).text
    assert f"Credit note {note}" in page
    assert "Set against payer1-0001" in page
    assert "Pay EUR" not in page
