"""What rating must give, a second time: plain Python on whole numbers and fractions.

Written from the specification of rating and of the book, it shares no code with the project and
takes the same two things that the project takes, a folder with a book and landed rows. It is slow
and simple on purpose: every rule stands once, in the words of the specification, and nothing is
rounded but where the specification says so.

Not here: what metering does with bad readings. Readings are intervals that pass every check;
of estimates there is only the short gap that interpolation fills.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

Row = Mapping[str, Any]
# One line of a statement by column; quantities and amounts are fractions, exact at their decimals.
Line = dict[str, Any]
Span = tuple[int, int]

HOUR = 3_600_000_000
QUARTER = 900_000_000
FOREVER = 2**62
NO_DECIMALS = {"JPY", "KRW", "ISK", "VND", "CLP", "UGX", "XOF"}
# How many canonical units one unit is.
UNITS = {
    "kWh": Fraction(1), "Wh": Fraction(1, 1000), "MWh": Fraction(1000), "GWh": Fraction(10**6),
    "J": Fraction(1, 3_600_000), "kJ": Fraction(1, 3600), "MJ": Fraction(10, 36),
    "GJ": Fraction(10_000, 36),
    "h": Fraction(1), "min": Fraction(1, 60), "s": Fraction(1, 3600),
    "GB": Fraction(1), "MB": Fraction(1, 1000), "kB": Fraction(1, 10**6), "B": Fraction(1, 10**9),
    "TB": Fraction(1000), "KiB": Fraction(2**10, 10**9), "MiB": Fraction(2**20, 10**9),
    "GiB": Fraction(2**30, 10**9), "TiB": Fraction(2**40, 10**9),
    "l": Fraction(1), "m3": Fraction(1000),
}  # fmt: skip
CANONICAL = {"energy": "kWh", "runtime": "h", "traffic": "GB", "fuel": "l"}
METERED = {
    "per_unit", "graduated", "volume", "package", "stairstep", "time_of_use", "index", "demand",
}  # fmt: skip
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def rounded(value: Fraction | int, digits: int) -> Fraction:
    """The value with so many decimals, half away from zero."""
    scaled = abs(Fraction(value)) * 10**digits
    whole = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    return Fraction(whole if value >= 0 else -whole, 10**digits)


def minor_units(currency: str) -> int:
    """Decimals of a currency; the books of these tests use none with three."""
    return 0 if currency in NO_DECIMALS else 2


# --- time ---------------------------------------------------------------------------------------


def micros(instant: datetime) -> int:
    """Whole microseconds since 1970-01-01 UTC."""
    delta = instant - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def moment(us: int) -> datetime:
    """The instant of so many microseconds."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)


def wall(us: int, zone: str) -> datetime:
    """What a clock on the wall shows."""
    return moment(us).astimezone(ZoneInfo(zone)).replace(tzinfo=None)


@cache
def day_begins(day: date, zone: str) -> int:
    """The first instant at which the date on the wall is that day."""
    # No clock is more than a day from UTC; the offsets that matter change on whole minutes.
    minute = 60_000_000
    low = micros(datetime(day.year, day.month, day.day, tzinfo=UTC)) - 26 * HOUR
    high = low + 52 * HOUR
    while high - low > minute:
        middle = low + (high - low) // minute // 2 * minute
        if wall(middle, zone).date() < day:
            low = middle
        else:
            high = middle
    # A clock that goes back over midnight begins the day twice: the earlier time counts.
    return min(
        us for us in range(high - 3 * HOUR, high + 1, minute) if wall(us, zone).date() >= day
    )


def instant_of(text: str, zone: str) -> int:
    """An instant of the book: with an offset as it is, a bare date as local midnight."""
    if "T" in text:
        return micros(datetime.fromisoformat(text))
    return day_begins(date.fromisoformat(text), zone)


def next_month(period: str) -> str:
    """The month after."""
    year, month = int(period[:4]), int(period[5:])
    return f"{year + 1}-01" if month == 12 else f"{year}-{month + 1:02}"


def months_between(first: str, last: str) -> int:
    """How many months later the second one is."""
    return (int(last[:4]) - int(first[:4])) * 12 + int(last[5:]) - int(first[5:])


def period_span(period: str, zone: str) -> Span:
    """The month on the wall."""
    begin, end = (date.fromisoformat(f"{month}-01") for month in (period, next_month(period)))
    return day_begins(begin, zone), day_begins(end, zone)


def last_day(period: str) -> date:
    """The last date of a month."""
    return date.fromisoformat(f"{next_month(period)}-01") - timedelta(days=1)


def union_length(spans: Iterable[Span]) -> int:
    """How long at least one of the spans lasts."""
    total, reached = 0, -FOREVER
    for start, end in sorted(spans):
        total += max(0, end - max(start, reached))
        reached = max(reached, end)
    return total


# --- the book -----------------------------------------------------------------------------------


def _table(folder: Path, name: str) -> list[dict[str, str]]:
    path = folder / f"{name}.csv"
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _document(path: Path) -> Any:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(path.read_text(encoding="utf-8"), Loader=loader)


@dataclass
class Term:
    """One term of a contract."""

    contract_id: str
    number: int
    customer_id: str
    payer_id: str
    plan_id: str
    zone: str
    start: int
    end: int


