"""A bench for publishing: local Xero, ledger, marts and a clock that sleeping moves.

Where the OpenAPI description of Xero stands beside the repository, every request that a test on the
bench makes is checked against it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import duckdb
import pytest
import yaml
from sqlalchemy import select

from exporters.ledger import Actor, Ledger, tables
from exporters.xero import PaymentsReport, PublishReport, XeroConfig, poll_payments, publish
from exporters.xero.sandbox import Seed, XeroAdmin, XeroSandbox

MARTS = """
CREATE TABLE payers (payer_id VARCHAR, name VARCHAR, country VARCHAR, currency VARCHAR,
    email VARCHAR, tax_number VARCHAR, po_number VARCHAR, address_line1 VARCHAR,
    address_line2 VARCHAR, postal_code VARCHAR, city VARCHAR, seller_id VARCHAR);
INSERT INTO payers
    SELECT 'payer' || i, 'Payer ' || i || ' AS', 'NO', 'EUR', 'ap' || i || '@example.com',
        'NO' || i, CASE WHEN i = 2 THEN 'PO-2' END, 'Street 1', NULL, '0150', 'Oslo', 'main'
    FROM range(1, 61) AS r(i);
CREATE TABLE contracts (contract_id VARCHAR, term_no INTEGER, po_number VARCHAR);
INSERT INTO contracts VALUES ('c1', 1, 'PO-77'), ('c2', 1, NULL);
CREATE TABLE sites (site_id VARCHAR, name VARCHAR, region VARCHAR);
INSERT INTO sites VALUES ('NO-OSL1', 'Oslo 1', 'nordic'), ('FI-HEL1', 'Helsinki 1', 'nordic');
CREATE TABLE xero_accounts (charge_code VARCHAR, account_code VARCHAR);
INSERT INTO xero_accounts VALUES ('default', '200'), ('energy', '201');
CREATE TABLE xero_tax_types (tax_code VARCHAR, tax_type VARCHAR);
INSERT INTO xero_tax_types VALUES ('NO25', 'OUTPUT25'), ('RC', 'NONE');
CREATE TABLE xero_tracking (dimension VARCHAR, category VARCHAR);
INSERT INTO xero_tracking VALUES ('site', 'Site'), ('region', 'Region');
CREATE TABLE xero_options (branding_theme VARCHAR);
CREATE TABLE sellers (seller_id VARCHAR, xero_tenant_id VARCHAR);
INSERT INTO sellers VALUES ('main', NULL);
"""
SEED = Seed(
    accounts={"200": "Sales", "201": "Energy"},
    tax_types={"OUTPUT25": Decimal("25")},
    tracking={"Site": ("NO-OSL1", "FI-HEL1"), "Region": ("nordic",)},
    currencies=("EUR", "USD"),
)
WRITING = ("PUT", "POST", "DELETE")
DESCRIPTION = Path(__file__).parents[4] / "shared" / "xero" / "xero_accounting.yaml"
CLOSED = ("Invoice", "LineItem", "CreditNote", "Payment", "Contact", "Allocation")
Check = Callable[[dict[str, Any]], None]


def line(**changes: Any) -> dict[str, Any]:
    """An issued line of energy at Oslo; tax is what the rate gives."""
    base: dict[str, Any] = {
        "contract_id": "c1",
        "charge_code": "energy",
        "charge_model": "per_unit",
        "classification": "variable",
        "site_id": "NO-OSL1",
        "region": "nordic",
        "description": "Energy",
        "quantity": Decimal("1204.500000"),
        "unit": "kWh",
        "unit_price": Decimal("0.082500000"),
        "amount": Decimal("99.37"),
        "tax_code": "NO25",
        "tax_rate_percent": Decimal("25.0000"),
        "tax_amount": Decimal("24.84"),
        "plan_id": "p",
        "plan_version": 1,
    }
    return base | changes


@dataclass
class Bench:
    """Everything a test of publishing needs."""

    sandbox: XeroSandbox
    ledger: Ledger
    marts: Path
    config: XeroConfig
    slept: list[float] = field(default_factory=list)
    issued: int = 0

    @property
    def admin(self) -> XeroAdmin:
        return self.sandbox.admin

    def clock(self) -> datetime:
        return self.sandbox.app.now()

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.admin.advance(seconds)

    def issue(
        self,
        *lines: dict[str, Any],
        payer: str = "payer1",
        period: str = "2026-10",
        currency: str = "EUR",
        issued_on: date = date(2026, 11, 3),
    ) -> str:
        """Freeze a statement in the ledger; its number."""
        self.issued += 1
        chosen = lines or (line(),)
        net = sum((x["amount"] for x in chosen), Decimal("0.00"))
        tax = sum((x["tax_amount"] for x in chosen), Decimal("0.00"))
        number = f"{payer}-{self.issued:04d}"
        statement_id = f"{payer}/{period}/{self.issued}"
        with self.ledger.transaction() as tx:
            tx.record(
                tables.issued_statements,
                statement_id=statement_id,
                statement_number=number,
                series=payer,
                series_no=self.issued,
                period=period,
                statement_kind="consolidated",
                payer_id=payer,
                seller_id="main",
                currency=currency,
                net=net,
                tax=tax,
                total=net + tax,
                content_hash="h",
                book_version="b",
                code_version="c",
                issue_date=issued_on,
                due_date=issued_on + timedelta(days=14),
            )
            for index, content in enumerate(chosen, start=1):
                tx.record(
                    tables.issued_lines,
                    **{
                        "statement_number": number,
                        "line_no": index,
                        "period": period,
                        "statement_id": statement_id,
                        "statement_kind": "consolidated",
                        "payer_id": payer,
                        "book_version": "b",
                        "currency": currency,
                        "line_key": f"{number}/{index}",
                        **content,
                    },
                )
        return number

    def publish(
        self, *, apply: bool = True, period: str = "2026-10", **config: Any
    ) -> PublishReport:
        """One publishing run."""
        return publish(
            self.marts,
            self.ledger,
            period,
            config=replace(self.config, **config),
            clock=self.clock,
            apply=apply,
            sleep=self.sleep,
        )

    def poll(self) -> PaymentsReport:
        """One poll of payments."""
        return poll_payments(
            self.ledger,
            config=self.config,
            clock=self.clock,
            marts_path=self.marts,
            sleep=self.sleep,
        )

    def writes(self) -> list[str]:
        """Writes that reached the API since the last time this was asked."""
        return [
            f"{r['method']} {r['path'].removeprefix('/api.xro/2.0')}"
            for r in self.admin.requests(clear=True)
            if r["method"] in WRITING
        ]

    def facts(self) -> int:
        """Facts in the ledger."""
        with self.ledger.snapshot() as reader:
            return reader.head().facts

    def document(self, number: str) -> dict[str, Any]:
        """The current observation of a number."""
        current = tables.current_documents
        rows = self.ledger.query(select(current).where(current.c.statement_number == number))
        assert len(rows) == 1, rows
        return rows[0]

    def live(self, number: str) -> list[dict[str, Any]]:
        """Sales documents of that number in Xero, deleted ones left out."""
        state = self.admin.state()
        return [
            d
            for d in (*state["invoices"], *state["credit_notes"])
            if number in (d.get("InvoiceNumber"), d.get("CreditNoteNumber"))
            and d["Type"] in ("ACCREC", "ACCRECCREDIT")
            and d["Status"] != "DELETED"
        ]


class Kept(list[dict[str, Any]]):
    """The sandbox's list of requests, of which `every` forgets nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.every: list[dict[str, Any]] = []

    def append(self, request: dict[str, Any]) -> None:
        super().append(request)
        self.every.append(request)


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


