"""Random books with readings, events and prices, as files and rows: a seed gives the same ones.

A pack is one book folder that holds many small books side by side, each with sites, contracts and
plans of its own, sharing currencies, rates, indices, calendars and tax rules. What is drawn leans
to the edges of the rules: tiers that usage reaches exactly, months on which clocks change, terms
and machines that change in the middle of anything, rates that are too old by a day.

Quantities and amounts stay inside the columns of statement lines.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import yaml

from tests.unit.rating.reference import UNITS, Book, Usage, instant_of, moment

Row = dict[str, Any]

# First day and length of what was read: months in which clocks change, a turn of the year,
# a leap day.
WINDOWS = (
    ("2026-03-24", 16), ("2026-09-26", 40), ("2026-10-22", 14), ("2027-12-20", 45),
    ("2028-02-21", 13), ("2026-06-28", 7),
)  # fmt: skip
ZONES = (
    "Europe/Oslo", "Europe/Helsinki", "Asia/Jakarta", "Africa/Addis_Ababa", "America/New_York",
    "Australia/Lord_Howe", "Asia/Kathmandu", "America/Havana", "UTC",
)  # fmt: skip
# What one unit is in EUR, about.
WORTH = {
    "EUR": "1", "USD": "0.9", "NOK": "0.085", "SEK": "0.09", "IDR": "0.000057", "JPY": "0.006",
    "ETB": "0.007",
}  # fmt: skip
COUNTRIES = ("NO", "FI", "ID", "ET", "US", "AU")
METRIC_UNITS = {
    "energy": ("kWh", "Wh", "MWh", "GWh", "MJ", "GJ", "kJ", "J"),
    "traffic": ("GB", "MB", "TB", "KiB", "MiB", "GiB", "TiB"),
    "runtime": ("h", "min", "s"),
    "fuel": ("l", "m3"),
}
SMALLEST = Fraction(1, 10)  # units that are smaller would outgrow a quantity's column
COLUMNS = {
    "sites": "site_id name country region timezone tax_jurisdiction estimation",
    "machines": "machine_id site_id meter_id valid_from valid_to metrics",
    "customers": "customer_id name",
    "payers": "payer_id name country currency email payment_terms_days consolidation",
    "contracts": "contract_id customer_id payer_id plan_id billing_timezone valid_from valid_to",
    "assignments": "machine_id contract_id valid_from valid_to",
    "payer_routes": "contract_id site_id charge_code payer_id priority",
    "tax_rules": "site_jurisdiction payer_country charge_code tax_code rate_percent valid_from"
    " valid_to",
    "fx_rates": "date base quote rate",
    "index_prices": "index_id hour_start price currency",
    "credits": "credit_id contract_id kind amount currency valid_from valid_to",
    "holidays": "country date",
}


@dataclass
class Pack:
    """Files of one book folder, and what is landed."""

    tables: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in COLUMNS})
    plans: list[Row] = field(default_factory=list)
    calendars: list[Row] = field(default_factory=list)
    readings: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    prices: list[Row] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Write the book as people write it."""
        (folder / "plans").mkdir(parents=True, exist_ok=True)
        for name, rows in self.tables.items():
            text = io.StringIO()
            writer = csv.DictWriter(text, COLUMNS[name].split(), restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
            (folder / f"{name}.csv").write_text(text.getvalue(), encoding="utf-8")
        dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        for plan in self.plans:
            text_of_plan = yaml.dump(plan, Dumper=dumper, sort_keys=False)
            (folder / "plans" / f"{plan['plan_id']}.yml").write_text(text_of_plan, encoding="utf-8")
        text_of_calendars = yaml.dump(self.calendars, Dumper=dumper, sort_keys=False)
        (folder / "calendars.yml").write_text(text_of_calendars, encoding="utf-8")


def random_pack(seed: int, books: int, folder: Path) -> Pack:
    """Draw a pack of so many books and write its book into the folder."""
    return _Drawing(seed).pack(books, folder)


class _Drawing:
    """One pack being drawn."""

    def __init__(self, seed: int) -> None:
        self._dice = Random(seed)
        self._seed = seed
        first, days = self._dice.choice(WINDOWS)
        self._begin = datetime.fromisoformat(f"{first}T00:00:00+00:00")
        self._end = self._begin + timedelta(days=days, hours=self._dice.randrange(24))
        self._pack = Pack()

    # --- small things ---

    def _chance(self, probability: float) -> bool:
        return self._dice.random() < probability

    def _number(self, least: float, most: float, decimals: int) -> str:
        """A decimal as text, with any number of decimals up to so many."""
        digits = self._dice.randint(0, decimals)
        scaled = self._dice.randint(int(least * 10**digits), int(most * 10**digits))
        return str(Decimal(scaled).scaleb(-digits))

    def _price(self, currency: str, euros: float, decimals: int = 9) -> str:
        """An amount of at most so many euros, often with all decimals, sometimes nothing."""
        if self._chance(0.06):
            return self._dice.choice(["0", "0.000000001" if decimals == 9 else "0"])
        most = euros / float(WORTH[currency])
        digits = self._dice.choice([decimals, decimals, min(2, decimals), 0])
        if most * 10**digits < 1:
            digits = decimals
        scaled = self._dice.randint(1, max(1, int(most * 10**digits)))
        return str(Decimal(scaled).scaleb(-digits).normalize().__format__("f"))

    def _instant(self, begin: datetime, end: datetime) -> datetime:
        """An instant between, at one of several grains."""
        grain = self._dice.choice([1, 1_000_000, 60_000_000, 900_000_000, 3_600_000_000])
        span = int((end - begin) / timedelta(microseconds=1))
        at = begin + timedelta(microseconds=self._dice.randint(0, span))
        return at - timedelta(
            microseconds=int((at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1e6) % grain
            if grain > 1
            else 0
        )

    def _moment(self, begin: datetime, end: datetime) -> str:
        """A bare date or an instant with offset, about between."""
        at = self._instant(begin, end)
        if self._chance(0.5):
            return at.date().isoformat()
        if self._chance(0.3):
            offset = timedelta(minutes=self._dice.choice([330, 60, -240, 0]))
            shifted = (at + offset).replace(tzinfo=None)
            sign, minutes = ("-", -offset) if offset < timedelta(0) else ("+", offset)
            hours, rest = divmod(int(minutes.total_seconds()) // 60, 60)
            return f"{shifted.isoformat()}{sign}{hours:02}:{rest:02}"
        return at.isoformat().replace("+00:00", "Z")

    # --- what all books share ---

    def pack(self, books: int, folder: Path) -> Pack:
        pack = self._pack
        self._currencies = self._dice.sample(sorted(WORTH), 4)
        self._months = sorted(
            {
                (self._begin + timedelta(days=day)).strftime("%Y-%m")
                for day in range(-2, (self._end - self._begin).days + 3)
            }
        )
        self._rates()
        self._indices()
        self._calendars()
        for number in range(books):
            self._book(f"{self._seed}b{number}")
        self._taxes()
        pack.write(folder)
        # Where usage is known, bounds are put exactly on it.
        usage = Usage(Book(folder), pack.readings)
        self._hit_bounds(usage)
        pack.write(folder)
        return pack

    def _rates(self) -> None:
        first, last = self._begin.date() - timedelta(days=12), self._end.date() + timedelta(days=34)
        currencies = sorted(WORTH)
        for number, one in enumerate(currencies):
            for other in currencies[number + 1 :]:
                if self._chance(0.1):
                    continue
                day = first + timedelta(days=self._dice.randint(0, 9))
                while day <= last:
                    both = self._chance(0.1)
                    flipped = self._chance(0.4)
                    for base, quote in [(one, other), (other, one)]:
                        if both or (base == one) != flipped:
                            rate = Decimal(WORTH[base]) / Decimal(WORTH[quote])
                            rate *= Decimal(self._dice.randint(950_000_000, 1_050_000_000)) / 10**9
                            places = self._dice.choice([12, 12, 12, 9, 6])
                            rate = round(rate, places if rate < 1 else min(places, 12))
                            self._pack.tables["fx_rates"].append(
                                {"date": day, "base": base, "quote": quote, "rate": f"{rate:f}"}
                            )
                    day += timedelta(days=self._dice.choice([1, 2, 5, 7, 8, 8, 9]))

    def _indices(self) -> None:
        self._index_ids = [f"ix{self._seed}-{kind}" for kind in ("whole", "holes", "mixed")]
        hour = self._begin - timedelta(days=8)
        while hour < self._end + timedelta(days=8):
            for index_id in self._index_ids:
                if index_id.endswith("holes") and self._chance(0.004):
                    continue
                currency = self._currencies[0]
                if index_id.endswith("mixed") and hour.hour % 7 == 0:
                    currency = self._currencies[1]
                price = self._price(currency, 200, 6)
                if self._chance(0.05):
                    price = f"-{price}"
                self._pack.tables["index_prices"].append(
                    {
                        "index_id": index_id,
                        "hour_start": hour.isoformat().replace("+00:00", "Z"),
                        "price": price,
                        "currency": currency,
                    }
                )
                if self._chance(0.02):
                    self._pack.prices.append(
                        {
                            "index_id": index_id,
                            "hour_start": hour,
                            "price": Decimal(self._price(currency, 300, 6)),
                            "currency": currency,
                        }
                    )
            hour += timedelta(hours=1)

    def _calendars(self) -> None:
        days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday"]
        for country in COUNTRIES[:3]:
            chosen = {
                (self._begin + timedelta(days=self._dice.randint(-1, 40))).date() for _ in range(4)
            }
            self._pack.tables["holidays"] += [
                {"country": country, "date": day} for day in sorted(chosen)
            ]
        for number in range(4):
            bands = []
            for _ in range(self._dice.randint(1, 4)):
                start, end = sorted(self._dice.sample(range(0, 97), 2))
                bands.append(
                    {
                        "band": self._dice.choice(["peak", "day", "night"]),
                        "days": sorted(self._dice.sample(days, self._dice.randint(1, 8))),
                        "from": f"{start // 4:02}:{start % 4 * 15:02}",
                        "to": f"{end // 4:02}:{end % 4 * 15:02}",
                    }
                )
            calendar = {
                "calendar_id": f"cal{self._seed}-{number}",
                "default_band": self._dice.choice(["rest", "night"]),
                "bands": bands,
            }
            if number:
                calendar["country_holidays"] = COUNTRIES[number - 1]
            self._pack.calendars.append(calendar)

    def _taxes(self) -> None:
        """Rules of any selectors of which no two can be equally good."""
        sites = self._pack.tables["sites"]
        places = sorted({site["tax_jurisdiction"] for site in sites})
        versions = [version for plan in self._pack.plans for version in plan["versions"]]
        codes = ["credit", *sorted({c["code"] for v in versions for c in v["charges"]})]
        kept: list[Row] = []
        middle = self._instant(self._begin, self._end).date()

        def offer(place: str, country: str, code: str) -> None:
            spans = [(date(2020, 1, 1), None)]
            if self._chance(0.3):
                spans = [(date(2020, 1, 1), middle), (middle, None)][: self._dice.randint(1, 2)]
            for start, end in spans:
                rule = {
                    "site_jurisdiction": place, "payer_country": country, "charge_code": code,
                    "tax_code": f"T{len(kept)}", "rate_percent": self._number(0, 30, 4),
                    "valid_from": start, "valid_to": end or "",
                }  # fmt: skip
                if not any(_could_tie(rule, other) for other in kept):
                    kept.append(rule)

        if self._chance(0.5):
            offer("", "", "")
        for country in COUNTRIES:
            if self._chance(0.9):
                offer("", country, "")
        offers = [("", "", self._dice.choice(codes)) for _ in range(3)]
        for _ in range(30):
            place, code = self._dice.choice(places), self._dice.choice(codes)
            country = self._dice.choice(COUNTRIES)
            offers += [
                self._dice.choice(
                    [(place, country, ""), (place, "", code), ("", country, code), (place, "", "")]
                ),
                (place, country, code),
            ]
        for selectors in offers:
            offer(*selectors)
        self._pack.tables["tax_rules"] = kept

    # --- one book ---

    def _book(self, name: str) -> None:
        tables = self._pack.tables
        dice = self._dice
        regions = [f"{name}north", f"{name}south"]
        marks = dice.sample(["-A", ".B", "_c", "0", "Z", "a-b", "a"], dice.randint(1, 3))
        self._sites = [
            {
                "site_id": f"{name}{mark}",
                "name": f"Site {name}{mark}",
                "country": dice.choice(COUNTRIES),
                "region": dice.choice(regions),
                "timezone": dice.choice(ZONES),
                "tax_jurisdiction": f"J{dice.randint(1, 9)}",
                "estimation": dice.choice(["none", "none", "interpolate"]),
            }
            for mark in marks
        ]
        tables["sites"] += self._sites
        customer = f"{name}cust"
        tables["customers"].append({"customer_id": customer, "name": customer})
        self._payers = [f"{name}P{number}" for number in range(dice.randint(1, 3))]
        tables["payers"] += [
            {
                "payer_id": payer,
                "name": payer,
                "country": dice.choice(COUNTRIES),
                "currency": dice.choice(self._currencies),
                "email": "pay@example.com",
                "payment_terms_days": 14,
                "consolidation": dice.choice(["one", "by_region", "by_site"]),
            }
            for payer in self._payers
        ]
        # Large quantities leave no room for shares of amounts in a unit price.
        self._size = dice.choice(["plain"] * 6 + ["tiny"] * 2 + ["round"] * 2 + ["huge"])
        self._metrics = ["energy", *dice.sample(["traffic", "runtime", "fuel"], dice.randint(0, 2))]
        self._services = [f"svc{number}" for number in range(4)]
        self._plan_ids = [f"{name}-plan{number}" for number in range(dice.randint(1, 3))]
        for plan_id in self._plan_ids:
            self._pack.plans.append(self._plan(plan_id))
        contracts = [f"{name}K{number}" for number in range(dice.randint(1, 2))]
        for contract in contracts:
            self._contract(contract, customer)
        self._machines(name, contracts)
        self._routes(contracts)
        self._events(name, contracts)
        self._credits(name, contracts)

    def _contract(self, contract: str, customer: str) -> None:
        zone = self._dice.choice(ZONES)
        long_ago = self._begin - timedelta(days=self._dice.choice([3, 20, 70, 400]))
        bounds = [self._moment(long_ago, long_ago + timedelta(days=2))]
        for _ in range(self._dice.choice([0, 0, 1, 1, 2, 3])):
            bounds.append(self._moment(self._begin, self._end))
        last = ""
        if self._chance(0.25):
            last = self._moment(self._end - timedelta(days=3), self._end + timedelta(days=3))
            bounds.append(last)
        bounds = sorted({instant_of(text, zone): text for text in bounds}.items())
        texts = [text for _, text in bounds]
        for start, end in zip(texts, texts[1:] if last else [*texts[1:], ""], strict=False):
            if end and self._chance(0.08) and texts.index(start):
                continue  # months without a term
            self._pack.tables["contracts"].append(
                {
                    "contract_id": contract,
                    "customer_id": customer,
                    "payer_id": self._dice.choice(self._payers),
                    "plan_id": self._dice.choice(self._plan_ids),
                    "billing_timezone": zone,
                    "valid_from": start,
                    "valid_to": end,
                }
            )

    def _machines(self, name: str, contracts: Sequence[str]) -> None:
        dice = self._dice
        free: list[tuple[str, str, int]] = []  # site, meter, free from
        meters: dict[tuple[str, str], list[tuple[int, int, list[str]]]] = {}
        zones = {site["site_id"]: site["timezone"] for site in self._sites}
        for number in range(dice.randint(1, 4)):
            machine = f"{name}m{number}"
            early = self._begin - timedelta(days=dice.choice([1, 30]))
            cuts = [self._moment(early, early + timedelta(hours=30))]
            cuts += [
                self._moment(self._begin, self._end) for _ in range(dice.choice([0, 0, 1, 1, 2]))
            ]
            stays = []
            reached = None
            for position, begin in enumerate(
                sorted(cuts, key=lambda text: instant_of(text, "UTC"))
            ):
                site = dice.choice(self._sites)["site_id"]
                start = instant_of(begin, zones[site])
                if reached is not None and (reached is False or start < reached):
                    continue
                after = sorted(cuts, key=lambda text: instant_of(text, "UTC"))[position + 1 :]
                end_text = after[0] if after else ""
                end = instant_of(end_text, zones[site]) if end_text else 2**62
                if not start < end:
                    continue
                reached = end
                stays.append((site, start, end))
                feeds = dice.choice([1, 1, 2])
                for feed in range(feeds):
                    meter = f"{machine}-{position}{'AB'[feed]}"
                    reusable = [f for f in free if f[0] == site and f[2] <= start]
                    if reusable and self._chance(0.6):
                        old = dice.choice(reusable)
                        free.remove(old)
                        meter = old[1]
                    metrics = dice.choice([["energy"], self._metrics, self._metrics])
                    if (site, meter) in meters:
                        metrics = meters[site, meter][0][2]
                    feed_begin, feed_end = begin, end_text
                    if feed and self._chance(0.5):
                        late = self._instant(
                            max(moment(start), self._begin),
                            max(min(self._end, moment(min(end, 2**52))), self._begin),
                        )
                        if moment(start) < late < moment(min(end, 2**52)):
                            feed_begin = late.isoformat()
                    self._pack.tables["machines"].append(
                        {
                            "machine_id": machine,
                            "site_id": site,
                            "meter_id": meter,
                            "valid_from": feed_begin,
                            "valid_to": feed_end,
                            "metrics": "|".join(metrics),
                        }
                    )
                    placed = instant_of(feed_begin, zones[site])
                    meters.setdefault((site, meter), []).append((placed, end, metrics))
                    if end_text:
                        free.append((site, meter, end))
            self._assign(machine, stays, contracts)
        estimating = {s["site_id"] for s in self._sites if s["estimation"] == "interpolate"}
        for (site, meter), placements in meters.items():
            for metric in placements[0][2]:
                self._read(site, meter, metric, placements, is_estimating=site in estimating)

    def _assign(
        self, machine: str, stays: Sequence[tuple[str, int, int]], contracts: Sequence[str]
    ) -> None:
        terms = {
            contract: [
                (instant_of(row["valid_from"], row["billing_timezone"]),
                 instant_of(row["valid_to"], row["billing_timezone"]) if row["valid_to"] else 2**52)
                for row in self._pack.tables["contracts"]
                if row["contract_id"] == contract
            ]
            for contract in contracts
        }  # fmt: skip
        reached = 0
        for _ in range(self._dice.choice([1, 1, 2, 3])):
            contract = self._dice.choice(contracts)
            shared = [
                (max(start, begun, reached), min(end, ended))
                for _, start, end in stays
                for begun, ended in terms[contract]
                if max(start, begun, reached) < min(end, ended)
            ]
            if not shared:
                continue
            first = self._dice.choice(shared[:2])
            is_open = first[1] >= 2**52 and self._chance(0.5)
            start = first[0]
            if self._chance(0.4):
                stop = min(first[1], first[0] + 40 * 86_400_000_000)
                start = self._dice.randrange(first[0], stop)
                start -= start % self._dice.choice([1, 1_000_000, 900_000_000])
                start = max(start, first[0])
            later = [span for span in shared if span[1] > start]
            last = self._dice.choice(later)
            end = (
                self._dice.randrange(max(start, last[0]), min(last[1], max(start, last[0]) + 2**42))
                + 1
            )
            if self._chance(0.4):
                end = last[1] if last[1] < 2**52 else end
            if end <= start:
                continue
            self._pack.tables["assignments"].append(
                {
                    "machine_id": machine,
                    "contract_id": contract,
                    "valid_from": moment(start).isoformat(),
                    "valid_to": "" if is_open else moment(end).isoformat(),
                }
            )
            if is_open:
                return
            reached = end

    def _read(
        self,
        site: str,
        meter: str,
        metric: str,
        placements: Sequence[tuple[int, int, list[str]]],
        *,
        is_estimating: bool,
    ) -> None:
        dice = self._dice
        begin = max(moment(min(start for start, _, _ in placements)), self._begin)
        end = min(moment(min(max(end for _, end, _ in placements), 2**52)), self._end)
        at = begin - timedelta(hours=dice.randint(0, 30))
        style = dice.choice(["quarters", "hours", "days", "odd", "mixed"])
        unit = dice.choice(METRIC_UNITS[metric])
        factor = UNITS[unit]
        intervals: list[tuple[datetime, datetime]] = []
        while at < end + timedelta(hours=dice.randint(0, 20)):
            kind = dice.choice(["hours", "days", "odd", "quarters"]) if style == "mixed" else style
            length = {
                "quarters": timedelta(minutes=15 * dice.choice([1, 2, 4, 8, 100])),
                "hours": timedelta(hours=dice.choice([1, 2, 6, 24])),
                "days": timedelta(days=dice.choice([1, 2, 3])),
                "odd": timedelta(
                    seconds=dice.randint(600, 200_000), microseconds=dice.choice([0, 7])
                ),
            }[kind]
            intervals.append((at, at + length))
            at += length

        def place(interval: tuple[datetime, datetime]) -> int | None:
            for number, (start, stop, _) in enumerate(placements):
                if moment(start) <= interval[0] and interval[1] <= moment(min(stop, 2**52)):
                    return number
            return None

        kept = list(range(len(intervals)))
        for number in range(1, len(intervals) - 1):
            around = {place(intervals[n]) for n in (number - 1, number, number + 1)}
            lone = number - 1 in kept and (len(around) == 1 and around != {None})
            if self._chance(0.15) and (lone or not is_estimating):
                kept.remove(number)
        most = {"plain": 60, "round": 10, "tiny": 0.00001, "huge": 4_000_000}[self._size]
        for number in kept:
            start, stop = intervals[number]
            if self._size == "round":
                quantity = Fraction(dice.choice([0, 5, 10, 10, 10]))
            else:
                quantity = Fraction(dice.randint(0, int(most * 10**9)), 10**9)
                if self._chance(0.3):
                    quantity = Fraction(round(quantity, 3))
            value = round(quantity / factor, 9)
            self._pack.readings.append(
                {
                    "site_id": site,
                    "source": "test",
                    "meter_id": meter,
                    "metric": metric,
                    "kind": "interval",
                    "unit": unit,
                    "interval_start": start,
                    "interval_end": stop,
                    "value": Decimal(int(value * 10**9)).scaleb(-9),
                    "quality": "good",
                    "batch_id": "b",
                    "ingested_at": self._end + timedelta(days=9),
                }
            )

    # --- plans ---

    def _plan(self, plan_id: str) -> Row:
        currency = self._dice.choice(self._currencies)
        months = [f"{int(self._months[0][:4]) - 3}-01"]
        for month in self._months:
            if self._chance(0.3):
                months.append(month)
        versions = []
        for number, month in enumerate(months, 1):
            charges = self._charges(currency)
            if versions and self._chance(0.4):
                charges = [dict(charge) for charge in versions[-1]["charges"]]
            versions.append({"version": number, "valid_from": month, "charges": charges})
        return {"plan_id": plan_id, "currency": currency, "versions": versions}

    def _charges(self, currency: str) -> list[Row]:
        dice = self._dice
        charges: list[Row] = []
        wanted = [
            "per_unit", "graduated", "graduated", "volume", "package", "stairstep", "time_of_use",
            "index", "demand", "recurring", "recurring", "pass_through",
        ]  # fmt: skip
        for model in dice.sample(wanted, dice.randint(3, 6)):
            count = sum(charge["model"] == model for charge in charges)
            charge: Row = {"code": f"{model}{count}", "model": model}
            getattr(self, f"_{model}")(charge, currency)
            if model != "pass_through" and (model, charge.get("per")) != ("recurring", "contract"):
                self._limit(charge)
            charges.append(charge)
        if self._chance(0.5) and not any(c["model"] == "pass_through" for c in charges):
            charge = {"code": "pass_through0", "model": "pass_through"}
            self._pass_through(charge, currency)
            charges.append(charge)
        if self._size == "huge":
            return charges
        for model in ("percentage", "discount", "discount", "minimum_commit"):
            if self._chance(0.5):
                self._share(charges, model, currency)
        dice.shuffle(charges)
        return charges

    def _share(self, charges: list[Row], model: str, currency: str) -> None:
        dice = self._dice
        group = {"percentage": 2, "discount": 3, "minimum_commit": 4}
        codes = [c["code"] for c in charges if group.get(c["model"], 1) < group[model]]
        count = sum(charge["model"] == model for charge in charges)
        charge: Row = {"code": f"{model}{count}", "model": model}
        if model == "minimum_commit":
            charge["amount"] = self._price(currency, dice.choice([10, 1000, 20_000]), 9)
        else:
            charge["percent"] = self._number(0, 60, 4)
        if model == "discount":
            if self._chance(0.4):
                charge["first_months"] = dice.randint(1, 3)
            if self._chance(0.5):
                decimals = 0 if currency == "JPY" else 2
                charge["max_amount"] = self._price(currency, dice.choice([5, 200]), decimals)
        charge["charges"] = dice.sample(codes, dice.randint(1, len(codes)))
        if self._chance(0.25):
            self._limit(charge)
        charges.append(charge)

    def _limit(self, charge: Row) -> None:
        if self._chance(0.2):
            sites = [site["site_id"] for site in self._sites]
            charge["sites"] = self._dice.sample(sites, self._dice.randint(1, len(sites)))
        if self._chance(0.15):
            regions = sorted({site["region"] for site in self._sites})
            charge["regions"] = self._dice.sample(regions, self._dice.randint(1, len(regions)))

    def _metered(self, charge: Row) -> None:
        metric = self._dice.choice(["energy", *self._metrics])
        if metric != "energy" or self._chance(0.2):
            charge["metric"] = metric
        if self._chance(0.7):
            charge["unit"] = self._dice.choice(self._units(metric))

    def _factor(self, charge: Row) -> Fraction:
        """Canonical units in one of the charge's."""
        return UNITS[charge["unit"]] if "unit" in charge else Fraction(1)

    def _rate(self, charge: Row, currency: str) -> str:
        """A price of one unit, large units being no dearer than a thousand small ones."""
        return self._price(currency, 0.5 * min(1000, float(self._factor(charge))))

    def _units(self, metric: str) -> list[str]:
        least = Fraction(1, 10) if self._size == "huge" else Fraction(1, 4000)
        return [unit for unit in METRIC_UNITS[metric] if UNITS[unit] >= least]

    def _per_unit(self, charge: Row, currency: str) -> None:
        self._metered(charge)
        charge["rate"] = self._rate(charge, currency)

    def _bounds(self, charge: Row) -> list[str]:
        """Where tiers end, from far below to above what is used in most segments."""
        scale = {"plain": 2000, "round": 300, "tiny": 0.001, "huge": 10**8}[self._size]
        scale = max(1e-8, scale / float(self._factor(charge)))
        found = {
            Decimal(self._dice.randint(1, round(scale * 10**9))).scaleb(-9)
            for _ in range(self._dice.randint(0, 3))
        }
        if self._size == "round":
            found = {bound.quantize(Decimal(10)) + 10 for bound in found}
        return [f"{bound:f}" for bound in sorted(found)]

    def _tiers(self, charge: Row, what: str, currency: str) -> None:
        charge["tiers"] = [{"up_to": bound} for bound in self._bounds(charge)] + [{}]
        for tier in charge["tiers"]:
            is_rate = what == "rate"
            tier[what] = self._rate(charge, currency) if is_rate else self._price(currency, 500)

    def _graduated(self, charge: Row, currency: str) -> None:
        self._metered(charge)
        charge["per"] = self._dice.choice(["site", "contract", "machine"])
        self._tiers(charge, "rate", currency)

    def _volume(self, charge: Row, currency: str) -> None:
        self._metered(charge)
        if self._chance(0.7):
            charge["per"] = self._dice.choice(["site", "contract"])
        self._tiers(charge, "rate", currency)

    def _package(self, charge: Row, currency: str) -> None:
        self._metered(charge)
        scale = {"plain": 100, "round": 50, "tiny": 0.0001, "huge": 10**7}[self._size]
        most = max(100, round(scale / float(self._factor(charge)) * 10**9))
        size = Decimal(self._dice.randint(most // 100, most)).scaleb(-9)
        charge["size"] = f"{size:f}"
        charge["price"] = self._price(currency, 20)
        if self._chance(0.5):
            charge["included"] = f"{Decimal(self._dice.randint(0, 10)) * size:f}"

    def _stairstep(self, charge: Row, currency: str) -> None:
        self._metered(charge)
        self._tiers(charge, "amount", currency)

    def _time_of_use(self, charge: Row, currency: str) -> None:
        self._metered(charge)
        calendar = self._dice.choice(self._pack.calendars)
        bands = [band["band"] for band in calendar["bands"]] + [calendar["default_band"]]
        charge["calendar"] = calendar["calendar_id"]
        charge["rates"] = {band: self._rate(charge, currency) for band in sorted(set(bands))}

    def _index(self, charge: Row, currency: str) -> None:
        if self._chance(0.4):
            # A price of a GWh would outgrow a unit price.
            charge["unit"] = self._dice.choice(
                [unit for unit in self._units("energy") if UNITS[unit] <= 1000]
            )
        charge["index_id"] = self._dice.choice(self._index_ids)
        if self._chance(0.5):
            charge["multiplier"] = self._number(0, 2, 4)
        if self._chance(0.5):
            sign = self._dice.choice(["", "-"])
            charge["adder"] = sign + self._price(currency, 30)

    def _demand(self, charge: Row, currency: str) -> None:
        charge["window_minutes"] = self._dice.choice([15, 30, 60])
        charge["rate"] = self._price(currency, 5)

    def _recurring(self, charge: Row, currency: str) -> None:
        charge["per"] = self._dice.choice(["contract", "site", "machine", "machine"])
        charge["prorate"] = self._dice.choice(["time", "time", "none"])
        charge["amount"] = self._price(currency, 400)

    def _pass_through(self, charge: Row, _: str) -> None:
        charge["service_codes"] = self._dice.sample(self._services[:3], self._dice.randint(1, 3))
        if self._chance(0.6):
            charge["markup_percent"] = self._number(0, 40, 4)
        if self._chance(0.4):
            charge["itemise"] = False

    def _hit_bounds(self, usage: Usage) -> None:
        """Put bounds of tiers and packages on what was really used."""
        segments = [s for found in usage.segments.values() for s in found if s.pieces]
        for segment in segments:
            for charge in segment.version["charges"]:
                own = next(
                    c
                    for plan in self._pack.plans
                    if plan["plan_id"] == segment.term.plan_id
                    for version in plan["versions"]
                    if version["version"] == segment.version["version"]
                    for c in version["charges"]
                    if c["code"] == charge["code"]
                )
                if not ("tiers" in own or "size" in own) or not self._chance(0.3):
                    continue
                metric = own.get("metric", "energy")
                default = {"energy": "kWh", "runtime": "h", "traffic": "GB", "fuel": "l"}[metric]
                by = None
                if own.get("per") == "machine":
                    by = lambda piece: (piece.machine_id, piece.site_id)  # noqa: E731
                used = [total for total, _ in usage.usage(
                    segment, charge, own.get("unit", default), by=by).values()]  # fmt: skip
                if own.get("per") == "contract":
                    used = [sum(used, Fraction(0))]
                exact = [q for q in used if q > 0 and (q * 10**9).denominator == 1]
                if not exact:
                    continue
                bound = Decimal(int(self._dice.choice(exact) * 10**9)).scaleb(-9)
                self._hit(own, bound)

    def _hit(self, charge: Row, bound: Decimal) -> None:
        if "size" in charge:
            if self._chance(0.5):
                charge["included"] = f"{bound:f}"
            else:
                parts = [n for n in (1, 2, 3, 4, 5) if int(bound.scaleb(9)) % n == 0]
                size = Decimal(int(bound.scaleb(9)) // self._dice.choice(parts)).scaleb(-9)
                charge["size"] = f"{size:f}"
                charge.pop("included", None)
            return
        tiers = [t for t in charge["tiers"] if "up_to" not in t or Decimal(t["up_to"]) != bound]
        spare = dict(self._dice.choice(charge["tiers"]))
        spare["up_to"] = f"{bound:f}"
        charge["tiers"] = sorted([spare, *tiers], key=lambda t: Decimal(t.get("up_to", "Infinity")))

    # --- what is around ---

    def _routes(self, contracts: Sequence[str]) -> None:
        for contract in contracts:
            used = {
                row["plan_id"]
                for row in self._pack.tables["contracts"]
                if row["contract_id"] == contract
            }
            codes = sorted(
                {
                    c["code"]
                    for plan in self._pack.plans
                    if plan["plan_id"] in used
                    for v in plan["versions"]
                    for c in v["charges"]
                }
            )
            seen = set()
            for priority in self._dice.sample(range(-5, 30), self._dice.choice([0, 0, 1, 2, 4])):
                site = self._dice.choice(["", *(s["site_id"] for s in self._sites)])
                code = self._dice.choice(["", "credit", *self._dice.sample(codes, 2)])
                if (site, code) in seen:
                    continue
                seen.add((site, code))
                self._pack.tables["payer_routes"].append(
                    {
                        "contract_id": contract,
                        "site_id": site,
                        "charge_code": code,
                        "payer_id": self._dice.choice(self._payers),
                        "priority": priority,
                    }
                )

    def _events(self, name: str, contracts: Sequence[str]) -> None:
        dice = self._dice
        machines = [
            row["machine_id"]
            for row in self._pack.tables["machines"]
            if row["machine_id"].startswith(f"{name}m")
        ]
        for number in range(dice.randint(0, 8)):
            currency = dice.choice(self._currencies)
            sign = -1 if self._chance(0.08) else 1
            event = {
                "event_id": f"{name}ev{number}",
                "site_id": dice.choice(self._sites)["site_id"],
                "machine_id": dice.choice([None, *machines]),
                "contract_id": dice.choice([None, *contracts, *contracts, *contracts]),
                "service_code": dice.choice([*self._services[:3], *self._services]),
                "classification": dice.choice(
                    ["recurring", "variable", "variable", "variable", "exception", "disputed"]
                ),
                "occurred_at": self._instant(
                    self._begin - timedelta(days=3), self._end + timedelta(days=3)
                ),
                "quantity": Decimal(dice.choice([0, 1, dice.randint(1, 9 * 10**6) / 10**6]))
                .quantize(Decimal("0.000001")),
                "unit": dice.choice(["hour", "piece", "flat"]),
                "unit_amount": sign * Decimal(self._price(currency, 150, 6)),
                "currency": currency,
                "description": "An event",
                "batch_id": "b1",
                "ingested_at": self._end + timedelta(days=9),
            }  # fmt: skip
            self._pack.events.append(event)
            if self._chance(0.1):
                event = {**event, "batch_id": "b0", "classification": "variable"}
                event["ingested_at"] += timedelta(hours=dice.choice([0, 1]))
                self._pack.events.append(event)

    def _credits(self, name: str, contracts: Sequence[str]) -> None:
        dice = self._dice
        for number in range(dice.choice([0, 0, 1, 2, 3])):
            currency = dice.choice(self._currencies)
            begin = self._moment(self._begin - timedelta(days=30), self._end + timedelta(days=10))
            contract = dice.choice(contracts)
            zone = next(
                row["billing_timezone"]
                for row in self._pack.tables["contracts"]
                if row["contract_id"] == contract
            )
            end = ""
            if self._chance(0.4):
                end = self._moment(self._begin, self._end + timedelta(days=30))
                if instant_of(end, zone) <= instant_of(begin, zone):
                    end = ""
            self._pack.tables["credits"].append(
                {
                    "credit_id": f"{name}cr{number}",
                    "contract_id": contract,
                    "kind": dice.choice(["sla", "goodwill", "promotion", "prepaid", "prepaid"]),
                    "amount": self._price(currency, 300) if self._chance(0.9) else "0.000000001",
                    "currency": currency,
                    "valid_from": begin,
                    "valid_to": end,
                }
            )
        for row in self._pack.tables["credits"]:
            if Decimal(row["amount"]) == 0:
                row["amount"] = "0.004"


def _could_tie(one: Row, other: Row) -> bool:
    """Whether two tax rules can fit one line equally well."""
    selectors = ("site_jurisdiction", "payer_country", "charge_code")
    if sum(bool(one[s]) for s in selectors) != sum(bool(other[s]) for s in selectors):
        return False
    if any(one[s] and other[s] and one[s] != other[s] for s in selectors):
        return False
    last = date(9999, 1, 1)
    return one["valid_from"] < (other["valid_to"] or last) and other["valid_from"] < (
        one["valid_to"] or last
    )
