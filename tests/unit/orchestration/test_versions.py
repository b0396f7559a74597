"""What the first build of another version says of issued months, before anybody sees its marts."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from orchestration.versions import NewVersion, first_build_of_version


def marts(path: Path, version: str, causes: tuple[str, ...] = (), *, issued: int = 3) -> Path:
    with duckdb.connect(path) as con:
        con.execute(
            "create table build_info as select $1 as book_version, $2 as code_version",
            ["b-1", version],
        )
        con.execute(
            """
            create table statements (statement_id varchar, state varchar);
            insert into statements values ('P/2026-10/all', 'issued'), ('P/2026-11/all', 'review');
            create table statement_lines (line_key varchar, statement_id varchar,
                description varchar, amount decimal(18,2), tax_amount decimal(18,2),
                currency varchar);
            create table adjustments (line_key varchar, cause varchar);
            """
        )
        for no in range(issued):
            con.execute(
                "insert into statement_lines values ($1, 'P/2026-10/all', 'energy', 1, 0, 'EUR')",
                [f"K/2026-10/1/energy/OSL/{no}"],
            )
        for no, cause in enumerate(causes):
            key = f"adj/2026-11/K/2026-10/1/energy/OSL/{no}"
            con.execute(
                "insert into statement_lines values "
                "($1, 'P/2026-11/all', 'more energy', $2, null, 'EUR')",
                [key, f"{no + 1}.50"],
            )
            con.execute("insert into adjustments values ($1, $2)", [key, cause])
    return path


def told(tmp_path: Path, causes: tuple[str, ...], *, issued: int = 3) -> NewVersion | None:
    return first_build_of_version(
        marts(tmp_path / "next.duckdb", "v2", causes, issued=issued),
        marts(tmp_path / "published.duckdb", "v1"),
    )


def test_differences_are_summed_up_and_listed_the_largest_first(tmp_path: Path) -> None:
    found = told(tmp_path, ("code", "readings", "code"))
    assert found is not None
    assert found.describe() == [
        "first build of version v2, after v1: 2 of 3 issued lines are rated differently from the "
        "same input, EUR 5.00 before tax; statements with these adjustments wait for approval",
        "  adj/2026-11/K/2026-10/1/energy/OSL/2: EUR 3.50, more energy",
        "  adj/2026-11/K/2026-10/1/energy/OSL/0: EUR 1.50, more energy",
    ]
    assert found.as_dict()["differences"][0]["amount"] == "3.50"


def test_many_are_counted(tmp_path: Path) -> None:
    found = told(tmp_path, ("code",) * 13)
    assert found is not None
    assert found.describe()[-1] == "  and 3 more"


def test_no_difference_is_said_too(tmp_path: Path) -> None:
    found = told(tmp_path, ("book", "readings"))
    assert found is not None
    assert found.describe() == [
        "first build of version v2, after v1: all 3 issued lines are rated as they were issued"
    ]


@pytest.mark.parametrize("before", [None, "v2"], ids=["nothing published", "the same version"])
def test_otherwise_there_is_nothing_to_say(tmp_path: Path, before: str | None) -> None:
    published = tmp_path / "published.duckdb"
    if before is not None:
        marts(published, before)
    made = marts(tmp_path / "next.duckdb", "v2", ("code",))
    assert first_build_of_version(made, published) is None


def test_where_nothing_is_issued_nothing_is_said(tmp_path: Path) -> None:
    found = told(tmp_path, (), issued=0)
    assert found is not None
    assert found.describe() == []
