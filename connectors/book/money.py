"""Rules about payers, routes, taxes, rates, credits and edits of readings.

Here: what must hold between rows about money. A rule that depends on a line (which of two routes or
tax rules is the better one) is checked on every line that the book can make, and on no other.
"""

from __future__ import annotations

from calendar import monthrange
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import combinations, pairwise

from connectors.book.draft import Draft, Record
from connectors.book.fleet import (
    check_reference,
    check_span,
    check_unique,
    instant_text,
    overlaps,
    said,
)
from connectors.book.model import Credit, Plan, ReadingEdit, Term
from connectors.book.plans import (
    Charge,
    Discount,
    MinimumCommit,
    PassThrough,
    Percentage,
    Recurring,
)
from connectors.book.rows import PayerRouteRow, SiteRow, TaxRuleRow
from connectors.book.tariffs import months_shared

CREDIT = "credit"
LAST_DAY = date(9999, 12, 31)
_XERO_CONTACT_NUMBER = 50


def check_payers(draft: Draft) -> None:
    """Unique payers with policies and sellers that exist."""
    check_unique(draft, draft.payers, ["payer_id"], "this payer_id")
    check_reference(draft, draft.payers, "dunning_policy", "policy", "dunning.yml")
    check_reference(draft, draft.payers, "seller_id", "seller", "seller.yml")
    for record in draft.payers:
        if len(record.row.payer_id) > _XERO_CONTACT_NUMBER:
            draft.warn(
                record,
                "payer_id",
                f"Xero takes contact numbers of at most {_XERO_CONTACT_NUMBER} characters",
            )


def check_rates(draft: Draft) -> None:
    """Exchange rates, index prices, holidays and alerts: one row for one thing."""
    check_unique(draft, draft.fx_rates, ["date", "base", "quote"], "the rate of this pair and date")
    for rate in draft.fx_rates:
        if rate.row.base == rate.row.quote:
            draft.fault(rate, "quote", "expected another currency than base")
    check_unique(
        draft, draft.index_prices, ["index_id", "hour_start"], "the price of this index and hour"
    )
    check_unique(draft, draft.holidays, ["country", "date"], "the holiday of this country and date")
    check_reference(draft, draft.alerts, "contract_id", "contract", "contracts.csv")
    check_unique(draft, draft.alerts, ["contract_id", "measure", "threshold"], "this alert")


def credits_of(draft: Draft) -> list[Credit]:
    """credits.csv, resolved with each contract's billing time zone."""
    check_unique(draft, draft.credits, ["credit_id"], "this credit_id")
    check_reference(draft, draft.credits, "contract_id", "contract", "contracts.csv")
    zones = {r.row.contract_id: r.row.billing_timezone for r in reversed(draft.contracts)}
    found = []
    for record in draft.credits:
        row = record.row
        zone = zones.get(row.contract_id)
        if zone is None:
            continue
        start = draft.instant(record, "valid_from", zone)
        end = draft.instant(record, "valid_to", zone)
        if check_span(draft, record, start, end) and start is not None:
            found.append(
                Credit(
                    row_no=record.line,
                    credit_id=row.credit_id,
                    contract_id=row.contract_id,
                    kind=row.kind,
                    amount=row.amount,
                    currency=row.currency,
                    valid_from_at=start,
                    valid_to_at=end,
                    note=row.note,
                )
            )
    return found


