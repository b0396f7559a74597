"""A small marts.duckdb with the columns that closing reads, and a ledger beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from exporters.ledger import Actor, Ledger

LINES = """
    CREATE TABLE statement_lines (
        period VARCHAR, statement_id VARCHAR, statement_kind VARCHAR, payer_id VARCHAR,
        customer_id VARCHAR, contract_id VARCHAR, plan_id VARCHAR, plan_version INTEGER,
        book_version VARCHAR, charge_code VARCHAR, charge_model VARCHAR, classification VARCHAR,
        site_id VARCHAR, region VARCHAR, band VARCHAR, description VARCHAR,
        quantity DECIMAL(18,6), unit VARCHAR, unit_price DECIMAL(18,9), amount DECIMAL(18,2),
        currency VARCHAR, tax_code VARCHAR, tax_rate_percent DECIMAL(9,4),
        tax_amount DECIMAL(18,2), estimated_quantity DECIMAL(18,6), line_key VARCHAR,
        adjusts_period VARCHAR)
"""
STATEMENTS = """
    CREATE TABLE statements (
        period VARCHAR, statement_id VARCHAR, statement_kind VARCHAR, payer_id VARCHAR,
        seller_id VARCHAR, currency VARCHAR, lines INTEGER, net DECIMAL(18,2), tax DECIMAL(18,2),
        total DECIMAL(18,2), content_hash VARCHAR, blocking_exceptions INTEGER, warnings INTEGER,
        missing_or_estimated_share DECIMAL(9,4), decision VARCHAR, decision_reason VARCHAR,
        is_approved BOOLEAN, approved_by VARCHAR, approved_at TIMESTAMPTZ, state VARCHAR,
        statement_number VARCHAR, issue_date DATE, due_date DATE, issued_at TIMESTAMPTZ,
        book_version VARCHAR, measured_until TIMESTAMPTZ, projected_net DECIMAL(18,2),
        projected_total DECIMAL(18,2))
"""
OTHERS = """
    CREATE TABLE payers (payer_id VARCHAR, name VARCHAR, country VARCHAR, currency VARCHAR,
        payment_terms_days INTEGER, approval_owner VARCHAR, address_line1 VARCHAR, city VARCHAR,
        seller_id VARCHAR);
    CREATE TABLE sellers (seller_id VARCHAR, is_default BOOLEAN, legal_name VARCHAR,
        country VARCHAR);
    CREATE TABLE contracts (contract_id VARCHAR, term_no INTEGER, billing_timezone VARCHAR);
    CREATE TABLE build_info (book_version VARCHAR, code_version VARCHAR, built_at TIMESTAMPTZ,
        ledger_head VARCHAR);
    CREATE TABLE billing_exceptions (exception_id VARCHAR, kind VARCHAR, severity VARCHAR,
        period VARCHAR, statement_id VARCHAR, detail VARCHAR, status VARCHAR DEFAULT 'open');
    CREATE TABLE adjustments (period VARCHAR, line_key VARCHAR, adjusts_period VARCHAR,
        original_key VARCHAR, cause VARCHAR);
    CREATE TABLE statement_inputs (statement_id VARCHAR, contract_id VARCHAR, period VARCHAR,
        book_digest VARCHAR, readings_digest VARCHAR);
    CREATE TABLE usage_completeness (site_id VARCHAR, usage_date DATE,
        expected_hours DECIMAL(38,9), received_hours DECIMAL(38,9), missing_hours DECIMAL(38,9),
        expected_intervals BIGINT, received_intervals BIGINT, last_reading_at TIMESTAMPTZ,
        status VARCHAR);
