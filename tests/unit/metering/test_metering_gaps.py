"""How far a gap reaches that no readings follow: what is over, and what has landed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

MAY = datetime(2026, 5, 1, tzinfo=UTC)


def reading(site_id: str, start: datetime) -> dict[str, Any]:
    return {
        "site_id": site_id,
        "meter_id": "pdu",
        "metric": "energy",
        "kind": "interval",
        "unit": "kWh",
        "interval_start": start,
        "interval_end": start + timedelta(hours=1),
        "value": "1",
        "quality": "good",
        "batch_id": "b",
        "ingested_at": MAY + timedelta(days=60),
    }


def missing(
    metering: Any, readings: list[dict[str, Any]], *, placed_until: datetime | None = None
) -> list[tuple[str, str, Decimal]]:
    """Missing hours by machine and period: ``quiet`` billed in UTC, ``busy`` in Jakarta."""
    begin = datetime(2026, 5, 10, tzinfo=UTC)
    machines = {"quiet": ("A", "K1", "UTC"), "busy": ("B", "K2", "Asia/Jakarta")}
    metering.run(
        {
            "book__sites": [
                {"site_id": site, "timezone": "UTC", "estimation": "none"} for site in ("A", "B")
            ],
            "book__placements": [
                {
                    "machine_id": machine,
                    "site_id": site,
                    "meter_id": "pdu",
                    "valid_from_at": begin,
                    "valid_to_at": placed_until,
                }
                for machine, (site, _, _) in machines.items()
            ],
            "book__placement_metrics": [
                {
                    "machine_id": machine,
                    "site_id": site,
                    "meter_id": "pdu",
                    "valid_from_at": begin,
                    "metric": "energy",
                }
                for machine, (site, _, _) in machines.items()
            ],
            "book__assignments": [
                {"machine_id": machine, "contract_id": contract, "valid_from_at": begin}
                for machine, (_, contract, _) in machines.items()
            ],
            "book__contract_terms": [
                {
                    "contract_id": contract,
                    "term_no": 1,
                    "plan_id": "p",
                    "billing_timezone": zone,
                    "valid_from_at": begin,
                    "first_month": "2026-05",
                }
                for _, contract, zone in machines.values()
            ],
            "landed": readings,
        }
    )
    return [
        (str(machine), str(period), Decimal(hours))
        for machine, period, hours in metering.rows(
            "select machine_id, period, missing_hours from int_metering__missing order by all"
        )
    ]


def test_in_a_month_that_is_not_over_a_site_is_missing_up_to_its_last_landed_day(
    metering: Any,
) -> None:
    # Rows of 31 May 16:00Z: May is over neither in UTC nor, by an hour, in Jakarta.
    found = missing(
        metering,
        [reading("A", MAY + timedelta(days=9)), reading("B", MAY + timedelta(days=30, hours=16))],
    )

    assert found == [
        ("busy", "2026-05", Decimal(21 * 24 + 16)),
        ("busy", "2026-06", Decimal(7)),
        ("quiet", "2026-05", Decimal(23)),
    ]


def test_a_silent_site_is_missing_to_the_end_of_a_month_that_is_over_anywhere(
    metering: Any,
) -> None:
    found = missing(
        metering,
        [reading("A", MAY + timedelta(days=9)), reading("B", MAY + timedelta(days=31))],
    )

    assert ("quiet", "2026-05", Decimal(22 * 24 - 1)) in found
    assert not [period for machine, period, _ in found if (machine, period) == ("quiet", "2026-06")]


@pytest.mark.parametrize("value", ["1e12", "-1e12"])
def test_an_impossible_row_ends_no_month(metering: Any, value: str) -> None:
    absurd = {**reading("B", MAY + timedelta(days=31)), "value": value}
    future = {**reading("B", MAY + timedelta(days=31)), "ingested_at": MAY}

    found = missing(metering, [reading("A", MAY + timedelta(days=9)), absurd, future])

    assert found == [("quiet", "2026-05", Decimal(23))]


def test_a_gap_ends_with_its_placement(metering: Any) -> None:
    found = missing(
        metering,
        [reading("A", MAY + timedelta(days=9)), reading("B", MAY + timedelta(days=31))],
        placed_until=MAY + timedelta(days=10, hours=12),
    )

    assert found == [("busy", "2026-05", Decimal(36)), ("quiet", "2026-05", Decimal(35))]
