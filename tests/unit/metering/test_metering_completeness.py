"""What a site that went silent does to what is told of it and to the statements that concern it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

MAY = datetime(2026, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def hours(site_id: str, days: Iterable[int]) -> list[dict[str, Any]]:
    """Hourly intervals of 1 kWh on these days of May."""
    return [
        {
            "site_id": site_id,
            "meter_id": "pdu",
            "metric": "energy",
            "kind": "interval",
            "unit": "kWh",
            "interval_start": start,
            "interval_end": start + HOUR,
            "value": "1",
            "quality": "good",
            "batch_id": "b",
            "ingested_at": MAY + 60 * DAY,
        }
        for day in days
        for start in (MAY + (day - 1) * DAY + hour * HOUR for hour in range(24))
    ]


def world(
    landed: list[dict[str, Any]], *, estimation: str = "none"
) -> dict[str, list[dict[str, Any]]]:
    """Sites A and B with a machine each, of contracts KA and KB, and a statement of May for
    both."""
    return {
        "book__sites": [
            {
                "site_id": site,
                "timezone": "UTC",
                "estimation": estimation,
                "expected_interval_minutes": 60,
            }
            for site in "AB"
        ],
        "book__placements": [
            {"machine_id": f"m{s}", "site_id": s, "meter_id": "pdu", "valid_from_at": MAY}
            for s in "AB"
        ],
        "book__placement_metrics": [
            {
                "machine_id": f"m{s}",
                "site_id": s,
                "meter_id": "pdu",
                "valid_from_at": MAY,
                "metric": "energy",
            }
            for s in "AB"
        ],
        "book__assignments": [
            {"machine_id": f"m{s}", "contract_id": f"K{s}", "valid_from_at": MAY} for s in "AB"
        ],
        "book__contract_terms": [
            {
                "contract_id": f"K{s}",
                "term_no": 1,
                "payer_id": f"P{s}",
                "plan_id": "p",
                "billing_timezone": "UTC",
                "valid_from_at": MAY,
                "first_month": "2026-05",
            }
            for s in "AB"
        ],
        "book__plans": [{"plan_id": "p", "currency": "EUR", "minor_units": 2}],
        "book__plan_versions": [
            {"plan_id": "p", "version": 1, "valid_from_month": "2026-05", "valid_to_month": None}
        ],
        "book__payers": [
            {"payer_id": f"P{s}", "auto_approve_limit": "1000", "minor_units": 2} for s in "AB"
        ],
        "book__settings": [{"tolerance_percent": "30"}],
        "book__book_info": [{"book_version": "b-1"}],
        "context__build_context": [{"now_at": MAY + 40 * DAY}],
        "int_billing__statements": [
            {
                "statement_id": f"P{s}/2026-05/all",
                "period": "2026-05",
                "statement_kind": "consolidated",
                "payer_id": f"P{s}",
                "currency": "EUR",
                "lines": 1,
                "net": "10",
                "tax": "0",
                "total": "10",
                "content_hash": s,
                "has_code_adjustments": False,
            }
            for s in "AB"
        ],
        "int_billing__statement_lines": [
            {
                "statement_id": f"P{s}/2026-05/all",
                "period": "2026-05",
                "contract_id": f"K{s}",
                "site_id": s,
            }
            for s in "AB"
        ],
        "landed": landed,
    }


def decisions(metering: Any) -> dict[str, tuple[str, str]]:
    return {
        name[:2]: (decision, reason)
        for name, decision, reason in metering.rows(
            "select statement_id, decision, decision_reason from statements"
        )
    }


GOES_OUT = ("auto", "within the limit of EUR 1,000.00")


def test_a_site_that_fell_silent_holds_back_its_own_statements_and_no_others(
    metering: Any,
) -> None:
    # Nothing of A after 29 May 11:00: 61 of 744 hours.
    landed = hours("A", range(1, 30))[:-13] + hours("B", range(1, 33))
    metering.run(world(landed))

    assert metering.rows(
        "select usage_date::varchar, meters, expected_intervals, received_intervals, missing_share,"
        " last_reading_at, status from usage_completeness"
        " where site_id = 'A' and usage_date >= date '2026-05-28' order by 1"
    ) == [
        ("2026-05-28", 1, 24, 24, Decimal(0), MAY + 27 * DAY + 23 * HOUR, "complete"),
        ("2026-05-29", 1, 24, 11, Decimal("0.541667"), MAY + 28 * DAY + 10 * HOUR, "partial"),
        ("2026-05-30", 1, 24, 0, Decimal(1), None, "nothing"),
        ("2026-05-31", 1, 24, 0, Decimal(1), None, "nothing"),
        ("2026-06-01", 1, 24, 0, Decimal(1), None, "nothing"),
    ]
    assert metering.rows(
        "select sum(expected_hours), sum(received_hours), sum(missing_hours)"
        " from usage_completeness where usage_date < date '2026-06-01'"
    ) == [(Decimal(2 * 744), Decimal(2 * 744 - 61), Decimal(61))]
    assert decisions(metering) == {
        "PA": (
            "needs_approval",
            "more than 5 % of its machine-hours are missing or estimated (8.2 %)",
        ),
        "PB": GOES_OUT,
    }


def test_one_day_without_anything_is_told_and_stops_nobody(metering: Any) -> None:
    metering.run(world(hours("A", (d for d in range(1, 33) if d != 30)) + hours("B", range(1, 33))))

    assert metering.rows(
        "select usage_date::varchar from usage_completeness where status = 'nothing'"
    ) == [("2026-05-30",)]
    assert decisions(metering) == {"PA": GOES_OUT, "PB": GOES_OUT}


def test_what_a_person_set_for_the_day_was_received(metering: Any) -> None:
    tables = world(hours("A", (d for d in range(1, 33) if d != 30)) + hours("B", range(1, 33)))
    tables["book__reading_edits"] = [
        {
            "site_id": "A",
            "meter_id": "pdu",
            "metric": "energy",
            "from_at": MAY + 29 * DAY,
            "to_at": MAY + 30 * DAY,
            "action": "set",
            "quantity": "20",
            "reason": "read by eye",
        }
    ]
    metering.run(tables)

    assert metering.rows(
        "select received_hours, last_reading_at, status from usage_completeness"
        " where site_id = 'A' and usage_date = date '2026-05-30'"
    ) == [(Decimal(24), None, "complete")]
    assert decisions(metering)["PA"] == GOES_OUT


def test_registers_over_midnight_count_on_both_days(metering: Any) -> None:
    registers = [
        {
            **row,
            "kind": "register",
            "interval_start": row["interval_start"] + HOUR / 2,
            "interval_end": None,
            "value": str(no),
        }
        for no, row in enumerate(hours("A", [1, 2, 3]))
    ]
    metering.run(world(registers))

    assert metering.rows(
        "select received_hours, status from usage_completeness where site_id = 'A' order by"
        " usage_date"
    ) == [
        (Decimal("23.5"), "partial"),
        (Decimal(24), "complete"),
        (Decimal("23.5"), "partial"),
    ]
    assert metering.rows("select distinct status from usage_completeness where site_id = 'B'") == [
        ("nothing",)
    ]
