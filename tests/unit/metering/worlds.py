"""Worlds that seeds stand for: what stands, is assigned, is edited and is read at one site.

Drawn by a plain random generator: such worlds are rich in faults, where letting hypothesis draw
every choice by itself mostly gives empty ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NANO = 10**9

FACTORS = {
    "Wh": Fraction(1, 1000),
    "kWh": Fraction(1),
    "MJ": Fraction(10, 36),
    "W": Fraction(1, 1000),
    "kW": Fraction(1),
    "B": Fraction(1, 10**9),
    "GiB": Fraction(2**30, 10**9),
}


def at(us: int) -> datetime:
    return EPOCH + timedelta(microseconds=us)


def us_of(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(microseconds=1)


def nine(value: Fraction) -> Fraction:
    """Round to 9 decimals, half away from zero."""
    scaled = abs(value) * NANO
    whole = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    return Fraction(whole if value >= 0 else -whole, NANO)


def day_of(us: int) -> date:
    return at(us).date()


@dataclass(frozen=True)
class Reading:
    meter_id: str
    metric: str
    kind: str
    unit: str
    start: int
    end: int | None
    value: Decimal
    batch_id: str
    ingested: int

    @property
    def usage_metric(self) -> str:
        return "energy" if self.metric == "power" else self.metric

    @property
    def canonical(self) -> Fraction:
        return Fraction(self.value) * FACTORS[self.unit]


@dataclass(frozen=True)
class Placement:
    machine_id: str
    meter_id: str
    start: int
    end: int | None
    rated_kw: Decimal | None
    gives_energy: bool


@dataclass(frozen=True)
class Assignment:
    machine_id: str
    contract_id: str
    start: int
    end: int | None


@dataclass(frozen=True)
class Term:
    contract_id: str
    term_no: int
    timezone: str
    start: int
    end: int | None


@dataclass(frozen=True)
class Edit:
    meter_id: str
    metric: str
    start: int
    end: int
    action: str
    quantity: Decimal | None


@dataclass
class World:
    """One site and what stands, is assigned, is edited and has landed there."""

    timezone: str
    estimation: str
    default_rated_kw: Decimal | None
    placements: list[Placement]
    assignments: list[Assignment]
    terms: list[Term]
    edits: list[Edit]
    readings: list[Reading]
    site_id: str = "s"

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        def span(row: Placement | Assignment | Term) -> dict[str, datetime | None]:
            return {
                "valid_from_at": at(row.start),
                "valid_to_at": None if row.end is None else at(row.end),
            }

        return {
            "book__sites": [
                {
                    "site_id": self.site_id,
                    "timezone": self.timezone,
                    "estimation": self.estimation,
                    "default_rated_kw": self.default_rated_kw,
                }
            ],
            "book__placements": [
                {
                    "machine_id": row.machine_id,
                    "site_id": self.site_id,
                    "meter_id": row.meter_id,
                    "rated_kw": row.rated_kw,
                    **span(row),
                }
                for row in self.placements
            ],
            "book__placement_metrics": [
                {
                    "machine_id": row.machine_id,
                    "site_id": self.site_id,
                    "meter_id": row.meter_id,
                    "valid_from_at": at(row.start),
                    "metric": "energy" if row.gives_energy else "traffic",
                }
                for row in self.placements
            ],
            "book__assignments": [
                {"machine_id": row.machine_id, "contract_id": row.contract_id, **span(row)}
                for row in self.assignments
            ],
            "book__contract_terms": [
                {
                    "contract_id": row.contract_id,
                    "term_no": row.term_no,
                    "plan_id": "p",
                    "billing_timezone": row.timezone,
                    "first_month": "2026-01",
                    **span(row),
                }
                for row in self.terms
            ],
            "book__reading_edits": [
                {
                    "site_id": self.site_id,
                    "meter_id": row.meter_id,
                    "metric": row.metric,
                    "from_at": at(row.start),
                    "to_at": at(row.end),
                    "action": row.action,
                    "quantity": row.quantity,
                    "reason": "because",
                }
                for row in self.edits
            ],
            "landed": [
                {
                    "site_id": self.site_id,
                    "source": "test",
                    "meter_id": row.meter_id,
                    "metric": row.metric,
                    "kind": row.kind,
                    "unit": row.unit,
                    "interval_start": at(row.start),
                    "interval_end": None if row.end is None else at(row.end),
                    "value": row.value,
                    "quality": "good",
                    "batch_id": row.batch_id,
                    "ingested_at": at(row.ingested),
                }
                for row in self.readings
            ],
        }


# Around the end of a month, a Saturday, with the clocks of Oslo changing on the 29th.
START = us_of(datetime(2026, 3, 28, tzinfo=UTC))
STEPS = 5 * 24 * 4
METERS = ("a", "b", "stray")
CONTRACTS = {"K1": "Europe/Oslo", "K2": "Asia/Kathmandu"}
ODD = [0, 0, 0, 0, 1, 450 * SECOND, 7 * MINUTE + 3]
KINDS = [
    ("interval", "energy", "kWh"),
    ("interval", "energy", "kWh"),
    ("interval", "energy", "kWh"),
    ("interval", "energy", "MJ"),
    ("register", "energy", "kWh"),
    ("register", "energy", "Wh"),
    ("gauge", "power", "kW"),
    ("gauge", "power", "W"),
    ("interval", "traffic", "GiB"),
    ("register", "traffic", "B"),
]


def spans(random: Random, count: int, *, start: int = START) -> list[tuple[int, int | None]]:
    """Disjoint spans in time that may touch, some beginning long ago, the last one perhaps open."""
    cuts = sorted(random.sample(range(STEPS), 2 * count))
    if random.random() < 0.5:
        cuts[1:-1:2] = cuts[2::2]
    moments = [start + cut * 15 * MINUTE + random.choice(ODD) for cut in cuts]
    found: list[tuple[int, int | None]] = list(zip(moments[::2], moments[1::2], strict=True))
    if random.random() < 0.7:
        found[0] = (start - 60 * DAY, found[0][1])
    if random.random() < 0.6:
        found[-1] = (found[-1][0], None)
    kept: list[tuple[int, int | None]] = []
    for begin, end in found:
        reached = kept[-1][1] if kept else 0
        if reached is not None and begin >= reached and (end is None or begin < end):
            kept.append((begin, end))
    return kept


def value(random: Random) -> Decimal:
    if random.random() < 0.93:
        return Decimal(random.randint(0, 1_200_000_000)).scaleb(-9)
    return random.choice(
        [Decimal("1e12"), Decimal(-1), Decimal("-0.000000001"), Decimal(2), Decimal(9)]
    )


def series(random: Random, meter_id: str, *, start: int = START) -> list[Reading]:
    """Readings of one meter in a stretch of time, of one kind, with faults of every sort."""
    kind, metric, unit = random.choice(KINDS)
    step = random.choice([10, 15, 30, 60, 60, 60, 120, 600]) * MINUTE
    first = start + random.randrange(STEPS) * 15 * MINUTE + random.choice(ODD)
    size = random.choice([3, 10, 30, 60])
    counter = Decimal(random.randint(0, 5))
    rows = []
    for number in range(size):
        reading = value(random)
        if kind == "register":
            counter += reading
            reading = counter
        if random.random() < 0.06:
            continue
        begin = first + number * step
        if kind != "interval":
            begin += random.choice(ODD)
        end = None
        if kind == "interval":
            end = begin + step + (5 * MINUTE if random.random() < 0.02 else 0)
        fetched = start + (20 + random.choice([0, 0, 0, 1])) * DAY
        if random.random() < 0.02:
            fetched = begin - 2 * HOUR
        for batch in range(2 if random.random() < 0.05 else 1):
            changed = reading + batch * random.choice([0, 1])
            rows.append(
                Reading(
                    meter_id, metric, kind, unit, begin, end, changed,
                    f"b-{random.randint(0, 2)}", fetched + random.choice([0, batch]),
                )
            )  # fmt: skip
    return rows


def world_of(seed: int, *, site_id: str = "s", names: str = "", start: int = START) -> World:
    """Return the world of a seed, whose time begins at start (microseconds since 1970).

    names is put before the names of machines and contracts, so that worlds can share a warehouse.
    """
    random = Random(seed)
    contracts = {f"{names}{contract_id}": zone for contract_id, zone in CONTRACTS.items()}
    placements = [
        Placement(
            random.choice([machine, machine, f"{machine}x"]), meter_id, begin, end,
            random.choice([None, None, Decimal(1)]), random.random() < 0.85,
        )
        for meter_id, machine in (("a", f"{names}m1"), ("b", f"{names}m2"))
        for begin, end in spans(random, random.randint(1, 3), start=start)
    ]  # fmt: skip
    assignments = [
        Assignment(f"{names}{machine}", random.choice(sorted(contracts)), begin, end)
        for machine in ("m1", "m2", "m1x", "m2x")
        for begin, end in spans(random, random.randint(1, 3), start=start)
    ]
    terms = [
        Term(contract_id, number, zone, begin, end)
        for contract_id, zone in contracts.items()
        for number, (begin, end) in enumerate(
            spans(random, random.randint(1, 3), start=start), start=1
        )
    ]
    readings: dict[tuple[Any, ...], Reading] = {}
    for _ in range(random.randint(1, 4)):
        rows = series(random, random.choice(METERS), start=start)
        for weeks in random.choice([(0,), (0,), (0, 1, 2), (0, 1, 2, 3)]):
            for row in rows:
                moved = replace(
                    row,
                    start=row.start - weeks * 7 * DAY,
                    end=None if row.end is None else row.end - weeks * 7 * DAY,
                )
                if weeks == 0 and len(rows) > 5 and rows[3].start <= row.start < rows[-2].start:
                    continue
                key = (moved.meter_id, moved.metric, moved.kind, moved.start, moved.end,
                       moved.batch_id)  # fmt: skip
                readings.setdefault(key, moved)
    landed = list(readings.values())
    random.shuffle(landed)
    edits = []
    for meter_id in ("a", "b"):
        if landed and random.random() < 0.5:
            begin = random.choice(landed).start + random.choice([0, HOUR, 1])
            action = random.choice(["reject", "accept", "set"])
            edits.append(
                Edit(
                    meter_id, "energy", begin, begin + random.choice([HOUR, 3 * HOUR]), action,
                    Decimal("1.000000001") if action == "set" else None,
                )
            )  # fmt: skip
    return World(
        random.choice(["Europe/Oslo", "Asia/Kathmandu", "Australia/Lord_Howe"]),
        random.choice(["none", "interpolate", "like_day", "like_day"]),
        random.choice([None, None, Decimal(1)]),
        placements, assignments, terms, edits, landed, site_id,
    )  # fmt: skip
