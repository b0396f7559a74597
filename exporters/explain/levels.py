"""The levels below a line that the published marts hold: sites, machines, days, lines that it is
computed from, events, credits and what was issued under its key.

Each is added up exactly and compared with the level above it.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from exporters.explain import facts
from exporters.explain.calculation import canonical_unit
from exporters.explain.figures import (
    EXACT,
    amount,
    day_bounds,
    from_microseconds,
    number,
    ratio,
    rounded,
    utc_days,
)
from exporters.explain.landed import read_events
from exporters.explain.model import Level, Row, added, compared
from exporters.landed import LandedFiles
from exporters.marts import Marts

METERED: Final = frozenset(
    ("per_unit", "graduated", "volume", "package", "stairstep", "time_of_use", "index", "demand")
)
_HOUR_US: Final = 3_600_000_000


def levels(marts: Marts, landed: LandedFiles, calc: Row) -> list[Level]:
    """All levels of a line as rated now."""
    model = calc["charge_model"]
    if model in METERED:
        machines = facts.machines(marts, calc)
        found = [_sites(marts, calc, machines), *_machines(calc, machines)]
        if model == "graduated" and calc["per"] == "contract":
            found.append(_shares(marts, calc))
        return [*found, _days(marts, calc)]
    if model == "recurring" and calc["per"] in ("site", "machine"):
        return [_occupancy(marts, calc)]
    if model == "pass_through":
        return [_events(marts, landed, calc)]
    if model in ("percentage", "discount", "minimum_commit"):
        return [_bases(marts, calc)]
    return []


def _sites(marts: Marts, calc: Row, machines: list[dict[str, Any]]) -> Level:
    """Usage by site; every site of the charge where tiers fill per contract."""
    of_contract = calc["contract_usage"] is not None
    by_site: dict[str, Decimal] = defaultdict(Decimal)
    for row in machines:
        if row["band"] is None and (of_contract or row["site_id"] == calc["site_id"]):
            by_site[row["site_id"]] += row["quantity"]
    units = facts.units(marts)
    unit = units[calc["metric"], _unit_of_usage(calc)]
    rows = [
        {
            "site_id": site,
            "quantity": quantity,
            "in_charge_unit": ratio(
                int(quantity.scaleb(9, context=EXACT)) * unit["denominator"],
                10**9 * unit["numerator"],
                12,
            ),
        }
        for site, quantity in sorted(by_site.items())
        if quantity
    ]
    if calc["charge_model"] in ("time_of_use", "demand"):
        total = added(rows, "quantity")
        return Level(
            name="sites",
            title="Site",
            columns=("site_id", "quantity"),
            rows=rows,
            unit=canonical_unit(calc),
            sum_column="quantity",
            sum=total,
            of="what its machines used",
            expected=calc["site_quantity"],
            agrees=compared(total, calc["site_quantity"]),
        )
    expected = calc["contract_usage"] if of_contract else calc["usage"]
    total = added(rows, "in_charge_unit")
    same = calc["charge_unit"] == canonical_unit(calc)
    return Level(
        name="sites",
        title="Sites" if of_contract else "Site",
        columns=("site_id", "quantity") if same else ("site_id", "quantity", "in_charge_unit"),
        rows=rows,
        unit=calc["charge_unit"],
        sum_column="in_charge_unit",
        sum=total,
        of="the usage that the line is computed from",
        expected=expected,
        agrees=compared(total, expected),
    )


def _unit_of_usage(calc: Row) -> str:
    """The unit that the charge counts usage in; demand counts kW, but of the energy in kWh."""
    return "kWh" if calc["charge_model"] == "demand" else str(calc["charge_unit"])


_ALL_BANDS: Final = {
    "time_of_use": "All bands: usage is kept by machine or by band, not by both; the days below "
    "are of this band only.",
    "demand": "All windows: what a machine used in one of them is told with --day.",
}


def _machines(calc: Row, machines: list[dict[str, Any]]) -> list[Level]:
    whole = [
        {
            "machine_id": row["machine_id"],
            "quantity": row["quantity"],
            "estimated": row["estimated_quantity"],
        }
        for row in machines
        if row["site_id"] == calc["site_id"] and row["band"] is None
    ]
    total = added(whole, "quantity")
    notes = _ALL_BANDS.get(calc["charge_model"])
    found = [
        Level(
            name="machines",
            title=f"Machines at {calc['site_id']}",
            columns=_with_estimates(("machine_id", "quantity"), whole),
            rows=whole,
            unit=canonical_unit(calc),
            sum_column="quantity",
            sum=total,
            of=f"what {calc['site_id']} used",
            expected=calc["site_quantity"],
            agrees=compared(total, calc["site_quantity"]),
            notes=(notes,) if notes else (),
        )
    ]
    if calc["charge_model"] == "graduated" and calc["per"] == "machine":
        in_tier = [
            {"machine_id": row["machine_id"], "quantity": row["tier_quantity"]}
            for row in machines
            if row["site_id"] == calc["site_id"] and row["band"] == calc["band"]
        ]
        tier_total = added(in_tier, "quantity")
        found.append(
            Level(
                name="tier",
                title=f"What of each machine fell into tier {calc['band']}",
                columns=("machine_id", "quantity"),
                rows=in_tier,
                unit=calc["charge_unit"],
                sum_column="quantity",
                sum=tier_total,
                of="the line's quantity",
                expected=calc["quantity"],
                agrees=rounded(tier_total, 6) == calc["quantity"],
            )
        )
    return found


def _shares(marts: Marts, calc: Row) -> Level:
    """How a tier that the whole contract fills is shared by the sites."""
    rows = [
        {"site_id": row["site_id"], "usage": row["usage"], "quantity": row["quantity"]}
        for row in facts.calculations_of_charge(marts, calc)
        if row["band"] == calc["band"]
    ]
    high = calc["tier_up_to"]
    reached = calc["contract_usage"] if high is None else min(calc["contract_usage"], high)
    held = reached - calc["tier_from"]
    total = added(rows, "quantity")
    return Level(
        name="tier",
        title=f"Tier {calc['band']} by site",
        columns=("site_id", "usage", "quantity"),
        rows=rows,
        unit=calc["charge_unit"],
        sum_column="quantity",
        sum=total,
        of="what the tier holds",
        expected=held,
        agrees=rounded(held, 6) == total,
    )


def _days(marts: Marts, calc: Row) -> Level:
    model = calc["charge_model"]
    found = facts.days(marts, calc)
    clock = "UTC" if model == "index" else calc["billing_timezone"]
    mine = [row for row in found if model != "time_of_use" or row["band"] == calc["band"]]
    batches = _Batches(marts, calc, [row["usage_date"] for row in mine], clock)
    rows: list[dict[str, Any]] = []
    for row in mine:
        of_day = batches.of_day(row["usage_date"])
        rows.append(
            {
                "day": row["usage_date"],
                "quantity": row["quantity"],
                **({"estimated": row["estimated_quantity"]} if model not in _WINDOWED else {}),
                **({"exact_amount": row["exact_amount"]} if model == "index" else {}),
                **(
                    {"peak_start": row["peak_start"], "peak_kwh": row["peak_quantity"]}
                    if model == "demand"
                    else {}
                ),
                "batches": of_day,
                "newest_fetch": max((one["fetched_at"] for one in of_day), default=None),
            }
        )
    total = added(rows, "quantity")
    expected = calc["line_quantity"]
    notes: list[str] = []
    columns: tuple[str, ...] = _with_estimates(("day", "quantity"), rows)
    agrees = compared(total, expected)
    if model == "time_of_use":
        # The band's total is made of these days: what is billed is the quantity of the line.
        agrees = agrees and rounded(calc["usage"], 6) == calc["quantity"]
        all_bands = added(found, "quantity")
        agrees = agrees and all_bands == calc["site_quantity"]
        notes.append(
            f"Days of all bands: {number(all_bands)} {canonical_unit(calc)}, machines: "
            f"{number(calc['site_quantity'])} {canonical_unit(calc)}."
        )
    elif model == "index":
        columns += ("exact_amount",)
        exact = added(rows, "exact_amount")
        agrees = agrees and exact == calc["exact_amount"]
        notes.append(f"Amounts of the days: {calc['plan_currency']} {number(exact)}, not rounded.")
    elif model == "demand":
        columns += ("peak_start", "peak_kwh")
        agrees = agrees and max(row["peak_kwh"] for row in rows) == calc["peak_quantity"]
    if any(not row["batches"] for row in rows):
        notes.append(
            "Days without a batch of their own are parts of readings that began on another day, or "
            "estimates."
        )
    return Level(
        name="days",
        title=f"Days ({clock})",
        columns=(*columns, "batches", "newest_fetch"),
        rows=rows,
        unit=canonical_unit(calc),
        sum_column="quantity",
        sum=total,
        of=(
            f"the usage in band {calc['band']}"
            if model == "time_of_use"
            else f"what {calc['site_id']} used"
        ),
        expected=expected,
        agrees=agrees,
        notes=notes,
    )


_WINDOWED: Final = ("index", "demand")


class _Batches:
    """The batches behind days of a clock, each with the files that it may lie in."""

    def __init__(self, marts: Marts, calc: Row, days: list[date], clock: str) -> None:
        self._clock = clock
        self._by_day: dict[date, list[dict[str, Any]]] = defaultdict(list)
        if not days:
            return
        first, last = min(days) - timedelta(days=1), max(days) + timedelta(days=1)
        paths: dict[date, list[str]] = defaultdict(list)
        for file in facts.landed_files(marts, "readings", calc["site_id"], first, last):
            paths[file["file_date"]].append(file["path"])
        for row in facts.batches(
            marts,
            site_id=calc["site_id"],
            contract_id=calc["contract_id"],
            metric=calc["metric"],
            first=first,
            last=last,
        ):
            of_date = paths[row["utc_date"]]
            named = [path for path in of_date if Path(path).stem == row["batch_id"]]
            # A merged file holds several batches under a name of its own.
            self._by_day[row["utc_date"]].append({**row, "files": named or of_date})

    def of_day(self, day: date) -> list[dict[str, Any]]:
        """The batches of the UTC days that a local day touches."""
        start, end = day_bounds(day, self._clock)
        return [batch for utc in utc_days(start, end) for batch in self._by_day[utc]]


def _occupancy(marts: Marts, calc: Row) -> Level:
    rows = [
        {
            "machine_id": row["machine_id"],
            "hours": ratio(row["occupied_us"], _HOUR_US, 6),
            "microseconds": row["occupied_us"],
            "counts": 1,
        }
        for row in facts.machines(marts, calc)
        if row["site_id"] == calc["site_id"]
    ]
    by_machine = calc["per"] == "machine"
    counted = calc["prorate"] == "none"
    column = "counts" if counted else "microseconds"
    total = Decimal(sum(row[column] for row in rows))
    expected = Decimal(calc["part"]) if by_machine else None
    return Level(
        name="machines",
        title=f"Machines at {calc['site_id']}",
        columns=("machine_id", "hours"),
        rows=rows,
        unit="machines" if counted else "µs",
        sum_column=column,
        sum=total,
        of="the numerator of the fraction" if by_machine else None,
        expected=expected,
        agrees=compared(total, expected),
        notes=()
        if by_machine
        else ("The site is charged once, whatever machines of the contract stand there.",),
    )


def _bases(marts: Marts, calc: Row) -> Level:
    rows = facts.bases(marts, calc)
    total = added(rows, "amount")
    return Level(
        name="lines",
        title="Lines that it is computed from",
        columns=("line_key", "amount"),
        rows=rows,
        unit=calc["plan_currency"],
        sum_column="amount",
        sum=total,
        of="their sum when the line was rated",
        expected=calc["base_amount"],
        agrees=compared(total, calc["base_amount"]),
    )


def _events(marts: Marts, landed: LandedFiles, calc: Row) -> Level:
    found = facts.events(marts, calc)
    versions_of = _landed_events(marts, landed, calc, found)
    rows: list[dict[str, Any]] = []
    for event in found:
        versions = versions_of[event["event_id"]]
        # Of the landed versions the last one counts; those before it were restated.
        last = versions[-1] if versions else None
        rows.append(
            {
                "event_id": event["event_id"],
                "occurred_at": event["occurred_at"],
                "machine_id": event["machine_id"],
                "service_code": event["service_code"],
                "quantity": event["quantity"],
                "unit": event["unit"],
                "unit_amount": event["unit_amount"],
                "currency": event["currency"],
                "converted": event["converted_unit_amount"],
                "markup_percent": event["markup_percent"],
                "exact_amount": event["exact_amount"],
                "batch_id": last["batch_id"] if last else None,
                "fetched_at": event["ingested_at"],
                "file": last["file"] if last else None,
                "versions": versions,
            }
        )
    total = added(rows, "exact_amount")
    restated = sum(len(row["versions"]) > 1 for row in rows)
    notes = [f"{restated} of them restated: the latest batch counts."] if restated else []
    return Level(
        name="events",
        title="Events",
        columns=(
            *("event_id", "occurred_at", "quantity", "unit", "unit_amount", "currency"),
            *("markup_percent", "exact_amount", "batch_id"),
        ),
        rows=rows,
        unit=calc["plan_currency"],
        sum_column="exact_amount",
        sum=total,
        of="the amount in plan currency, rounded once",
        expected=calc["plan_amount"],
        agrees=rounded(total, calc["plan_minor_units"]) == calc["plan_amount"],
        notes=notes,
    )


def _landed_events(
    marts: Marts, landed: LandedFiles, calc: Row, events: list[dict[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    by_event: dict[str, list[dict[str, Any]]] = defaultdict(list)
    if not events:
        return by_event
    days = [event["occurred_at"].date() for event in events]
    files = facts.landed_files(marts, "charge_events", calc["site_id"], min(days), max(days))
    for row in read_events(
        landed.paths(file["path"] for file in files), [event["event_id"] for event in events]
    ):
        by_event[row["event_id"]].append(
            {
                "batch_id": row["batch_id"],
                "fetched_at": from_microseconds(row["fetched_us"]),
                "file": landed.name(row["file"]),
                "occurred_at": from_microseconds(row["occurred_us"]),
                **{
                    name: row[name]
                    for name in (
                        *("classification", "quantity", "unit", "unit_amount", "currency"),
                        "description",
                    )
                },
            }
        )
    return by_event


def credit_level(marts: Marts, line: Row, credit_id: str) -> Level:
    """Everything that a credit gave, and what it may give."""
    credit = facts.credit(marts, credit_id)
    rows = [
        {
            "period": row["period"],
            "line_key": row["line_key"],
            "statement_id": row["statement_id"],
            "state": row["state"],
            "amount": row["amount"],
            "currency": row["currency"],
        }
        for row in facts.lines_of_credit(marts, line["contract_id"], credit_id)
    ]
    total = added(rows, "amount")
    notes: list[str] = []
    agrees: bool | None = None
    if credit is None:
        notes.append("The book does not have this credit any more.")
    elif any(row["currency"] != credit["currency"] for row in rows):
        notes.append(
            f"The credit is in {credit['currency']}, the lines are in the payer's currency: "
            "their sums are not compared."
        )
    else:
        left = credit["amount"] + total
        agrees = left >= 0
        digits = 2 if line["minor_units"] is None else line["minor_units"]
        given, rest = (amount(value, credit["currency"], digits) for value in (-total, left))
        notes.append(
            f"The credit is {amount(credit['amount'], credit['currency'], digits)}: {given} of it "
            f"given, {rest} left."
        )
    return Level(
        name="credit",
        title=f"Lines by which credit {credit_id} was given",
        columns=("period", "statement_id", "state", "amount", "currency"),
        rows=rows,
        unit=line["currency"],
        sum_column="amount",
        sum=total,
        of="no more than the credit",
        agrees=agrees,
        notes=notes,
    )


def issued_level(marts: Marts, line: Row, original_key: str, calc: Row | None) -> Level:
    """What stands under an original key for a payer: the line and all adjustments of it."""
    found = facts.lines_under_key(marts, original_key, line["payer_id"])
    rows = [
        {
            "line_key": row["line_key"],
            "statement": row["statement_number"] or row["statement_id"],
            "state": row["state"],
            "quantity": row["quantity"],
            "amount": row["amount"],
            "tax_amount": row["tax_amount"],
        }
        for row in found
    ]
    total = added(rows, "amount")
    taken_back = calc is None or calc["payer_id"] != line["payer_id"]
    now = Decimal(0) if calc is None or taken_back else calc["amount"]
    kept = facts.why_not_adjusted(marts, line if calc is None else calc, original_key)
    expected = None if kept else now
    return Level(
        name="issued",
        title=f"Under the key {original_key}, for {line['payer_id']}",
        columns=("statement", "state", "quantity", "amount", "tax_amount", "line_key"),
        rows=rows,
        unit=line["currency"],
        sum_column="amount",
        sum=total,
        of="nothing, as it is not charged any more" if taken_back else "the amount as rated now",
        expected=expected,
        agrees=compared(total, expected),
        notes=(kept,) if kept else (),
    )


@cache
def local_span(start: datetime, end: datetime, clock: str) -> tuple[date, date]:
    """First and last day of a clock that [start, end) touches."""
    zone = ZoneInfo(clock)
    last = (end - timedelta(microseconds=1)).astimezone(zone).date()
    return start.astimezone(zone).date(), last


def _with_estimates(columns: tuple[str, ...], rows: list[dict[str, Any]]) -> tuple[str, ...]:
    return (*columns, "estimated") if any(row.get("estimated") for row in rows) else columns
