"""Our requests against Xero's own OpenAPI description, and its example answers against our reader.

Both need the description and its examples beside the repository (`../shared/xero`) and are skipped
where they are absent.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from exporters.xero.compare import element_errors, id_of
from exporters.xero.wire import day, decode, instant, items, money
from tests.wire import Check, described

SHARED = Path(__file__).parents[4] / "shared" / "xero"
FIXTURES = SHARED / "fixtures"


@pytest.fixture
def check() -> Check:
    """The check of a request."""
    found = described()
    if found is None:
        pytest.skip(f"needs {SHARED / 'xero_accounting.yaml'} and: pip install openapi-core")
    return found


def test_every_request_of_a_full_month_is_as_described(
    bench: Any, make_line: Any, check: Any
) -> None:
    bench.admin.call("limits", minute=1000)
    bench.issue(period="2026-09")
    bench.publish(period="2026-09")
    number = bench.issue(make_line(), make_line(charge_code="hosting", site_id=None))
    note = bench.issue(
        make_line(quantity=Decimal("-24.5"), amount=Decimal("-2.02"), tax_amount=Decimal("-0.51"))
    )
    folder = bench.config.data_dir / "reports" / "2026-10"
    folder.mkdir(parents=True)
    for name in (number, note):
        (folder / f"{name}.pdf").write_bytes(b"%PDF-1.7")
    assert bench.publish().exit_code == 0
    bench.admin.pay(number)
    bench.poll()
    requests = bench.admin.requests()
    for sent in requests:
        check(sent)
    seen = {(sent["method"], sent["path"].split("/")[3]) for sent in requests}
    assert {("PUT", "Invoices"), ("POST", "Invoices"), ("PUT", "Contacts")} <= seen
    assert {("PUT", "CreditNotes"), ("GET", "CreditNotes"), ("GET", "TaxRates")} <= seen


@pytest.mark.parametrize(
    "body",
    [
        {"Invoices": [{"Type": "ACCREC", "InvoiceNo": "1"}]},
        {"Invoices": [{"Type": "ACCREC", "LineItems": [{"Quantity": "many"}]}]},
        {"Invoices": [{"Type": "SALE"}]},
    ],
)
def test_a_wrong_request_would_be_found(check: Any, body: dict[str, object]) -> None:
    from openapi_core.exceptions import OpenAPIError

    with pytest.raises(OpenAPIError):
        check(
            {
                "method": "PUT",
                "path": "/api.xro/2.0/Invoices",
                "query": "",
                "headers": {"xero-tenant-id": "x", "content-type": "application/json"},
                "body": json.dumps(body),
            }
        )


@pytest.mark.skipif(not FIXTURES.is_dir(), reason=f"Xero's example answers are not at {FIXTURES}")
def test_official_example_answers_are_read() -> None:
    names = {
        "createInvoices.200": "Invoices",
        "getInvoices.200": "Invoices",
        "getInvoice.200": "Invoices",
        "updateOrCreateInvoices.200": "Invoices",
        "createCreditNotes.200": "CreditNotes",
        "getCreditNotes.200": "CreditNotes",
        "updateOrCreateCreditNotes.200": "CreditNotes",
    }
    for file, name in names.items():
        answer = decode((FIXTURES / f"{file}.response.json").read_text(encoding="utf-8"))
        found = items(answer, name)
        assert found, file
        for document in found:
            if element_errors(document):
                continue
            assert id_of(document), file
            assert day(document.get("Date")) is not None, file
            assert money(document["Total"]) is not None, file
            assert instant(document["UpdatedDateUTC"]) is not None, file
            for payment in items(document, "Payments"):
                assert money(payment["Amount"]) is not None
                assert day(payment["Date"]) is not None


@pytest.mark.skipif(not FIXTURES.is_dir(), reason=f"Xero's example answers are not at {FIXTURES}")
def test_official_example_answers_are_all_json() -> None:
    for file in sorted(FIXTURES.glob("*.response.json")):
        decode(file.read_text(encoding="utf-8"))
