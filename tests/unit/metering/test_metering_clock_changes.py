"""Days of 23, 23.5, 24.5 and 25 hours: usage by local date, and estimates of the changed hour."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.unit.metering.plain import HOUR, Row, book, reading, unbalanced

# The date on which clocks change, its hours, and the local hour that is skipped or lived twice (at
# Lord Howe half of it).
CHANGES = [
    ("Europe/Oslo", date(2026, 3, 29), Decimal(23), 2),
    ("Europe/Oslo", date(2026, 10, 25), Decimal(25), 2),
    ("Australia/Lord_Howe", date(2026, 4, 5), Decimal("24.5"), 1),
    ("Australia/Lord_Howe", date(2026, 10, 4), Decimal("23.5"), 2),
    ("America/New_York", date(2026, 3, 8), Decimal(23), 2),
]
changes = pytest.mark.parametrize(("timezone", "day", "hours", "changed_hour"), CHANGES)


def midnight(day: date, timezone: str) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(timezone)).astimezone(UTC)


def dates(metering: Any, column: str = "metered_quantity") -> dict[date, Decimal]:
    """Quantities of contract K by local date."""
    return dict(
        metering.rows(
            f"select usage_date, {column} from usage_daily"
            f" where contract_id = 'K' and {column} != 0 order by usage_date"
        )
    )


def run(metering: Any, timezone: str, rows: list[Row], **options: Any) -> None:
    metering.run({**book(timezone=timezone, **options), "landed": rows})
    assert unbalanced(metering) == []


@changes
@pytest.mark.parametrize("minutes", [60, 15])
def test_a_changed_day_has_the_usage_of_its_hours(
    metering: Any, timezone: str, day: date, hours: Decimal, changed_hour: int, minutes: int
) -> None:
    # One kWh an hour, on the UTC clock's grid, of the changed day and of one day on each side.
    del changed_hour
    step = timedelta(minutes=minutes)
    begin, end = (midnight(day + timedelta(days=n), timezone).replace(minute=0) for n in (-1, 2))
    rows = [
        reading(begin + n * step, Decimal(minutes) / 60, hours=minutes / 60)
        for n in range((end - begin) // step)
    ]
    run(metering, timezone, rows)

    first, last = (midnight(day + timedelta(days=n), timezone) for n in (-1, 2))
    found = dates(metering)
    assert found[day] == hours
    # An hour that local midnight divides lies half on either side.
    assert found[day - timedelta(days=1)] == 24
    assert found[day + timedelta(days=1)] == 24 - Decimal((last - end) / HOUR)
    assert sum(found.values()) == Decimal(len(rows) * minutes) / 60
    assert first >= begin


@changes
def test_a_register_read_at_local_midnights_gives_each_date_its_own(
    metering: Any, timezone: str, day: date, hours: Decimal, changed_hour: int
) -> None:
    del hours, changed_hour
    counters = ["100", "124.000000001", "150.25", "151"]
    rows = [
        reading(midnight(day + timedelta(days=n - 1), timezone), counter, kind="register")
        for n, counter in enumerate(counters)
    ]
    run(metering, timezone, rows)

    assert dates(metering) == {
        day - timedelta(days=1): Decimal("24.000000001"),
        day: Decimal("26.249999999"),
        day + timedelta(days=1): Decimal("0.75"),
    }


@changes
def test_a_register_read_once_a_day_of_utc_is_divided_by_time(
    metering: Any, timezone: str, day: date, hours: Decimal, changed_hour: int
) -> None:
    # 24 kWh a day read at 12:00 UTC, which is one kWh an hour, whatever the local clocks do.
    del changed_hour
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    rows = [
        reading(noon + timedelta(days=n), str(1000 + 24 * n), kind="register")
        for n in (-3, -2, -1, 0, 1, 2)
    ]
    run(metering, timezone, rows)

    found = dates(metering)
    assert found[day] == hours
    assert found[day - timedelta(days=1)] == 24
    assert found[day + timedelta(days=1)] == 24
    assert sum(found.values()) == 5 * 24


def profile(hour: int) -> Decimal:
    """Usage of a local hour: all hours differ, and so do sums of several."""
    return Decimal(2**hour) / 256


def local_halves(
    timezone: str, first: date, days: int, usage: Callable[[int], Decimal]
) -> list[Row]:
    """Half-hours of local days, each with half of what its local hour uses."""
    begin = midnight(first, timezone)
    end = midnight(first + timedelta(days=days), timezone)
    rows = []
    while begin < end:
        local = begin.astimezone(ZoneInfo(timezone))
        rows.append(reading(begin, usage(local.hour) / 2, hours=0.5))
        begin += HOUR / 2
    return rows


@changes
def test_a_changed_day_is_estimated_hour_by_hour_of_its_clock(
    metering: Any, timezone: str, day: date, hours: Decimal, changed_hour: int
) -> None:
    # Two weeks and one week before, and the day after, were measured, the day itself was not.
    rows = [
        row
        for days in (-14, -7, 1)
        for row in local_halves(timezone, day + timedelta(days=days), 1, profile)
    ]
    run(metering, timezone, rows, estimation="like_day")

    whole = sum(map(profile, range(24)), Decimal(0))
    assert dates(metering)[day - timedelta(days=7)] == whole
    estimated = dates(metering, "estimated_quantity")
    # What is skipped has no estimate, what is lived twice has two.
    assert estimated[day] == whole + (hours - 24) * profile(changed_hour)
    # Of the days between, none has two models.
    assert set(estimated) == {day}
    parts = metering.rows(
        "select sum(quantity), sum(epoch_us(piece_end) - epoch_us(piece_start))"
        " from int_metering__pieces where is_estimated"
    )
    assert parts == [(estimated[day], hours * 3_600_000_000)]


@changes
def test_a_gap_over_the_change_is_as_long_as_it_was(
    metering: Any, timezone: str, day: date, hours: Decimal, changed_hour: int
) -> None:
    del changed_hour
    rows = [
        reading(midnight(day, timezone) - HOUR, "1"),
        reading(midnight(day + timedelta(days=1), timezone), "1"),
    ]
    run(metering, timezone, rows)

    # The whole local day, as a gap between two readings.
    found = metering.rows(
        "select epoch_us(gap_end) - epoch_us(gap_start) from int_metering__gaps"
        " where before_us is not null"
    )
    assert found == [(hours * 3_600_000_000,)]
