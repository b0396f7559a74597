"""Rating only what changed gives what rating everything from nothing gives, night after night.

Random books and landed rows (tests.unit.rating.random_books) change a little every night: prices,
taxes, routes, rates, calendars, places, assignments, readings, events. One warehouse remembers what
it rated; another forgets everything each night. Both must say the same.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.unit.rating.nights import LANDED_LATE, OF_THE_BOOK, NightlyWarehouse, changed
from tests.unit.rating.random_books import random_pack
from tests.unit.rating.warehouse import RatingWarehouse

BOOKS = 6
NIGHTS = 6
CHANGES_A_NIGHT = 3
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
        pack, changes = changed(
            pack,
            dice,
            tmp_path / "books",
            kinds=OF_THE_BOOK + LANDED_LATE,
            count=CHANGES_A_NIGHT,
        )
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