@dataclass
class Segment:
    """The overlap of a term with a period, and what was used in it."""

    term: Term
    period: str
    start: int
    end: int
    period_start: int
    period_end: int
    version: Row
    currency: str
    month_number: int
    # (machine, site, metric) -> pieces
    pieces: list[Piece] = field(default_factory=list)

    @property
    def fraction(self) -> Fraction:
        """Segment seconds over period seconds."""
        return Fraction(self.end - self.start, self.period_end - self.period_start)


@dataclass
class Piece:
    """The part of an interval inside one responsibility; quantities in 10^-9 canonical units."""

    machine_id: str
    site_id: str
    metric: str
    start: int
    end: int
    interval_start: int
    interval_end: int
    interval_quantity: int
    estimated: bool

    def part(self, start: int, end: int) -> int:
        """What falls into [start, end)."""

        whole = self.interval_end - self.interval_start

        def cumulated(at: int) -> int:
            # q x part / whole, half away from zero, on whole numbers that are not negative.
            part = self.interval_quantity * (at - self.interval_start)
            return (2 * part + whole) // (2 * whole)

        return cumulated(end) - cumulated(start)

    @property
    def quantity(self) -> int:
        """All of it."""
        return self.part(self.start, self.end)


class Book:
    """The tables and plans of a folder, as text, and what they say together."""

    def __init__(self, folder: Path) -> None:
        self.sites = {row["site_id"]: row for row in _table(folder, "sites")}
        self.payers = {row["payer_id"]: row for row in _table(folder, "payers")}
        self.machines = _table(folder, "machines")
        self.routes = _table(folder, "payer_routes")
        self.tax_rules = _table(folder, "tax_rules")
        self.index_prices = _table(folder, "index_prices")
        self.holidays = {
            (row["country"], date.fromisoformat(row["date"])) for row in _table(folder, "holidays")
        }
        self.plans = {
            plan["plan_id"]: plan
            for plan in map(_document, sorted((folder / "plans").glob("*.yml")))
        }
        calendars = folder / "calendars.yml"
        self.calendars = {
            calendar["calendar_id"]: calendar
            for calendar in (_document(calendars) if calendars.exists() else None) or []
        }
        self.terms: dict[str, list[Term]] = defaultdict(list)
        for row in _table(folder, "contracts"):
            zone = row["billing_timezone"]
            start, end = self._span(row, zone)
            self.terms[row["contract_id"]].append(
                Term(
                    row["contract_id"],
                    0,
                    row["customer_id"],
                    row["payer_id"],
                    row["plan_id"],
                    zone,
                    start,
                    end,
                )
            )
        for terms in self.terms.values():
            terms.sort(key=lambda term: term.start)
            for number, term in enumerate(terms, 1):
                term.number = number
        self.placements: dict[tuple[str, str], list[tuple[str, int, int]]] = defaultdict(list)
        self.stays: dict[str, list[tuple[str, int, int]]] = defaultdict(list)
        for row in self.machines:
            span = self._span(row, self.sites[row["site_id"]]["timezone"])
            self.placements[row["site_id"], row["meter_id"]].append((row["machine_id"], *span))
            self.stays[row["machine_id"]].append((row["site_id"], *span))
        self.assignments: dict[str, list[tuple[str, int, int]]] = defaultdict(list)
        for row in _table(folder, "assignments"):
            span = self._span(row, self.terms[row["contract_id"]][0].zone)
            self.assignments[row["machine_id"]].append((row["contract_id"], *span))
        self.credits = [
            (row, *self._span(row, self.terms[row["contract_id"]][0].zone))
            for row in _table(folder, "credits")
        ]
        self.rates: dict[tuple[str, str], dict[date, Fraction]] = defaultdict(dict)
        for row in _table(folder, "fx_rates"):
            self.rates[row["base"], row["quote"]][date.fromisoformat(row["date"])] = Fraction(
                row["rate"]
            )

    @staticmethod
    def _span(row: Row, zone: str) -> Span:
        end = row["valid_to"]
        return instant_of(row["valid_from"], zone), instant_of(end, zone) if end else FOREVER

    def version(self, plan_id: str, period: str) -> Row | None:
        """The version of a plan in force for a month."""
        begun = [v for v in self.plans[plan_id]["versions"] if v["valid_from"] <= period]
        return max(begun, key=lambda v: v["valid_from"], default=None)

    def exchange(self, base: str, quote: str, day: date) -> Fraction | None:
        """What one unit of base is in quote; None if no rate is at most seven days old."""
        if base == quote:
            return Fraction(1)
        for age in range(8):
            on = day - timedelta(days=age)
            if on in self.rates[base, quote]:
                return self.rates[base, quote][on]
            if on in self.rates[quote, base]:
                return rounded(1 / self.rates[quote, base][on], 12)
        return None

    def payer(self, term: Term, site: str | None, code: str | None) -> Row:
        """Who pays a line."""
        fitting = [
            row
            for row in self.routes
            if row["contract_id"] == term.contract_id
            and row["site_id"] in ("", site)
            and row["charge_code"] in ("", code)
        ]
        best = min(fitting, key=lambda row: int(row["priority"]), default=None)
        return self.payers[best["payer_id"] if best else term.payer_id]

    def tax(self, payer: Row, site: str | None, code: str, day: date) -> Row | None:
        """The rule with most filled selectors among those that match."""
        place = self.sites[site]["tax_jurisdiction"] if site else None
        wanted = {
            "site_jurisdiction": place,
            "payer_country": payer["country"],
            "charge_code": code,
        }
        best, most = None, -1
        for row in self.tax_rules:
            filled = [name for name in wanted if row[name]]
            if any(row[name] != wanted[name] for name in filled) or len(filled) <= most:
                continue
            begun = date.fromisoformat(row["valid_from"]) <= day
            if begun and not (row["valid_to"] and date.fromisoformat(row["valid_to"]) <= day):
                best, most = row, len(filled)
        return best

    def applies(self, charge: Row, site: str) -> bool:
        """Whether a charge is meant for a site."""
        return ("sites" not in charge or site in charge["sites"]) and (
            "regions" not in charge or self.sites[site]["region"] in charge["regions"]
        )

    def band(self, calendar: Row, zone: str, us: int) -> str:
        """The band of the 15 minutes that begin then."""
        local = wall(us // QUARTER * QUARTER, zone)
        is_holiday = (calendar.get("country_holidays"), local.date()) in self.holidays
        day = "holiday" if is_holiday else WEEKDAYS[local.weekday()]
        clock = local.strftime("%H:%M")
        for band in calendar["bands"]:
            if day in band["days"] and band["from"] <= clock < band["to"]:
                return str(band["band"])
        return str(calendar["default_band"])


# --- rating -------------------------------------------------------------------------------------


class Usage:
    """What was used in each segment: responsibilities over readings.

    A reading has site_id, meter_id, metric, unit, interval_start, interval_end (aware) and value.
    """

    def __init__(self, book: Book, readings: Sequence[Row]) -> None:
        self.book = book
        starts = [micros(row["interval_start"]) for row in readings]
        self.segments = self._segments(min(starts), max(starts))
        self._place(readings)

    def _segments(self, first: int, newest: int) -> dict[str, list[Segment]]:
        found: dict[str, list[Segment]] = defaultdict(list)
        for contract_id, terms in self.book.terms.items():
            for term in terms:
                first_month = wall(terms[0].start, term.zone).strftime("%Y-%m")
                period = wall(first, term.zone).strftime("%Y-%m")
                while (span := period_span(period, term.zone))[0] <= newest:
                    start, end = max(span[0], term.start), min(span[1], term.end)
                    version = self.book.version(term.plan_id, period)
                    if start < end and version is not None:
                        found[contract_id].append(
                            Segment(
                                term,
                                period,
                                start,
                                end,
                                *span,
                                version,
                                self.book.plans[term.plan_id]["currency"],
                                months_between(first_month, period) + 1,
                            )
                        )
                    period = next_month(period)
        return found

    def _place(self, readings: Sequence[Row]) -> None:
        series: dict[tuple[str, str, str], list[tuple[int, int, int]]] = defaultdict(list)
        for row in readings:
            quantity = rounded(Fraction(row["value"]) * UNITS[row["unit"]] * 10**9, 0)
            series[row["site_id"], row["meter_id"], row["metric"]].append(
                (micros(row["interval_start"]), micros(row["interval_end"]), int(quantity))
            )
        for (site, meter, metric), intervals in series.items():
            intervals.sort()
            known = [(*interval, False) for interval in intervals]
            if metric == "energy" and self.book.sites[site]["estimation"] == "interpolate":
                known += self._interpolated(site, meter, intervals)
            placements = self.book.placements[site, meter]
            for start, end, quantity, estimated in known:
                for machine, *placed in placements:
                    for contract, *assigned in self.book.assignments[machine]:
                        for segment in self.segments.get(contract, ()):
                            begin = max(start, placed[0], assigned[0], segment.start)
                            stop = min(end, placed[1], assigned[1], segment.end)
                            if begin < stop:
                                segment.pieces.append(
                                    Piece(
                                        machine,
                                        site,
                                        metric,
                                        begin,
                                        stop,
                                        start,
                                        end,
                                        quantity,
                                        estimated,
                                    )
                                )

    def _interpolated(
        self, site: str, meter: str, intervals: Sequence[tuple[int, int, int]]
    ) -> Iterator[tuple[int, int, int, bool]]:
        for before, after in pairwise(intervals):
            length = after[0] - before[1]
            if not 0 < length <= 2 * HOUR:
                continue
            if not any(
                start <= before[0] and after[1] <= end
                for _, start, end in self.book.placements[site, meter]
            ):
                continue
            means = sum(Fraction(q, end - start) for start, end, q in (before, after)) / 2
            yield before[1], after[0], int(rounded(means * length, 0)), True

    @staticmethod
    def converted(nanos: int, unit: str) -> Fraction:
        return rounded(Fraction(nanos, 10**9) / UNITS[unit], 12)

    def usage(
        self, segment: Segment, charge: Row, unit: str, *, by: Any = None
    ) -> dict[Any, tuple[Fraction, Fraction]]:
        """Usage and its estimated part, in the charge's unit, by site or what `by` makes of it."""
        sums: dict[Any, list[int]] = defaultdict(lambda: [0, 0])
        metric = charge.get("metric", "energy")
        for piece in segment.pieces:
            if piece.metric == metric and self.book.applies(charge, piece.site_id):
                total = sums[by(piece) if by else piece.site_id]
                total[0] += piece.quantity
                total[1] += piece.quantity if piece.estimated else 0
        return {
            key: (self.converted(total, unit), self.converted(estimated, unit))
            for key, (total, estimated) in sorted(sums.items())
            if self.converted(total, unit) > 0
        }

    def _cut(
        self, segment: Segment, charge: Row, length: int
    ) -> dict[str, dict[int, tuple[int, int]]]:
        """Usage in kWh x 10^9, and its estimated part, by site and number of a UTC window."""
        found: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
        metric = charge.get("metric", "energy")
        for piece in segment.pieces:
            if piece.metric != metric or not self.book.applies(charge, piece.site_id):
                continue
            for number in range(piece.start // length, -(-piece.end // length)):
                start, end = max(piece.start, number * length), (number + 1) * length
                quantity = piece.part(start, min(piece.end, end))
                window = found[piece.site_id][number]
                window[0] += quantity
                window[1] += quantity if piece.estimated else 0
        return {
            site: {number: (total, part) for number, (total, part) in sorted(windows.items())}
            for site, windows in sorted(found.items())
        }


@dataclass
class Draft:
    """A line in plan currency, before it is sent to a payer."""

    segment: Segment
    charge: Row
    site: str | None
    quantity: Fraction
    unit: str
    unit_price: Fraction
    amount: Fraction
    band: str | None = None
    classification: str = "variable"
    estimated: Fraction = Fraction(0)
    event: Row | None = None
    # What keeps the line from being there: a kind of exception.
    problem: str | None = None

    @property
    def key(self) -> str:
        """The line's key."""
        term = self.segment.term
        return "/".join(
            (
                term.contract_id,
                self.segment.period,
                str(term.number),
                self.charge["code"],
                self.site or "-",
                self.band or "-",
            )
        )

    @property
    def counts(self) -> bool:
        """Whether later charges may build on it."""
        return self.problem is None and self.classification != "exception"


class Rating(Usage):
    """Statement lines and exceptions of a book, landed rows and landed prices."""

    def __init__(
        self,
        book: Book,
        readings: Sequence[Row],
        events: Sequence[Row] = (),
        prices: Sequence[Row] = (),
    ) -> None:
        super().__init__(book, readings)
        self._bands: dict[tuple[str, str, int], str] = {}
        self.lines: list[Line] = []
        # kind, severity, period, site, contract, statement
        self.exceptions: Counter[tuple[str | None, ...]] = Counter()
        self.prices = {
            (row["index_id"], micros(datetime.fromisoformat(row["hour_start"]))): (
                Fraction(row["price"]),
                row["currency"],
            )
            for row in book.index_prices
        }
        for row in prices:
            at = micros(row["hour_start"])
            self.prices[row["index_id"], at] = Fraction(row["price"]), row["currency"]
        drafts: list[Draft] = []
        priced = self._events(events)
        for segments in self.segments.values():
            for segment in segments:
                drafts += self._rate(segment, priced.get(id(segment), []))
        self._cap(drafts)
        for segments in self.segments.values():
            for segment in segments:
                self._commit(segment, drafts)
        for draft in drafts:
            self._send(draft)
        self._give_credits()

    # --- events ---

    def _events(self, events: Sequence[Row]) -> dict[int, list[Row]]:
        """Events that a charge prices, by the identity of their segment."""
        priced: dict[int, list[Row]] = defaultdict(list)
        latest: dict[str, Row] = {}
        for event in sorted(events, key=lambda e: (e["ingested_at"], e["batch_id"])):
            latest[event["event_id"]] = event
        for event in latest.values():
            at = micros(event["occurred_at"])
            contract = event["contract_id"] or next(
                (
                    c
                    for c, start, end in self.book.assignments.get(event["machine_id"], ())
                    if start <= at < end
                ),
                None,
            )
            terms = self.book.terms.get(contract or "", [])
            term = next((t for t in terms if t.start <= at < t.end), None)
            utc_month = event["occurred_at"].astimezone(UTC).strftime("%Y-%m")
            segment = next(
                (s for s in self.segments.get(contract or "", ()) if s.start <= at < s.end), None
            )
            period = segment.period if segment else utc_month
            if event["classification"] == "disputed":
                self._complain(
                    "disputed_event",
                    "warning",
                    period,
                    event["site_id"],
                    term and term.contract_id,
                    None,
                )
            elif term is None:
                self._complain(
                    "unassigned_event", "warning", utc_month, event["site_id"], None, None
                )
            elif segment is not None:
                priced[id(segment)].append(event)
        return priced

    # --- charges ---

    def _rate(self, segment: Segment, events: Sequence[Row]) -> list[Draft]:
        drafts: list[Draft] = []
        charges = segment.version["charges"]
        priced = {
            code: charge
            for charge in charges
            if charge["model"] == "pass_through"
            for code in charge["service_codes"]
        }
        for event in events:
            if event["service_code"] not in priced:
                payer = self.book.payer(segment.term, event["site_id"], None)
                self._complain(
                    "unpriced_event",
                    "blocking",
                    segment.period,
                    event["site_id"],
                    segment.term.contract_id,
                    self._statement(payer, segment.period, event["site_id"])[0],
                )
        for charge in charges:
            if charge["model"] in METERED or charge["model"] == "recurring":
                drafts += getattr(self, "_" + charge["model"])(segment, charge)
            elif charge["model"] == "pass_through":
                own = [e for e in events if priced.get(e["service_code"]) is charge]
                drafts += self._pass_through(segment, charge, own)
        for charge in charges:
            if charge["model"] == "percentage":
                drafts += self._shares(segment, charge, drafts)
        # A discount may build on percentages and on nothing of its own group.
        discounts = [
            draft
            for charge in charges
            if charge["model"] == "discount"
            and segment.month_number <= charge.get("first_months", segment.month_number)
            for draft in self._shares(segment, charge, drafts)
            if draft.amount > 0
        ]
        for draft in discounts:
            draft.amount = -draft.amount
        return drafts + discounts

    def _money(self, segment: Segment, value: Fraction) -> Fraction:
        return rounded(value, minor_units(segment.currency))

    def _metered(
        self, segment: Segment, charge: Row, site: str, quantity: Fraction, rate: str, **more: Any
    ) -> Draft:
        amount = self._money(segment, quantity * Fraction(rate))
        return Draft(
            segment, charge, site, quantity, self._unit(charge), Fraction(rate), amount, **more
        )

    @staticmethod
    def _unit(charge: Row) -> str:
        return str(charge.get("unit") or CANONICAL[charge.get("metric", "energy")])

    def _per_unit(self, segment: Segment, charge: Row) -> Iterator[Draft]:
        for site, (usage, estimated) in self.usage(segment, charge, self._unit(charge)).items():
            yield self._metered(segment, charge, site, usage, charge["rate"], estimated=estimated)

    @staticmethod
    def _filled(charge: Row, usage: Fraction) -> Iterator[tuple[int, Row, Fraction]]:
        """Number, tier and what falls between its bounds."""
        below = Fraction(0)
        for number, tier in enumerate(charge["tiers"], 1):
            bound = min(usage, Fraction(tier["up_to"])) if "up_to" in tier else usage
            if bound > below:
                yield number, tier, bound - below
            below = max(below, bound)

    @staticmethod
    def _reached(charge: Row, usage: Fraction) -> tuple[int, Row]:
        for number, tier in enumerate(charge["tiers"], 1):
            if "up_to" not in tier or usage <= Fraction(tier["up_to"]):
                return number, tier
        raise AssertionError("the last tier is open")

    def _graduated(self, segment: Segment, charge: Row) -> Iterator[Draft]:
        unit, per = self._unit(charge), charge.get("per", "site")
        usages = self.usage(segment, charge, unit)
        quantities: dict[tuple[str, int], Fraction] = defaultdict(Fraction)
        if per == "site":
            for site, (usage, _) in usages.items():
                for number, _, part in self._filled(charge, usage):
                    quantities[site, number] += part
        elif per == "machine":
            machines = self.usage(
                segment, charge, unit, by=lambda piece: (piece.machine_id, piece.site_id)
            )
            for (_, site), (usage, _) in machines.items():
                for number, _, part in self._filled(charge, usage):
                    quantities[site, number] += part
        else:
            total = sum((usage for usage, _ in usages.values()), Fraction(0))
            for number, _, part in self._filled(charge, total):
                before, reached = Fraction(0), Fraction(0)
                for site in sorted(usages):
                    reached += usages[site][0]
                    handed = (
                        part if reached == total else min(part, rounded(part * reached / total, 6))
                    )
                    quantities[site, number] += handed - before
                    before = handed
        for (site, number), quantity in quantities.items():
            if quantity > 0:
                usage, estimated = usages[site]
                yield self._metered(
                    segment,
                    charge,
                    site,
                    quantity,
                    charge["tiers"][number - 1]["rate"],
                    band=str(number),
                    estimated=rounded(quantity * estimated / usage, 6),
                )

    def _volume(self, segment: Segment, charge: Row) -> Iterator[Draft]:
        usages = self.usage(segment, charge, self._unit(charge))
        total = sum((usage for usage, _ in usages.values()), Fraction(0))
        for site, (usage, estimated) in usages.items():
            scope = total if charge.get("per") == "contract" else usage
            number, tier = self._reached(charge, scope)
            yield self._metered(
                segment, charge, site, usage, tier["rate"], band=str(number), estimated=estimated
            )

    def _package(self, segment: Segment, charge: Row) -> Iterator[Draft]:
        for site, (usage, _) in self.usage(segment, charge, self._unit(charge)).items():
            above = max(Fraction(0), usage - Fraction(charge.get("included", 0)))
            packages = -(-above // Fraction(charge["size"]))
            if packages:
                draft = self._metered(segment, charge, site, Fraction(packages), charge["price"])
                draft.unit = "package"
                yield draft

    def _stairstep(self, segment: Segment, charge: Row) -> Iterator[Draft]:
        for site, (usage, _) in self.usage(segment, charge, self._unit(charge)).items():
            number, tier = self._reached(charge, usage)
            yield self._flat(segment, charge, site, Fraction(tier["amount"]), band=str(number))

    def _flat(
        self, segment: Segment, charge: Row, site: str | None, amount: Fraction, **more: Any
    ) -> Draft:
        amount = self._money(segment, amount)
        return Draft(segment, charge, site, Fraction(1), "flat", amount, amount, **more)

    def _time_of_use(self, segment: Segment, charge: Row) -> Iterator[Draft]:
        calendar = self.book.calendars[charge["calendar"]]
        unit = self._unit(charge)
        for site, slots in self._cut(segment, charge, QUARTER).items():
            zone = self.book.sites[site]["timezone"]
            bands: dict[str, list[int]] = defaultdict(lambda: [0, 0])
            for number, (quantity, estimated) in slots.items():
                band = bands[self._band(calendar, zone, number * QUARTER)]
                band[0] += quantity
                band[1] += estimated
            for name, (quantity, estimated) in bands.items():
                usage = self.converted(quantity, unit)
                if usage > 0:
                    yield self._metered(
                        segment,
                        charge,
                        site,
                        usage,
                        charge["rates"][name],
                        band=name,
                        estimated=self.converted(estimated, unit),
                    )

    def _band(self, calendar: Row, zone: str, us: int) -> str:
        key = calendar["calendar_id"], zone, us
        if key not in self._bands:
            self._bands[key] = self.book.band(calendar, zone, us)
        return self._bands[key]

    def _index(self, segment: Segment, charge: Row) -> Iterator[Draft]:
        multiplier = Fraction(charge.get("multiplier", 1))
        adder = Fraction(charge.get("adder", 0))
        unit = self._unit(charge)
        for site, hours in self._cut(segment, charge, HOUR).items():
            usage = self.converted(sum(total for total, _ in hours.values()), unit)
            estimated = self.converted(sum(part for _, part in hours.values()), unit)
            if usage <= 0:
                continue
            exact, problem = Fraction(0), None
            for number, (quantity, _) in hours.items():
                if quantity == 0:
                    continue
                price = self._price(charge["index_id"], number * HOUR, segment.currency)
                if isinstance(price, str):
                    problem = max(problem or price, price)
                    continue
                exact += Fraction(quantity, 10**9) * (price * multiplier + adder) / 1000
            yield Draft(
                segment,
                charge,
                site,
                usage,
                unit,
                rounded(exact / usage, 9),
                self._money(segment, exact),
                estimated=estimated,
                problem=problem,
            )

    def _price(self, index_id: str, at: int, currency: str) -> Fraction | str:
        """A price in plan currency, or what is missing."""
        if (index_id, at) not in self.prices:
            return "missing_index_price"
        price, quoted = self.prices[index_id, at]
        if quoted == currency:
            return price
        rate = self.book.exchange(quoted, currency, moment(at).date())
        return "missing_fx_rate" if rate is None else rounded(price * rate, 9)

    def _demand(self, segment: Segment, charge: Row) -> Iterator[Draft]:
        minutes = int(charge["window_minutes"])
        for site, windows in self._cut(segment, charge, minutes * 60_000_000).items():
            peak = Fraction(max(total for total, _ in windows.values()), 10**9) * 60 / minutes
            if peak > 0:
                draft = self._metered(segment, charge, site, peak, charge["rate"])
                draft.unit = "kW"
                yield draft

    def _recurring(self, segment: Segment, charge: Row) -> Iterator[Draft]:
        per = charge.get("per", "contract")
        present: dict[str, dict[str, list[Span]]] = defaultdict(lambda: defaultdict(list))
        if per != "contract":
            for machine, assignments in self.book.assignments.items():
                for contract, assigned_from, assigned_to in assignments:
                    if contract != segment.term.contract_id:
                        continue
                    for site, placed_from, placed_to in self.book.stays[machine]:
                        start = max(placed_from, assigned_from, segment.start)
                        end = min(placed_to, assigned_to, segment.end)
                        if start < end and self.book.applies(charge, site):
                            present[site][machine].append((start, end))
        shares: dict[str | None, Fraction] = {}
        period = segment.period_end - segment.period_start
        whole = charge.get("prorate", "time") == "none"
        if per == "contract":
            shares[None] = Fraction(1) if whole else segment.fraction
        elif per == "site":
            shares.update({site: Fraction(1) if whole else segment.fraction for site in present})
        else:
            for site, machines in present.items():
                shares[site] = sum(
                    (
                        Fraction(1) if whole else Fraction(union_length(spans), period)
                        for spans in machines.values()
                    ),
                    Fraction(0),
                )
        price = Fraction(charge["amount"])
        for site, share in shares.items():
            yield Draft(
                segment,
                charge,
                site,
                share,
                "month",
                price,
                self._money(segment, price * share),
                classification="recurring",
            )

    def _pass_through(
        self, segment: Segment, charge: Row, events: Sequence[Row]
    ) -> Iterator[Draft]:
        factor = 1 + Fraction(charge.get("markup_percent", 0)) / 100
        sums: dict[tuple[str, str], list[Row]] = defaultdict(list)
        costs: dict[str, Fraction | None] = {}
        for event in events:
            rate = self.book.exchange(
                event["currency"], segment.currency, event["occurred_at"].astimezone(UTC).date()
            )
            unit_amount = Fraction(event["unit_amount"])
            if event["currency"] != segment.currency and rate is not None:
                unit_amount = rounded(unit_amount * rate, 9)
            exact = Fraction(event["quantity"]) * unit_amount * factor
            costs[event["event_id"]] = None if rate is None else exact
            if charge.get("itemise", True) or event["classification"] == "exception":
                yield Draft(
                    segment,
                    charge,
                    event["site_id"],
                    Fraction(event["quantity"]),
                    event["unit"],
                    rounded(unit_amount * factor, 9),
                    self._money(segment, exact),
                    band=event["event_id"],
                    classification=event["classification"],
                    event=event,
                    problem="missing_fx_rate" if rate is None else None,
                )
            else:
                sums[event["site_id"], event["service_code"]].append(event)
        for (site, service), together in sums.items():
            found = [costs[event["event_id"]] for event in together]
            exact = sum((cost for cost in found if cost is not None), Fraction(0))
            recurring = all(event["classification"] == "recurring" for event in together)
            yield self._flat(
                segment,
                charge,
                site,
                exact,
                band=service,
                classification="recurring" if recurring else "variable",
                problem="missing_fx_rate" if None in found else None,
            )

    def _bases(
        self, segment: Segment, charge: Row, drafts: Sequence[Draft]
    ) -> dict[str | None, Fraction]:
        """What a charge builds on, by site; a limited charge leaves lines without site out."""
        limited = "sites" in charge or "regions" in charge
        sums: dict[str | None, Fraction] = defaultdict(Fraction)
        for draft in drafts:
            if draft.segment is not segment or draft.charge["code"] not in charge["charges"]:
                continue
            here = self.book.applies(charge, draft.site) if draft.site else not limited
            if draft.counts and here:
                sums[draft.site] += draft.amount
        return sums

    def _shares(self, segment: Segment, charge: Row, drafts: Sequence[Draft]) -> list[Draft]:
        percent = Fraction(charge["percent"]) / 100
        return [
            self._flat(segment, charge, site, base * percent)
            for site, base in self._bases(segment, charge, drafts).items()
        ]

    def _cap(self, drafts: list[Draft]) -> None:
        """Use up what a discount may give in a period, in the order of the keys of its lines."""
        left: dict[tuple[str, ...], Fraction] = {}
        discounts = [
            d for d in drafts if d.charge["model"] == "discount" and "max_amount" in d.charge
        ]
        for draft in sorted(discounts, key=lambda d: d.key.encode()):
            term = draft.segment.term
            pot = term.contract_id, draft.segment.period, term.plan_id, draft.charge["code"]
            left.setdefault(pot, Fraction(draft.charge["max_amount"]))
            draft.amount = draft.unit_price = -min(-draft.amount, left[pot])
            left[pot] += draft.amount

    def _commit(self, segment: Segment, drafts: list[Draft]) -> None:
        for charge in segment.version["charges"]:
            if charge["model"] != "minimum_commit":
                continue
            floor = self._money(segment, Fraction(charge["amount"]) * segment.fraction)
            base = sum(self._bases(segment, charge, drafts).values(), Fraction(0))
            drafts.append(self._flat(segment, charge, None, max(Fraction(0), floor - base)))

    # --- statements ---

    def _statement(
        self, payer: Row, period: str, site: str | None, event: Row | None = None
    ) -> tuple[str, str]:
        if event is not None and event["classification"] == "exception":
            return f"{payer['payer_id']}/{period}/x-{event['event_id']}", "exception"
        group = {
            "one": "all",
            "by_region": self.book.sites[site]["region"] if site else "general",
            "by_site": site or "general",
        }[payer["consolidation"]]
        return f"{payer['payer_id']}/{period}/{group}", "consolidated"

    def _complain(self, *told: str | None) -> None:
        self.exceptions[told] += 1

    def _send(self, draft: Draft) -> None:
        """Turn a line over to its payer: exchange, tax, statement."""
        kept = draft.charge["model"] in METERED
        if draft.problem is None and draft.amount == 0 and not kept:
            return
        segment, term, site = draft.segment, draft.segment.term, draft.site
        payer = self.book.payer(term, site, draft.charge["code"])
        statement, kind = self._statement(payer, segment.period, site, draft.event)
        day = last_day(segment.period)
        rate = self.book.exchange(segment.currency, payer["currency"], day)
        problem = draft.problem or ("missing_fx_rate" if rate is None else None)
        if problem or rate is None:
            self._complain(problem, "blocking", segment.period, site, term.contract_id, statement)
            return
        amount, unit_price = draft.amount, rounded(draft.unit_price, 9)
        if payer["currency"] != segment.currency:
            amount = rounded(amount * rate, minor_units(payer["currency"]))
            unit_price = rounded(unit_price * rate, 9)
        if amount == 0 and not kept:
            return
        if draft.unit == "flat" and draft.quantity == 1:
            unit_price = amount
        self._line(
            term=term,
            period=segment.period,
            statement=statement,
            kind=kind,
            payer=payer,
            plan_id=term.plan_id,
            plan_version=segment.version["version"],
            code=draft.charge["code"],
            model=draft.charge["model"],
            classification=draft.classification,
            site=site,
            band=draft.band,
            quantity=rounded(draft.quantity, 6),
            unit=draft.unit,
            unit_price=unit_price,
            amount=amount,
            estimated=rounded(draft.estimated, 6),
            key=draft.key,
        )

    def _line(
        self,
        *,
        term: Term,
        period: str,
        statement: str,
        kind: str,
        payer: Row,
        plan_id: str | None,
        plan_version: int | None,
        code: str,
        model: str,
        classification: str,
        site: str | None,
        band: str | None,
        quantity: Fraction,
        unit: str,
        unit_price: Fraction,
        amount: Fraction,
        estimated: Fraction,
        key: str,
    ) -> None:
        is_in_columns = abs(unit_price) < 10**9 and abs(quantity) < 10**12 and abs(amount) < 10**16
        assert is_in_columns, f"{key}: books of these tests should fit into a statement line"
        rule = self.book.tax(payer, site, code, last_day(period))
        percent = Fraction(rule["rate_percent"]) if rule else None
        if rule is None:
            self._complain("no_tax_rule", "blocking", period, site, term.contract_id, statement)
        self.lines.append(
            {
                "period": period,
                "statement_id": statement,
                "statement_kind": kind,
                "payer_id": payer["payer_id"],
                "customer_id": term.customer_id,
                "contract_id": term.contract_id,
                "plan_id": plan_id,
                "plan_version": plan_version,
                "charge_code": code,
                "charge_model": model,
                "classification": classification,
                "site_id": site,
                "region": self.book.sites[site]["region"] if site else None,
                "band": band,
                "quantity": quantity,
                "unit": unit,
                "unit_price": unit_price,
                "amount": amount,
                "currency": payer["currency"],
                "tax_code": rule["tax_code"] if rule else None,
                "tax_rate_percent": percent,
                "tax_amount": None
                if percent is None
                else rounded(amount * percent / 100, minor_units(payer["currency"])),
                "estimated_quantity": estimated,
                "line_key": key,
                "adjusts_period": None,
            }
        )

    # --- credits ---

    def _give_credits(self) -> None:
        prepaid = []
        for credit, start, end in self.book.credits:
            segments = self.segments.get(credit["contract_id"], [])
            if credit["kind"] == "prepaid":
                prepaid.append((start, credit, end))
                continue
            after = [s for s in segments if s.period_end > start]
            first = min((s.period for s in after), default=None)
            if first is None:
                continue
            last = [s for s in after if s.period == first][-1]
            if end > last.period_start:
                self._credit(credit, last, -Fraction(credit["amount"]), None)
        balances = {c["credit_id"]: Fraction(c["amount"]) for _, c, _ in prepaid}
        periods = {s.period for segments in self.segments.values() for s in segments}
        for period in sorted(periods):
            for start, credit, end in sorted(prepaid, key=lambda p: (p[0], p[1]["credit_id"])):
                segments = [
                    s
                    for s in self.segments.get(credit["contract_id"], [])
                    if s.period == period and s.period_end > start and s.period_start < end
                ]
                if segments and balances[credit["credit_id"]] > 0:
                    self._credit(credit, segments[-1], None, balances)

    def _credit(
        self,
        credit: Row,
        segment: Segment,
        amount: Fraction | None,
        balances: dict[str, Fraction] | None,
    ) -> None:
        """One negative line; without amount, a draw from the balance."""
        term, period = segment.term, segment.period
        payer = self.book.payer(term, None, "credit")
        statement, kind = self._statement(payer, period, None)
        rate = self.book.exchange(credit["currency"], payer["currency"], last_day(period))
        if rate is None:
            self._complain("missing_fx_rate", "blocking", period, None, term.contract_id, statement)
            return
        digits = minor_units(payer["currency"])
        if amount is not None:
            amount = rounded(amount * rate, digits)
        else:
            assert balances is not None
            amounts = [line["amount"] for line in self.lines if line["statement_id"] == statement]
            if not amounts:
                return
            total = sum(amounts, Fraction(0))
            # Of a balance in another currency the specification says nothing: a draw of all that it
            # is worth empties it, any other takes its worth off, to 9 decimals.
            available = rounded(balances[credit["credit_id"]] * rate, digits)
            drawn = min(max(total, Fraction(0)), available)
            amount = -drawn
            if drawn == available:
                balances[credit["credit_id"]] = Fraction(0)
            else:
                balances[credit["credit_id"]] -= rounded(drawn / rate, 9)
        if amount == 0:
            return
        self._line(
            term=term,
            period=period,
            statement=statement,
            kind=kind,
            payer=payer,
            plan_id=None,
            plan_version=None,
            code="credit",
            model="credit",
            classification="variable",
            site=None,
            band=None,
            quantity=Fraction(1),
            unit="flat",
            unit_price=amount,
            amount=amount,
            estimated=Fraction(0),
            key=f"{term.contract_id}/{period}/0/credit/-/{credit['credit_id']}",
        )
