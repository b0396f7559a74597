"""What exceptions say to people, where readings alone do not settle it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

BEGIN = datetime(2026, 5, 1, tzinfo=UTC)


def world(**tables: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """A site with one machine of nobody."""
    return {
        "book__sites": [{"site_id": "s", "timezone": "Europe/Oslo", "estimation": "none"}],
        "book__placements": [
            {"machine_id": "m", "site_id": "s", "meter_id": "pdu", "valid_from_at": BEGIN}
        ],
        **tables,
    }


def reading(metric: str, unit: str, value: str, *, hour: int) -> dict[str, Any]:
    start = BEGIN + timedelta(hours=hour)
    return {
        "site_id": "s",
        "meter_id": "pdu",
        "metric": metric,
        "kind": "interval",
        "unit": unit,
        "interval_start": start,
        "interval_end": start + timedelta(hours=1),
        "value": value,
        "quality": "good",
        "batch_id": "b",
        "ingested_at": BEGIN + timedelta(days=2),
    }


def test_usage_of_two_metrics_is_named_and_not_added_up(metering: Any) -> None:
    metering.run(
        world(
            landed=[
                reading("energy", "kWh", "2.5", hour=0),
                reading("energy", "kWh", "1", hour=1),
                reading("traffic", "GB", "7", hour=0),
            ]
        )
    )

    assert metering.rows("select kind, occurrences, quantity, detail from billing_exceptions") == [
        (
            "unassigned_usage",
            3,
            None,
            "Meter pdu at s: 3.5 kWh of energy and 7 GB of traffic in 3 intervals of machine m, "
            "which belonged to no contract, not billed, first at 2026-05-01 00:00:00 UTC.",
        )
    ]


def test_usage_set_by_hand_was_seen_when_it_began(metering: Any) -> None:
    metering.run(
        world(
            book__reading_edits=[
                {
                    "site_id": "s",
                    "meter_id": "pdu",
                    "metric": "energy",
                    "from_at": BEGIN + timedelta(hours=3),
                    "to_at": BEGIN + timedelta(hours=4),
                    "action": "set",
                    "quantity": "4",
                    "reason": "read by eye",
                }
            ]
        )
    )

    assert metering.rows("select kind, first_seen from billing_exceptions") == [
        ("unassigned_usage", BEGIN + timedelta(hours=3))
    ]
    assert metering.rows("select usage_date::varchar, accepted, unassigned, rows_landed"
                         " from usage_reconciliation") == [("2026-05-01", 4, 4, 0)]  # fmt: skip


def test_an_exception_keeps_its_name_when_more_of_it_lands(metering: Any) -> None:
    rows = [reading("energy", "kWh", "1", hour=0)]
    metering.run(world(landed=rows))
    before = metering.rows("select exception_id from billing_exceptions")

    metering.run(
        world(
            landed=[*rows, reading("energy", "kWh", "1", hour=1)],
            ledger__exception_actions=[
                {"exception_id": before[0][0], "action": "ack", "recorded_at": BEGIN},
                {
                    "exception_id": before[0][0],
                    "action": "resolve",
                    "recorded_at": BEGIN + timedelta(days=1),
                },
            ],
        )
    )

    assert metering.rows("select exception_id, occurrences, status from billing_exceptions") == [
        (before[0][0], 2, "resolved")
    ]
