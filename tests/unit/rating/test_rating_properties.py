"""Rating against an independent reference: the same statement lines, column by column.

Books, readings, events and prices are random (tests.unit.rating.random_books). They go through the
loader, its tables and the models on one side, and through the reference (plain fractions written
from the specification, tests.unit.rating.reference) on the other. ``M2C_RATING_BOOKS`` sets how
many books, ``M2C_RATING_SEED`` the first seed; a failure names the seed of its pack.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.unit.rating.random_books import random_pack
from tests.unit.rating.reference import Book, Line, Rating
from tests.unit.rating.warehouse import RatingWarehouse

BOOKS_A_PACK = 40
BOOKS = int(os.environ.get("M2C_RATING_BOOKS", "320"))
FIRST_SEED = int(os.environ.get("M2C_RATING_SEED", "1"))
SEEDS = range(FIRST_SEED, FIRST_SEED + -(-BOOKS // BOOKS_A_PACK))
SHOWN = 12
# Words and the book's version are no part of what is reckoned.
LEFT_OUT = {"description", "book_version"}
LEAST = 10  # of anything for which less is said here
SELDOM = {"index": 5}
MODELS = (
    "per_unit", "graduated", "volume", "package", "stairstep", "time_of_use", "index", "demand",
    "recurring", "pass_through", "percentage", "discount", "minimum_commit", "credit",
)  # fmt: skip
KINDS = (
    "missing_index_price", "missing_fx_rate", "no_tax_rule", "unpriced_event", "unassigned_event",
    "disputed_event",
)  # fmt: skip


@dataclass
class Tally:
    """What occurred in all packs, so that nothing is tested by its absence."""

    books: int = 0
    lines: int = 0
    seen: Counter[str] = field(default_factory=Counter)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> RatingWarehouse:
    """One database for all packs."""
    return RatingWarehouse(tmp_path_factory.mktemp("ledger"))


@pytest.fixture(scope="module")
def tally() -> Tally:
    """Counts over all packs."""
    return Tally()


def differences(seed: int, expected: list[Line], got: list[dict[str, Any]]) -> Iterator[str]:
    """One sentence for each line or value that differs."""
    wanted = {line["line_key"]: line for line in expected}
    found = {line["line_key"]: line for line in got}
    assert len(wanted) == len(expected), f"seed {seed}: the reference gives a line key twice"
    if len(found) != len(got):
        yield f"seed {seed}: a line key stands twice"
    for key in sorted(wanted.keys() | found.keys()):
        if key not in found:
            yield f"seed {seed}, {key}: expected a line of {said(wanted[key]['amount'])}, got none"
        elif key not in wanted:
            yield f"seed {seed}, {key}: expected no line, got one of {found[key]['amount']}"
        else:
            for column in sorted(found[key].keys() - LEFT_OUT):
                want, have = wanted[key][column], found[key][column]
                same = have == want
                if isinstance(want, Fraction) and have is not None:
                    same = Fraction(have) == want
                if not same:
                    yield f"seed {seed}, {key}: {column}: expected {said(want)}, got {said(have)}"


def said(value: Any) -> str:
    """A fraction as a decimal, anything else as it is."""
    if isinstance(value, Fraction):
        return f"{float(value)!r} ({value})"
    return repr(value) if value is None else str(value)


@pytest.mark.parametrize("seed", SEEDS)
def test_lines_and_exceptions_are_those_of_the_reference(
    seed: int, warehouse: RatingWarehouse, tally: Tally, tmp_path: Path
) -> None:
    pack = random_pack(seed, BOOKS_A_PACK, tmp_path)
    reference = Rating(Book(tmp_path), pack.readings, pack.events, pack.prices)
    warehouse.rate(tmp_path, pack.readings, pack.events, pack.prices)
    got = warehouse.told("select * from statement_lines")

    faults = list(differences(seed, reference.lines, got))
    complaints = Counter(
        warehouse.rows(
            "select kind, severity, period, site_id, contract_id, statement_id"
            " from int_rating__exceptions"
        )
    )
    for told, count in sorted((reference.exceptions - complaints).items(), key=str):
        faults.append(f"seed {seed}: {count} x exception {told} expected and not there")
    for told, count in sorted((complaints - reference.exceptions).items(), key=str):
        faults.append(f"seed {seed}: {count} x exception {told} not expected")
    more = [f"... and {len(faults) - SHOWN} more"] if len(faults) > SHOWN else []
    assert not faults, "\n".join([f"{len(faults)} differences", *faults[:SHOWN], *more])

    tally.books += BOOKS_A_PACK
    tally.lines += len(got)
    tally.seen.update(_occurrences(pack, reference))


def _occurrences(pack: Any, reference: Rating) -> Counter[str]:
    """What a pack held: lines by charge model, kinds of exceptions and credits, and edges."""
    seen: Counter[str] = Counter(line["charge_model"] for line in reference.lines)
    for told, count in reference.exceptions.items():
        seen[str(told[0])] += count
    kinds = {credit["credit_id"]: credit["kind"] for credit in pack.tables["credits"]}
    per = {
        (plan["plan_id"], version["version"], charge["code"]): charge
        for plan in pack.plans
        for version in plan["versions"]
        for charge in version["charges"]
    }
    for line in reference.lines:
        seen[f"currency {line['currency']}"] += 1
        seen[f"unit {line['unit']}"] += 1
        seen["estimated"] += line["estimated_quantity"] > 0
        seen["exception statement"] += line["statement_kind"] == "exception"
        seen["zero amount"] += line["amount"] == 0
        seen["quantity of a million"] += line["quantity"] >= 10**6
        if line["charge_model"] == "credit":
            seen[f"credit {kinds[line['line_key'].split('/')[-1]]}"] += 1
            continue
        charge = per[line["plan_id"], line["plan_version"], line["charge_code"]]
        name = line["charge_model"]
        seen[f"{name} per {charge.get('per')}"] += 1
        seen[f"{name} with sites or regions"] += "sites" in charge or "regions" in charge
        if name == "discount":
            seen["max_amount"] += "max_amount" in charge
            seen["first_months"] += "first_months" in charge
        if name == "recurring":
            seen[f"prorate {charge.get('prorate')}"] += 1
        if name == "pass_through":
            seen["not itemised"] += charge.get("itemise") is False
        if name == "demand":
            seen[f"window {charge['window_minutes']}"] += 1
        seen["second term"] += int(line["line_key"].split("/")[2]) > 1
        seen["second version"] += line["plan_version"] > 1
    return seen


def test_everything_occurred(tally: Tally) -> None:
    if tally.books < len(SEEDS) * BOOKS_A_PACK:
        pytest.skip("counts are those of all packs, and not all were compared")
    names = ", ".join(f"{name} {count}" for name, count in sorted(tally.seen.items()))
    print(f"{tally.books} books, {tally.lines} lines: {names}")  # noqa: T201 - told with -s
    needed = [*MODELS, *KINDS, "credit sla", "credit goodwill", "credit promotion",
              "credit prepaid", "estimated", "exception statement", "zero amount", "max_amount",
              "first_months", "prorate none", "prorate time", "not itemised", "window 15",
              "window 30", "window 60", "graduated per site", "graduated per contract",
              "graduated per machine", "volume per contract", "volume per site",
              "recurring per contract", "recurring per site", "recurring per machine",
              "second term", "second version", "currency IDR", "currency JPY", "unit GWh",
              "unit GJ", "unit KiB", "unit TiB", "unit Wh", "quantity of a million"]  # fmt: skip
    least = {name: SELDOM.get(name, LEAST) * BOOKS // 320 for name in needed}
    seldom = {name: tally.seen[name] for name in needed if tally.seen[name] < least[name]}
    assert tally.books >= BOOKS
    assert not seldom, f"too few of {seldom}: {names}"
