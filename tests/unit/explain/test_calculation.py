"""The words of each charge model, and checks that fail when a figure does not follow."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from exporters.explain.calculation import calculation

LINE: dict[str, Any] = {
    "charge_model": "per_unit",
    "site_id": "A",
    "band": None,
    "metric": "energy",
    "charge_unit": "kWh",
    "per": "site",
    "quantity": Decimal("1200.000000"),
    "plan_unit_price": Decimal("0.1"),
    "plan_amount": Decimal("120.00"),
    "plan_currency": "EUR",
    "plan_minor_units": 2,
    "fx_rate": Decimal(1),
    "amount": Decimal("120.00"),
    "currency": "EUR",
    "minor_units": 2,
    "site_quantity": Decimal("1200"),
    "usage": Decimal("1200"),
    "contract_usage": None,
    "tier_from": None,
    "tier_up_to": None,
}


def _told(**figures: Any) -> tuple[str, list[bool]]:
    words, checks = calculation({**LINE, **figures})
    return " ".join(words), [check.agrees for check in checks]


def test_per_unit() -> None:
    words, agree = _told()
    assert words == "A used 1,200 kWh: 1,200 kWh × EUR 0.10 = EUR 120.00."
    assert agree == [True]
    assert _told(quantity=Decimal("1200.000001"))[1] == [False]


def test_a_tier_holds_what_lies_between_its_bounds() -> None:
    tier = {
        "charge_model": "graduated",
        "band": "2",
        "tier_from": Decimal(500),
        "tier_up_to": Decimal(1000),
        "plan_amount": Decimal("50.00"),
        "amount": Decimal("50.00"),
    }
    words, agree = _told(**tier, quantity=Decimal("500.000000"))
    assert "500 kWh of it fell into tier 2, above 500 up to 1,000 kWh" in words
    assert agree == [True]
    assert _told(**tier, quantity=Decimal("499.999999"))[1] == [False]


@pytest.mark.parametrize(("usage", "agrees"), [("1000", True), ("1000.000000000001", False)])
def test_an_upper_bound_is_inclusive(usage: str, agrees: bool) -> None:
    words, agree = _told(
        charge_model="stairstep",
        band="2",
        tier_from=Decimal(500),
        tier_up_to=Decimal(1000),
        usage=Decimal(usage),
    )
    assert "reaches step 2" in words
    assert agree == [agrees]


@pytest.mark.parametrize(("packages", "agrees"), [(11, False), (12, True), (13, False)])
def test_packages_are_those_begun(packages: int, agrees: bool) -> None:
    _, agree = _told(
        charge_model="package",
        quantity=Decimal(packages),
        included=Decimal(50),
        package_size=Decimal(100),
    )
    assert agree == [agrees]


def test_an_exchange_rate_is_told_and_checked() -> None:
    money = {"currency": "NOK", "fx_rate": Decimal("11.7345")}
    words, agree = _told(**money, amount=Decimal("1408.14"))
    assert "EUR 120.00 × 11.7345 = NOK 1,408.14" in words
    assert agree == [True, True]
    assert _told(**money, amount=Decimal("1408.15"))[1] == [True, False]


def test_a_commitment_less_its_lines() -> None:
    commit = {"charge_model": "minimum_commit", "base_amount": Decimal("203.08"), "usage": None}
    words, agree = _told(
        **commit,
        commitment=Decimal("300.00"),
        plan_amount=Decimal("96.92"),
        amount=Decimal("96.92"),
    )
    assert "EUR 96.92 short of it" in words
    assert agree == [True]
    assert _told(**commit, commitment=Decimal("300.01"), plan_amount=Decimal("96.92"))[1] == [False]


def test_a_discount_may_be_capped_but_not_too_large() -> None:
    discount = {
        "charge_model": "discount",
        "percent": Decimal(20),
        "base_amount": Decimal("50.00"),
    }
    assert _told(**discount, plan_amount=Decimal("-10.00"))[1] == [True]
    words, agree = _told(**discount, plan_amount=Decimal("-8.33"))
    assert "above the maximum" in words
    assert agree == [True]
    assert _told(**discount, plan_amount=Decimal("-10.01"))[1] == [False]


def test_a_part_of_a_month() -> None:
    words, agree = _told(
        charge_model="recurring",
        per="machine",
        prorate="time",
        machines=2,
        part=52,
        whole=31,
        quantity=Decimal("1.677419"),
    )
    assert words.startswith("2 machines at A for ")
    assert agree == [True]


def test_demand_is_the_greatest_window() -> None:
    from datetime import UTC, datetime

    words, agree = _told(
        charge_model="demand",
        window_minutes=15,
        peak_start=datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
        peak_quantity=Decimal("1.75"),
        quantity=Decimal("7.000000"),
    )
    assert "1.75 kWh × 4 = 7 kW" in words
    assert agree == [True]


def test_a_line_that_is_on_no_statement_says_so() -> None:
    words, _ = _told(currency=None, amount=None)
    assert "on no statement" in words
