"""What happens to a book and its landed rows from one night to the next, and a warehouse that lives
through the nights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from connectors.book import BookError, load_book
from tests.unit.rating.random_books import Pack
from tests.unit.rating.warehouse import RatingWarehouse

LATER = datetime(2030, 1, 1, tzinfo=UTC)

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


OF_THE_BOOK: tuple[Change, ...] = (
    _price, _tier, _band, _described, _tax, _exchange, _no_exchange, _no_route, _consolidation,
    _site, _holiday, _assignment, _term, _plan, _credit,
)  # fmt: skip
LANDED_LATE: tuple[Change, ...] = (_reading, _event, _landed_price)


class NightlyWarehouse(RatingWarehouse):
    """A warehouse that remembers what it rated."""

    def night(self, book_folder: Path, pack: Pack) -> tuple[int, int]:
        """Compute what changed; how many contracts and months were rated, of how many."""
        self.take(book_folder, pack.readings, pack.events, pack.prices)
        self._compute()
        ((rated, known),) = self.rows("select rated, known from int_rating__settled")
        assert self.rows("select 1 from int_rating__scope where is_due") == []
        return rated, known


def changed(
    pack: Pack, dice: Random, folder: Path, *, kinds: Sequence[Change], count: int
) -> tuple[Pack, list[str]]:
    """The pack with some changes that leave a sound book, written to the folder; their names."""
    done: list[str] = []
    while len(done) < count:
        change = dice.choice(kinds)
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
