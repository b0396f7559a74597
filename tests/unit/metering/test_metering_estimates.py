"""Estimation on the days when the clocks change, and at offsets that are no whole hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any


def world(
    *, timezone: str, hours: dict[datetime, str], landed_until: datetime
) -> dict[str, list[dict[str, Any]]]:
    """One machine measured in the given hours and, to end the gaps, once after them."""
    readings = [*hours.items(), (landed_until, "0.5")]
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    return {
        "book__sites": [{"site_id": "s", "timezone": timezone, "estimation": "like_day"}],
        "book__placements": [
            {"machine_id": "m", "site_id": "s", "meter_id": "pdu", "valid_from_at": begin}
        ],
        "book__placement_metrics": [
            {
                "machine_id": "m",
                "site_id": "s",
                "meter_id": "pdu",
                "valid_from_at": begin,
                "metric": "energy",
            }
        ],
        "book__assignments": [{"machine_id": "m", "contract_id": "K", "valid_from_at": begin}],
        "book__contract_terms": [
            {
                "contract_id": "K",
                "term_no": 1,
                "plan_id": "p",
                "billing_timezone": "UTC",
                "valid_from_at": begin,
                "first_month": "2026-01",
            }
        ],
        "landed": [
            {
                "site_id": "s",
                "meter_id": "pdu",
                "metric": "energy",
                "kind": "interval",
                "unit": "kWh",
                "interval_start": start,
                "interval_end": start + timedelta(hours=1),
                "value": value,
                "quality": "good",
                "batch_id": "b",
                "ingested_at": datetime(2026, 12, 1, tzinfo=UTC),
            }
            for start, value in readings
        ],
    }


def estimates(metering: Any, day: str) -> list[tuple[str, str]]:
    rows = metering.rows(
        "select strftime(make_timestamp(epoch_us(interval_start)), '%H:%M'),"
        " sum(quantity)::varchar from int_metering__pieces where is_estimated"
        f" and interval_start >= timestamptz '{day} 00:00:00+00'"
        f" and interval_start < timestamptz '{day} 00:00:00+00' + interval 1 day"
        " group by interval_start, interval_end order by interval_start"
    )
    return [(str(start), str(quantity)) for start, quantity in rows]


def test_after_the_clocks_went_forward_the_local_hour_is_the_model(metering: Any) -> None:
    # 03:00 in Oslo is 02:00 UTC before 29 March 2026 and 01:00 UTC on it; 02:00 is skipped.
    metering.run(
        world(
            timezone="Europe/Oslo",
            hours={
                datetime(2026, 3, 15, 1, tzinfo=UTC): "100",
                datetime(2026, 3, 15, 2, tzinfo=UTC): "5",
                datetime(2026, 3, 22, 1, tzinfo=UTC): "100",
                datetime(2026, 3, 22, 2, tzinfo=UTC): "7",
            },
            landed_until=datetime(2026, 3, 30, tzinfo=UTC),
        )
    )

    assert estimates(metering, "2026-03-29") == [("01:00", "6.000000000")]


def test_both_hours_of_a_doubled_hour_have_the_model_of_their_name(metering: Any) -> None:
    # 02:00 in Oslo is 00:00 UTC before 25 October 2026; on it both 00:00 and 01:00 UTC.
    metering.run(
        world(
            timezone="Europe/Oslo",
            hours={
                datetime(2026, 10, 11, 0, tzinfo=UTC): "1",
                datetime(2026, 10, 18, 0, tzinfo=UTC): "2",
            },
            landed_until=datetime(2026, 10, 26, tzinfo=UTC),
        )
    )

    assert estimates(metering, "2026-10-25") == [
        ("00:00", "1.500000000"),
        ("01:00", "1.500000000"),
    ]


def test_a_doubled_hour_is_two_models(metering: Any) -> None:
    metering.run(
        world(
            timezone="Europe/Oslo",
            hours={
                datetime(2026, 10, 25, 0, tzinfo=UTC): "2",
                datetime(2026, 10, 25, 1, tzinfo=UTC): "4",
            },
            landed_until=datetime(2026, 11, 2, tzinfo=UTC),
        )
    )

    assert estimates(metering, "2026-11-01") == [("01:00", "3.000000000")]


def test_one_model_is_not_enough_and_estimates_are_none(metering: Any) -> None:
    # The hour of 10 May is filled from 26 April and 3 May; that of 17 May has the same two and
    # not the estimate of the 10th; that of 31 May has only 3 May left.
    metering.run(
        world(
            timezone="UTC",
            hours={
                datetime(2026, 4, 26, 9, tzinfo=UTC): "1",
                datetime(2026, 5, 3, 9, tzinfo=UTC): "2.000000001",
            },
            landed_until=datetime(2026, 6, 2, tzinfo=UTC),
        )
    )

    assert estimates(metering, "2026-05-10") == [("09:00", "1.500000001")]
    assert estimates(metering, "2026-05-17") == [("09:00", "1.500000001")]
    assert estimates(metering, "2026-05-24") == [("09:00", "1.500000001")]
    assert estimates(metering, "2026-05-31") == []


def test_local_hours_begin_where_the_offset_puts_them(metering: Any) -> None:
    # 12:00 in Kathmandu is 06:15 UTC: hours of UTC readings are cut at the quarter.
    day = datetime(2026, 5, 3, 6, tzinfo=UTC)
    metering.run(
        world(
            timezone="Asia/Kathmandu",
            hours={
                day: "4",
                day + timedelta(hours=1): "8",
                day + timedelta(days=7): "4",
                day + timedelta(days=7, hours=1): "8",
                day + timedelta(days=14): "1",
                day + timedelta(days=14, hours=4): "1",
            },
            landed_until=day + timedelta(days=16),
        )
    )

    # Of the hour from 06:15 on the 17th the gap has 07:00 to 07:15: a quarter of 3 + 2. The models
    # of the hours after it are not wholly covered.
    assert estimates(metering, "2026-05-17") == [("07:00", "1.250000000")]
