"""Exactness: whatever decimal goes in comes out, digit for digit, through a real database."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Integer, MetaData, Table, create_engine, insert, select

from exporters.ledger.types import ExactDecimal, Instant, canonical, jsonable, to_json

TABLE = Table(
    "t", MetaData(), Column("id", Integer, primary_key=True), Column("v", ExactDecimal),
    Column("at", Instant),
)  # fmt: skip


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    path: Path = tmp_path_factory.mktemp("types") / "t.sqlite"
    made = create_engine(f"sqlite:///{path}")
    TABLE.metadata.create_all(made)
    yield made
    made.dispose()


@settings(max_examples=200, deadline=None)
@given(
    value=st.decimals(allow_nan=False, allow_infinity=False, places=None)
    | st.decimals(min_value=-(10**16), max_value=10**16, places=9),
    at=st.datetimes(timezones=st.just(UTC), min_value=datetime(1900, 1, 1)),  # noqa: DTZ001
)
def test_round_trip(engine, value: Decimal, at: datetime) -> None:  # type: ignore[no-untyped-def]
    if value.adjusted() < -400 or value.adjusted() > 400:
        value = value.scaleb(-value.adjusted())
    with engine.begin() as connection:
        key = connection.execute(insert(TABLE).values(v=value, at=at)).inserted_primary_key[0]
        row = connection.execute(select(TABLE).where(TABLE.c.id == key)).one()
    assert row.v == value
    assert format(row.v, "f") == format(value, "f")
    assert row.at == at


@given(first=st.datetimes(timezones=st.just(UTC)), second=st.datetimes(timezones=st.just(UTC)))
def test_instants_sort_as_text_as_they_do_in_time(first: datetime, second: datetime) -> None:
    spelled = [str(canonical(moment)) for moment in (first, second)]
    if first.year >= 1000 <= second.year:
        assert (spelled[0] < spelled[1]) == (first < second)


def test_json_is_canonical() -> None:
    assert to_json({"b": 1, "a": Decimal("1E+2")}) == '{"a": "100", "b": 1}'
    assert jsonable((None, True, datetime(2026, 1, 1, tzinfo=UTC))) == [
        None,
        True,
        "2026-01-01T00:00:00.000000Z",
    ]
    with pytest.raises(TypeError, match="float"):
        to_json([0.1])
