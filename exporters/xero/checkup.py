"""Whether each organisation in Xero is ready for what the book would send, in a report for people.

Reads only. What holds a document back is decided by `preflight`; here it is asked for the whole
book at once, before the first invoice, and with the statements of a month as they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import httpx

from exporters.ledger import Ledger
from exporters.marts import open_marts
from exporters.xero import preflight
from exporters.xero.bank_accounts import Account, read_accounts, why_not_posted
from exporters.xero.client import XeroClient
from exporters.xero.config import XeroConfig
from exporters.xero.errors import XeroError
from exporters.xero.facts import BookFacts, Statement, read_book, read_statements
from exporters.xero.payments import organisations
from exporters.xero.wire import Json


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. problem: what is wrong and what to do; None if it is well."""

    about: str
    words: str
    problem: str | None = None


@dataclass(frozen=True)
class Contact:
    """A payer's contact in Xero. contact_id: None if it is made with the first document, unless a
    problem stands against that."""

    payer_id: str
    contact_id: str | None
    problem: str | None


@dataclass
class Organisation:
    """What was found in one organisation. failure: it could not be read."""

    tenant_id: str
    name: str = ""
    findings: list[Finding] = field(default_factory=list)
    contacts: list[Contact] = field(default_factory=list)
    failure: str | None = None

    def say(self, about: str, words: str, problems: Iterable[str] = ()) -> None:
        listed = list(problems)
        self.findings += [Finding(about, words, problem) for problem in listed] or [
            Finding(about, words)
        ]


@dataclass
class Checkup:
    """The report. Exit code: 0 ready, 1 something would be held back, 3 Xero could not be read."""

    organisations: list[Organisation] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """For the command line."""
        if any(one.failure for one in self.organisations):
            return 3
        return int(any(f.problem for one in self.organisations for f in one.findings))

    def as_dict(self) -> Json:
        """JSON-ready."""
        return {
            "organisations": [asdict(one) for one in self.organisations],
            "notes": self.notes,
            "exit_code": self.exit_code,
        }

    def describe(self) -> list[str]:
        """The report for people."""
        lines: list[str] = []
        for one in self.organisations:
            lines.append(f"{one.name or 'organisation'} ({one.tenant_id})")
            if one.failure:
                lines.append(f"  FAILED  {one.failure}")
            shown = ""
            for finding in one.findings:
                mark = "  ok    " if finding.problem is None else "  NEEDED"
                about = finding.about if finding.about != shown else ""
                shown = finding.about
                lines.append(f"{mark} {about:<14} {finding.problem or finding.words}")
        last = {
            0: "ready: nothing would be held back",
            1: "what is NEEDED above asks for a person before documents go out",
            3: "Xero could not be read everywhere",
        }
        return [*lines, *self.notes, last[self.exit_code]]


def check_up(
    marts_path: Path,
    ledger: Ledger | None,
    period: str | None,
    *,
    config: XeroConfig,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None] = time.sleep,
    http: httpx.Client | None = None,
) -> Checkup:
    """Look at every organisation of the book; with a period (`YYYY-MM`), at its issued statements
    too. Raises XeroConfigError without an organisation, MartsError without published marts."""
    facts, wanted = read_book(marts_path), _Wanted.read(marts_path, clock().date())
    statements = read_statements(ledger, period) if ledger is not None and period else []
    report = Checkup()
    if period and not statements:
        report.notes.append(f"no statement of {period} is issued yet: the book alone was looked at")
    for tenant in organisations(config, marts_path):
        found = Organisation(tenant)
        report.organisations.append(found)
        mine = [s for s in statements if facts.tenant_of(s.seller_id, config.tenant_id) == tenant]
        try:
            here = wanted.of(tenant, facts, config)
            connection = config.for_posting() if here.accounts else config
            with XeroClient(
                connection.for_tenant(tenant), clock=clock, sleep=sleep, http=http
            ) as client:
                _look(client, found, facts, here, mine, today=clock().date())
        except XeroError as error:
            found.failure = str(error)
    return report


_RULES_IN_FORCE = """
    SELECT tax_code, rate_percent FROM tax_rules
    WHERE valid_from <= ? AND (valid_to IS NULL OR valid_to > ?)
    QUALIFY row_number() OVER (
        PARTITION BY site_jurisdiction, payer_country, charge_code ORDER BY valid_from DESC) = 1
"""


