"""The local Xero keeps Xero's rules where the exporter relies on them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest

from exporters.xero.sandbox import (
    CLIENT_ID,
    CLIENT_SECRET,
    AdminRefusedError,
    Seed,
    XeroAdmin,
    XeroSandbox,
    seed_from_book,
)


@pytest.fixture
def api(xero_sandbox: XeroSandbox) -> Iterator[httpx.Client]:
    """A client with a token."""
    env = xero_sandbox.environment()
    with httpx.Client(base_url=env["M2C_XERO_API_URL"] + "/") as http:
        answer = http.post(
            f"{env['M2C_XERO_IDENTITY_URL']}/connect/token",
            data={"grant_type": "client_credentials"},
            auth=(CLIENT_ID, CLIENT_SECRET),
        )
        http.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
        http.headers["x-by-hand"] = "yes"
        http.headers["xero-tenant-id"] = env["M2C_XERO_TENANT_ID"]
        yield http


def contact(api: httpx.Client, name: str = "One", number: str = "one") -> str:
    """A contact's id."""
    answer = api.put("Contacts", json={"Contacts": [{"Name": name, "ContactNumber": number}]})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["Contacts"][0]["ContactID"])


def invoice(contact_id: str, **changes: Any) -> dict[str, Any]:
    """An approved invoice of 10.00 and 2.50 tax."""
    return {
        "Type": "ACCREC",
        "Contact": {"ContactID": contact_id},
        "Date": "2026-11-03",
        "DueDate": "2026-11-17",
        "Status": "AUTHORISED",
        "LineItems": [
            {
                "Description": "x",
                "Quantity": 1,
                "UnitAmount": 10,
                "AccountCode": "200",
                "TaxType": "OUTPUT25",
            }
        ],
        **changes,
    }


def put(api: httpx.Client, *documents: dict[str, Any], query: str = "summarizeErrors=false") -> Any:
    """PUT /Invoices; the elements of the answer."""
    answer = api.put(f"Invoices?unitdp=4&{query}", json={"Invoices": list(documents)})
    assert answer.status_code == 200, answer.text
    return answer.json()["Invoices"]


def message(element: dict[str, Any]) -> str:
    """The first validation message."""
    return str(element["ValidationErrors"][0]["Message"])


@pytest.mark.parametrize(
    ("quantity", "unit", "amount", "tax"),
    [
        ("1", "0.125", "0.13", "0.03"),
        ("3", "0.3333", "1.00", "0.25"),
        ("1.00005", "100", "100.01", "25.00"),
        ("1", "0.00005", "0.00", "0.00"),
        ("-1", "0.125", "-0.13", "-0.03"),
    ],
)
def test_arithmetic(api: httpx.Client, quantity: str, unit: str, amount: str, tax: str) -> None:
    key = contact(api)
    line = {
        "Description": "x",
        "Quantity": float(quantity),
        "UnitAmount": float(unit),
        "AccountCode": "200",
        "TaxType": "OUTPUT25",
    }
    body = {"Invoices": [invoice(key, Status="DRAFT", LineItems=[line])]}
    answer = api.put("Invoices?unitdp=4", json=body)
    made = json.loads(answer.text, parse_float=Decimal)["Invoices"][0]
    assert (made["LineItems"][0]["LineAmount"], made["TotalTax"]) == (Decimal(amount), Decimal(tax))
    assert made["Total"] == Decimal(amount) + Decimal(tax)


def test_unit_amount_is_cut_to_two_decimals_without_unitdp(api: httpx.Client) -> None:
    key = contact(api)
    line = {"Description": "x", "Quantity": 1000, "UnitAmount": 0.0825, "AccountCode": "200"}
    answer = api.put("Invoices", json={"Invoices": [invoice(key, LineItems=[line])]})
    assert answer.json()["Invoices"][0]["SubTotal"] == 80


