"""How a line's number comes about, in words, one function a charge model, with the steps that can
be done again as checks.

The figures are those of `line_calculations`. A check does a step again on exact decimals and says
whether it gives what was rated; nothing that it computes is billed or shown as an amount.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from exporters.explain.figures import amount, instant, number, price, product, ratio, rounded
from exporters.explain.model import Check, Row

_CANONICAL: Final = {"energy": "kWh", "runtime": "h", "traffic": "GB", "fuel": "l"}
_HOUR_US: Final = 3_600_000_000

Told = tuple[list[str], list[Check]]


def canonical_unit(calc: Row) -> str | None:
    """The unit that usage of the line's metric is counted in; None where nothing is metered."""
    return _CANONICAL.get(calc["metric"] or "")


def calculation(calc: Row) -> Told:
    """The lines of words and the checks of a line as rated now."""
    words, checks = _MODELS[calc["charge_model"]](calc)
    if calc["currency"] is None:
        words.append("It is on no statement: an amount of 0.00 or no exchange rate.")
    elif calc["currency"] != calc["plan_currency"]:
        converted = product(calc["plan_amount"], calc["fx_rate"])
        words.append(
            f"The plan is in {calc['plan_currency']}: {_plan_amount(calc)} × "
            f"{number(calc['fx_rate'])} = "
            f"{amount(calc['amount'], calc['currency'], calc['minor_units'])}."
        )
        checks.append(
            Check(
                words="plan amount × exchange rate is the amount",
                agrees=rounded(converted, calc["minor_units"]) == calc["amount"],
            )
        )
    return words, checks


def _per_unit(calc: Row) -> Told:
    return [f"{_used(calc)}: {_priced(calc)}."], [_quantity(calc, calc["usage"])]


def _graduated(calc: Row) -> Told:
    unit = calc["charge_unit"]
    tier = f"tier {calc['band']}, {_bounds(calc)}"
    if calc["per"] == "contract":
        held = _within(calc, calc["contract_usage"])
        words = [
            f"The contract used {number(calc['contract_usage'])} {unit} at all sites of the "
            f"charge; {tier}, holds {number(held)} {unit} of it.",
            "Each tier is handed to the sites with usage in the order of site_id, in proportion to "
            f"their usage: {calc['site_id']} with {number(calc['usage'])} {unit} gets "
            f"{number(calc['quantity'])} {unit}; {_priced(calc)}.",
        ]
        return words, []
    if calc["per"] == "machine":
        words = [
            f"Every machine fills the tiers for itself; of their usage at {calc['site_id']}, "
            f"{number(calc['usage'])} {unit} in all, {number(calc['quantity'])} {unit} fell into "
            f"{tier}: {_priced(calc)}."
        ]
        return words, []
    words = [
        f"{_used(calc)}; {number(calc['quantity'])} {unit} of it fell into {tier}: {_priced(calc)}."
    ]
    return words, [_quantity(calc, _within(calc, calc["usage"]), "usage between the tier's bounds")]


def _volume(calc: Row) -> Told:
    unit = calc["charge_unit"]
    reached = calc["usage"] if calc["contract_usage"] is None else calc["contract_usage"]
    where = calc["site_id"] if calc["contract_usage"] is None else "the contract's sites together"
    words = [
        f"Usage of {where}, {number(reached)} {unit}, reaches tier {calc['band']}, "
        f"{_bounds(calc)}: all {number(calc['quantity'])} {unit} at {calc['site_id']} take its "
        f"rate; {_priced(calc)}."
    ]
    return words, [_quantity(calc, calc["usage"]), _reaches(calc, reached)]


def _stairstep(calc: Row) -> Told:
    words = [
        f"{_used(calc)}, which reaches step {calc['band']}, {_bounds(calc)}: {_plan_amount(calc)}."
    ]
    return words, [_reaches(calc, calc["usage"])]


def _package(calc: Row) -> Told:
    unit = calc["charge_unit"]
    beyond = calc["usage"] - calc["included"]
    words = [
        f"{_used(calc)}; beyond the {number(calc['included'])} {unit} that are included "
        f"{number(beyond)} {unit}, in packages of {number(calc['package_size'])} {unit} begun: "
        f"{number(calc['quantity'])}; {_priced(calc)}."
    ]
    size = calc["package_size"]
    enough = product(calc["quantity"], size) >= beyond > product(calc["quantity"] - 1, size)
    return words, [Check(words="so many packages hold it, one less would not", agrees=enough)]


def _time_of_use(calc: Row) -> Told:
    unit = calc["charge_unit"]
    words = [
        f"Of the {number(calc['site_quantity'])} {canonical_unit(calc)} at {calc['site_id']}, "
        f"{number(calc['usage'])} {unit} fell into band {calc['band']} of calendar "
        f"{calc['calendar_id']}, on the clock of the site: {_priced(calc)}."
    ]
    return words, [_quantity(calc, calc["usage"])]


def _index(calc: Row) -> Told:
    words = [
        f"{_used(calc)}. Every UTC hour's kWh was priced by index {calc['index_id']}; the hours "
        f"add up to {calc['plan_currency']} {number(calc['exact_amount'])}, rounded once to "
        f"{_plan_amount(calc)}.",
        f"The unit price, {price(calc['plan_unit_price'], calc['plan_currency'])}, is the amount "
        "before rounding ÷ the quantity.",
    ]
    return words, [_quantity(calc, calc["usage"]), _rounds(calc, calc["exact_amount"])]