@dataclass(frozen=True)
class _Wanted:
    """What the book's documents would use, beyond `BookFacts`. sellers: by payer."""

    tax_rates: dict[str, frozenset[Decimal]]
    sites: tuple[str, ...]
    regions: tuple[str, ...]
    currencies: dict[str, str]
    sellers: dict[str, str]
    accounts: tuple[Account, ...]

    @classmethod
    def read(cls, marts_path: Path, today: date) -> _Wanted:
        with open_marts(marts_path) as marts:
            rates: dict[str, set[Decimal]] = {}
            for row in marts.rows(_RULES_IN_FORCE, [today, today]):
                rates.setdefault(row["tax_code"], set()).add(row["rate_percent"])
            sites = marts.rows("SELECT site_id, region FROM sites ORDER BY site_id")
            default = next(
                (s for s, row in marts.sellers().items() if row.get("is_default")),
                next(iter(marts.sellers()), ""),
            )
            payers = marts.payers()
            return cls(
                tax_rates={code: frozenset(found) for code, found in rates.items()},
                sites=tuple(row["site_id"] for row in sites),
                regions=tuple(sorted({row["region"] for row in sites if row["region"]})),
                currencies={payer: row["currency"] for payer, row in payers.items()},
                sellers={payer: row["seller_id"] or default for payer, row in payers.items()},
                accounts=tuple(a for a in read_accounts(marts_path).values() if a.posts),
            )

    def of(self, tenant: str, facts: BookFacts, config: XeroConfig) -> _Wanted:
        """The part that concerns the payers of one organisation."""
        mine = {
            payer
            for payer, seller in self.sellers.items()
            if facts.tenant_of(seller, config.tenant_id) == tenant
        }
        return _Wanted(
            tax_rates=self.tax_rates,
            sites=self.sites,
            regions=self.regions,
            currencies={payer: c for payer, c in self.currencies.items() if payer in mine},
            sellers={payer: s for payer, s in self.sellers.items() if payer in mine},
            accounts=tuple(
                account
                for account in self.accounts
                if facts.tenant_of(account.seller_id, config.tenant_id) == tenant
            ),
        )


def _look(
    client: XeroClient,
    found: Organisation,
    facts: BookFacts,
    wanted: _Wanted,
    statements: Sequence[Statement],
    *,
    today: date,
) -> None:
    scopes = client.missing_scopes()
    found.say(
        "scopes",
        "as asked for",
        [
            f"the connection lacks {scope}: add it to the app in Xero, then run m2c xero connect"
            for scope in scopes
        ],
    )
    (about, *_) = client.settings("Organisations") or [{}]
    found.name = str(about.get("Name") or "")
    demo = ", a demo company" if about.get("IsDemoCompany") else ""
    found.say(
        "organisation",
        f"{about.get('CountryCode')}, books in {about.get('BaseCurrency')}{demo}",
    )
    settings = preflight.read_settings(client, facts)
    currencies = sorted(set(wanted.currencies.values()))
    found.say(
        "currencies",
        f"{', '.join(currencies) or 'none'} of {len(wanted.currencies)} payers",
        preflight.missing_currencies(currencies, settings),
    )
    found.say(
        "accounts",
        f"{len(facts.accounts)} charges to {len(set(facts.accounts.values()))} accounts",
        [p for c, a in facts.accounts.items() for p in preflight.account_problems(c, a, settings)],
    )
    found.say(
        "tax rates",
        f"{len(facts.tax_types)} tax types with the percentages of the book",
        [
            problem
            for code, rates in sorted(wanted.tax_rates.items())
            for rate in sorted(rates)
            for problem in preflight.tax_problems(code, facts.tax_types.get(code), rate, settings)
        ],
    )
    for category, options in (
        (facts.site_category, wanted.sites),
        (facts.region_category, wanted.regions),
    ):
        if category is not None:
            found.say(
                "tracking",
                f"{category}: {len(options)} options",
                [
                    problem
                    for option in options
                    for problem in preflight.tracking_problems(category, option, settings)
                ],
            )
    locked = settings.locked_until
    found.say(
        "lock date",
        "none" if locked is None else f"locked up to {locked}",
        [
            f"locked up to {locked}: invoices of today are refused until the lock date in Xero "
            "lies before today"
        ]
        if locked is not None and locked >= today
        else (),
    )
    matches = _look_at_contacts(client, found, facts, wanted)
    found.say(
        "reminders",
        "Xero's own are off",
        ["Xero's own invoice reminders are on: customers would be chased twice; switch them off"]
        if preflight.reminders_enabled(client)
        else (),
    )
    if wanted.accounts:
        found.say(
            "bank accounts",
            f"payments are posted to {len(wanted.accounts)}",
            [why for why in why_not_posted(client, wanted.accounts).values() if why],
        )
    for statement in statements:
        held_back = _held_back(statement, facts, settings, matches.get(statement.payer_id))
        found.say("statement", statement.number, held_back)
    left = client.day_limit_left
    found.say("day limit", "not told" if left is None else f"{left:,} calls left today")


def _held_back(
    statement: Statement,
    facts: BookFacts,
    settings: preflight.Settings,
    match: preflight.ContactMatch | None,
) -> list[str]:
    problems = preflight.problems(statement, facts, settings)
    if match is not None and match.problem:
        problems.append(match.problem)
    return [f"{statement.number}: {words}" for words in problems]


def _look_at_contacts(
    client: XeroClient, found: Organisation, facts: BookFacts, wanted: _Wanted
) -> dict[str, preflight.ContactMatch]:
    contacts = client.contacts()
    matches = {
        payer_id: preflight.match_contact(facts.payers[payer_id], contacts)
        for payer_id in sorted(wanted.sellers)
        if payer_id in facts.payers
    }
    found.contacts = [
        Contact(payer_id, match.contact_id, match.problem) for payer_id, match in matches.items()
    ]
    there = sum(match.contact_id is not None for match in matches.values())
    new = sum(match.contact_id is None and not match.problem for match in matches.values())
    found.say(
        "contacts",
        f"{there} payers have one, {new} get one with their first document",
        [match.problem for match in matches.values() if match.problem],
    )
    return matches
