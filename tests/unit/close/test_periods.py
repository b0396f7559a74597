"""When a month is over, and which day it is where the seller is."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from exporters.close.periods import local_date, period_end


@pytest.mark.parametrize(
    ("period", "zones", "end"),
    [
        ("2026-10", ["Europe/Helsinki"], datetime(2026, 10, 31, 22, tzinfo=UTC)),
        ("2026-12", ["Europe/Oslo", "Asia/Jakarta"], datetime(2026, 12, 31, 23, tzinfo=UTC)),
        ("2026-02", [], datetime(2026, 3, 1, 12, tzinfo=UTC)),
    ],
)
def test_the_last_zone_ends_the_month(period: str, zones: list[str], end: datetime) -> None:
    assert period_end(period, zones) == end


@pytest.mark.parametrize(
    ("country", "day"),
    [
        ("FI", 5),
        ("fi", 5),
        ("US", 4),
        ("AU", 5),
        ("NZ", 5),
        ("GB", 4),
        ("UA", 5),
        ("XX", 4),
    ],
)
def test_local_date(country: str, day: int) -> None:
    assert local_date(datetime(2026, 11, 4, 22, 30, tzinfo=UTC), country) == date(2026, 11, day)
