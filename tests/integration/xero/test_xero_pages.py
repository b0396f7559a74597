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
        "1,204.5",
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
    (link,) = re.findall(rf'<a href="({page}/files/[^"]+)" class="words">', browser.get(page).text)
    assert browser.get(link).content == b"%PDF-1.7 a statement"


def test_customers_see_the_files_that_are_for_them(browser: httpx.Client, bench: Any) -> None:
    bench.issue()
    bench.publish()
    (seen,) = bench.admin.state()["invoices"]
    org, key = bench.sandbox.app.org, seen["InvoiceID"]
    book = b"PK\x03\x04 a workbook"
    with bench.sandbox.app.lock:
        for name, online in (("a b.xlsx", True), ("notes.html", False)):
            org.attach("invoice", key, name, book, "text/html", online=online, replace=False)
        org.store.commit()
    page = page_of(browser, seen["InvoiceNumber"])
    text = browser.get(page).text
    customers, bookkeepers = text.split("<details")
    assert "a b.xlsx" in customers
    assert "notes.html" not in customers
    assert "notes.html" in bookkeepers
    answer = browser.get(f"{page}/files/a b.xlsx")
    assert answer.content == book
    assert answer.headers["content-type"] == (
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    )
    assert browser.get(f"{page}/files/notes.html").status_code == 404
    kept = browser.get(f"/document/invoice/{key}/files/notes.html")
    assert kept.headers["content-disposition"].startswith("attachment")


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


def test_another_price_leaves_the_other_lines(
    browser: httpx.Client, bench: Any, make_line: Any
) -> None:
    number = bench.issue(make_line(), make_line(site_id="FI-HEL1"), make_line(charge_code="rack"))
    bench.publish()
    # A tax that a person rounded otherwise stays as well.
    bench.admin.edit(number, {"LineItems": [{}, {"TaxAmount": "24.85"}, {}]})
    before = bench.admin.invoice(number)["LineItems"]
    press(browser, page_of(browser, number), "edit-price", line="1", unit_amount="0.1")
    after = bench.admin.invoice(number)
    assert after["LineItems"][0]["LineAmount"] == Decimal("120.45")
    assert after["LineItems"][0]["TaxAmount"] == Decimal("30.11")
    assert after["LineItems"][1:] == before[1:]
    assert after["LineItems"][1]["TaxAmount"] == Decimal("24.85")
    assert after["Total"] == Decimal("120.45") + 2 * Decimal("99.37") + Decimal("79.80")


@pytest.mark.parametrize("text", ["12,50", "1,250", "NaN", "1e3", "10.005", "-5", "0", "٣"])
def test_an_amount_that_could_mean_another_is_refused(
    browser: httpx.Client, bench: Any, number: str, text: str
) -> None:
    answer = press(browser, page_of(browser, number), "pay", amount=text)
    assert answer.status_code == 200
    assert 'class="problem' in answer.text
    assert bench.admin.state()["payments"] == []


def test_dates_and_kinds_are_checked(browser: httpx.Client, bench: Any, number: str) -> None:
    page = page_of(browser, number)
    assert "is no date such as" in press(browser, "/", "lock", until="garbage").text
    assert bench.sandbox.app.org.settings().get("_period_lock") is None
    assert "is no date such as" in press(browser, page, "pay", on="tomorrow").text
    assert "is no kind of document" in press(browser, page, "void", kind="payment").text
    assert "is no number of a line" in (
        press(browser, page, "edit-price", line="3", unit_amount="1").text
    )
    assert bench.admin.invoice(number)["AmountDue"] == Decimal("248.42")


def test_what_a_thousand_is_written_like_on_the_page_can_be_typed(
    browser: httpx.Client, bench: Any, number: str
) -> None:
    press(browser, page_of(browser, number), "pay", amount="1,248.42")
    assert bench.admin.invoice(number)["Status"] == "PAID"
    (over,) = bench.admin.state()["overpayments"]
    assert over["Total"] == Decimal("1000.00")
    assert "EUR 1,000.00 of credit is not used yet" in browser.get("/").text


