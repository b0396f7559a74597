"""Rules within and around rate plans: what a charge may name, what a version must hold together.

Here: plans and the calendars they price. Not here: what one value must look like (plans, scalars).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import pairwise

from connectors.book.documents import Calendar
from connectors.book.draft import ChargeItem, Draft, Item, PlanItem, VersionItem
from connectors.book.localtime import last_local_day, local_month, month_before
from connectors.book.model import Plan, PlanVersion, Term
from connectors.book.plans import (
    CHARGE_MODELS,
    ORDER,
    Charge,
    Demand,
    Discount,
    Graduated,
    Metered,
    MinimumCommit,
    PassThrough,
    Percentage,
    Recurring,
    Stairstep,
    TimeOfUse,
    Volume,
)
from connectors.book.scalars import CANONICAL_UNIT, clock_text
from connectors.units import UNITS


def check_calendars(draft: Draft) -> None:
    """Unique calendars, bands that begin before they end, holidays that somebody listed."""
    first: dict[str, Item[Calendar]] = {}
    listed = {record.row.country for record in draft.holidays}
    for item in draft.calendars:
        calendar = item.data
        if calendar.calendar_id in first:
            line = item.source.line(first[calendar.calendar_id].path)
            draft.fault_at(
                item.source,
                (*item.path, "calendar_id"),
                f"this calendar_id stands here twice (first line {line})",
                value=calendar.calendar_id,
            )
        first.setdefault(calendar.calendar_id, item)
        for number, band in enumerate(calendar.bands):
            path = (*item.path, "bands", number)
            if band.from_ >= band.to:
                draft.fault_at(
                    item.source,
                    (*path, "to"),
                    "expected a time after 'from'; a band over midnight is written as two bands",
                    value=clock_text(band.to),
                )
            if len(set(band.days)) < len(band.days):
                draft.fault_at(item.source, (*path, "days"), "names a day twice")
            if "holiday" in band.days and calendar.country_holidays is None:
                draft.warn_at(
                    item.source,
                    (*path, "days"),
                    "no day is a holiday here, as the calendar has no country_holidays",
                    value="holiday",
                )
        country = calendar.country_holidays
        if country is not None and country not in listed:
            draft.warn_at(
                item.source,
                (*item.path, "country_holidays"),
                "holidays.csv has no holiday of this country",
                value=country,
            )


def check_plans(draft: Draft, contracted: Sequence[Term]) -> list[Plan]:
    """All rules about plans; gives the plans with their months of validity."""
    first: dict[str, PlanItem] = {}
    plans: list[Plan] = []
    for item in draft.plans:
        plan_id = item.head.plan_id
        if plan_id in first:
            draft.fault_at(
                item.source,
                ("plan_id",),
                f"this plan_id is also that of {first[plan_id].source.name}",
                value=plan_id,
            )
        first.setdefault(plan_id, item)
        plans.append(_check_plan(draft, item, [t for t in contracted if t.plan_id == plan_id]))
    return plans


def _check_plan(draft: Draft, item: PlanItem, used: Sequence[Term]) -> Plan:
    numbers: dict[int, VersionItem] = {}
    for version in item.versions:
        number = version.head.version
        if number in numbers:
            draft.fault_at(
                version.source,
                (*version.path, "version"),
                "this version number stands here twice",
                value=number,
            )
        numbers.setdefault(number, version)
    ordered = sorted(item.versions, key=lambda v: (v.head.valid_from, v.head.version))
    for earlier, later in pairwise(ordered):
        if later.head.valid_from == earlier.head.valid_from:
            draft.fault_at(
                later.source,
                (*later.path, "valid_from"),
                f"version {earlier.head.version} begins in the same month",
                value=later.head.valid_from,
            )
        elif later.head.version < earlier.head.version:
            draft.fault_at(
                later.source,
                (*later.path, "valid_from"),
                f"version {later.head.version} begins after version {earlier.head.version}; later "
                "versions have greater numbers",
                value=later.head.valid_from,
            )
    versions = []
    for position, version in enumerate(ordered):
        end = None if position + 1 == len(ordered) else ordered[position + 1].head.valid_from
        built = PlanVersion(
            version=version.head.version,
            valid_from_month=version.head.valid_from,
            valid_to_month=end,
            adjust=version.head.adjust,
            charges=tuple(charge.charge for charge in version.charges),
        )
        in_force = any(months_shared(term, built) is not None for term in used)
        _check_version(draft, version, in_force=in_force)
        versions.append(built)
    head = item.head
    return Plan(
        plan_id=head.plan_id,
        description=head.description,
        currency=head.currency,
        versions=tuple(versions),
    )


def months_shared(term: Term, version: PlanVersion) -> tuple[str, str | None] | None:
    """First and last month in which the version rates the term (None: open); None if none."""
    first = max(local_month(term.valid_from_at, term.billing_timezone), version.valid_from_month)
    last = None
    if term.valid_to_at is not None:
        last = last_local_day(term.valid_to_at, term.billing_timezone).strftime("%Y-%m")
    if version.valid_to_month is not None:
        before = month_before(version.valid_to_month)
        last = before if last is None else min(last, before)
    return None if last is not None and last < first else (first, last)


def _check_version(draft: Draft, version: VersionItem, *, in_force: bool) -> None:
    codes: dict[str, ChargeItem] = {}
    services: dict[str, str] = {}
    for item in version.charges:
        code = item.charge.code
        if code in codes:
            draft.fault_at(
                item.source,
                (*item.path, "code"),
                f"this code stands in the version twice (first line "
                f"{item.source.line(codes[code].path)})",
                value=code,
            )
        codes.setdefault(code, item)
        _check_places(draft, item)
        charge = item.charge
        _check_unit(draft, item)
        if isinstance(charge, Graduated | Volume | Stairstep):
            _check_tiers(draft, item, [tier.up_to for tier in charge.tiers])
        if isinstance(charge, TimeOfUse):
            _check_bands(draft, item, charge, in_force=in_force)
        if isinstance(charge, PassThrough):
            _check_services(draft, item, charge, services)
        if isinstance(charge, Percentage | Discount | MinimumCommit):
            _check_bases(draft, item, charge, version.codes)
        if isinstance(charge, Discount) and charge.percent > 100:
            draft.fault_at(
                item.source,
                (*item.path, "percent"),
                "expected at most 100: a discount does not exceed what it is taken from",
                value=charge.percent,
            )


def _check_places(draft: Draft, item: ChargeItem) -> None:
    charge = item.charge
    for key, kind in (("sites", "site"), ("regions", "region")):
        names: tuple[str, ...] | None = getattr(charge, key)
        if names is None:
            continue
        if isinstance(charge, PassThrough):
            draft.fault_at(
                item.source, (*item.path, key), "a pass_through charge cannot be limited to places"
            )
            continue
        if isinstance(charge, Recurring) and charge.per == "contract":
            draft.fault_at(
                item.source,
                (*item.path, key),
                "a recurring charge per contract makes one line without site and cannot be limited "
                "to places; use per: site or per: machine",
            )
        for number, name in enumerate(names):
            path = (*item.path, key, number)
            if names.index(name) < number:
                draft.fault_at(item.source, path, f"this {kind} stands here twice", value=name)
            elif not draft.knows(kind, name):
                draft.fault_at(
                    item.source, path, f"there is no such {kind} in sites.csv", value=name
                )
    if charge.sites is not None and charge.regions is not None:
        both = any(
            r.row.site_id in charge.sites and r.row.region in charge.regions for r in draft.sites
        )
        if not both:
            draft.warn_at(
                item.source,
                (*item.path, "sites"),
                "no site is both among sites and in one of regions: this charge applies nowhere",
            )


def _check_unit(draft: Draft, item: ChargeItem) -> None:
    if not isinstance(item.charge, Metered) or isinstance(item.charge, Demand):
        return
    metric, unit = item.charge.metric, item.charge.unit
    if unit is None:
        return
    if unit not in UNITS[metric]:
        draft.fault_at(
            item.source,
            (*item.path, "unit"),
            f"is no unit of {metric}; expected one of " + ", ".join(UNITS[metric]),
            value=unit,
        )


def _check_tiers(draft: Draft, item: ChargeItem, bounds: Sequence[Decimal | None]) -> None:
    last = len(bounds) - 1
    before: Decimal | None = None
    for number, bound in enumerate(bounds):
        path = (*item.path, "tiers", number, "up_to")
        if bound is None:
            if number < last:
                draft.fault_at(item.source, path, "expected up_to: only the last tier is open")
            continue
        if number == last:
            draft.fault_at(
                item.source, path, "expected no up_to: the last tier is open", value=bound
            )
        if before is not None and not bound > before:
            draft.fault_at(
                item.source,
                path,
                f"expected more than {before}, the bound of the tier before",
                value=bound,
            )
        before = bound


def _check_bands(draft: Draft, item: ChargeItem, charge: TimeOfUse, *, in_force: bool) -> None:
    if not draft.knows("calendar", charge.calendar):
        draft.fault_at(
            item.source,
            (*item.path, "calendar"),
            "there is no such calendar in calendars.yml",
            value=charge.calendar,
        )
        return
    calendars = [i.data for i in draft.calendars if i.data.calendar_id == charge.calendar]
    if not calendars:
        return  # it has a fault of its own
    bands = dict.fromkeys([*(band.band for band in calendars[0].bands), calendars[0].default_band])
    path = (*item.path, "rates")
    for band in charge.rates:
        if band not in bands:
            draft.fault_at(
                item.source,
                (*path, band),
                f"calendar {charge.calendar} has no such band; it has " + ", ".join(bands),
                value=band,
            )
    missing = [band for band in bands if band not in charge.rates]
    if missing:
        report = draft.fault_at if in_force else draft.warn_at
        report(
            item.source,
            path,
            f"expected a rate for each band of calendar {charge.calendar}; missing: "
            + ", ".join(missing),
        )


def _check_services(
    draft: Draft, item: ChargeItem, charge: PassThrough, services: dict[str, str]
) -> None:
    for number, service in enumerate(charge.service_codes):
        if service in services:
            draft.fault_at(
                item.source,
                (*item.path, "service_codes", number),
                f"charge {services[service]} of this version has it already; a service_code stands "
                "in one charge of a version",
                value=service,
            )
        services.setdefault(service, charge.code)


def _check_bases(
    draft: Draft,
    item: ChargeItem,
    charge: Percentage | Discount | MinimumCommit,
    codes: Mapping[str, str],
) -> None:
    seen: set[str] = set()
    for number, code in enumerate(charge.charges):
        path = (*item.path, "charges", number)
        if code in seen:
            draft.fault_at(item.source, path, "this charge stands here twice", value=code)
            continue
        seen.add(code)
        if code not in codes:
            draft.fault_at(
                item.source,
                path,
                "there is no charge of this code in the version; it has " + ", ".join(codes),
                value=code,
            )
            continue
        model = CHARGE_MODELS.get(codes[code])
        if model is not None and ORDER[model.group] >= ORDER[charge.group]:
            draft.fault_at(
                item.source,
                path,
                f"a {charge.group} may name only charges that come before it, and {code} is a "
                f"{codes[code]} (order: metered, recurring and pass_through; percentage; discount; "
                "minimum_commit)",
                value=code,
            )


def unit_of(charge: Charge) -> str | None:
    """The unit of a metered charge: as written, else the canonical one of its metric."""
    if isinstance(charge, Demand):
        return "kW"
    if isinstance(charge, Metered):
        return charge.unit or CANONICAL_UNIT[charge.metric]
    return None
