"""Our requests against Xero's own OpenAPI description, and its example answers against our reader.

Both need the description and its examples beside the repository (`../shared/xero`) and are skipped
where they are absent.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import yaml

from exporters.xero.compare import element_errors, id_of
from exporters.xero.wire import day, decode, instant, items, money

SHARED = Path(__file__).parents[4] / "shared" / "xero"
DESCRIPTION = SHARED / "xero_accounting.yaml"
FIXTURES = SHARED / "fixtures"
CLOSED = ("Invoice", "LineItem", "CreditNote", "Payment", "Contact", "Allocation")

needs_description = pytest.mark.skipif(
    not DESCRIPTION.is_file(), reason=f"Xero's OpenAPI description is not at {DESCRIPTION}"
)


@pytest.fixture(scope="module")
def description() -> Any:
    """The description, booleans corrected, with unknown properties refused where we send."""
    pytest.importorskip("openapi_core", reason="pip install openapi-core")
    from openapi_core import Config, OpenAPI

    content = yaml.load(DESCRIPTION.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    correct(content)
    for name in CLOSED:
        content["components"]["schemas"][name]["additionalProperties"] = False
    # Of the tokens only the presence matters here; the gate of the local Xero checks them.
    for path in content["paths"].values():
        for operation in path.values():
            if isinstance(operation, dict):
                operation.pop("security", None)
    return OpenAPI.from_dict(content, config=Config(spec_validator_cls=None))


def correct(node: Any) -> None:
    """Turn string-typed booleans into booleans, and let files be bytes, not base64 text."""
    if isinstance(node, dict):
        if "application/octet-stream" in node:
            node["application/octet-stream"] = {}
        for key, value in node.items():
            if key in ("required", "readOnly", "explode", "nullable") and isinstance(value, str):
                node[key] = value.lower() == "true"
            else:
                correct(value)
    elif isinstance(node, list):
        for value in node:
            correct(value)


@needs_description
def test_every_request_of_a_full_month_is_as_described(
    bench: Any, make_line: Any, description: Any
) -> None:
    from openapi_core.testing import MockRequest

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
    bench.publish()
    bench.poll()
    bench.admin.pay(number)
    bench.poll()
    requests = bench.admin.requests()
    seen = set()
    for sent in requests:
        kind = sent["headers"].get("content-type", "application/json")
        request = MockRequest(
            "https://api.xero.com",
            sent["method"].lower(),
            sent["path"],
            args=dict(parse_qsl(sent["query"])),
            headers=sent["headers"],
            data=None if sent["method"] == "GET" else sent["body"].encode(),
            content_type=kind,
        )
        description.validate_request(request)
        seen.add((sent["method"], sent["path"].split("/")[3]))
    assert {("PUT", "Invoices"), ("POST", "Invoices"), ("PUT", "Contacts")} <= seen
    assert {("PUT", "CreditNotes"), ("GET", "CreditNotes"), ("GET", "TaxRates")} <= seen


@needs_description
def test_a_misspelt_field_would_be_found(description: Any) -> None:
    from openapi_core.exceptions import OpenAPIError
    from openapi_core.testing import MockRequest

    body = {"Invoices": [{"Type": "ACCREC", "InvoiceNo": "1"}]}
    request = MockRequest(
        "https://api.xero.com",
        "put",
        "/api.xro/2.0/Invoices",
        headers={"xero-tenant-id": "x"},
        data=json.dumps(body).encode(),
        content_type="application/json",
    )
    with pytest.raises(OpenAPIError):
        description.validate_request(request)


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
