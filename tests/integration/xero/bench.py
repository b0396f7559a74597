"""A bench for publishing: local Xero, ledger, marts and a clock that sleeping moves."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import httpx
from sqlalchemy import select

from exporters.ledger import Ledger, tables
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
CREATE TABLE seller_bank_accounts (seller_id VARCHAR, currency VARCHAR, iban VARCHAR,
    account VARCHAR, post_payments BOOLEAN, xero_account VARCHAR, no_bank_feed VARCHAR);
CREATE TABLE tax_rules (site_jurisdiction VARCHAR, payer_country VARCHAR, charge_code VARCHAR,
    tax_code VARCHAR, rate_percent DECIMAL(9,4), valid_from DATE, valid_to DATE);
INSERT INTO tax_rules VALUES ('NO', 'NO', '*', 'NO25', 24, '2005-01-01', NULL),
    ('NO', 'NO', '*', 'NO25', 25, '2020-01-01', NULL),
    ('*', 'EU', '*', 'RC', 0, '2020-01-01', NULL),
    ('NO', 'NO', 'rent', 'NO25', 12, '2020-01-01', '2021-01-01');
"""
SEED = Seed(
    accounts={"200": "Sales", "201": "Energy"},
    tax_types={"OUTPUT25": Decimal("25")},
    tracking={"Site": ("NO-OSL1", "FI-HEL1"), "Region": ("nordic",)},
    currencies=("EUR", "USD"),
)
WRITING = ("PUT", "POST", "DELETE")


def make_marts(path: Path) -> Path:
    """Published marts with the book's facts that Xero needs."""
    with duckdb.connect(str(path)) as connection:
        connection.execute(MARTS)
    return path


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
    reports: list[PaymentsReport] = field(default_factory=list)

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
        seller: str = "main",
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
                seller_id=seller,
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
        self,
        *,
        apply: bool = True,
        period: str = "2026-10",
        http: httpx.Client | None = None,
        **config: Any,
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
            http=http,
            timer=lambda: self.clock().timestamp(),
        )

    def poll(self) -> PaymentsReport:
        """One poll of payments."""
        report = poll_payments(
            self.ledger,
            config=self.config,
            clock=self.clock,
            marts_path=self.marts,
            sleep=self.sleep,
            timer=lambda: self.clock().timestamp(),
        )
        self.reports.append(report)
        return report

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