def test_words_of_a_refusal_come_from_here_only(browser: httpx.Client, number: str) -> None:
    page = page_of(browser, number)
    assert "call this number" not in browser.get(f"{page}?problem=call this number").text
    token = re.search(r'name="token" value="([^"]+)"', browser.get("/").text)
    assert token is not None
    answer = browser.post(
        "/human/lock",
        data={"token": token[1], "until": ""},
        headers={"referer": "http://x//attacker.example/"},
        follow_redirects=False,
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


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
    for guess in ("guess", "é", ""):
        assert browser.post("/human/void", data={**form, "token": guess}).status_code == 403
    form["token"] = bench.sandbox.app.pages.token
    stranger = {"host": "attacker.example"}
    assert browser.post("/human/void", data=form, headers=stranger).status_code == 403
    pay = f"{page_of(browser, number)}/pay"
    assert browser.post(pay, headers=stranger).status_code == 403
    assert browser.post(pay, headers={"origin": "http://attacker.example"}).status_code == 403
    assert bench.admin.state()["payments"] == []
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
    assert re.search(r'Set against <a href="/online/[^"]+">payer1-0001</a> on 2026-', page)
    assert '<div class="stamp PAID">' in page
    invoice = browser.get(page_of(browser, "payer1-0001")).text
    there = rf'Credit note <a href="/document/creditnote/[^"]+">{note}</a> on 2026-'
    assert re.search(there, invoice)
    assert "Pay EUR" not in page


def test_the_customer_pays_once(browser: httpx.Client, bench: Any, number: str) -> None:
    pay, origin = f"{page_of(browser, number)}/pay", {"origin": bench.sandbox.url}
    assert browser.post(pay, headers=origin).status_code == 200
    assert "is PAID and cannot be paid" in browser.post(pay, headers=origin).text
    (payment,) = bench.admin.state()["payments"]
    assert payment["Amount"] == Decimal("248.42")


def test_texts_from_outside_stay_text(browser: httpx.Client, bench: Any) -> None:
    nasty = "<script>alert(1)</script>\u202e\"'"
    who = bench.admin.contact({"Name": nasty, "TaxNumber": nasty, "Addresses": [{"City": nasty}]})
    made = bench.admin.create(
        {
            "Type": "ACCREC",
            "InvoiceNumber": nasty,
            "Status": "AUTHORISED",
            "Contact": {"ContactID": who["ContactID"]},
            "Date": "2026-11-03",
            "DueDate": "2026-11-17",
            "Reference": nasty,
            "LineItems": [
                {"Description": f"{nasty}\n{nasty}", "Quantity": 1, "UnitAmount": "12.5"}
            ],
        }
    )
    bench.admin.pay(nasty, amount=Decimal("1"), reference=nasty)
    for path in ("/", f"/document/invoice/{made['InvoiceID']}"):
        answer = browser.get(path)
        assert answer.status_code == 200
        assert "<script" not in answer.text
        assert "&lt;script&gt;alert(1)" in answer.text
        assert "\u202e" not in re.sub(r'class="(words|first)[^<]*<|<small>[^<]*<', "", answer.text)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert not re.search(r'(src|href)="?(https?:)?//', answer.text)


def test_the_list_adds_up_what_customers_owe(
    browser: httpx.Client, bench: Any, make_line: Any
) -> None:
    bench.issue()
    bench.issue(payer="payer2", currency="USD", issued_on=date(2026, 11, 5))
    bench.issue(
        make_line(quantity=Decimal("-24.5"), amount=Decimal("-2.02"), tax_amount=Decimal("-0.51")),
        payer="payer3",
        issued_on=date(2026, 11, 4),
    )
    bench.publish()
    who = bench.admin.contact({"Name": "Power company"})
    bench.admin.create(
        {
            "Type": "ACCPAY",
            "InvoiceNumber": "bill-1",
            "Status": "AUTHORISED",
            "Contact": {"ContactID": who["ContactID"]},
            "Date": "2026-11-01",
            "DueDate": "2026-11-02",
            "LineItems": [{"Description": "Power", "Quantity": 1, "UnitAmount": 1000}],
        }
    )
    text = browser.get("/").text
    assert "EUR 124.21, USD 124.21 outstanding." in text
    assert "EUR 2.53 of credit is not used yet." in text
    numbers = re.findall(r'<a href="[^"]+">([\w-]+)</a>', text)
    assert numbers == ["payer2-0002", "payer3-0003", "payer1-0001", "bill-1"]
    assert "<small>bill</small>" in text
    bench.admin.advance(86400 * 365)
    assert "of it is overdue" in browser.get("/").text
    assert "Pay EUR" not in browser.get(page_of(browser, "bill-1")).text
