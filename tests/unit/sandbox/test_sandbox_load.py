"""Load: the same for the same arguments, and what a machine can draw."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from connectors.sandbox.load import draw, watts

AT = datetime(2026, 10, 5, 12, tzinfo=UTC)


def test_watts_are_a_pure_function_with_a_known_value() -> None:
    """A changed value would silently change every demo and golden file."""
    power = watts(1, site_id="NO-OSL1", meter_id="m1", at=AT, rated_kw=Decimal("3.5"))
    assert power == watts(1, site_id="NO-OSL1", meter_id="m1", at=AT, rated_kw=Decimal("3.5"))
    assert power == 1750


def test_another_seed_site_meter_or_time_gives_another_load() -> None:
    base = watts(1, site_id="A", meter_id="m1", at=AT, rated_kw=Decimal(10))
    others = {
        watts(2, site_id="A", meter_id="m1", at=AT, rated_kw=Decimal(10)),
        watts(1, site_id="B", meter_id="m1", at=AT, rated_kw=Decimal(10)),
        watts(1, site_id="A", meter_id="m2", at=AT, rated_kw=Decimal(10)),
        watts(1, site_id="A", meter_id="m1", at=AT + timedelta(hours=1), rated_kw=Decimal(10)),
    }
    assert base not in others


def test_parts_of_a_draw_do_not_run_together() -> None:
    assert draw(1, "ab", "c") != draw(1, "a", "bc")


@given(
    seed=st.integers(0, 10**9),
    meter=st.text(min_size=1, max_size=20),
    at=st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2050, 1, 1)),  # noqa: DTZ001
    rated=st.decimals(Decimal("0.001"), Decimal(500), places=3),
)
def test_load_is_positive_and_never_above_the_rated_power(
    seed: int, meter: str, at: datetime, rated: Decimal
) -> None:
    power = watts(seed, site_id="S", meter_id=meter, at=at.replace(tzinfo=UTC), rated_kw=rated)
    assert 1 <= power <= max(1, rated * 1000)
