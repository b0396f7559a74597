"""Exact numbers on the wire and dates of every form."""

from __future__ import annotations

import json
import time
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.xero.wire import day, decode, encode, instant, items, money


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**14)))
def test_a_decimal_goes_out_and_comes_back_digit_for_digit(value: Decimal) -> None:
    text = encode({"Amount": value})
    assert "e" not in text.lower().replace("amount", "")
    assert str(decode(text)["Amount"]) in (format(value, "f"), str(int(value)))


def test_what_floats_would_get_wrong() -> None:
    assert encode([Decimal("1234567890123456.7891")]) == "[1234567890123456.7891]"
    assert encode([Decimal("1E+3"), Decimal("0.10")]) == "[1000,0.10]"


def test_a_float_is_refused() -> None:
    with pytest.raises(TypeError, match="float"):
        encode({"Amount": 0.1})


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_everything_else_is_plain_json(value: object) -> None:
    assert json.loads(encode(value)) == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/Date(1552262400000+0000)/", date(2019, 3, 11)),
        ("/Date(1552262400000)/", date(2019, 3, 11)),
        ("2019-03-11T00:00:00", date(2019, 3, 11)),
        ("2019-03-11", date(2019, 3, 11)),
        ("soon", None),
        (None, None),
    ],
)
def test_day(value: object, expected: date | None) -> None:
    assert day(value) == expected


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/Los_Angeles", "UTC"])
def test_the_day_does_not_depend_on_the_hosts_timezone(
    zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        # 2026-10-31 and 2026-11-01 at midnight UTC, around a month's end.
        assert day("/Date(1793404800000+0000)/") == date(2026, 10, 31)
        assert day("/Date(1793491200000+0000)/") == date(2026, 11, 1)
        assert encode({"Date": date(2026, 10, 31)}) == '{"Date":"2026-10-31"}'
    finally:
        monkeypatch.undo()
        time.tzset()


def test_instant() -> None:
    expected = datetime(2019, 3, 11, 17, 58, 46, 117000, tzinfo=UTC)
    assert instant("/Date(1552327126117+0000)/") == expected
    assert instant("2019-03-11T17:58:46.117") == expected
    assert instant("2019-03-11T18:58:46.117+01:00") == expected
    assert instant(None) is None


def test_money_and_items_never_raise() -> None:
    assert money(Decimal("1.10")) == Decimal("1.10")
    assert (money(3), money("2.5"), money(None), money(True), money("x")) == (
        Decimal(3),
        Decimal("2.5"),
        None,
        None,
        None,
    )
    assert items({"Invoices": [{"a": 1}, None]}, "Invoices") == [{"a": 1}]
    assert items({"Invoices": None}, "Invoices") == []
    assert items(None, "Invoices") == []