"""


@dataclass(frozen=True)
class FakeStatement:
    """A statement of the test marts; amounts are (net, tax) by line."""

    statement_id: str
    amounts: tuple[tuple[str, str], ...] = (("100.00", "25.00"), ("50.50", "12.63"))
    decision: str = "auto"
    reason: str = "total 188.13 is within the payer's limit of 1000.00"
    blocking: int = 0
    state: str = "review"
    salt: str = ""
    line: dict[str, Any] = field(default_factory=dict)
    statement: dict[str, Any] = field(default_factory=dict)

    @property
    def payer_id(self) -> str:
        return self.statement_id.split("/")[0]

    @property
    def period(self) -> str:
        return self.statement_id.split("/")[1]

    @property
    def content_hash(self) -> str:
        return hashlib.sha256(
            repr((self.statement_id, self.amounts, self.salt)).encode()
        ).hexdigest()


class FakeMarts:
    """Statements that can be changed and written out as a new marts.duckdb."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.statements: dict[str, FakeStatement] = {}
        self.payers: dict[str, dict[str, Any]] = {}
        self.has_seller = True
        self.ledger_head: str | None = None
        self.exceptions: list[dict[str, Any]] = []
        self.completeness: list[dict[str, Any]] = []

    def add(self, statement_id: str, **changes: Any) -> FakeStatement:
        """Add a statement or change one."""
        known = self.statements.get(statement_id, FakeStatement(statement_id))
        self.statements[statement_id] = replace(known, **changes)
        self.payers.setdefault(self.statements[statement_id].payer_id, {})
        return self.statements[statement_id]

    def put(self, statement_id: str, **changes: Any) -> FakeStatement:
        """Add a statement or change one, and publish."""
        added = self.add(statement_id, **changes)
        self.publish()
        return added

    def payer(self, payer_id: str, **changes: Any) -> None:
        """Change a payer, and publish."""
        self.payers.setdefault(payer_id, {}).update(changes)
        self.publish()

    def publish(self) -> None:
        """Write the file anew."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(".next.duckdb")
        with duckdb.connect(str(partial)) as con:
            con.execute("BEGIN")
            con.execute("SET TimeZone = 'UTC'")
            con.execute(LINES + ";" + STATEMENTS + ";" + OTHERS)
            con.execute(
                "INSERT INTO build_info VALUES ('b-1', 'dev', '2026-11-02 03:00:00Z', ?)",
                [self.ledger_head],
            )
            for row in self.exceptions:
                _insert(con, "billing_exceptions", row)
            for row in self.completeness:
                _insert(con, "usage_completeness", row)
            con.execute("INSERT INTO contracts VALUES ('C-1', 1, 'Europe/Helsinki')")
            if self.has_seller:
                con.execute("INSERT INTO sellers VALUES ('nordic', true, 'Nordic Oy', 'FI')")
            for payer_id, changes in self.payers.items():
                row = {
                    "payer_id": payer_id,
                    "name": payer_id,
                    "country": "FI",
                    "currency": "EUR",
                    "payment_terms_days": 14,
                    "approval_owner": "anna",
                    "address_line1": "Street 1",
                    "city": "Helsinki",
                    "seller_id": "nordic",
                } | changes
                _insert(con, "payers", row)
            for statement in self.statements.values():
                self._write(con, statement)
            con.execute("COMMIT")
        partial.replace(self.path)

    def _write(self, con: duckdb.DuckDBPyConnection, fake: FakeStatement) -> None:
        for no, (net, tax) in enumerate(fake.amounts, start=1):
            row = {
                "period": fake.period,
                "statement_id": fake.statement_id,
                "statement_kind": "consolidated",
                "payer_id": fake.payer_id,
                "customer_id": "CU-1",
                "contract_id": "C-1",
                "plan_id": "plan",
                "plan_version": 1,
                "book_version": "b-1",
                "charge_code": f"energy{no}",
                "charge_model": "per_unit",
                "classification": "variable",
                "site_id": "FI-HEL1",
                "region": "fi",
                "description": "Energy",
                "quantity": Decimal("1234.567891"),
                "unit": "kWh",
                "unit_price": Decimal("0.081234567"),
                "amount": Decimal(net),
                "currency": "EUR",
                "tax_code": "FI-25",
                "tax_rate_percent": Decimal("25.5"),
                "tax_amount": Decimal(tax),
                "estimated_quantity": Decimal(0),
                "line_key": f"{fake.statement_id}/1/energy{no}/FI-HEL1/-",
            } | fake.line
            _insert(con, "statement_lines", row)
        net_sum = sum((Decimal(net) for net, _ in fake.amounts), Decimal(0))
        tax_sum = sum((Decimal(tax) for _, tax in fake.amounts), Decimal(0))
        row = {
            "period": fake.period,
            "statement_id": fake.statement_id,
            "statement_kind": "consolidated",
            "payer_id": fake.payer_id,
            "seller_id": "nordic" if self.has_seller else None,
            "currency": "EUR",
            "lines": len(fake.amounts),
            "net": net_sum,
            "tax": tax_sum,
            "total": net_sum + tax_sum,
            "content_hash": fake.content_hash,
            "blocking_exceptions": fake.blocking,
            "warnings": 0,
            "missing_or_estimated_share": Decimal(0),
            "decision": fake.decision,
            "decision_reason": fake.reason,
            "is_approved": False,
            "state": fake.state,
            "book_version": "b-1",
        } | fake.statement
        _insert(con, "statements", row)


def _insert(con: duckdb.DuckDBPyConnection, table: str, row: dict[str, Any]) -> None:
    columns, marks = ", ".join(row), ", ".join("?" * len(row))
    con.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", list(row.values()))


@pytest.fixture
def marts(tmp_path: Path) -> FakeMarts:
    return FakeMarts(tmp_path / "published" / "marts.duckdb")


@pytest.fixture
def now() -> datetime:
    """A night after October, in UTC still before midnight, in Helsinki past it."""
    return datetime(2026, 11, 4, 22, 30, tzinfo=UTC)


@pytest.fixture
def clock(now: datetime) -> Callable[[], datetime]:
    return lambda: now


@pytest.fixture
def ledger(ledger_url: str, clock: Callable[[], datetime]) -> Iterator[Ledger]:
    with Ledger.open(
        ledger_url, clock=clock, actor=Actor("tester", "os-tester", "host-1")
    ) as opened:
        yield opened
