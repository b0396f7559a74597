"""Times as sites print them, above all where clocks change."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.times import TimeField, TimeReader


def reader(**options: str) -> TimeReader:
    return TimeReader(
        TimeField.model_validate({"field": "t"} | options), site_timezone="Africa/Addis_Ababa"
    )


def read(value: object, **options: str) -> str:
    return reader(**options).read(value, of="m").isoformat()


@pytest.mark.parametrize(
    ("value", "options", "expected"),
    [
        ("2026-05-10T12:00:00Z", {}, "2026-05-10T12:00:00+00:00"),
        (" 2026-05-10 12:00:00.5+02:00 ", {}, "2026-05-10T10:00:00.500000+00:00"),
        ("2026-05-10T12:00", {"timezone": "Europe/Oslo"}, "2026-05-10T10:00:00+00:00"),
        ("2026-05-10T12:00", {"timezone": "site"}, "2026-05-10T09:00:00+00:00"),
        ("2026-05-10T12:00+01:00", {"timezone": "site"}, "2026-05-10T11:00:00+00:00"),
        (
            "10.05.2026 12:00",
            {"format": "%d.%m.%Y %H:%M", "timezone": "Asia/Kathmandu"},
            "2026-05-10T06:15:00+00:00",
        ),
        (
            "10/May/2026:12:00:00 +0300",
            {"format": "%d/%b/%Y:%H:%M:%S %z"},
            "2026-05-10T09:00:00+00:00",
        ),
        (1778414400, {"format": "epoch_s"}, "2026-05-10T12:00:00+00:00"),
        ("1778414400.123456", {"format": "epoch_s"}, "2026-05-10T12:00:00.123456+00:00"),
        (Decimal("1778414400.001"), {"format": "epoch_s"}, "2026-05-10T12:00:00.001000+00:00"),
        (1778414400001, {"format": "epoch_ms"}, "2026-05-10T12:00:00.001000+00:00"),
        (1778414400000001, {"format": "epoch_us"}, "2026-05-10T12:00:00.000001+00:00"),
        (dt.datetime(2026, 5, 10, tzinfo=ZoneInfo("Asia/Tokyo")), {}, "2026-05-09T15:00:00+00:00"),
        (dt.datetime(2026, 5, 10), {"timezone": "site"}, "2026-05-09T21:00:00+00:00"),  # noqa: DTZ001
    ],
)
def test_reads(value: object, options: dict[str, str], expected: str) -> None:
    assert read(value, **options) == expected


@pytest.mark.parametrize(
    ("value", "options", "message"),
    [
        ("2026-05-10T12:00", {}, "names no timezone"),
        ("yesterday", {}, "is not a time in ISO 8601"),
        ("10.05.26", {"format": "%d.%m.%Y"}, "is not a time in the form"),
        (True, {}, "is not a time"),
        (12.5, {"format": "epoch_s"}, "is not a time"),
        ("soon", {"format": "epoch_s"}, "is not a number of seconds"),
        (Decimal("1e30"), {"format": "epoch_s"}, "is not a number of seconds"),
        (Decimal("NaN"), {"format": "epoch_s"}, "is not a number of seconds"),
        (20260510, {"format": "%Y%m%d"}, "is not a text in the form"),
        (20260510, {}, "is not a text in the form"),
    ],
)
def test_says_what_is_wrong(value: object, options: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(value, **options)


def test_hour_that_no_clock_showed() -> None:
    with pytest.raises(ValueError, match="does not exist in Europe/Oslo"):
        read("2026-03-29T02:30", timezone="Europe/Oslo")


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("earlier", "2026-10-25T00:30:00+00:00"), ("later", "2026-10-25T01:30:00+00:00")],
)
def test_doubled_hour_by_policy(policy: str, expected: str) -> None:
    assert read("2026-10-25T02:30", timezone="Europe/Oslo", doubled_hour=policy) == expected


def test_doubled_hour_is_refused_unless_said() -> None:
    with pytest.raises(ValueError, match="happened twice in Europe/Oslo"):
        read("2026-10-25T02:30", timezone="Europe/Oslo")


@pytest.mark.parametrize("policy", ["ascending", "descending"])
def test_doubled_hour_in_the_order_of_the_file(policy: str) -> None:
    zone = ZoneInfo("Europe/Oslo")
    start = dt.datetime(2026, 10, 24, 22, tzinfo=dt.UTC)
    instants = [start + n * dt.timedelta(minutes=15) for n in range(100)]
    if policy == "descending":
        instants.reverse()
    clock = reader(timezone="Europe/Oslo", doubled_hour=policy)
    for meter in ("m1", "m2"):
        printed = [i.astimezone(zone).replace(tzinfo=None).isoformat() for i in instants]
        assert [clock.read(text, of=meter) for text in printed] == instants


def test_third_time_in_a_doubled_hour_is_one_too_many() -> None:
    clock = reader(timezone="Europe/Oslo", doubled_hour="ascending")
    for _ in range(2):
        clock.read("2026-10-25T02:30", of="m")
    with pytest.raises(ValueError, match="stands here 3 times"):
        clock.read("2026-10-25T02:30", of="m")
    clock.new_answer()
    assert clock.read("2026-10-25T02:30", of="m").hour == 0


@given(
    st.datetimes(min_value=dt.datetime(2020, 1, 1), max_value=dt.datetime(2030, 1, 1)),  # noqa: DTZ001
    st.sampled_from(["Europe/Oslo", "Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe"]),
)
def test_local_times_come_back(naive: dt.datetime, zone: str) -> None:
    instant = naive.replace(tzinfo=dt.UTC)
    local = instant.astimezone(ZoneInfo(zone))
    policy = "later" if local.fold else "earlier"
    text = local.replace(tzinfo=None, fold=0).isoformat()
    assert reader(timezone=zone, doubled_hour=policy).read(text, of="m") == instant


@pytest.mark.parametrize(
    "options", [{"timezone": "Mars/Base"}, {"format": "iso8601"}, {"doubled_hour": "both"}]
)
def test_configuration_faults(options: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        TimeField.model_validate({"field": "t"} | options)
