"""What both engines must agree on: exact arithmetic far beyond 64 bits, and every mart of random
books."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest

from tests.spark.builds import BOOKS, SEED, build, check_all_are_billed, differences
from tests.spark.cluster import Cluster
from tests.spark.landed import write_data_dir
from tests.unit.warehouse.templates import Project


@dataclass(frozen=True)
class Case:
    """A call of a macro over columns, each a type, its decimals and how many bits its last decimals
    take at most, and what the call must give."""

    call: str
    columns: Mapping[str, tuple[str, int, int]]
    expected: Callable[..., Fraction]


def rounded(value: Fraction, digits: int) -> Fraction:
    """A value rounded half away from zero."""
    scaled = abs(value) * 10**digits
    whole = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    return Fraction(whole if value >= 0 else -whole, 10**digits)


def written(value: Fraction, decimals: int) -> str:
    """A value of so many decimals as a decimal number."""
    digits = str(int(abs(value) * 10**decimals)).rjust(decimals + 1, "0")
    whole, rest = digits[: len(digits) - decimals], digits[len(digits) - decimals :]
    return f"{'-' if value < 0 else ''}{whole}{'.' if rest else ''}{rest}"


WHOLE = "decimal(38, 0)"
CASES = {
    "whole numbers divide towards zero": Case(
        "whole_div('cast(a as ' ~ whole_type() ~ ')', 'cast(b as ' ~ whole_type() ~ ')')",
        {"a": (WHOLE, 0, 125), "b": (WHOLE, 0, 100)},
        lambda a, b: Fraction(int(a / b)),
    ),
    "quotients are rounded once": Case(
        "divide_round('a', 9, 'b', 0, 6)",
        {"a": ("decimal(38, 9)", 9, 94), "b": (WHOLE, 0, 80)},
        lambda a, b: rounded(a / b, 6),
    ),
    "parts of an interval": Case(
        "prorate('a', 'b', 'c')",
        {"a": ("decimal(38, 9)", 9, 70), "b": ("bigint", 0, 50), "c": ("bigint", 0, 50)},
        lambda a, b, c: rounded(a * b / c, 9),
    ),
    "products": Case(
        "exact_product('a', 9, 'b', 6)",
        {"a": ("decimal(38, 9)", 9, 80), "b": ("decimal(38, 6)", 6, 44)},
        lambda a, b: a * b,
    ),
    "shares of money": Case(
        "share_of_money('a', 'b', 'b + c', '2')",
        {"a": ("decimal(24, 9)", 9, 65), "b": ("bigint", 0, 50), "c": ("bigint", 0, 60)},
        lambda a, b, c: rounded(a * b / (b + c), 2),
    ),
    "shares of quantities": Case(
        "share_of_quantity('abs(a)', 'b', 'cast(b + c as decimal(38, 12))')",
        dict.fromkeys("abc", ("decimal(38, 12)", 12, 80)),
        lambda a, b, c: rounded(abs(a) * b / (b + c), 6),
    ),
    "amounts in minor units": Case(
        "to_minor_unit('a', '2')",
        {"a": ("decimal(38, 22)", 22, 116)},
        lambda a: rounded(a, 2),
    ),
    "digits of a decimal": Case(
        "digits_integer('a', 22)",
        {"a": ("decimal(38, 22)", 22, 126)},
        lambda a: a * 10**22,
    ),
}


@pytest.mark.parametrize("engine", ["duckdb", "spark"])
@pytest.mark.parametrize("name", sorted(CASES))
def test_macros_are_exact_far_beyond_64_bits(name: str, engine: str, server: Cluster) -> None:
    case = CASES[name]
    dice = Random(name)

    def drawn(column: str, decimals: int, bits: int) -> Fraction:
        sign = dice.choice((1, -1)) if column == "a" else 1
        return Fraction(sign * dice.randint(1, 2 ** dice.randint(1, bits)), 10**decimals)

    rows = [
        [drawn(column, decimals, bits) for column, (_, decimals, bits) in case.columns.items()]
        for _ in range(400)
    ]
    texts = [
        [written(value, spec[1]) for value, spec in zip(row, case.columns.values(), strict=True)]
        for row in rows
    ]
    values = ", ".join(f"({n}, {', '.join(map(repr, row))})" for n, row in enumerate(texts))
    typed = ", ".join(f"cast({name} as {spec[0]}) as {name}" for name, spec in case.columns.items())
    project = Project(None, (), engine=engine)
    query = (
        f"select cast({project.expression(case.call)} as string) from (select n, {typed} from"
        f" (values {values}) as given (n, {', '.join(case.columns)})) as rows_given order by n"
    )
    found = [Fraction(text) for text in answers(query, project, server, engine)]
    assert found == [Fraction(case.expected(*row)) for row in rows]


@pytest.mark.parametrize("engine", ["duckdb", "spark"])
def test_what_does_not_fit_is_an_error_and_never_another_number(
    engine: str, server: Cluster
) -> None:
    project = Project(None, (), engine=engine)
    product = project.expression("exact_product('a', 9, 'a', 9)")
    query = f"select cast({product} as string) from (select cast('1e14' as decimal(38, 0)) as a)"
    with pytest.raises(Exception, match=r"(?i)overflow|out of range|cannot be represented"):
        answers(query, project, server, engine)


@pytest.mark.parametrize("engine", ["duckdb", "spark"])
def test_a_quotient_whose_divisor_is_zero_is_null(engine: str, server: Cluster) -> None:
    project = Project(None, (), engine=engine)
    quotient = project.expression("divide_round('a', 0, 'b', 0, 6)")
    query = (
        f"select cast({quotient} as string) from (select n, cast(x as decimal(38, 0)) as a,"
        " cast(y as decimal(38, 0)) as b from (values (1, '12', '0'), (2, '12', '5')) as given"
        " (n, x, y)) as rows_given order by n"
    )
    assert answers(query, project, server, engine) == [None, "2.400000"]


def answers(query: str, project: Project, server: Cluster, engine: str) -> list[Any]:
    """The first column of a query."""
    if engine == "duckdb":
        with duckdb.connect() as connection:
            return [row[0] for row in connection.execute(query).fetchall()]
    from orchestration.spark import EXACT

    with server.session() as session:
        for setting, value in EXACT.items():
            session.conf.set(setting, value)
        session.sql("create schema if not exists main")
        for statement in project.macros.spark_functions():
            session.sql(statement)
        return [row[0] for row in session.sql(query).collect()]


def test_random_books_give_the_same_marts(tmp_path: Path, server: Cluster) -> None:
    write_data_dir(tmp_path, seed=SEED, books=BOOKS)
    server.forget_tables()
    on_spark = build(tmp_path, server)
    assert differences(build(tmp_path), on_spark) == {}
    check_all_are_billed(on_spark)
