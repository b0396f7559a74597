"""Whether the organisation can take a document, asked before anything is sent.

One fault holds back the documents that need the missing thing; the others go. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from exporters.xero import mapping
from exporters.xero.client import XeroClient
from exporters.xero.facts import BookFacts, Payer, Statement
from exporters.xero.wire import Json, day, money

MAX_NUMBER = 255
MAX_CONTACT_NUMBER = 50


@dataclass(frozen=True)
class Settings:
    """The organisation, as far as documents depend on it."""

    locked_until: date | None
    accounts: Mapping[str, bool]
    tax_rates: Mapping[str, tuple[bool, Decimal | None]]
    tracking: Mapping[str, frozenset[str]]
    currencies: frozenset[str]
    themes: Mapping[str, str]


def read_settings(client: XeroClient, facts: BookFacts) -> Settings:
    """Ask the organisation; branding themes only if the book names one."""
    locks = [
        found
        for organisation in client.settings("Organisations")
        for name in ("PeriodLockDate", "EndOfYearLockDate")
        if (found := day(organisation.get(name))) is not None
    ]
    themes = client.settings("BrandingThemes") if facts.branding_theme else []
    return Settings(
        locked_until=max(locks, default=None),
        # Xero leaves Status out of some answers; what is archived always says so.
        accounts={
            str(a.get("Code")): a.get("Status", "ACTIVE") == "ACTIVE"
            for a in client.settings("Accounts")
        },
        tax_rates={
            str(t.get("TaxType")): (
                t.get("Status", "ACTIVE") == "ACTIVE",
                money(t.get("EffectiveRate")),
            )
            for t in client.settings("TaxRates")
        },
        tracking={
            str(c.get("Name")): frozenset(
                str(o.get("Name"))
                for o in c.get("Options") or []
                if o.get("Status", "ACTIVE") == "ACTIVE"
            )
            for c in client.settings("TrackingCategories")
        },
        currencies=frozenset(str(c.get("Code")) for c in client.settings("Currencies")),
        themes={
            key: str(theme["BrandingThemeID"])
            for theme in themes
            if theme.get("BrandingThemeID")
            for key in (str(theme.get("Name")), str(theme["BrandingThemeID"]))
        },
    )


def reminders_enabled(client: XeroClient) -> bool:
    """Whether the organisation sends Xero's own invoice reminders."""
    return any(bool(setting.get("Enabled")) for setting in client.settings("InvoiceReminders"))


def problems(statement: Statement, facts: BookFacts, settings: Settings) -> list[str]:
    """Why a statement cannot become a document in this organisation; empty when it can."""
    found: list[str] = []
    if len(statement.number) > MAX_NUMBER:
        found.append(f"the number is longer than {MAX_NUMBER} characters")
    if statement.payer_id not in facts.payers:
        found.append(f"payer {statement.payer_id} is not in the published marts: build again")
    found += missing_currencies([statement.currency], settings)
    if settings.locked_until is not None and statement.issue_date <= settings.locked_until:
        found.append(
            f"the issue date {statement.issue_date} is not after Xero's lock date "
            f"{settings.locked_until}"
        )
    if facts.branding_theme and facts.branding_theme not in settings.themes:
        found.append(f"xero.yml: the organisation has no branding theme {facts.branding_theme!r}")
    if sum(line.amount for line in statement.lines) != statement.net:
        found.append("the issued lines do not add up to the issued net amount")
    for line in statement.lines:
        try:
            found += account_problems(line.charge_code, mapping.account_code(line, facts), settings)
        except mapping.MappingProblemError as error:
            found.append(str(error))
        found += tax_problems(
            line.tax_code, facts.tax_types.get(line.tax_code), line.tax_rate_percent, settings
        )
        for item in mapping.tracking(line, facts):
            found += tracking_problems(item["Name"], item["Option"], settings)
    return list(dict.fromkeys(found))


def missing_currencies(currencies: Iterable[str], settings: Settings) -> list[str]:
    """Currencies that the organisation does not have."""
    return [
        f"the organisation has no currency {currency}: add it in Xero's settings"
        for currency in currencies
        if currency not in settings.currencies
    ]


def account_problems(charge_code: str, account: str, settings: Settings) -> list[str]:
    """Why a charge cannot go to its account."""
    if settings.accounts.get(account, False):
        return []
    return [
        f"account {account} of charge {charge_code} is not active in Xero: add or restore it "
        "in the chart of accounts, or name another in xero.yml"
    ]


def tax_problems(
    tax_code: str, tax_type: str | None, percent: Decimal, settings: Settings
) -> list[str]:
    """Why a tax code at its percentage cannot go out under its tax type."""
    if tax_type is None:
        return [mapping.no_tax_type(tax_code)]
    active, rate = settings.tax_rates.get(tax_type, (False, None))
    if not active:
        return [
            f"tax type {tax_type} of {tax_code} is not active in Xero: add it to the tax rates, or "
            "name another in xero.yml"
        ]
    if rate != percent:
        return [
            f"tax type {tax_type} is {rate} % in Xero, {tax_code} is "
            f"{percent.normalize():f} % in the book: correct the one that is wrong"
        ]
    return []


def tracking_problems(category: str, option: str, settings: Settings) -> list[str]:
    """Why a line cannot be tracked under an option."""
    if option in settings.tracking.get(category, frozenset()):
        return []
    if category not in settings.tracking:
        return [
            f"Xero has no active tracking category {category} with option {option}: add or restore "
            "it"
        ]
    return [f"tracking category {category} has no active option {option} in Xero: add it there"]


@dataclass(frozen=True)
class ContactMatch:
    """Which contact a payer is: an id, or none yet (to be created), or a problem."""

    contact_id: str | None
    problem: str | None


def match_contact(payer: Payer, contacts: list[Json]) -> ContactMatch:
    """By ContactNumber; a contact that cannot be used or has our name without our number is left
    alone, and a person decides."""
    if len(payer.payer_id) > MAX_CONTACT_NUMBER:
        return ContactMatch(
            None,
            f"payer_id {payer.payer_id} is longer than the {MAX_CONTACT_NUMBER} characters of "
            "Xero's contact number",
        )
    ours = [c for c in contacts if c.get("ContactNumber") == payer.payer_id]
    active = [c for c in ours if c.get("ContactStatus", "ACTIVE") == "ACTIVE"]
    if active:
        return ContactMatch(str(active[0]["ContactID"]), None)
    if ours:
        merged = any(c.get("MergedToContactID") for c in ours)
        state = "was merged into another" if merged else "is archived"
        return ContactMatch(
            None,
            f"the contact of payer {payer.payer_id} {state} in Xero: restore it there, or give the "
            "contact number to the contact that takes its place",
        )
    name = payer.name.strip().casefold()
    for other in contacts:
        if (
            other.get("ContactStatus", "ACTIVE") == "ACTIVE"
            and str(other.get("Name", "")).strip().casefold() == name
        ):
            return ContactMatch(
                None,
                f"Xero has an active contact named {payer.name!r} that does not carry our number: "
                f"if it is the same payer, set its contact number to {payer.payer_id}",
            )
    return ContactMatch(None, None)