def test_put_never_updates_and_post_overwrites_by_number(api: httpx.Client) -> None:
    key = contact(api)
    (first,) = put(api, invoice(key, InvoiceNumber="n1"))
    (again,) = put(api, invoice(key, InvoiceNumber="n1"))
    assert message(again) == "Invoice # must be unique."
    body = {"Invoices": [invoice(key, InvoiceNumber="n1", Reference="overwritten")]}
    changed = api.post("Invoices", json=body).json()["Invoices"][0]
    assert (changed["InvoiceID"], changed["Reference"]) == (first["InvoiceID"], "overwritten")


def test_voided_keeps_its_number_and_a_deleted_draft_frees_it(
    api: httpx.Client, xero_sandbox: XeroSandbox
) -> None:
    key = contact(api)
    put(api, invoice(key, InvoiceNumber="n1"), invoice(key, InvoiceNumber="n2", Status="DRAFT"))
    xero_sandbox.admin.void("n1")
    xero_sandbox.admin.delete_draft("n2")
    one, two = put(api, invoice(key, InvoiceNumber="n1"), invoice(key, InvoiceNumber="n2"))
    assert message(one) == "Invoice # must be unique."
    assert two["StatusAttributeString"] == "OK"
    (bill,) = put(api, invoice(key, InvoiceNumber="n1", Type="ACCPAY"))
    assert bill["StatusAttributeString"] == "OK"


def test_one_bad_element_and_the_sum_of_errors(api: httpx.Client) -> None:
    key = contact(api)
    good, bad = invoice(key, InvoiceNumber="n1"), invoice(key, CurrencyCode="XXX")
    elements = put(api, good, bad)
    assert [e["StatusAttributeString"] for e in elements] == ["OK", "ERROR"]
    answer = api.put("Invoices", json={"Invoices": [invoice(key, InvoiceNumber="n2"), bad]})
    assert answer.status_code == 400
    assert answer.json()["ErrorNumber"] == 10
    assert api.get("Invoices/n2").status_code == 404


def test_void_is_refused_while_money_is_on_it(api: httpx.Client, xero_sandbox: XeroSandbox) -> None:
    key = contact(api)
    put(api, invoice(key, InvoiceNumber="n1"))
    payment = xero_sandbox.admin.pay("n1", amount=Decimal("1"))
    with pytest.raises(AdminRefusedError, match="cannot be voided"):
        xero_sandbox.admin.void("n1")
    with pytest.raises(AdminRefusedError, match="cannot be edited"):
        xero_sandbox.admin.edit("n1", {"Reference": "x"})
    xero_sandbox.admin.reverse_payment(payment["PaymentID"])
    xero_sandbox.admin.void("n1")
    assert xero_sandbox.admin.invoice("n1")["Status"] == "VOIDED"


def test_lists_without_page_carry_no_lines(api: httpx.Client) -> None:
    put(api, invoice(contact(api), InvoiceNumber="n1"))
    assert api.get("Invoices?InvoiceNumbers=n1").json()["Invoices"][0]["LineItems"] == []
    paged = api.get("Invoices?InvoiceNumbers=n1&page=1").json()
    assert len(paged["Invoices"][0]["LineItems"]) == 1
    assert paged["pagination"] == {"page": 1, "pageSize": 100, "pageCount": 1, "itemCount": 1}


def test_modified_since_is_in_whole_seconds(api: httpx.Client, xero_sandbox: XeroSandbox) -> None:
    put(api, invoice(contact(api), InvoiceNumber="n1"))
    date = api.get("Organisation").headers["date"]
    header = {"If-Modified-Since": date}
    assert len(api.get("Invoices", headers=header).json()["Invoices"]) == 1
    xero_sandbox.admin.advance(2)
    header = {"If-Modified-Since": api.get("Organisation").headers["date"]}
    assert api.get("Invoices", headers=header).json()["Invoices"] == []