@pytest.fixture(scope="session")
def xero_description() -> Check | None:
    """Checks a request against Xero's description; None where that or the checker is absent."""
    try:
        from openapi_core import Config, OpenAPI
        from openapi_core.testing import MockRequest
    except ImportError:
        return None
    if not DESCRIPTION.is_file():
        return None
    content = yaml.load(DESCRIPTION.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    correct(content)
    for name in CLOSED:
        content["components"]["schemas"][name]["additionalProperties"] = False
    # Of the tokens only the presence matters here; the gate of the local Xero checks them.
    for path in content["paths"].values():
        for operation in path.values():
            if isinstance(operation, dict):
                operation.pop("security", None)
    description = OpenAPI.from_dict(content, config=Config(spec_validator_cls=None))

    def check(sent: dict[str, Any]) -> None:
        description.validate_request(
            MockRequest(
                "https://api.xero.com",
                sent["method"].lower(),
                sent["path"],
                args=dict(parse_qsl(sent["query"])),
                headers=sent["headers"],
                data=None if sent["method"] == "GET" else sent["body"].encode(),
                content_type=sent["headers"].get("content-type", "application/json"),
            )
        )

    return check


@pytest.fixture(scope="session")
def xero_marts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Published marts with the book's facts that Xero needs."""
    path = tmp_path_factory.mktemp("marts") / "marts.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(MARTS)
    return path


@pytest.fixture
def xero_sandbox(tmp_path: Path) -> Iterator[XeroSandbox]:
    """A fresh local Xero."""
    with XeroSandbox(state=tmp_path / "sandbox" / "xero.sqlite", seed=SEED) as sandbox:
        yield sandbox


@pytest.fixture
def bench(
    tmp_path: Path,
    xero_sandbox: XeroSandbox,
    xero_marts: Path,
    xero_description: Check | None,
) -> Iterator[Bench]:
    """The bench; when the test is over its requests are checked."""
    kept = Kept()
    xero_sandbox.app.requests = kept
    (tmp_path / "ledger").mkdir()
    with Ledger.open(
        f"sqlite:///{tmp_path}/ledger/ledger.sqlite",
        clock=xero_sandbox.app.now,
        actor=Actor("test", "test", "test"),
    ) as ledger:
        config = XeroConfig.from_environment(xero_sandbox.environment(), data_dir=tmp_path)
        yield Bench(xero_sandbox, ledger, xero_marts, replace(config, read_seconds=2.0))
    if xero_description is not None:
        for sent in kept.every:
            xero_description(sent)


@pytest.fixture
def make_line() -> Callable[..., dict[str, Any]]:
    """Issued lines."""
    return line
