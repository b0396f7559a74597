"""The book as the rest of the product sees it: complete and consistent, every moment an instant.

Here: the shape of what was loaded. Not here: how it was checked (fleet, tariffs, money), nor what
any of it costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from connectors.base import SourceSpec
from connectors.book.documents import (
    BankFormat,
    Calendar,
    DunningPolicy,
    Seller,
    Settings,
    WebhookEndpoint,
    XeroMapping,
)
from connectors.book.plans import Charge
from connectors.book.rows import (
    AlertRow,
    CustomerRow,
    FxRateRow,
    HolidayRow,
    IndexPriceRow,
    PayerRouteRow,
    PayerRow,
    ReadingEditRow,
    SiteRow,
    TaxRuleRow,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """A machine on a meter over [valid_from_at, valid_to_at); `row_no` is its line in the file."""

    row_no: int
    machine_id: str
    site_id: str
    meter_id: str
    valid_from_at: datetime
    valid_to_at: datetime | None
    metrics: tuple[str, ...]
    model: str | None
    rated_kw: Decimal | None
    asset_tag: str | None
    never_suspend: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One row of contracts.csv; `term_no` counts from 1 by valid_from."""

    row_no: int
    contract_id: str
    term_no: int
    customer_id: str
    payer_id: str
    plan_id: str
    billing_timezone: str
    valid_from_at: datetime
    valid_to_at: datetime | None
    po_number: str | None
    first_month: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A machine works for a contract over [valid_from_at, valid_to_at)."""

    row_no: int
    machine_id: str
    contract_id: str
    valid_from_at: datetime
    valid_to_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """Money given to a contract."""

    row_no: int
    credit_id: str
    contract_id: str
    kind: str
    amount: Decimal
    currency: str
    valid_from_at: datetime
    valid_to_at: datetime | None
    note: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingEdit:
    """What a person decided about readings, with its line in the file."""

    row_no: int
    edit: ReadingEditRow


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanVersion:
    """A version in force from `valid_from_month` until `valid_to_month` (exclusive, None: open)."""

    version: int
    valid_from_month: str
    valid_to_month: str | None
    adjust: bool
    charges: tuple[Charge, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A rate plan, its versions in order of time."""

    plan_id: str
    description: str | None
    currency: str
    versions: tuple[PlanVersion, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """A whole book. `version` is a hash of its content, stamped on every statement line."""

    version: str
    warnings: tuple[str, ...]
    settings: Settings
    sites: Mapping[str, SiteRow]
    placements: tuple[Placement, ...]
    customers: tuple[CustomerRow, ...]
    payers: tuple[PayerRow, ...]
    terms: tuple[Term, ...]
    assignments: tuple[Assignment, ...]
    payer_routes: tuple[PayerRouteRow, ...]
    tax_rules: tuple[TaxRuleRow, ...]
    fx_rates: tuple[FxRateRow, ...]
    index_prices: tuple[IndexPriceRow, ...]
    credits: tuple[Credit, ...]
    holidays: tuple[HolidayRow, ...]
    reading_edits: tuple[ReadingEdit, ...]
    alerts: tuple[AlertRow, ...]
    plans: tuple[Plan, ...]
    calendars: tuple[Calendar, ...]
    sellers: tuple[Seller, ...]
    sources: Mapping[str, SourceSpec]
    dunning_policies: tuple[DunningPolicy, ...]
    xero: XeroMapping
    bank_formats: tuple[BankFormat, ...] = ()
    webhooks: tuple[WebhookEndpoint, ...] = ()

    @property
    def sites_read(self) -> tuple[str, ...]:
        """Sites that readings are fetched from, in order: an entry for power alone is none."""
        return tuple(sorted(site_id for site_id, spec in self.sources.items() if spec.is_read))

    def site_ids(self, charge: Charge) -> tuple[str, ...]:
        """Sites a charge applies to, in order: all of the book where it names none."""
        return tuple(
            sorted(
                site.site_id
                for site in self.sites.values()
                if (charge.sites is None or site.site_id in charge.sites)
                and (charge.regions is None or site.region in charge.regions)
            )
        )
