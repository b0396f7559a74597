"""Rate plans in plain sentences that finance can sign.

One sentence a charge, with every number of it and nothing left to know from elsewhere: what is
counted, where, for which time, at what price. The words stand in the statement report, the docs and
`m2c book show`, so that people read the rule and not the YAML. Numbers stand as they were written:
0.0790 stays 0.0790.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import combinations

from connectors.book.documents import Calendar
from connectors.book.model import Book, Plan, PlanVersion
from connectors.book.plans import (
    Charge,
    Demand,
    Discount,
    Graduated,
    Index,
    Metered,
    MinimumCommit,
    Package,
    PassThrough,
    Percentage,
    PerUnit,
    Recurring,
    Stairstep,
    TimeOfUse,
    Volume,
)
from connectors.book.scalars import CANONICAL_UNIT, clock_text
from connectors.book.tariffs import unit_of

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_NAMES = {
    "mon": "Monday",
    "tue": "Tuesday",
    "wed": "Wednesday",
    "thu": "Thursday",
    "fri": "Friday",
    "sat": "Saturday",
    "sun": "Sunday",
    "holiday": "public holidays",
}
_SCOPE = {"site": "at each site", "contract": "of the whole contract", "machine": "of each machine"}


@dataclass(frozen=True, slots=True)
class PlanWords:
    """A plan version in words: whose and when (`title`), a sentence a charge by its code, and what
    holds for the whole version (`closing`). `text` is all of it, a line each."""

    plan_id: str
    version: int
    valid_from_month: str
    title: str
    sentences: Mapping[str, str]
    closing: str | None

    @property
    def text(self) -> str:
        lines = [self.title, *(f"- {sentence}" for sentence in self.sentences.values())]
        return "\n".join(lines if self.closing is None else [*lines, self.closing])


@dataclass(frozen=True, slots=True)
class _Context:
    currency: str
    calendars: Mapping[str, Calendar]
    names: Mapping[str, str]

    def money(self, amount: Decimal) -> str:
        return f"{self.currency} {amount:,f}"


def render_words(book: Book) -> list[PlanWords]:
    """Every plan version of the book in words, in order of plan and time."""
    return [
        version_words(plan, version, book.calendars)
        for plan in sorted(book.plans, key=lambda plan: plan.plan_id)
        for version in plan.versions
    ]


def version_words(plan: Plan, version: PlanVersion, calendars: Sequence[Calendar]) -> PlanWords:
    """A version: whose, from when to when, and a sentence for each charge."""
    title = plan.description or plan.plan_id
    span = f"from {_month(version.valid_from_month)}"
    if version.valid_to_month is not None:
        span += f" until {_month(version.valid_to_month)} (exclusive)"
    words = charge_sentences(version.charges, plan.currency, calendars)
    return PlanWords(
        plan_id=plan.plan_id,
        version=version.version,
        valid_from_month=version.valid_from_month,
        title=f"{title}, version {version.version}, {span}, in {plan.currency}.",
        sentences={code: f"{sentence}." for code, sentence in words.items()},
        closing=(
            None
            if version.adjust
            else "A later change of this version does not touch months already issued."
        ),
    )


def charge_sentences(
    charges: Sequence[Charge], currency: str, calendars: Sequence[Calendar]
) -> dict[str, str]:
    """A sentence (without full stop) for each charge of a version, by code."""
    context = _Context(
        currency=currency,
        calendars={calendar.calendar_id: calendar for calendar in calendars},
        names={charge.code: _name(charge) for charge in charges},
    )
    return {charge.code: _sentence(charge, context) for charge in charges}


def _sentence(charge: Charge, context: _Context) -> str:
    text = f"{_name(charge)}: {_WORDS[type(charge)](charge, context)}{_where(charge)}"
    if not charge.bill_while_suspended:
        text += "; not billed for machines while they are suspended"
    return text


def _name(charge: Charge) -> str:
    """What people call the charge, with its code where that says something else: routes, taxes and
    accounts go by the code."""
    name = charge.description
    if name is None:
        spaced = charge.code.replace("-", " ").replace("_", " ")
        name = spaced[:1].upper() + spaced[1:]
    return name if name.lower() == charge.code else f"{name} ({charge.code})"


def _where(charge: Charge) -> str:
    parts = []
    if charge.sites is not None:
        parts.append(f"at {_listed(charge.sites)}")
    if charge.regions is not None:
        noun = "region" if len(charge.regions) == 1 else "regions"
        parts.append(f"in {noun} {_listed(charge.regions)}")
    return f"; only {' '.join(parts)}" if parts else ""


def _usage(charge: Metered) -> str:
    """`kWh` for energy, `GB of traffic` else."""
    unit = unit_of(charge) or ""
    return unit if charge.metric == "energy" else f"{unit} of {charge.metric}"


def _per_unit(charge: PerUnit, context: _Context) -> str:
    return f"{context.money(charge.rate)} per {_usage(charge)} at each site"


def _graduated(charge: Graduated, context: _Context) -> str:
    unit, scope = unit_of(charge), _SCOPE[charge.per]
    *bounded, last = charge.tiers
    if not bounded:
        return f"{context.money(last.rate)} per {_usage(charge)} {scope}"
    parts = []
    for number, tier in enumerate(bounded):
        if tier.up_to is None:
            continue
        price = context.money(tier.rate)
        if number == 0:
            parts.append(
                f"{price} per {_usage(charge)} for the first {tier.up_to:,f} {unit} a month {scope}"
            )
        else:
            parts.append(f"{price} from there to {tier.up_to:,f} {unit}")
    return ", ".join([*parts, f"then {context.money(last.rate)}"])


def _volume(charge: Volume, context: _Context) -> str:
    unit, scope = unit_of(charge), _SCOPE[charge.per]
    *bounded, last = charge.tiers
    if not bounded:
        return f"{context.money(last.rate)} per {_usage(charge)}, all usage {scope}"
    steps = [
        f"{context.money(tier.rate)} if it is up to {tier.up_to:,f} {unit}"
        for tier in bounded
        if tier.up_to is not None
    ]
    steps.append(f"{context.money(last.rate)} if it is more")
    return (
        f"all {_usage(charge)} of a month at one rate, chosen by the month's usage {scope}: "
        + ", ".join(steps)
    )


def _package(charge: Package, context: _Context) -> str:
    unit = unit_of(charge)
    free = (
        ""
        if charge.included == 0
        else f" beyond the {charge.included:,f} {unit} a month that are included"
    )
    return (
        f"{context.money(charge.price)} for each package of {charge.size:,f} {_usage(charge)} "
        f"begun{free}, at each site"
    )


def _stairstep(charge: Stairstep, context: _Context) -> str:
    unit = unit_of(charge)
    *bounded, last = charge.tiers
    if not bounded:
        return f"{context.money(last.amount)} a month at each site with any {_usage(charge)}"
    steps = [
        f"{context.money(tier.amount)} up to {tier.up_to:,f} {unit}"
        for tier in bounded
        if tier.up_to is not None
    ]
    steps.append(f"{context.money(last.amount)} above")
    return f"one amount a month at each site with usage, by its {_usage(charge)}: " + ", ".join(
        steps
    )


def _time_of_use(charge: TimeOfUse, context: _Context) -> str:
    calendar = context.calendars[charge.calendar]
    hours: dict[str, list[str]] = {}
    for band in calendar.bands:
        span = (
            "all day"
            if (band.from_, band.to) == (0, 24 * 60)
            else f"{clock_text(band.from_)} to {clock_text(band.to)}"
        )
        hours.setdefault(band.band, []).append(f"{_days(band.days)} {span}")
    prices = []
    for name in dict.fromkeys([*hours, calendar.default_band]):
        rate = charge.rates.get(name)
        if rate is None:
            continue  # a version that is never in force may leave a band without a rate
        when = " and ".join(hours.get(name, []))
        if name == calendar.default_band:
            when = f"{when} and all other hours" if when else "all other hours"
        prices.append(f"{context.money(rate)} for {name} ({when})")
    text = f"per {_usage(charge)} at each site, by local time: " + ", ".join(prices)
    if _bands_meet(calendar):
        text += "; where two of these meet, the one named first counts"
    if calendar.country_holidays is not None:
        text += f"; public holidays of {calendar.country_holidays} count as holidays"
        if not any("holiday" in band.days for band in calendar.bands):
            text += f" and so as {calendar.default_band}"
    return text


def _bands_meet(calendar: Calendar) -> bool:
    return any(
        one.band != other.band
        and set(one.days) & set(other.days)
        and one.from_ < other.to
        and other.from_ < one.to
        for one, other in combinations(calendar.bands, 2)
    )


def _index(charge: Index, context: _Context) -> str:
    price = f"the market price {charge.index_id} of each hour"
    if charge.multiplier != 1:
        price += f" times {charge.multiplier:f}"
    if charge.adder > 0:
        price += f" plus {context.money(charge.adder)} per MWh"
    elif charge.adder < 0:
        price += f" less {context.money(-charge.adder)} per MWh"
    unit = unit_of(charge)
    shown = "" if unit == CANONICAL_UNIT[charge.metric] else f", shown in {unit}"
    return f"{price}, for the energy used in that hour at each site{shown}"


def _demand(charge: Demand, context: _Context) -> str:
    return (
        f"{context.money(charge.rate)} per kW of the month's highest mean power over "
        f"{charge.window_minutes} minutes at each site"
    )


def _recurring(charge: Recurring, context: _Context) -> str:
    counted = {
        "contract": "for the contract",
        "site": "for each site with an assigned machine",
        "machine": "for each assigned machine",
    }[charge.per]
    part = (
        "; part months in proportion to time"
        if charge.prorate == "time"
        else "; part months count as whole ones"
    )
    return f"{context.money(charge.amount)} a month {counted}{part}"


def _pass_through(charge: PassThrough, context: _Context) -> str:
    del context
    noun = "service" if len(charge.service_codes) == 1 else "services"
    price = (
        "at cost"
        if charge.markup_percent == 0
        else f"at cost plus {_percent(charge.markup_percent)}"
    )
    lines = (
        "one line for each event"
        if charge.itemise
        else "one line for each site and service of a month"
    )
    return f"{noun} {_listed(charge.service_codes)} {price}, {lines}"


def _percentage(charge: Percentage, context: _Context) -> str:
    return f"{_percent(charge.percent)} of {_bases(charge.charges, context)}"


def _discount(charge: Discount, context: _Context) -> str:
    text = f"{_percent(charge.percent)} off {_bases(charge.charges, context)}"
    if charge.first_months is not None:
        months = "month" if charge.first_months == 1 else f"{charge.first_months} months"
        text += f" in the first {months} of the contract"
    if charge.max_amount is not None:
        text += f", at most {context.money(charge.max_amount)} a month"
    return text


def _minimum_commit(charge: MinimumCommit, context: _Context) -> str:
    return (
        f"at least {context.money(charge.amount)} a month for "
        f"{_bases(charge.charges, context)} together; what is missing is billed, part months "
        "in proportion to time"
    )


_WORDS: Mapping[type[Charge], Callable[..., str]] = {
    PerUnit: _per_unit,
    Graduated: _graduated,
    Volume: _volume,
    Package: _package,
    Stairstep: _stairstep,
    TimeOfUse: _time_of_use,
    Index: _index,
    Demand: _demand,
    Recurring: _recurring,
    PassThrough: _pass_through,
    Percentage: _percentage,
    Discount: _discount,
    MinimumCommit: _minimum_commit,
}


def _bases(codes: Sequence[str], context: _Context) -> str:
    return _listed([context.names.get(code, code) for code in codes])


def _listed(words: Sequence[str]) -> str:
    if len(words) == 1:
        return words[0]
    return f"{', '.join(words[:-1])} and {words[-1]}"


def _percent(percent: Decimal) -> str:
    return f"{percent:f} %"


def _days(days: Sequence[str]) -> str:
    week = [day for day in _DAYS if day in days]
    runs: list[list[str]] = []
    for day in week:
        if runs and _DAYS.index(runs[-1][-1]) == _DAYS.index(day) - 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    parts = ["every day"] if len(week) == len(_DAYS) else []
    for run in [] if parts else runs:
        if len(run) > 2:
            parts.append(f"{_DAY_NAMES[run[0]]} to {_DAY_NAMES[run[-1]]}")
        else:
            parts += [_DAY_NAMES[day] for day in run]
    if "holiday" in days:
        parts.append(_DAY_NAMES["holiday"])
    return _listed(parts)


def _month(month: str) -> str:
    return date.fromisoformat(f"{month}-01").strftime("%B %Y")
