"""Local time: midnights that are missing or doubled, spans and months without gap or overlap."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.book.localtime import (
    known_zones,
    last_local_day,
    local_day,
    local_midnight,
    local_month,
    month_before,
    zone_months,
    zone_spans,
)

ZONES = [
    "Europe/Oslo",
    "Europe/Helsinki",
    "Africa/Addis_Ababa",
    "Asia/Jakarta",
    "Asia/Kathmandu",
    "America/Sao_Paulo",
    "America/Havana",
    "Africa/Casablanca",
    "Pacific/Apia",
    "Australia/Lord_Howe",
    "UTC",
]
days = st.dates(date(2000, 1, 2), date(2059, 12, 31))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "day", "instant"),
    [
        ("Europe/Oslo", "2026-05-01", "2026-04-30T22:00"),
        ("Asia/Kathmandu", "2026-10-24", "2026-10-23T18:15"),
        ("Africa/Addis_Ababa", "2026-10-01", "2026-09-30T21:00"),
        # Midnight does not exist: clocks jump from 00:00 to 01:00, and the day begins there.
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00"),
        # They jumped from 23:30 to 00:30: the first instant of the day is 00:30.
        ("America/Toronto", "1919-03-31", "1919-03-31T04:30"),
        # Midnight comes twice (01:00 becomes 00:00): the first counts.
        ("America/Havana", "2026-11-01", "2026-11-01T04:00"),
        # The whole day was left out; what follows it begins at once.
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00"),
    ],
)
def test_a_local_day_begins_at_its_first_instant(zone: str, day: str, instant: str) -> None:
    assert local_midnight(date.fromisoformat(day), zone) == utc(instant)


@given(day=days, zone=st.sampled_from([zone for zone in ZONES if zone != "Pacific/Apia"]))
def test_nothing_of_a_day_comes_before_its_beginning(day: date, zone: str) -> None:
    begin = local_midnight(day, zone)
    assert local_day(begin, zone) == day
    assert local_day(begin - timedelta(microseconds=1), zone) < day


@given(day=days, zone=st.sampled_from(ZONES))
def test_days_begin_in_order(day: date, zone: str) -> None:
    assert local_midnight(day, zone) <= local_midnight(day + timedelta(days=1), zone)


@pytest.mark.parametrize("zone", ZONES)
def test_spans_cover_the_years_without_gap_or_overlap(zone: str) -> None:
    spans = zone_spans(zone)
    assert spans[0].from_at == utc("2000-01-01T00:00")
    assert spans[-1].to_at == utc("2060-01-01T00:00")
    for one, other in pairwise(spans):
        assert one.to_at == other.from_at
        assert one.utc_offset_seconds != other.utc_offset_seconds


@given(
    zone=st.sampled_from(ZONES),
    at=st.datetimes(datetime(2000, 1, 1), datetime(2059, 12, 31, 23)),  # noqa: DTZ001
)
def test_a_span_gives_the_offset_of_each_of_its_instants(zone: str, at: datetime) -> None:
    instant = at.replace(tzinfo=UTC)
    (span,) = [s for s in zone_spans(zone) if s.from_at <= instant < s.to_at]
    offset = instant.astimezone(ZoneInfo(zone)).utcoffset()
    assert offset == timedelta(seconds=span.utc_offset_seconds)


@pytest.mark.parametrize("zone", ZONES)
def test_months_follow_on_each_other(zone: str) -> None:
    months = zone_months(zone)
    assert (months[0].period, months[-1].period, len(months)) == ("2000-01", "2059-12", 720)
    for one, other in pairwise(months):
        assert one.end_at == other.start_at
    for month in months[::37]:
        assert local_month(month.start_at, zone) == month.period
        assert local_month(month.end_at - timedelta(microseconds=1), zone) == month.period


def test_the_month_of_two_changes_has_its_odd_hours() -> None:
    months = {month.period: month for month in zone_months("Europe/Oslo")}
    hours = {
        period: (months[period].end_at - months[period].start_at) / timedelta(hours=1)
        for period in ("2026-03", "2026-10")
    }
    assert hours == {"2026-03": 743, "2026-10": 745}


def test_the_last_local_day_is_that_of_the_last_instant() -> None:
    assert last_local_day(utc("2026-10-31T23:00"), "Europe/Oslo") == date(2026, 10, 31)
    assert last_local_day(utc("2026-10-31T23:01"), "Europe/Oslo") == date(2026, 11, 1)


def test_the_month_before() -> None:
    assert month_before("2027-01") == "2026-12"
    assert month_before("2026-10") == "2026-09"


def test_zones_are_those_of_the_iana_database() -> None:
    assert {"Europe/Oslo", "UTC", "Africa/Addis_Ababa"} <= known_zones()
    assert not {"localtime", "Factory", "posixrules", "Europe/Olso"} & known_zones()