def _demand(calc: Row) -> Told:
    minutes = calc["window_minutes"]
    kilowatts = product(calc["peak_quantity"], Decimal(60 // minutes))
    words = [
        f"Of all windows of {minutes} minutes the one from {instant(calc['peak_start'])} held the "
        f"most energy at {calc['site_id']}: {number(calc['peak_quantity'])} kWh × "
        f"{60 // minutes} = {number(kilowatts)} kW; {_priced(calc)}."
    ]
    return words, [_quantity(calc, kilowatts, "the greatest window of line_days")]


def _recurring(calc: Row) -> Told:
    hours = f"{_hours(calc['whole'])} of the month"
    if calc["prorate"] == "none":
        parts = f", {_machines(calc)} at {calc['site_id']}" if calc["per"] == "machine" else ""
        words = [f"Charged whole, not by time{parts}: {_priced(calc, 'month')}."]
    elif calc["per"] == "machine":
        words = [
            f"{_machines(calc)} at {calc['site_id']} for {_hours(calc['part'])} in all, of "
            f"{hours}: {_priced(calc, 'month')}."
        ]
    else:
        where = f" at {calc['site_id']}" if calc["site_id"] else ""
        words = [
            f"The contract held{where} for {_hours(calc['part'])} of {hours}: "
            f"{_priced(calc, 'month')}."
        ]
    months = ratio(calc["part"], calc["whole"], 6)
    return words, [_quantity(calc, months, "the fraction of the month")]


def _pass_through(calc: Row) -> Told:
    return [f"What the events below come to: {_plan_amount(calc)}."], []


def _percentage(calc: Row) -> Told:
    sign = -1 if calc["charge_model"] == "discount" else 1
    exact = product(calc["base_amount"], calc["percent"], Decimal("0.01"))
    whole = sign * rounded(exact, calc["plan_minor_units"])
    base = amount(calc["base_amount"], calc["plan_currency"], calc["plan_minor_units"])
    words = [
        f"The lines below come to {base}; {number(calc['percent'])} % of it: {_plan_amount(calc)}."
    ]
    if sign < 0 and whole < calc["plan_amount"]:
        words.append("That is less than the whole percentage: the rest is above the maximum.")
        return words, [Check(words="it is not above the percentage", agrees=True)]
    return words, [
        Check(
            words="the percentage of their sum is the amount", agrees=whole == calc["plan_amount"]
        )
    ]


def _minimum_commit(calc: Row) -> Told:
    currency, digits = calc["plan_currency"], calc["plan_minor_units"]
    words = [
        f"The commitment is {amount(calc['commitment'], currency, digits)} for this part of the "
        f"month; the lines below come to {amount(calc['base_amount'], currency, digits)}, "
        f"{_plan_amount(calc)} short of it."
    ]
    short = calc["commitment"] - calc["base_amount"]
    return words, [
        Check(
            words="commitment less those lines is the amount", agrees=short == calc["plan_amount"]
        )
    ]


_MODELS: Final[dict[str, Callable[[Row], Told]]] = {
    "per_unit": _per_unit,
    "graduated": _graduated,
    "volume": _volume,
    "stairstep": _stairstep,
    "package": _package,
    "time_of_use": _time_of_use,
    "index": _index,
    "demand": _demand,
    "recurring": _recurring,
    "pass_through": _pass_through,
    "percentage": _percentage,
    "discount": _percentage,
    "minimum_commit": _minimum_commit,
}


def _used(calc: Row) -> str:
    unit = canonical_unit(calc)
    words = f"{calc['site_id']} used {number(calc['site_quantity'])} {unit}"
    if unit != calc["charge_unit"]:
        words += f" = {number(calc['usage'])} {calc['charge_unit']}"
    return words


def _priced(calc: Row, unit: str | None = None) -> str:
    shown = unit or {"package": "package", "demand": "kW"}.get(
        calc["charge_model"], calc["charge_unit"]
    )
    quantity = calc["quantity"]
    plural = "s" if shown in ("month", "package") and quantity != 1 else ""
    return (
        f"{number(quantity)} {shown}{plural} × "
        f"{price(calc['plan_unit_price'], calc['plan_currency'])} = {_plan_amount(calc)}"
    )


def _plan_amount(calc: Row) -> str:
    return amount(calc["plan_amount"], calc["plan_currency"], calc["plan_minor_units"])


def _bounds(calc: Row) -> str:
    unit = calc["charge_unit"]
    low, high = calc["tier_from"], calc["tier_up_to"]
    if high is None:
        return f"above {number(low)} {unit}" if low else "all usage"
    if not low:
        return f"up to {number(high)} {unit}"
    return f"above {number(low)} up to {number(high)} {unit}"


def _within(calc: Row, usage: Decimal) -> Decimal:
    low: Decimal = calc["tier_from"]
    high: Decimal | None = calc["tier_up_to"]
    reached = usage if high is None else min(usage, high)
    return max(reached - low, Decimal(0))


def _machines(calc: Row) -> str:
    return "1 machine" if calc["machines"] == 1 else f"{calc['machines']:,} machines"


def _hours(microseconds: int) -> str:
    return f"{number(ratio(microseconds, _HOUR_US, 6))} h"


def _quantity(calc: Row, exact: Decimal, of: str = "usage") -> Check:
    return Check(
        words=f"{of} rounded to 6 decimals is the quantity",
        agrees=rounded(exact, 6) == calc["quantity"],
    )


def _rounds(calc: Row, exact: Decimal) -> Check:
    return Check(
        words="the exact amount rounded once is the amount",
        agrees=rounded(exact, calc["plan_minor_units"]) == calc["plan_amount"],
    )


def _reaches(calc: Row, usage: Decimal) -> Check:
    high = calc["tier_up_to"]
    inside = usage > calc["tier_from"] and (high is None or usage <= high)
    return Check(words="the usage lies within the tier's bounds", agrees=inside)
