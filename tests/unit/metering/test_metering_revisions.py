"""What is told of days that had been told before: once, with what was, what is and why."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from tests.unit.metering.plain import DAY, HOUR, LATER, Row, Tables, book, reading, registers

MAY = datetime(2026, 5, 4, tzinfo=UTC)


def days_of(first: datetime, days: int, value: str = "1") -> list[Row]:
    return [reading(first + n * HOUR, value) for n in range(24 * days)]


def revisions(metering: Any) -> list[tuple[Any, ...]]:
    """Of the last run: machine, contract, date, metered and estimated before and after, and why."""
    return list(
        metering.rows(
            "select machine_id, contract_id, usage_date, metered_before, metered_after,"
            " estimated_before, estimated_after, why from usage_revisions"
            " where run_no = (select max(run_no) from int_metering__runs_done) order by all"
        )
    )


def revised(
    day: datetime,
    before: str | int,
    after: str | int,
    why: str,
    *,
    contract_id: str | None = "K",
    estimated: tuple[str | int, str | int] = (0, 0),
) -> tuple[Any, ...]:
    return (
        "m", contract_id, day.date(), Decimal(before), Decimal(after),
        Decimal(estimated[0]), Decimal(estimated[1]), why,
    )  # fmt: skip


def settled(metering: Any, tables: Tables) -> None:
    """Tell the tables for the first time, and again: neither revises anything."""
    metering.run(tables)
    metering.rows("delete from usage_revisions")
    metering.arrive(tables)
    assert metering.rows("select * from usage_revisions") == []


def test_a_late_reading_revises_its_day_once(metering: Any) -> None:
    rows = days_of(MAY, 4)
    settled(metering, {**book(), "landed": rows[:30] + rows[31:]})

    metering.arrive({**book(), "landed": rows})

    assert revisions(metering) == [revised(MAY + DAY, 23, 24, "readings")]
    metering.arrive({**book(), "landed": rows})
    assert revisions(metering) == []
    assert metering.rows("select count(*) from usage_revisions") == [(1,)]


def test_a_late_reading_takes_the_place_of_its_estimate(metering: Any) -> None:
    rows = days_of(MAY, 4)
    tables = book(estimation="interpolate")
    settled(metering, {**tables, "landed": rows[:30] + rows[31:]})

    metering.arrive({**tables, "landed": [*rows[:30], reading(rows[30]["interval_start"], "2.5"),
                                          *rows[31:]]})  # fmt: skip

    assert revisions(metering) == [revised(MAY + DAY, 23, "25.5", "readings", estimated=(1, 0))]


def test_a_restated_reading_revises_its_day(metering: Any) -> None:
    rows = days_of(MAY, 3)
    settled(metering, {**book(), "landed": rows})
    again = reading(MAY + DAY + HOUR, "1.000000001", batch_id="c", ingested_at=LATER + HOUR)

    metering.arrive({**book(), "landed": [*rows, again]})

    assert revisions(metering) == [revised(MAY + DAY, 24, "24.000000001", "readings")]


def test_a_restatement_that_says_the_same_revises_nothing(metering: Any) -> None:
    rows = days_of(MAY, 3)
    settled(metering, {**book(), "landed": rows})
    again = reading(MAY + DAY + HOUR, "1", batch_id="c", ingested_at=LATER + HOUR)

    metering.arrive({**book(), "landed": [*rows, again]})

    assert revisions(metering) == []


def test_an_edit_revises_its_day(metering: Any) -> None:
    rows = days_of(MAY, 3)
    settled(metering, {**book(), "landed": rows})
    edit = {
        "site_id": "s",
        "meter_id": "pdu",
        "metric": "energy",
        "from_at": MAY + DAY + 4 * HOUR,
        "to_at": MAY + DAY + 6 * HOUR,
        "action": "set",
        "quantity": "0.5",
        "reason": "read by eye",
    }

    metering.arrive({**book(), "landed": rows, "book__reading_edits": [edit]})

    assert revisions(metering) == [revised(MAY + DAY, 24, "22.5", "book")]


def test_a_machine_assigned_anew_revises_both_contracts_from_then_on(metering: Any) -> None:
    rows = days_of(MAY, 3)
    tables = book()
    tables["book__contract_terms"].append({**tables["book__contract_terms"][0], "contract_id": "L"})
    settled(metering, {**tables, "landed": rows})
    moved = MAY + DAY + 6 * HOUR
    (before,) = tables["book__assignments"]
    tables["book__assignments"] = [
        {**before, "valid_to_at": moved},
        {**before, "contract_id": "L", "valid_from_at": moved},
    ]

    metering.arrive({**tables, "landed": rows})

    assert revisions(metering) == [
        revised(MAY + DAY, 24, 6, "book"),
        revised(MAY + 2 * DAY, 24, 0, "book"),
        revised(MAY + DAY, 0, 18, "book", contract_id="L"),
        revised(MAY + 2 * DAY, 0, 24, "book", contract_id="L"),
    ]


def test_readings_and_book_at_once_are_both_named(metering: Any) -> None:
    rows = days_of(MAY, 3)
    settled(metering, {**book(), "landed": rows[:-1]})
    tables = book()
    tables["book__assignments"][0]["valid_to_at"] = MAY + 2 * DAY + 12 * HOUR

    metering.arrive({**tables, "landed": rows})

    assert revisions(metering) == [
        revised(MAY + 2 * DAY, 23, 12, "book and readings"),
        revised(MAY + 2 * DAY, 0, 12, "book and readings", contract_id=None),
    ]


def test_a_day_that_is_still_arriving_is_not_revised(metering: Any) -> None:
    # A day of Oslo lies in two days of UTC: the first night has all of the 5th of UTC,
    # which ends at 02:00 on the 6th of Oslo.
    tables = book(timezone="Europe/Oslo")
    rows = days_of(MAY, 4)
    settled(metering, {**tables, "landed": rows[:48]})
    assert metering.rows(
        "select metered_quantity from usage_daily where usage_date = date '2026-05-06'"
    ) == [(2,)]

    metering.arrive({**tables, "landed": rows[:72]})

    assert metering.rows(
        "select metered_quantity from usage_daily where usage_date = date '2026-05-06'"
    ) == [(24,)]
    assert revisions(metering) == []

    # From then on it is.
    late = reading(MAY + DAY + 23 * HOUR, "3", batch_id="c", ingested_at=LATER + HOUR)
    metering.arrive({**tables, "landed": [*rows[:72], late]})
    assert revisions(metering) == [revised(MAY + 2 * DAY, 24, 26, "readings")]


def test_a_day_that_goes_is_revised_to_nothing(metering: Any) -> None:
    rows = days_of(MAY, 3)
    settled(metering, {**book(), "landed": rows})

    metering.arrive({**book(), "landed": rows[:24] + rows[48:]})

    assert revisions(metering) == [revised(MAY + DAY, 24, 0, "readings")]
    assert metering.rows("select usage_date from usage_daily order by 1") == [
        (date(2026, 5, 4),),
        (date(2026, 5, 6),),
    ]


def test_registers_that_arrive_day_by_day(metering: Any) -> None:
    # The hour before midnight is known when the next day's first counter is: the day that had been
    # told without it is told again, with it.
    rows = registers(MAY, [str(n) for n in range(72)])
    settled(metering, {**book(), "landed": rows[:24]})

    metering.arrive({**book(), "landed": rows[:48]})

    assert revisions(metering) == [revised(MAY, 23, 24, "readings")]


def test_what_the_book_changes_of_usage_over_midnights_is_put_down_to_the_book(
    metering: Any,
) -> None:
    # A register read on the 4th and on the 9th; no readings are computed again between them.
    rows = registers(MAY, ["0"]) + registers(MAY + 5 * DAY, ["120"])
    settled(metering, {**book(), "landed": rows})
    tables = book()
    tables["book__assignments"][0]["valid_to_at"] = MAY + 2 * DAY + 12 * HOUR

    metering.arrive({**tables, "landed": rows})

    assert revisions(metering) == [
        revised(MAY + 2 * DAY, 24, 12, "book"),
        revised(MAY + 3 * DAY, 24, 0, "book"),
        revised(MAY + 4 * DAY, 24, 0, "book"),
        revised(MAY + 2 * DAY, 0, 12, "book", contract_id=None),
        revised(MAY + 3 * DAY, 0, 24, "book", contract_id=None),
        revised(MAY + 4 * DAY, 0, 24, "book", contract_id=None),
    ]


def test_a_whole_day_that_comes_late_takes_the_place_of_its_estimate(metering: Any) -> None:
    tables = book(estimation="like_day")
    rows = days_of(MAY - 14 * DAY, 1) + days_of(MAY - 7 * DAY, 1) + days_of(MAY + DAY, 1)
    settled(metering, {**tables, "landed": rows})

    metering.arrive({**tables, "landed": [*rows, *days_of(MAY, 1, "1.5")]})

    assert revisions(metering) == [revised(MAY, 0, 36, "readings", estimated=(24, 0))]


def test_what_came_before_all_that_had_been_told_is_no_revision(metering: Any) -> None:
    rows = days_of(MAY, 2)
    settled(metering, {**book(), "landed": rows[24:]})

    metering.arrive({**book(), "landed": rows})

    assert revisions(metering) == []
