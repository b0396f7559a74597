"""The YAML files of the book but the plans: sellers, settings, sources, dunning, Xero, a bank's
CSV, webhooks, calendars.

A model a file. Keys that are not listed are faults, so that a typing error never bills silently.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from connectors.book.scalars import (
    BankDates,
    BankDecimal,
    BankDelimiter,
    BankEncoding,
    BankOrder,
    BankThousands,
    Count,
    Country,
    Currency,
    Days,
    DayType,
    DunningAction,
    DunningApproval,
    Email,
    EnvironmentName,
    EventPattern,
    Identifier,
    MinuteOfDay,
    Money,
    SecretNames,
    StatementUrl,
    Text,
    Tolerance,
    WebhookUrl,
    YamlBool,
)


class Document(BaseModel):
    """A mapping of a YAML file."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class BankAccount(Document):
    """Where money in one currency is to be paid.

    post_payments: whether payments that people confirmed from bank lines are made in Xero, on its
    account `xero_account` (a code). no_bank_feed: who looked there, and when, that the account has
    neither a bank feed nor imported statement lines, which Xero tells no program.
    """

    iban: Text | None = None
    bic: Text | None = None
    account: Text | None = None
    bank: Text | None = None
    post_payments: YamlBool = False
    xero_account: Text | None = None
    no_bank_feed: Text | None = None


class Seller(Document):
    """seller.yml: a legal entity that invoices."""

    seller_id: Identifier
    legal_name: Text
    address_line1: Text
    address_line2: Text | None = None
    postal_code: Text | None = None
    city: Text
    country: Country
    tax_number: Text | None = None
    registration_number: Text | None = None
    email: Email | None = None
    bank_accounts: Mapping[Currency, BankAccount] = Field(default_factory=dict)
    logo: Text | None = None
    xero_tenant_id: Text | None = None


class Settings(Document):
    """settings.yml: how the product behaves, where that is not a matter of one payer or plan."""

    adjustment_months: Count = 12
    close_grace_days: Count = 3
    tolerance_percent: Tolerance = Field(default="30", validate_default=True)
    payments_fresh_hours: Count = 6
    max_machines_per_run: Count = 100
    lookback_days: Count = 3


class PowerDocument(Document):
    """sources.yml, one site: how its machines are switched, as its readings are fetched."""

    kind: Identifier
    config: Mapping[str, Any] = Field(default_factory=dict)
    secrets: Mapping[Text, EnvironmentName] = Field(default_factory=dict)


class SourceDocument(Document):
    """sources.yml, one site: how its readings are fetched, and its machines switched (`power`).

    Texts in `config` may hold `${NAME}` or `${NAME:-default}`: an environment variable, put in when
    the connector is built. The loaded book keeps them as they are, so that it does not depend on
    the machine it is loaded on. A site without `kind` is not read: it is only switched.
    """

    kind: Identifier | None = None
    config: Mapping[str, Any] = Field(default_factory=dict)
    secrets: Mapping[Text, EnvironmentName] = Field(default_factory=dict)
    power: PowerDocument | None = None


class DunningStage(Document):
    """dunning.yml: what happens so many days after the due date."""

    stage: Identifier
    days_overdue: Days
    action: DunningAction
    template: Identifier | None = None
    responsible: Text | None = None
    copy_to: tuple[Text, ...] = ()
    requires: tuple[Identifier, ...] = ()
    notice_days: Days | None = None
    approval: DunningApproval | None = None


class DunningPolicy(Document):
    """dunning.yml: a policy, its stages in order."""

    policy_id: Identifier
    only_above: Money | None = None
    business_days_only: YamlBool = False
    stages: Annotated[tuple[DunningStage, ...], Field(min_length=1)]


class XeroTracking(Document):
    """xero.yml: names of the tracking categories."""

    site: Text | None = None
    region: Text | None = None


class XeroMapping(Document):
    """xero.yml: what our charges and taxes are called over there."""

    accounts: Mapping[Identifier, Text] = Field(default_factory=dict)
    tax_types: Mapping[Identifier, Text] = Field(default_factory=dict)
    tracking: XeroTracking = XeroTracking()
    branding_theme: Text | None = None
    statement_url: StatementUrl | None = None


class BankColumns(Document):
    """bank.yml: which column is what; names as the header has them."""

    booked_on: Text
    value_on: Text | None = None
    amount: Text | None = None
    money_in: Text | None = None
    money_out: Text | None = None
    currency: Text | None = None
    account: Text | None = None
    counterparty_name: Text | None = None
    counterparty_account: Text | None = None
    remittance: tuple[Text, ...] = ()
    end_to_end_id: Text | None = None
    bank_reference: Text | None = None
    balance: Text | None = None


class BankFormat(Document):
    """bank.yml: how a bank writes its CSV. files: a pattern of file names, `example-*.csv`."""

    format_id: Identifier
    files: Text
    columns: BankColumns
    date_format: BankDates
    decimal: BankDecimal = "point"
    thousands: BankThousands = "none"
    delimiter: BankDelimiter = "comma"
    encoding: BankEncoding = "utf-8"
    skip_lines: Count = 0
    account: Text | None = None
    currency: Currency | None = None
    order: BankOrder | None = None


class WebhookEndpoint(Document):
    """webhooks.yml: a system that is told what happens.

    secret: the environment variable that holds what requests are signed with; two while one takes
    the other's place. events, customers, payers: what it is told of, all if empty. private: whether
    it may be on this machine or in a network of ours.
    """

    endpoint_id: Identifier
    url: WebhookUrl
    secret: SecretNames
    events: tuple[EventPattern, ...] = ()
    customers: tuple[Text, ...] = ()
    payers: tuple[Text, ...] = ()
    description: Text | None = None
    active: YamlBool = True
    private: YamlBool = False


class CalendarBand(Document):
    """calendars.yml: hours of certain days."""

    band: Identifier
    days: Annotated[tuple[DayType, ...], Field(min_length=1)]
    from_: MinuteOfDay = Field(alias="from")
    to: MinuteOfDay


class Calendar(Document):
    """calendars.yml: which hour is in which band."""

    calendar_id: Identifier
    country_holidays: Country | None = None
    default_band: Identifier
    bands: tuple[CalendarBand, ...] = ()
