"""Rating only what changed gives what rating everything from nothing gives, night after night.

Random books and landed rows (tests.unit.rating.random_books) change a little every night: prices,
taxes, routes, rates, calendars, places, assignments, readings, events. One warehouse remembers what
it rated; another forgets everything each night. Both must say the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from connectors.book import BookError, load_book
from tests.unit.rating.random_books import Pack, random_pack
from tests.unit.rating.warehouse import RatingWarehouse

BOOKS = 6
NIGHTS = 6
CHANGES_A_NIGHT = 3
LATER = datetime(2030, 1, 1, tzinfo=UTC)
TOLD = {
    "int_billing__charge_lines": "*",
    "statement_lines": "* exclude (book_version)",
    "int_rating__exceptions": "*",
    "line_calculations": "*",
    "line_machines": "*",
    "line_days": "*",
    "line_bands": "*",
    "line_bases": "*",
    "line_events": "*",
}

Change = Callable[[Pack, Random], None]


def _row(pack: Pack, dice: Random, table: str) -> dict[str, Any]:
    return dice.choice(pack.tables[table])


def _charges(pack: Pack) -> Iterator[dict[str, Any]]:
    for plan in pack.plans:
        for version in plan["versions"]:
            yield from version["charges"]


def _price(pack: Pack, dice: Random) -> None:
    names = ("rate", "amount", "percent", "price", "adder", "markup_percent")
    charge = dice.choice([c for c in _charges(pack) if any(name in c for name in names)])
    name = next(name for name in names if name in charge)
    charge[name] = str(Decimal(charge[name]) + 1)


def _tier(pack: Pack, dice: Random) -> None:
    charge = dice.choice([c for c in _charges(pack) if "tiers" in c])
    tier = dice.choice(charge["tiers"])
    name = "rate" if "rate" in tier else "amount"
    tier[name] = str(Decimal(tier[name]) + 1)


def _band(pack: Pack, dice: Random) -> None:
    calendar = dice.choice(pack.calendars)
    band = dice.choice(calendar["bands"])
    band["days"] = dice.sample(["mon", "tue", "wed", "thu", "fri", "sat", "sun"], 3)


def _described(pack: Pack, dice: Random) -> None:
    dice.choice(list(_charges(pack)))["description"] = f"Renamed {dice.random()}"


def _tax(pack: Pack, dice: Random) -> None:
    _row(pack, dice, "tax_rules")["rate_percent"] = str(dice.randrange(30))


def _exchange(pack: Pack, dice: Random) -> None:
    row = _row(pack, dice, "fx_rates")
    row["rate"] = str(Decimal(row["rate"]) * 2)


def _no_exchange(pack: Pack, dice: Random) -> None:
    pack.tables["fx_rates"].remove(_row(pack, dice, "fx_rates"))


def _no_route(pack: Pack, dice: Random) -> None:
    pack.tables["payer_routes"].remove(_row(pack, dice, "payer_routes"))


def _consolidation(pack: Pack, dice: Random) -> None:
    payer = _row(pack, dice, "payers")
    payer["consolidation"] = dice.choice(["one", "by_region", "by_site"])


def _site(pack: Pack, dice: Random) -> None:
    site = _row(pack, dice, "sites")
    name = dice.choice(["name", "region", "tax_jurisdiction", "timezone"])
    site[name] = _row(pack, dice, "sites")[name]


def _holiday(pack: Pack, dice: Random) -> None:
    pack.tables["holidays"].remove(_row(pack, dice, "holidays"))


def _assignment(pack: Pack, dice: Random) -> None:
    pack.tables["assignments"].remove(_row(pack, dice, "assignments"))


def _term(pack: Pack, dice: Random) -> None:
    _row(pack, dice, "contracts")["payer_id"] = _row(pack, dice, "payers")["payer_id"]


def _plan(pack: Pack, dice: Random) -> None:
    _row(pack, dice, "contracts")["plan_id"] = dice.choice(pack.plans)["plan_id"]


def _credit(pack: Pack, dice: Random) -> None:
    row = _row(pack, dice, "credits")
    row["amount"] = str(Decimal(row["amount"]) * 2)


def _again(rows: list[dict[str, Any]], dice: Random, name: str) -> None:
    """One landed row again, by a later batch, with another value."""
    row = dict(dice.choice(rows))
    row[name] = row[name] + 1
    row["batch_id"] = f"again-{dice.random()}"
    row["ingested_at"] = LATER + timedelta(seconds=dice.randrange(10**6))
    rows.append(row)


def _reading(pack: Pack, dice: Random) -> None:
    _again(pack.readings, dice, "value")


def _event(pack: Pack, dice: Random) -> None:
    _again(pack.events, dice, "quantity")


def _landed_price(pack: Pack, dice: Random) -> None:
    _again(pack.prices, dice, "price")


CHANGES: tuple[Change, ...] = (
    _price, _tier, _band, _described, _tax, _exchange, _no_exchange, _no_route, _consolidation,
    _site, _holiday, _assignment, _term, _plan, _credit, _reading, _event, _landed_price,
)  # fmt: skip


class NightlyWarehouse(RatingWarehouse):
    """A warehouse that remembers what it rated."""

    def night(self, book_folder: Path, pack: Pack) -> tuple[int, int]:
        """Compute what changed; how many contracts and months were rated, of how many."""
        self.take(book_folder, pack.readings, pack.events, pack.prices)
        self._compute()
        ((rated, known),) = self.rows("select rated, known from int_rating__settled")
        assert self.rows("select 1 from int_rating__scope where is_due") == []
        return rated, known


def _changed(pack: Pack, dice: Random, folder: Path) -> tuple[Pack, list[str]]:
    """The pack with some changes that leave a sound book, written to the folder; their names."""
    done: list[str] = []
    while len(done) < CHANGES_A_NIGHT:
        change = dice.choice(CHANGES)
        proposed = deepcopy(pack)
        try:
            change(proposed, dice)
        except (IndexError, StopIteration):
            continue  # this pack has nothing of the kind
        target = folder / f"{len(list(folder.iterdir()))}"
        proposed.write(target)
        try:
            load_book(target)
        except BookError:
            continue
        pack = proposed
        done.append(change.__name__)
    return pack, done


def _told(warehouse: RatingWarehouse, table: str, columns: str) -> set[tuple[Any, ...]]:
    rows = warehouse.rows(f"select {columns} from {table}")
    assert len(set(rows)) == len(rows), f"{table} has a row twice"
    return set(rows)


@pytest.mark.parametrize("seed", [1, 2])
def test_nights_say_what_a_rebuild_says(seed: int, tmp_path: Path) -> None:
    dice = Random(seed)
    nightly = NightlyWarehouse(tmp_path / "ledger")
    fresh = RatingWarehouse(tmp_path / "ledger-of-the-other")
    (tmp_path / "books").mkdir()
    pack = random_pack(seed, BOOKS, tmp_path / "book")
    rated, known = nightly.night(tmp_path / "book", pack)
    assert rated == known > BOOKS
    assert nightly.night(tmp_path / "book", pack) == (0, known)

    shares = []
    for night in range(NIGHTS):
        pack, changes = _changed(pack, dice, tmp_path / "books")
        book = tmp_path / f"book-{night}"
        pack.write(book)
        rated, known = nightly.night(book, pack)
        fresh.rate(book, pack.readings, pack.events, pack.prices)
        for table, columns in TOLD.items():
            ours, theirs = _told(nightly, table, columns), _told(fresh, table, columns)
            assert ours == theirs, (
                f"seed {seed}, night {night}, after {', '.join(changes)}: {table}"
            )
        shares.append(Decimal(rated) / known)
    assert min(shares) < Decimal("0.5"), f"nearly everything was rated every night: {shares}"