def edits_of(draft: Draft) -> list[ReadingEdit]:
    """reading_edits.csv: a quantity where one is set, and no two edits of the same readings."""
    check_reference(draft, draft.reading_edits, "site_id", "site", "sites.csv")
    meters = {(record.row.site_id, record.row.meter_id) for record in draft.machines}
    found = []
    records = {}
    for record in draft.reading_edits:
        row = record.row
        sound = True
        if row.to <= row.from_:
            draft.fault(
                record,
                "to",
                "expected a moment after 'from' ('to' is exclusive)",
                value=instant_text(row.to),
            )
            sound = False
        if row.action == "set":
            if row.quantity is None:
                draft.fault(
                    record, "quantity", "expected the quantity that 'set' puts in place", value=""
                )
                sound = False
            if row.metric == "power":
                draft.fault(record, "metric", "'set' puts a quantity of energy; write energy")
                sound = False
        elif row.quantity is not None:
            draft.fault(record, "quantity", f"'{row.action}' takes no quantity; only 'set' does")
            sound = False
        if (row.site_id, row.meter_id) not in meters:
            draft.warn(
                record, "meter_id", f"no machine of the book stands on this meter of {row.site_id}"
            )
        if sound:
            records[record.line] = record
            found.append(_SpannedEdit(record.line, ReadingEdit(row_no=record.line, edit=row)))
    for earlier, later in overlaps(found, _SpannedEdit.subject):
        draft.fault(
            records[later.row_no],
            "from",
            f"overlaps the edit of line {earlier.row_no} of the same meter and metric "
            f"({said(earlier)}; this line: {said(later)})",
            value=instant_text(later.valid_from_at),
        )
    return [entry.edit for entry in found]


@dataclass(frozen=True, slots=True)
class _SpannedEdit:
    row_no: int
    edit: ReadingEdit

    @property
    def valid_from_at(self) -> datetime:
        return self.edit.edit.from_

    @property
    def valid_to_at(self) -> datetime:
        return self.edit.edit.to

    def subject(self) -> tuple[str, str, str]:
        # Edits of energy reach gauges of power too, so the two are one subject.
        row = self.edit.edit
        return (row.site_id, row.meter_id, "energy" if row.metric == "power" else row.metric)