def test_contact_names_are_unique_among_the_active(
    api: httpx.Client, xero_sandbox: XeroSandbox
) -> None:
    key = contact(api, "One", "one")
    again = {"Contacts": [{"Name": " ONE ", "ContactNumber": "other"}]}
    assert api.put("Contacts", json=again).status_code == 400
    xero_sandbox.admin.archive_contact(key)
    assert api.put("Contacts", json=again).status_code == 200
    edit = {"Contacts": [{"ContactID": key, "EmailAddress": "a@b.c"}]}
    assert "Archived contacts cannot be edited" in api.post("Contacts", json=edit).text
    (refused,) = put(api, invoice(key))
    assert "archived" in message(refused)


def test_online_page_is_only_for_approved_invoices_and_takes_the_money(api: httpx.Client) -> None:
    key = contact(api)
    put(
        api,
        invoice(key, InvoiceNumber="n1"),
        invoice(key, InvoiceNumber="n2", Status="DRAFT"),
    )
    assert api.get("Invoices/n2/OnlineInvoice").status_code == 400
    url = api.get("Invoices/n1/OnlineInvoice").json()["OnlineInvoices"][0]["OnlineInvoiceUrl"]
    assert (
        url == api.get("Invoices/n1/OnlineInvoice").json()["OnlineInvoices"][0]["OnlineInvoiceUrl"]
    )
    page = httpx.get(url)
    assert "Invoice n1" in page.text
    assert "Pay EUR 12.50" in page.text
    assert httpx.post(f"{url}/pay").status_code == 303
    assert "Paid" in httpx.get(url).text
    assert api.get("Invoices/n1").json()["Invoices"][0]["Status"] == "PAID"


def test_attachments(api: httpx.Client) -> None:
    put(api, invoice(contact(api), InvoiceNumber="n1"))
    for _ in range(2):
        api.post("Invoices/n1/Attachments/a.pdf", content=b"one")
    api.put("Invoices/n1/Attachments/b.pdf?IncludeOnline=true", content=b"two")
    files = api.get("Invoices/n1/Attachments").json()["Attachments"]
    assert [(f["FileName"], f["IncludeOnline"]) for f in files] == [
        ("a.pdf", False),
        ("b.pdf", True),
    ]
    assert api.get("Invoices/n1/Attachments/b.pdf").content == b"two"
    for index in range(8):
        assert api.put(f"Invoices/n1/Attachments/{index}.pdf", content=b"x").status_code == 200
    assert api.put("Invoices/n1/Attachments/c.pdf", content=b"x").status_code == 400


def test_history(api: httpx.Client) -> None:
    put(api, invoice(contact(api), InvoiceNumber="n1"))
    note = {"HistoryRecords": [{"Details": "seen"}]}
    assert api.put("Invoices/n1/History", json=note).status_code == 200
    assert [h["Details"] for h in api.get("Invoices/n1/History").json()["HistoryRecords"]] == [
        "seen"
    ]
    assert api.put("Invoices/n1/History", json={"HistoryRecords": [{"Details": "x" * 2501}]}) \
        .status_code == 400  # fmt: skip


def test_limits_tell_what_is_left(api: httpx.Client, xero_sandbox: XeroSandbox) -> None:
    xero_sandbox.admin.call("limits", minute=3)
    answers = [api.get("Organisation") for _ in range(4)]
    assert [a.status_code for a in answers] == [200, 200, 200, 429]
    assert [a.headers["x-minlimit-remaining"] for a in answers] == ["2", "1", "0", "0"]
    assert answers[-1].headers["x-rate-limit-problem"] == "minute"
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    xero_sandbox.admin.advance(60)
    assert api.get("Organisation").status_code == 200


def test_more_than_five_at_once_are_refused_without_a_time_to_wait(
    api: httpx.Client, xero_sandbox: XeroSandbox
) -> None:
    xero_sandbox.admin.fault("slow", path="^/Organisation$", seconds=1.0, times=6)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: api.get("Organisation"), range(6)))
    refused = [a for a in answers if a.status_code == 429]
    assert len(refused) == 1
    assert refused[0].headers["x-rate-limit-problem"] == "concurrent"
    assert "retry-after" not in refused[0].headers


