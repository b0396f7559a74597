"""Whatever arrives in whatever order, the warehouse is the one that would be built from nothing.

A scenario is a site whose readings, restatements, withdrawn days and changes of the book come night
by night. A warehouse costs a second or so to bring up to date whatever it holds, so the scenarios
of a pack share one; each draws from a random generator of its own. To look into a pack that fails,
call ``nights_of`` with its number and fewer sites or nights: what a site goes through does not
depend on the others, but for the machine that may come over from the site before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, TypeVar

import pytest

from tests.unit.metering.plain import book, merged, reading, unbalanced
from tests.unit.metering.worlds import (
    DAY,
    HOUR,
    METERS,
    MINUTE,
    Assignment,
    Edit,
    Placement,
    Reading,
    Term,
    World,
    day_of,
    series,
    us_of,
    value,
    world_of,
)

Row = TypeVar("Row", Placement, Assignment, Term)
Tables = dict[str, list[dict[str, Any]]]

# Clocks change in Oslo on 29 March and 25 October, in New York on 8 March, at Lord Howe on 5 April.
STARTS = [us_of(datetime(2026, *start, tzinfo=UTC)) for start in ((3, 28), (4, 3), (10, 23))]
ZONES = ["Europe/Oslo", "Asia/Kathmandu", "Australia/Lord_Howe", "America/New_York"]
SITES = 24
NIGHTS = 5


@dataclass
class Scenario:
    """A site as it is known tonight, and the readings that are still to come."""

    world: World
    start: int
    random: Random
    to_come: list[Reading] = field(default_factory=list)
    guests: list[Placement] = field(default_factory=list)
    nights: int = 0

    def next_night(self) -> None:
        """Let some of everything happen."""
        self.nights += 1
        for _ in range(self.random.choice([0, 1, 1, 2, 3])):
            self.random.choice(
                [
                    self.land_some,
                    self.land_some,
                    self.land_days,
                    self.land_days,
                    self.land_everything,
                    self.restate,
                    self.restate,
                    self.withdraw_day,
                    self.withdraw_day,
                    self.withdraw_some,
                    self.read_anew,
                    self.edit,
                    self.edit,
                    self.move_placement,
                    self.move_placement,
                    self.replace_machine,
                    self.move_assignment,
                    self.move_assignment,
                    self.move_term,
                    self.rate,
                    self.change_site,
                    self.give_other_metrics,
                ]
            )()

    # -- readings --

    def land(self, rows: Sequence[Reading]) -> None:
        landed = set(rows)
        self.to_come = [row for row in self.to_come if row not in landed]
        self.world.readings += rows

    def land_some(self) -> None:
        share = self.random.random()
        self.land([row for row in self.to_come if self.random.random() < share])

    def land_days(self) -> None:
        days = sorted({day_of(row.start) for row in self.to_come})
        if days:
            some = self.random.sample(days, self.random.randint(1, min(3, len(days))))
            self.land([row for row in self.to_come if day_of(row.start) in some])

    def land_everything(self) -> None:
        self.land(self.to_come)

    def day(self) -> list[Reading]:
        days = sorted({day_of(row.start) for row in self.world.readings})
        if not days:
            return []
        one = self.random.choice(days)
        return [row for row in self.world.readings if day_of(row.start) == one]

    def restate(self) -> None:
        """Another batch says something else of some rows of a day."""
        rows = self.day()
        some = self.random.sample(rows, self.random.randint(0, len(rows)))
        latest: dict[tuple[Any, ...], Reading] = {}
        for row in some:
            latest[row.meter_id, row.metric, row.kind, row.start, row.end] = row
        self.world.readings += [
            replace(
                row,
                value=self.random.choice([row.value, row.value + 1, value(self.random)]),
                batch_id=f"again-{self.nights}-{len(self.world.readings)}",
                ingested=row.ingested + self.random.choice([0, 1, DAY]),
            )
            for row in latest.values()
        ]

    def withdraw(self, rows: Sequence[Reading]) -> None:
        gone = set(rows)
        self.world.readings = [row for row in self.world.readings if row not in gone]
        if self.random.random() < 0.5:
            self.to_come += rows

    def withdraw_day(self) -> None:
        self.withdraw(self.day())

    def withdraw_some(self) -> None:
        self.withdraw([row for row in self.day() if self.random.random() < 0.5])

    def read_anew(self) -> None:
        """A meter begins to report in another way, also into days that it has."""
        have = {
            (row.meter_id, row.metric, row.kind, row.start, row.end)
            for row in [*self.world.readings, *self.to_come]
        }
        new: dict[tuple[Any, ...], Reading] = {}
        for row in series(self.random, self.random.choice(METERS), start=self.start):
            key = (row.meter_id, row.metric, row.kind, row.start, row.end)
            if key not in have:
                batch_id = f"{row.batch_id}-{self.nights}-{len(have)}"
                new.setdefault((*key, batch_id), replace(row, batch_id=batch_id))
        unheard = list(new.values())
        self.to_come += unheard
        self.land([row for row in unheard if self.random.random() < 0.8])

    # -- the book --

    def moment(self) -> int:
        """A moment of the scenario, often one at which something happens anyway."""
        rows = self.world.readings + self.to_come
        if rows and self.random.random() < 0.5:
            row = self.random.choice(rows)
            return self.random.choice([row.start, row.start + 1, row.start // DAY * DAY])
        steps = self.random.randrange(-20 * 24, 7 * 24)
        return self.start + steps * HOUR + self.random.choice([0, 0, 15 * MINUTE, 1])

    def edit(self) -> None:
        edits = self.world.edits
        if edits and self.random.random() < 0.4:
            edits.remove(self.random.choice(edits))
            return
        begin = self.moment()
        action = self.random.choice(["reject", "accept", "set"])
        new = Edit(
            self.random.choice(METERS),
            self.random.choice(["energy", "energy", "traffic"]),
            begin,
            begin + self.random.choice([1, HOUR, 3 * HOUR, 30 * HOUR]),
            action,
            Decimal(self.random.randint(0, 3_000_000_000)).scaleb(-9) if action == "set" else None,
        )
        if not any(
            (other.meter_id, other.metric) == (new.meter_id, new.metric)
            and other.start < new.end
            and other.end > new.start
            for other in edits
        ):
            edits.append(new)

    def moved(self, row: Row) -> Row | None:
        """A row of the book with another begin or end, or with none."""
        begin, end = row.start, row.end
        choice = self.random.random()
        if choice < 0.35:
            begin = self.moment()
        elif choice < 0.7:
            end = self.moment()
        elif choice < 0.85:
            end = None
        else:
            return None
        return replace(row, start=begin, end=end)

    def move_placement(self) -> None:
        self.world.placements = self.with_another(self.world.placements, "meter_id")

    def move_assignment(self) -> None:
        self.world.assignments = self.with_another(
            self.world.assignments, "machine_id", contract_id=self.contracts()
        )

    def move_term(self) -> None:
        if self.random.random() < 0.2:
            contract_id = self.random.choice(self.contracts())
            zone = self.random.choice(ZONES)
            self.world.terms = [
                replace(row, timezone=zone) if row.contract_id == contract_id else row
                for row in self.world.terms
            ]
            return
        terms = self.with_another(self.world.terms, "contract_id")
        # Terms are numbered by their begin.
        numbers: dict[str, int] = {}
        self.world.terms = []
        for row in sorted(terms, key=lambda row: row.start):
            numbers[row.contract_id] = numbers.get(row.contract_id, 0) + 1
            self.world.terms.append(replace(row, term_no=numbers[row.contract_id]))

    def contracts(self) -> list[str]:
        return sorted({row.contract_id for row in self.world.terms})

    def with_another(self, rows: list[Row], identity: str, **other: Sequence[Any]) -> list[Row]:
        """The rows with one of them moved or divided, those in its way giving way."""
        if not rows:
            return rows
        old = self.random.choice(rows)
        rest = [row for row in rows if row is not old]
        new = self.moved(old)
        if new is None:
            return rest
        if other and self.random.random() < 0.5:
            new = replace(new, **{name: self.random.choice(them) for name, them in other.items()})
            rest.append(old)
        if new.end is not None and new.start >= new.end:
            return rows
        kept: list[Row] = []
        for row in rest:
            if getattr(row, identity) != getattr(new, identity):
                kept.append(row)
                continue
            if row.start < new.start:
                end = new.start if row.end is None else min(row.end, new.start)
                kept.append(replace(row, end=end))
            if new.end is not None and (row.end is None or row.end > new.end):
                kept.append(replace(row, start=max(row.start, new.end)))
        return [*kept, new]

    def replace_machine(self) -> None:
        """From a moment on another machine stands on a meter, perhaps one that has another."""
        if not self.world.placements:
            return
        old = self.random.choice(self.world.placements)
        moment = self.moment()
        if old.start < moment and (old.end is None or moment < old.end):
            self.world.placements.remove(old)
            machines = sorted({row.machine_id for row in self.world.assignments}) or ["m"]
            self.world.placements += [
                replace(old, end=moment),
                replace(old, start=moment, machine_id=self.random.choice(machines)),
            ]

    def rate(self) -> None:
        rated_kw = self.random.choice([None, Decimal(1), Decimal("0.3")])
        self.world.placements = [
            replace(row, rated_kw=rated_kw) if self.random.random() < 0.4 else row
            for row in self.world.placements
        ]

    def give_other_metrics(self) -> None:
        self.world.placements = [
            replace(row, gives_energy=not row.gives_energy) if self.random.random() < 0.3 else row
            for row in self.world.placements
        ]

    def change_site(self) -> None:
        world = self.world
        if self.random.random() < 0.6:
            world.estimation = self.random.choice(["none", "interpolate", "like_day", "like_day"])
        elif self.random.random() < 0.6:
            world.default_rated_kw = self.random.choice([None, Decimal(1), Decimal("0.4")])
        else:
            world.timezone = self.random.choice(ZONES)

    def tables(self) -> Tables:
        placements = [*self.world.placements, *self.guests]
        return replace(self.world, placements=placements).tables()


def scenario_of(pack: int, number: int) -> Scenario:
    """One site of a pack before its first night."""
    random = Random(pack * 1_000 + number)
    start = STARTS[pack % len(STARTS)]
    world = world_of(
        random.getrandbits(32), site_id=f"s{number:02}", names=f"s{number:02}.", start=start
    )
    world.timezone = random.choice(ZONES)
    scenario = Scenario(replace(world, readings=[]), start, random, to_come=world.readings)
    for meter_id in METERS[:2]:
        if random.random() < 0.2:
            # One machine on two meters.
            world.placements[:] = [
                replace(row, machine_id=world.placements[0].machine_id)
                if row.meter_id == meter_id
                else row
                for row in world.placements
            ]
    if random.random() < 0.7:
        scenario.land_some()
    return scenario


def nights_of(
    pack: int, *, sites: Sequence[int] = range(SITES), nights: int = NIGHTS
) -> Iterator[Tables]:
    """What the warehouse of a pack is given night by night."""
    scenarios = {number: scenario_of(pack, number) for number in sites}
    for night in range(nights):
        merged: Tables = {}
        for number, scenario in scenarios.items():
            if night:
                scenario.next_night()
            # A machine of the site before may come over and stand on a third meter here.
            guest = Random(pack * 1_000_000 + number * 1_000 + night)
            if guest.random() < 0.3 and number - 1 in scenarios:
                scenario.guests = [
                    replace(
                        row, meter_id="guest", start=guest.choice([row.start, scenario.moment()])
                    )
                    for row in scenarios[number - 1].world.placements[:1]
                ]
                scenario.guests = [
                    row for row in scenario.guests if row.end is None or row.start < row.end
                ]
            for table, rows in scenario.tables().items():
                merged.setdefault(table, []).extend(rows)
        yield merged


def differences(
    found: Mapping[str, list[tuple[Any, ...]]], expected: Mapping[str, list[tuple[Any, ...]]]
) -> str:
    """The tables that differ, with the first rows that only one side has."""
    lines = []
    for table, rows in expected.items():
        if found[table] == rows:
            continue
        only_found = [row for row in found[table] if row not in set(rows)]
        missing = [row for row in rows if row not in set(found[table])]
        lines.append(f"{table}: {len(only_found)} rows too many, {len(missing)} missing")
        lines += [f"  has {row}" for row in only_found[:3]]
        lines += [f"  not {row}" for row in missing[:3]]
    return "\n".join(lines)


def follow(metering: Any, rebuilt: Any, nights: Iterator[Tables], named: str) -> None:
    """Give the nights to one warehouse, each to the other from nothing, and compare."""
    for night, tables in enumerate(nights):
        if night == 0:
            metering.run(tables)
        else:
            metering.arrive(tables)
        rebuilt.run(tables)
        expected = rebuilt.everything()
        wrong = differences(metering.everything(), expected)
        assert not wrong, f"{named}, night {night} is not what a build from nothing gives:\n{wrong}"
        assert not unbalanced(rebuilt), f"{named}, night {night}: {unbalanced(rebuilt)}"


@pytest.mark.parametrize("pack", range(9))
def test_every_night_gives_what_a_build_from_nothing_gives(
    metering: Any, rebuilt: Any, pack: int
) -> None:
    follow(metering, rebuilt, nights_of(pack), f"pack {pack}")


def test_the_order_of_arrival_does_not_matter(metering: Any, rebuilt: Any) -> None:
    """The nights of a pack in their order and shuffled come to the same, the last being one."""
    for pack in (100, 101):
        nights = list(nights_of(pack))
        shuffled = nights[:-1]
        Random(pack).shuffle(shuffled)
        for warehouse, order in ((metering, nights), (rebuilt, [*shuffled, nights[-1]])):
            warehouse.run(order[0])
            for tables in order[1:]:
                warehouse.arrive(tables)
        wrong = differences(metering.everything(), rebuilt.everything())
        assert not wrong, f"pack {pack} depends on the order of its nights:\n{wrong}"


# -- what single arrivals cost and change ------------------------------------------------------


MAY = datetime(2026, 5, 4, tzinfo=UTC)


def two_sites(days: int = 6) -> Tables:
    """Two sites with some days of hours each."""
    hours = [MAY + timedelta(hours=hour) for hour in range(24 * days)]
    tables = merged(book(estimation="like_day"), book(site_id="t", machine_id="n", contract_id="L"))
    tables["landed"] = [
        reading(hour, "1.25", site_id=site_id) for hour in hours for site_id in ("s", "t")
    ]
    return tables


def computed(metering: Any) -> list[tuple[str, str]]:
    """Sites and days that the last run computed."""
    return [
        (site_id, str(day))
        for site_id, day in metering.rows(
            "select site_id, usage_date from int_metering__days"
            " where run_no = (select max(run_no) from int_metering__runs_done) order by all"
        )
    ]


def days_from(first: int, site_id: str = "s", *, days: int = 6) -> list[tuple[str, str]]:
    return [(site_id, str((MAY + timedelta(days=n)).date())) for n in range(first, days)]


def test_a_first_run_computes_every_day_and_the_next_one_none(metering: Any) -> None:
    metering.run(two_sites())
    assert computed(metering) == days_from(0) + days_from(0, "t")
    before = metering.everything()

    metering.arrive(two_sites())

    assert computed(metering) == []
    assert metering.everything() == before
    touched = metering.rows(
        "select count(*) from int_metering__touched_dates"
        " where run_no = (select max(run_no) from int_metering__runs_done)"
    )
    assert touched == [(0,)]


def test_another_reading_computes_its_day(metering: Any) -> None:
    tables = two_sites()
    metering.run(tables)
    landed = tables["landed"]
    landed[100] = {**landed[100], "value": "7"}

    metering.arrive(tables)

    assert computed(metering) == [("s", "2026-05-06")]

    landed.append(reading(MAY + timedelta(days=6), "1", site_id="t"))
    metering.arrive(tables)
    assert computed(metering) == [("t", "2026-05-10")]


@pytest.mark.parametrize(
    "change",
    [{"plan_id": "q"}, {"po_number": "4711"}, {"payer_id": "somebody else"}, {"customer_id": "c"}],
)
def test_what_metering_does_not_read_of_the_book_computes_nothing(
    metering: Any, change: dict[str, str]
) -> None:
    tables = two_sites()
    metering.run(tables)
    before = metering.everything()
    tables["book__contract_terms"][0] |= change

    metering.arrive(tables)

    assert computed(metering) == []
    after = metering.everything()
    kept = [table for table in before if table.startswith("int_metering") or "usage" in table]
    assert {table: after[table] for table in kept} == {table: before[table] for table in kept}


@pytest.mark.parametrize(("hours", "first"), [(72, 3), (73, 3), (71, 2)])
def test_an_assignment_that_ends_computes_from_that_day_on(
    metering: Any, hours: int, first: int
) -> None:
    tables = two_sites()
    metering.run(tables)
    tables["book__assignments"][0]["valid_to_at"] = MAY + timedelta(hours=hours)

    metering.arrive(tables)

    assert computed(metering) == days_from(first)


def test_an_end_far_in_the_future_computes_nothing(metering: Any) -> None:
    tables = two_sites()
    metering.run(tables)
    tables["book__contract_terms"][1]["valid_to_at"] = MAY + timedelta(days=200)

    metering.arrive(tables)

    assert computed(metering) == []


@pytest.mark.parametrize("zone", ["Europe/Oslo", "Australia/Lord_Howe"])
def test_nobodys_usage_of_days_without_readings_follows_its_sites_clock(
    metering: Any, rebuilt: Any, zone: str
) -> None:
    # Registers far apart around the date on which clocks change, of a machine without a contract.
    begin = datetime(2026, 3, 25, tzinfo=UTC)
    tables = book()
    del tables["book__assignments"]
    tables["landed"] = [
        reading(begin, "100", kind="register"),
        reading(begin + timedelta(days=16), "484", kind="register"),
    ]
    metering.run(tables)
    tables["book__sites"][0]["timezone"] = zone

    metering.arrive(tables)

    rebuilt.run(tables)
    assert not differences(metering.everything(), rebuilt.everything())
    changed = {"Europe/Oslo": ("2026-03-29", 23), "Australia/Lord_Howe": ("2026-04-05", "24.5")}
    day, quantity = changed[zone]
    assert metering.rows(
        f"select metered_quantity from usage_daily where usage_date = date '{day}'"
    ) == [(Decimal(quantity),)]
