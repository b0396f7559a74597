"""The CSV tables of the book, a model a table and a line a column, in the order people see.

Here: which columns there are, which are required and what one value must look like. Not here:
anything that needs a second row or a second file (fleet, tariffs, money).
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from connectors.book.scalars import (
    AlertMeasure,
    BillingCurrency,
    CalendarDate,
    Consolidation,
    Country,
    CreditKind,
    Currency,
    Days,
    EditAction,
    Email,
    Estimation,
    ExchangeRate,
    GroupIdentifier,
    Identifier,
    IndexPrice,
    Instant,
    IntervalMinutes,
    Language,
    MeterId,
    Methods,
    Metric,
    Metrics,
    Moment,
    Money,
    PositiveMoney,
    PositiveQuantity,
    Priority,
    Quantity,
    TaxPercent,
    Text,
    UtcHour,
    Yes,
    Zone,
)


class Row(BaseModel):
    """A record of a CSV file. An empty value is an absent one."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class SiteRow(Row):
    """sites.csv: a data centre."""

    site_id: GroupIdentifier
    name: Text
    country: Country
    region: GroupIdentifier
    timezone: Zone
    tax_jurisdiction: Identifier
    expected_interval_minutes: IntervalMinutes | None = None
    default_rated_kw: PositiveQuantity | None = None
    estimation: Estimation = "none"


class MachineRow(Row):
    """machines.csv: one placement of a machine on a meter."""

    machine_id: Identifier
    site_id: Identifier
    meter_id: MeterId
    valid_from: Moment
    valid_to: Moment | None = None
    metrics: Metrics = ("energy",)
    model: Text | None = None
    rated_kw: PositiveQuantity | None = None
    asset_tag: Text | None = None
    never_suspend: Yes = False


class CustomerRow(Row):
    """customers.csv: who uses machines."""

    customer_id: Identifier
    name: Text
    parent_customer_id: Identifier | None = None
    email: Email | None = None
    language: Language | None = None


class PayerRow(Row):
    """payers.csv: the legal entity that pays."""

    payer_id: Identifier
    name: Text
    country: Country
    currency: BillingCurrency
    email: Email
    payment_terms_days: Days
    consolidation: Consolidation
    tax_number: Text | None = None
    po_number: Text | None = None
    approval_owner: Text | None = None
    payment_methods: Methods = ()
    dunning_policy: Identifier | None = None
    auto_approve_limit: Money | None = None
    language: Language | None = None
    address_line1: Text | None = None
    address_line2: Text | None = None
    postal_code: Text | None = None
    city: Text | None = None
    seller_id: Identifier | None = None


class ContractRow(Row):
    """contracts.csv: one term of a contract."""

    contract_id: Identifier
    customer_id: Identifier
    payer_id: Identifier
    plan_id: Identifier
    billing_timezone: Zone
    valid_from: Moment
    valid_to: Moment | None = None
    po_number: Text | None = None


class AssignmentRow(Row):
    """assignments.csv: a machine works for a contract."""

    machine_id: Identifier
    contract_id: Identifier
    valid_from: Moment
    valid_to: Moment | None = None


class PayerRouteRow(Row):
    """payer_routes.csv: part of a contract's lines goes to another payer."""

    contract_id: Identifier
    site_id: Identifier | None = None
    charge_code: Identifier | None = None
    payer_id: Identifier
    priority: Priority


class TaxRuleRow(Row):
    """tax_rules.csv: an empty selector means any."""

    site_jurisdiction: Identifier | None = None
    payer_country: Country | None = None
    charge_code: Identifier | None = None
    tax_code: Identifier
    rate_percent: TaxPercent
    valid_from: CalendarDate
    valid_to: CalendarDate | None = None
    note: Text | None = None


class FxRateRow(Row):
    """fx_rates.csv: 1 base = rate quote."""

    date: CalendarDate
    base: Currency
    quote: Currency
    rate: ExchangeRate


class IndexPriceRow(Row):
    """index_prices.csv: price per MWh of one UTC hour."""

    index_id: Identifier
    hour_start: UtcHour
    price: IndexPrice
    currency: Currency


class CreditRow(Row):
    """credits.csv: money given to a contract."""

    credit_id: Identifier
    contract_id: Identifier
    kind: CreditKind
    amount: PositiveMoney
    currency: Currency
    valid_from: Moment
    valid_to: Moment | None = None
    note: Text | None = None


class HolidayRow(Row):
    """holidays.csv: a public holiday that calendars use."""

    country: Country
    date: CalendarDate
    name: Text | None = None


class ReadingEditRow(Row):
    """reading_edits.csv: what a person decided about readings."""

    site_id: Identifier
    meter_id: MeterId
    metric: Metric
    from_: Instant = Field(alias="from")
    to: Instant
    action: EditAction
    quantity: Quantity | None = None
    reason: Text
    by: Text


class AlertRow(Row):
    """alerts.csv: month-to-date alerts."""

    contract_id: Identifier
    measure: AlertMeasure
    threshold: PositiveMoney