def test_tokens(api: httpx.Client, xero_sandbox: XeroSandbox) -> None:
    assert api.get("Organisation", headers={"xero-tenant-id": "x"}).status_code == 403
    assert api.get("Nothing").status_code == 404
    assert api.get("Nothing").headers["content-type"].startswith("text/html")
    xero_sandbox.admin.advance(1801)
    refused = api.get("Organisation")
    assert refused.status_code == 401
    assert "TokenExpired" in refused.json()["Detail"]


def test_refresh_tokens_rotate_with_a_grace_period(xero_sandbox: XeroSandbox) -> None:
    first = xero_sandbox.admin.call("refresh-token", client_id=CLIENT_ID)["refresh_token"]

    def spend(token: str) -> httpx.Response:
        return httpx.post(
            f"{xero_sandbox.url}/connect/token",
            data={"grant_type": "refresh_token", "refresh_token": token},
            auth=(CLIENT_ID, CLIENT_SECRET),
        )

    second = spend(first).json()["refresh_token"]
    assert second != first
    assert spend(first).status_code == 200
    xero_sandbox.admin.advance(1801)
    assert spend(first).json() == {"error": "invalid_grant"}
    assert spend(second).status_code == 200


def test_connections(api: httpx.Client, xero_sandbox: XeroSandbox) -> None:
    answer = api.get(f"{xero_sandbox.url}/connections")
    assert [c["tenantId"] for c in answer.json()] == [api.headers["xero-tenant-id"]]


def test_seed_from_marts_or_compiled_tables(xero_marts: Path, tmp_path: Path) -> None:
    copy = tmp_path / "marts.duckdb"
    copy.write_bytes(xero_marts.read_bytes())
    with duckdb.connect(str(copy)) as connection:
        connection.execute(
            "CREATE OR REPLACE TABLE tax_rules AS SELECT 'NO25' AS tax_code,"
            " 25.0000::DECIMAL(9,4) AS rate_percent, DATE '2026-01-01' AS valid_from"
            " UNION ALL SELECT 'NO25', 24, DATE '2020-01-01'"
            " UNION ALL SELECT 'RC', 0, DATE '2020-01-01'"
        )
        folder = tmp_path / "book"
        folder.mkdir()
        for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            connection.execute(f"COPY \"{name}\" TO '{folder}/{name}.parquet' (FORMAT parquet)")
    expected = Seed(
        currency="EUR",
        accounts={"200": "Sales: default", "201": "Sales: energy"},
        tax_types={"NONE": Decimal(0), "OUTPUT25": Decimal(25)},
        tracking={"Region": ("nordic",), "Site": ("FI-HEL1", "NO-OSL1")},
        currencies=("EUR",),
    )
    assert seed_from_book(copy) == seed_from_book(folder) == expected


def test_a_process_started_twice_is_the_same_organisation(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for turn in range(2):
        child = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "exporters.xero.sandbox",
                "--state",
                str(tmp_path / "x.sqlite"),
                "--port",
                str(port),
                "--now",
                "2026-11-03T08:00:00Z",
            ],
            cwd=Path(__file__).parents[3],
            env=dict(os.environ),
            stdout=subprocess.PIPE,
            text=True,
        )
        admin = XeroAdmin(f"http://127.0.0.1:{port}")
        try:
            assert admin.wait()["now"].startswith("2026-11-03T08:0")
            if turn == 0:
                admin.contact({"Name": "One"})
            assert [c["Name"] for c in admin.state()["contacts"]] == ["One"]
        finally:
            admin.close()
            child.terminate()
            output, _ = child.communicate(timeout=10)
        assert f"M2C_XERO_API_URL=http://127.0.0.1:{port}/api.xro/2.0" in output
