"""The organisation the local Xero starts with, and how to shape it like a book.

`Seed` is plain data; `apply_seed` writes it into an empty store and adds what is missing to a used
one, so that starting twice finds the same organisation.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from exporters.xero.sandbox.store import Store
from exporters.xero.sandbox.wire import Json

TENANT_ID = "5a1e9f10-2f5b-4a64-9d0c-6d3263617368"
CLIENT_ID = "local-app"
CLIENT_SECRET = "local-secret"
_NAMESPACE = uuid.UUID(TENANT_ID)


@dataclass(frozen=True)
class Seed:
    """Accounts by code, tax types and their percentage, tracking options by category."""

    name: str = "Local Hosting Ltd"
    country: str = "GB"
    currency: str = "EUR"
    tenant_id: str = TENANT_ID
    client_id: str = CLIENT_ID
    client_secret: str = CLIENT_SECRET
    accounts: Mapping[str, str] = field(default_factory=lambda: {"200": "Sales"})
    tax_types: Mapping[str, Decimal] = field(default_factory=lambda: {"NONE": Decimal("0")})
    tracking: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    currencies: tuple[str, ...] = ("EUR",)


def apply_seed(store: Store, seed: Seed) -> None:
    """Write `seed`; objects that are there already stay as they are. The caller commits."""
    if store.get("organisation", "organisation") is None:
        store.put(
            "organisation",
            "organisation",
            {
                "OrganisationID": seed.tenant_id,
                "Name": seed.name,
                "LegalName": seed.name,
                "PaysTax": True,
                "Version": "GB",
                "OrganisationType": "COMPANY",
                "BaseCurrency": seed.currency,
                "CountryCode": seed.country,
                "IsDemoCompany": True,
                "OrganisationStatus": "ACTIVE",
                "OrganisationEntityType": "COMPANY",
                "Timezone": "UTC",
                "ShortCode": "!local",
                "Edition": "BUSINESS",
                "Class": "DEMO",
                "_reminders": False,
            },
        )
        store.put("app", seed.client_id, {"secret": seed.client_secret})
    _add_account(store, "090", "Bank account", kind="BANK", tax_type="NONE")
    for code, name in seed.accounts.items():
        _add_account(store, code, name, kind="REVENUE", tax_type="NONE")
    for tax_type, percent in {"NONE": Decimal(0), **seed.tax_types}.items():
        if store.get("taxrate", tax_type) is None:
            store.put("taxrate", tax_type, tax_rate(tax_type, Decimal(percent)))
    for name, options in seed.tracking.items():
        add_tracking(store, name, options)
    for code in dict.fromkeys((seed.currency, *seed.currencies)):
        if store.get("currency", code) is None:
            store.put("currency", code, {"Code": code, "Description": code})


def tax_rate(tax_type: str, percent: Decimal) -> Json:
    """A tax rate as Xero answers it."""
    component = {"Name": tax_type, "Rate": percent, "IsCompound": False, "IsNonRecoverable": False}
    return {
        "Name": f"{tax_type} {percent.normalize():f}%",
        "TaxType": tax_type,
        "ReportTaxType": "OUTPUT" if percent else "NONE",
        "CanApplyToAssets": True,
        "CanApplyToEquity": True,
        "CanApplyToExpenses": False,
        "CanApplyToLiabilities": True,
        "CanApplyToRevenue": True,
        "DisplayTaxRate": percent,
        "EffectiveRate": percent,
        "Status": "ACTIVE",
        "TaxComponents": [component],
    }


def _add_account(store: Store, code: str, name: str, *, kind: str, tax_type: str) -> None:
    if store.get("account", code) is None:
        store.put("account", code, _account(code, name, kind=kind, tax_type=tax_type))


def _account(code: str, name: str, *, kind: str, tax_type: str) -> Json:
    account = {
        "AccountID": str(uuid.uuid5(_NAMESPACE, f"account/{code}")),
        "Code": code,
        "Name": name,
        "Status": "ACTIVE",
        "Type": kind,
        "TaxType": tax_type,
        "Class": "ASSET" if kind == "BANK" else "REVENUE",
        "EnablePaymentsToAccount": kind == "BANK",
    }
    return account | ({"BankAccountType": "BANK"} if kind == "BANK" else {})


def bank_account(code: str) -> Json:
    """A bank account as Xero answers it."""
    return _account(code, f"Bank account {code}", kind="BANK", tax_type="NONE")


def add_tracking(store: Store, name: str, options: Iterable[str]) -> None:
    """A tracking category with options, or the missing options of one that is there."""
    category = store.get("tracking", name) or {
        "Name": name,
        "Status": "ACTIVE",
        "TrackingCategoryID": str(uuid.uuid5(_NAMESPACE, f"tracking/{name}")),
        "Options": [],
    }
    present = {o["Name"] for o in category["Options"]}
    for option in options:
        if option not in present:
            category["Options"].append(
                {
                    "TrackingOptionID": str(uuid.uuid5(_NAMESPACE, f"tracking/{name}/{option}")),
                    "Name": option,
                    "Status": "ACTIVE",
                }
            )
    store.put("tracking", name, category)


def seed_from_book(
    marts_or_book: Path, *, name: str = "Local Hosting Ltd", tenant_id: str = TENANT_ID
) -> Seed:
    """The organisation that a book's `xero.yml` asks for.

    `marts_or_book` is a published marts file or the folder of compiled book tables
    (`<table>.parquet`). A tax type gets the newest percentage of the tax rules that use it.
    """
    if marts_or_book.is_dir():
        connection = duckdb.connect()
        for file in sorted(marts_or_book.glob("*.parquet")):
            path = str(file).replace("'", "''")
            connection.execute(
                f"CREATE VIEW \"{file.stem}\" AS SELECT * FROM read_parquet('{path}')"
            )
    else:
        connection = duckdb.connect(str(marts_or_book), read_only=True)
    with connection:
        accounts = _rows(
            connection,
            "SELECT account_code, string_agg(charge_code, ', ' ORDER BY charge_code)"
            " FROM xero_accounts GROUP BY account_code ORDER BY account_code",
        )
        taxes = _rows(
            connection,
            "SELECT x.tax_type, arg_max(r.rate_percent, r.valid_from)"
            " FROM xero_tax_types x JOIN tax_rules r ON r.tax_code = x.tax_code"
            " GROUP BY x.tax_type ORDER BY x.tax_type",
        )
        tracking = _rows(connection, "SELECT dimension, category FROM xero_tracking ORDER BY 1")
        sites = [
            str(r[0]) for r in _rows(connection, "SELECT DISTINCT site_id FROM sites ORDER BY 1")
        ]
        regions = [
            str(r[0]) for r in _rows(connection, "SELECT DISTINCT region FROM sites ORDER BY 1")
        ]
        currencies = [
            str(r[0]) for r in _rows(connection, "SELECT DISTINCT currency FROM payers ORDER BY 1")
        ]
    options = {"site": tuple(sites), "region": tuple(regions)}
    return Seed(
        name=name,
        tenant_id=tenant_id,
        currency=currencies[0] if currencies else "EUR",
        accounts={str(code): f"Sales: {charges}" for code, charges in accounts},
        tax_types={str(t): Decimal(p) for t, p in taxes},
        tracking={str(category): options[str(dimension)] for dimension, category in tracking},
        currencies=tuple(currencies),
    )


def _rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    return connection.execute(sql).fetchall()
