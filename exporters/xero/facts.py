"""What publishing reads: issued statements from the ledger, the book's facts from the marts.

Amounts come from the ledger alone, as they were frozen; the marts say to whom and under which
account, tax type and tracking they go. Reading only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import select

from exporters.ledger import Ledger, tables
from exporters.marts import open_marts

SELECT_AT_ONCE = 400


@dataclass(frozen=True)
class Line:
    """One issued line, in plan of the statement: amounts in the statement's currency, signed."""

    line_no: int
    contract_id: str
    charge_code: str
    site_id: str | None
    region: str | None
    description: str
    quantity: Decimal
    unit: str
    unit_price: Decimal
    amount: Decimal
    tax_code: str
    tax_rate_percent: Decimal
    tax_amount: Decimal
    period: str
    adjusts_period: str | None


@dataclass(frozen=True)
class Statement:
    """One issued statement with its lines in order."""

    statement_id: str
    number: str
    period: str
    payer_id: str
    seller_id: str
    currency: str
    net: Decimal
    tax: Decimal
    total: Decimal
    issue_date: date
    due_date: date
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Payer:
    """Whom the document goes to."""

    payer_id: str
    name: str
    country: str
    email: str
    tax_number: str
    po_number: str
    address_line1: str
    address_line2: str
    postal_code: str
    city: str


@dataclass(frozen=True)
class BookFacts:
    """The book, as far as Xero needs it."""

    payers: Mapping[str, Payer]
    po_numbers: Mapping[str, str]
    site_names: Mapping[str, str]
    accounts: Mapping[str, str]
    tax_types: Mapping[str, str]
    site_category: str | None
    region_category: str | None
    branding_theme: str | None
    statement_url: str | None
    tenants: Mapping[str, str]

    def tenant_of(self, seller_id: str, default: str) -> str:
        """The organisation of a seller; `default` is that of the environment."""
        return self.tenants.get(seller_id) or default


def read_statements(ledger: Ledger, period: str) -> list[Statement]:
    """The issued statements of a period, by number."""
    issued = tables.issued_statements
    return _statements(ledger, select(issued).where(issued.c.period == period))


def read_all(ledger: Ledger) -> list[Statement]:
    """All issued statements, by number."""
    return _statements(ledger, select(tables.issued_statements))


def read_numbered(ledger: Ledger, numbers: list[str]) -> dict[str, Statement]:
    """Issued statements by number, whatever their period."""
    issued = tables.issued_statements
    found: dict[str, Statement] = {}
    for start in range(0, len(numbers), SELECT_AT_ONCE):
        part = numbers[start : start + SELECT_AT_ONCE]
        for statement in _statements(
            ledger, select(issued).where(issued.c.statement_number.in_(part))
        ):
            found[statement.number] = statement
    return found


def _statements(ledger: Ledger, query: Any) -> list[Statement]:
    rows = ledger.query(query.order_by(tables.issued_statements.c.statement_number))
    lines: dict[str, list[Line]] = {row["statement_number"]: [] for row in rows}
    kept = tables.issued_lines
    numbers = list(lines)
    for start in range(0, len(numbers), SELECT_AT_ONCE):
        part = numbers[start : start + SELECT_AT_ONCE]
        for row in ledger.query(
            select(kept)
            .where(kept.c.statement_number.in_(part))
            .order_by(kept.c.statement_number, kept.c.line_no)
        ):
            lines[row["statement_number"]].append(_line(row))
    return [
        Statement(
            statement_id=row["statement_id"],
            number=row["statement_number"],
            period=row["period"],
            payer_id=row["payer_id"],
            seller_id=row["seller_id"],
            currency=row["currency"],
            net=row["net"],
            tax=row["tax"],
            total=row["total"],
            issue_date=row["issue_date"],
            due_date=row["due_date"],
            lines=tuple(lines[row["statement_number"]]),
        )
        for row in rows
    ]


def _line(row: Mapping[str, Any]) -> Line:
    return Line(
        line_no=row["line_no"],
        contract_id=row["contract_id"],
        charge_code=row["charge_code"],
        site_id=row["site_id"],
        region=row["region"],
        description=row["description"] or row["charge_code"],
        quantity=row["quantity"],
        unit=row["unit"],
        unit_price=row["unit_price"],
        amount=row["amount"],
        tax_code=row["tax_code"],
        tax_rate_percent=row["tax_rate_percent"],
        tax_amount=row["tax_amount"],
        period=row["period"],
        adjusts_period=row["adjusts_period"],
    )


def read_book(marts_path: Path) -> BookFacts:
    """The book's facts from the published marts. Raises MartsError when they are not there."""
    with open_marts(marts_path) as marts:
        tracking = {row["dimension"]: row["category"] for row in marts.table("xero_tracking")}
        options = next(iter(marts.table("xero_options")), {})
        return BookFacts(
            payers={
                payer_id: Payer(
                    payer_id=payer_id,
                    **{
                        name: row[name] or ""
                        for name in Payer.__dataclass_fields__
                        if name != "payer_id"
                    },
                )
                for payer_id, row in marts.payers().items()
            },
            po_numbers={
                row["contract_id"]: row["po_number"]
                for row in marts.rows("SELECT * FROM contracts ORDER BY contract_id, term_no")
                if row["po_number"]
            },
            site_names={row["site_id"]: row["name"] for row in marts.table("sites")},
            accounts={r["charge_code"]: r["account_code"] for r in marts.table("xero_accounts")},
            tax_types={r["tax_code"]: r["tax_type"] for r in marts.table("xero_tax_types")},
            site_category=tracking.get("site"),
            region_category=tracking.get("region"),
            branding_theme=options.get("branding_theme") or None,
            statement_url=options.get("statement_url") or None,
            tenants={
                seller_id: row["xero_tenant_id"]
                for seller_id, row in marts.sellers().items()
                if row["xero_tenant_id"]
            },
        )