# --- routes and taxes ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """Where a line can be: a charge of a contract, at a site or without one.

    A place without charge is an event that no charge prices: its payer is looked up all the same.
    """

    site_id: str | None
    charge_code: str | None


@dataclass(frozen=True, slots=True)
class Stretch:
    """Whole months of a contract under one plan version: `first` a first day, `last` a last one."""

    term: Term
    places: frozenset[Place]
    first: date
    last: date


def stretches_of(
    terms: Sequence[Term], plans: Sequence[Plan], sites: Sequence[SiteRow]
) -> dict[str, list[Stretch]]:
    """By contract, every place on which a line of it can stand, and when."""
    by_id = {plan.plan_id: plan for plan in plans}
    everywhere = {Place(None, CREDIT), *(Place(site.site_id, None) for site in sites)}
    places = {
        (plan.plan_id, version.version): frozenset(
            everywhere
            | {
                Place(site, charge.code)
                for charge in version.charges
                for site in _line_sites(charge, sites)
            }
        )
        for plan in plans
        for version in plan.versions
    }
    found: dict[str, list[Stretch]] = defaultdict(list)
    for term in terms:
        plan = by_id.get(term.plan_id)
        for version in () if plan is None else plan.versions:
            months = months_shared(term, version)
            if months is None:
                continue
            first, last = months
            found[term.contract_id].append(
                Stretch(
                    term=term,
                    places=places[term.plan_id, version.version],
                    first=_first_day(first),
                    last=LAST_DAY if last is None else _month_end(_first_day(last)),
                )
            )
    return found


def _line_sites(charge: Charge, sites: Sequence[SiteRow]) -> list[str | None]:
    here: list[str | None] = [
        site.site_id
        for site in sites
        if (charge.sites is None or site.site_id in charge.sites)
        and (charge.regions is None or site.region in charge.regions)
    ]
    if isinstance(charge, MinimumCommit):
        return [None]
    if isinstance(charge, Recurring):
        return [None] if charge.per == "contract" else here
    if isinstance(charge, PassThrough):
        return [site.site_id for site in sites]
    if isinstance(charge, Percentage | Discount) and not (charge.sites or charge.regions):
        return [None, *here]
    return here


def check_routes(
    draft: Draft, stretches: Mapping[str, Sequence[Stretch]]
) -> dict[str, list[Record[PayerRouteRow]]]:
    """References of routes, and no two equally good ones on any line."""
    routes = draft.payer_routes
    check_reference(draft, routes, "contract_id", "contract", "contracts.csv")
    check_reference(draft, routes, "site_id", "site", "sites.csv")
    check_reference(draft, routes, "payer_id", "payer", "payers.csv")
    check_unique(
        draft,
        routes,
        ["contract_id", "site_id", "charge_code", "priority"],
        "a route of this contract, site, charge and priority",
    )
    by_contract: dict[str, list[Record[PayerRouteRow]]] = defaultdict(list)
    for record in routes:
        _check_charge_code(draft, record)
        by_contract[record.row.contract_id].append(record)
    for contract_id, group in by_contract.items():
        reported: set[tuple[int, int]] = set()
        places = {place for s in stretches.get(contract_id, ()) for place in s.places}
        for place in sorted(places, key=_place_key):
            best = best_routes(group, place)
            for one, other in combinations(best, 2):
                same = _selectors(one.row) == _selectors(other.row)
                if same or (one.line, other.line) in reported:
                    continue
                reported.add((one.line, other.line))
                draft.fault(
                    other,
                    "priority",
                    f"the route of line {one.line} has the same priority and both fit the line of "
                    f"{contract_id} {_place_text(place)}; give one a lower number",
                )
    return by_contract


def best_routes(
    routes: Iterable[Record[PayerRouteRow]], place: Place
) -> list[Record[PayerRouteRow]]:
    """Those with the lowest priority number among the routes that fit."""
    fitting = [
        route
        for route in routes
        if route.row.site_id in (None, place.site_id)
        and route.row.charge_code in (None, place.charge_code)
    ]
    least = min((route.row.priority for route in fitting), default=0)
    return [route for route in fitting if route.row.priority == least]


def _selectors(row: PayerRouteRow) -> tuple[str | None, str | None]:
    return (row.site_id, row.charge_code)


def _place_key(place: Place) -> tuple[str, str]:
    return (place.site_id or "", place.charge_code or "")


def _place_text(place: Place) -> str:
    site = f"at {place.site_id}" if place.site_id else "without site"
    return f"{site} for {place.charge_code or 'an event without a price'}"


def _check_charge_code(draft: Draft, record: Record[PayerRouteRow] | Record[TaxRuleRow]) -> None:
    code = record.row.charge_code
    if code is None or code == CREDIT or draft.charge_codes is None:
        return
    if code not in draft.charge_codes:
        draft.fault(record, "charge_code", "no plan of the book has a charge of this code")


def check_taxes(
    draft: Draft,
    stretches: Mapping[str, Sequence[Stretch]],
    routes: Mapping[str, Sequence[Record[PayerRouteRow]]],
) -> None:
    """Spans and references of tax rules, and no two equally good ones on any line."""
    sound = []
    jurisdictions = {record.row.tax_jurisdiction for record in draft.sites}
    for record in draft.tax_rules:
        row = record.row
        _check_charge_code(draft, record)
        if row.site_jurisdiction is not None and row.site_jurisdiction not in jurisdictions:
            draft.warn(record, "site_jurisdiction", "no site of the book has this tax_jurisdiction")
        if row.valid_to is not None and row.valid_to <= row.valid_from:
            draft.fault(record, "valid_to", "expected a date after valid_from (it is exclusive)")
        else:
            sound.append(record)
    reported: set[tuple[int, int]] = set()
    for one, other in combinations(sound, 2):
        if _tax_selectors(one.row) == _tax_selectors(other.row) and _days_shared(one, other):
            reported.add((one.line, other.line))
            draft.fault(
                other,
                "valid_from",
                f"overlaps the rule of line {one.line} for the same site_jurisdiction, "
                "payer_country and charge_code",
            )
    lines = _tax_lines(draft, stretches, routes)
    for line in sorted(lines, key=lambda line: (line[0] or "", *line[1:])):
        for first, last in _united(lines[line]):
            _check_tax_line(draft, sound, line, first, last, reported)


_TaxLine = tuple[str | None, str, str]
_DaySpan = tuple[date, date]


def _tax_lines(
    draft: Draft,
    stretches: Mapping[str, Sequence[Stretch]],
    routes: Mapping[str, Sequence[Record[PayerRouteRow]]],
) -> dict[_TaxLine, set[_DaySpan]]:
    """(jurisdiction, payer country, charge code) of every line of the book, with its days."""
    jurisdiction = {r.row.site_id: r.row.tax_jurisdiction for r in draft.sites}
    country = {r.row.payer_id: r.row.country for r in draft.payers}
    # Most contracts have no routes, and many share a plan: their lines are found once.
    alike: dict[tuple[frozenset[Place], str], set[_DaySpan]] = defaultdict(set)
    found: dict[_TaxLine, set[_DaySpan]] = defaultdict(set)
    for contract_id, group in stretches.items():
        own = routes.get(contract_id, ())
        for stretch in group:
            span = (stretch.first, stretch.last)
            home = country.get(stretch.term.payer_id)
            if not own:
                if home is not None:
                    alike[stretch.places, home].add(span)
                continue
            for place in stretch.places:
                best = best_routes(own, place)
                for payer in [r.row.payer_id for r in best] or [stretch.term.payer_id]:
                    if payer in country and place.charge_code is not None:
                        site = jurisdiction.get(place.site_id or "")
                        found[site, country[payer], place.charge_code].add(span)
    for (places, home), spans in alike.items():
        for place in places:
            if place.charge_code is not None:
                found[jurisdiction.get(place.site_id or ""), home, place.charge_code] |= spans
    return found


def _united(spans: Iterable[_DaySpan]) -> list[_DaySpan]:
    """The same months in as few spans as possible."""
    united: list[_DaySpan] = []
    for first, last in sorted(spans):
        if united and first.toordinal() <= united[-1][1].toordinal() + 1:
            united[-1] = (united[-1][0], max(united[-1][1], last))
        else:
            united.append((first, last))
    return united


def _check_tax_line(
    draft: Draft,
    rules: Sequence[Record[TaxRuleRow]],
    line: _TaxLine,
    start: date,
    end: date,
    reported: set[tuple[int, int]],
) -> None:
    site, country, code = line
    fitting = [
        rule
        for rule in rules
        if rule.row.site_jurisdiction in (None, site)
        and rule.row.payer_country in (None, country)
        and rule.row.charge_code in (None, code)
    ]
    days = sorted(
        {start, *(rule.row.valid_from for rule in fitting), *(_end(rule) for rule in fitting)}
    )
    for first, after in pairwise([*days, LAST_DAY]):
        # Taxes are those of a period's last day, so only a month's end can be a line's day.
        day = _month_end(max(first, start))
        if day >= after or day > end:
            continue
        valid = [rule for rule in fitting if rule.row.valid_from <= first < _end(rule)]
        most = max((_filled(rule.row) for rule in valid), default=0)
        for one, other in combinations([r for r in valid if _filled(r.row) == most], 2):
            if (one.line, other.line) in reported:
                continue
            reported.add((one.line, other.line))
            where = f"at sites of {site}" if site else "without site"
            draft.fault(
                other,
                "tax_code",
                f"this rule and that of line {one.line} fit equally well on lines {where} for "
                f"{code} to payers in {country} from {max(first, start)} on; add a rule with more "
                "selectors or make one of them narrower",
            )


def _tax_selectors(row: TaxRuleRow) -> tuple[str | None, str | None, str | None]:
    return (row.site_jurisdiction, row.payer_country, row.charge_code)


def _filled(row: TaxRuleRow) -> int:
    return sum(selector is not None for selector in _tax_selectors(row))


def _end(record: Record[TaxRuleRow]) -> date:
    return record.row.valid_to or LAST_DAY


def _days_shared(one: Record[TaxRuleRow], other: Record[TaxRuleRow]) -> bool:
    return one.row.valid_from < _end(other) and other.row.valid_from < _end(one)


def _first_day(month: str) -> date:
    return date.fromisoformat(f"{month}-01")


def _month_end(day: date) -> date:
    return day.replace(day=monthrange(day.year, day.month)[1])
