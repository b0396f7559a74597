"""What sources get wrong: each a fate with a name and an exception with numbers, none billed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.metering.plain import (
    DAY,
    HOUR,
    LATER,
    Row,
    Tables,
    book,
    merged,
    reading,
    registers,
    unbalanced,
)

MAY = datetime(2026, 5, 4, tzinfo=UTC)
# As large as a value may be, and the largest that is absurd.
LARGEST = "999999999999.999999999"
ABSURD = "1000000000000"
MOST = "999999999999999.999999999"


def run(metering: Any, rows: list[Row], **book_options: Any) -> None:
    metering.run(landed_with(rows, **book_options))
    assert unbalanced(metering) == []


def landed_with(rows: list[Row], **book_options: Any) -> Tables:
    return {**book(**book_options), "landed": rows}


def fates(metering: Any, day: datetime = MAY) -> dict[str, int]:
    """The rows of a day by what became of them, fates that none had left out."""
    names = ("accepted", "quarantined", "rejected", "superseded", "unused_kind")
    columns = ", ".join(f"coalesce(sum(rows_{name}), 0)" for name in names)
    (counts,) = metering.rows(
        f"select {columns} from usage_reconciliation where usage_date = date '{day:%Y-%m-%d}'"
    )
    return {name: count for name, count in zip(names, counts, strict=True) if count}


def quantities(metering: Any, day: datetime = MAY) -> list[tuple[str, str]]:
    """Accepted and quarantined quantity of a day, by metric."""
    return [
        (f"{accepted:f}", f"{quarantined:f}")
        for accepted, quarantined in metering.rows(
            "select accepted, quarantined from usage_reconciliation"
            f" where usage_date = date '{day:%Y-%m-%d}' order by metric"
        )
    ]


def told(metering: Any) -> list[tuple[Any, ...]]:
    """Kind, meter, machine, contract, period, day, occurrences and quantity of every exception."""
    return list(
        metering.rows(
            "select kind, meter_id, machine_id, contract_id, period, usage_day, occurrences,"
            " quantity::varchar from (select *, day as usage_day from int_metering__exceptions)"
            " where kind != 'missing_readings' order by all"
        )
    )


def billed(metering: Any) -> list[tuple[str, str]]:
    """Dates and quantities that contract K has."""
    return [
        (str(day), f"{quantity:f}")
        for day, quantity in metering.rows(
            "select usage_date, sum(metered_quantity) from usage_daily where contract_id = 'K'"
            " group by usage_date order by usage_date"
        )
    ]


def test_a_clock_that_runs_ahead(metering: Any) -> None:
    # The fetch is at 12:00; up to an hour ahead is a clock, more than that is the future.
    noon = MAY + 12 * HOUR
    microsecond = timedelta(microseconds=1)
    run(
        metering,
        [
            reading(noon, LARGEST, ingested_at=noon),
            reading(noon + HOUR, "123456789012.123456789", ingested_at=noon + HOUR - microsecond),
            reading(noon + microsecond + HOUR, "9", kind="register", metric="traffic", unit="GB",
                    ingested_at=noon),
        ],
    )  # fmt: skip

    assert fates(metering) == {"accepted": 1, "quarantined": 2}
    assert quantities(metering) == [
        (LARGEST, "123456789012.123456789"),
        ("0.000000000", "0.000000000"),
    ]
    assert told(metering) == [
        ("future_reading", "pdu", "m", "K", "2026-05", MAY.date(), 2, None),
    ]
    assert billed(metering) == [("2026-05-04", LARGEST)]


def test_a_reading_dated_a_year_ahead_moves_nothing(metering: Any) -> None:
    far = MAY.replace(year=2027)
    metering.run(
        landed_with([reading(MAY, "2.5"), reading(far, "7", ingested_at=MAY + DAY)], site_id="s"),
        years=(2026, 2027),
    )

    assert fates(metering, far) == {"quarantined": 1}
    assert quantities(metering, far) == [("0.000000000", "7.000000000")]
    assert told(metering) == [
        ("future_reading", "pdu", "m", "K", "2027-05", far.date(), 1, "7.000000000")
    ]
    assert metering.rows("select newest_landed_at from int_metering__range") == [(MAY,)]
    assert unbalanced(metering) == []


def test_readings_that_arrive_out_of_order_are_read_in_order(metering: Any) -> None:
    counters = registers(MAY, ["999999999990", "999999999991.5", "999999999993.000000001"])
    later = registers(MAY + DAY, ["999999999995", "999999999995.25"])
    metering.run(landed_with(later))
    metering.arrive(landed_with([*later, counters[2]]))
    metering.arrive(landed_with([counters[0], *later, counters[2]]))
    metering.arrive(landed_with([*later, *counters]))

    assert fates(metering) == {"accepted": 3}
    assert quantities(metering) == [("5.000000000", "0.000000000")]
    assert told(metering) == []
    # From 02:00 on the 4th to midnight of the 5th the counter rose by 1.999999999.
    assert billed(metering) == [("2026-05-04", "5.000000000"), ("2026-05-05", "0.250000000")]
    assert unbalanced(metering) == []


def test_a_register_that_changes_its_unit_goes_on(metering: Any) -> None:
    rows = [
        *registers(MAY, ["5000000000000", "5000000000001"], unit="Wh"),
        *registers(MAY + 2 * HOUR, ["5000000000.002", "5000000000.0025"]),
    ]
    run(metering, rows)

    assert fates(metering) == {"accepted": 4}
    assert billed(metering) == [("2026-05-04", "0.002500000")]
    assert told(metering) == []


def test_a_register_whose_unit_is_mistaken_falls_and_leaps(metering: Any) -> None:
    # 5000 Wh said to be kWh, then 6 kWh, then 7000 Wh again said to be kWh.
    run(metering, registers(MAY, ["5000", "5001", "6", "7", "7000"]), rated_kw="2")

    assert fates(metering) == {"accepted": 4, "quarantined": 1}
    assert quantities(metering) == [("2.000000000", "6993.000000000")]
    assert told(metering) == [
        ("register_reset", "pdu", "m", "K", "2026-05", MAY.date(), 1, None),
        ("spike", "pdu", "m", "K", "2026-05", MAY.date(), 1, "6993.000000000"),
    ]


def test_a_meter_that_nobody_placed(metering: Any) -> None:
    run(metering, [reading(MAY, LARGEST, meter_id="pdv"), reading(MAY, "1")])

    assert fates(metering) == {"accepted": 1, "quarantined": 1}
    assert quantities(metering) == [("1.000000000", LARGEST)]
    assert told(metering) == [
        ("unknown_meter", "pdv", None, None, "2026-05", MAY.date(), 1, LARGEST)
    ]
    assert billed(metering) == [("2026-05-04", "1.000000000")]


@pytest.mark.parametrize(
    ("value", "unit", "quantity"),
    [
        (ABSURD, "kWh", "1000000000000.000000000"),
        (f"-{ABSURD}", "kWh", "-1000000000000.000000000"),
        ("1000000000", "MWh", "1000000000000.000000000"),
        (MOST, "GWh", "999999999999999999999.999000000"),
    ],
)
def test_a_value_that_no_meter_has(metering: Any, value: str, unit: str, quantity: str) -> None:
    run(
        metering,
        [
            reading(MAY, value, unit=unit),
            reading(MAY + HOUR, LARGEST),
            reading(MAY + DAY, value, unit=unit, kind="register"),
            *registers(MAY + DAY + HOUR, ["3", "4"]),
        ],
    )

    assert fates(metering) == {"accepted": 1, "quarantined": 1}
    assert quantities(metering) == [(LARGEST, quantity)]
    assert fates(metering, MAY + DAY) == {"accepted": 2, "quarantined": 1}
    assert quantities(metering, MAY + DAY) == [("1.000000000", "0.000000000")]
    tomorrow = (MAY + DAY).date()
    assert told(metering) == [
        ("absurd_value", "pdu", "m", "K", "2026-05", MAY.date(), 1, quantity),
        ("absurd_value", "pdu", "m", "K", "2026-05", tomorrow, 1, None),
    ]


def test_usage_below_zero(metering: Any) -> None:
    least = f"-{LARGEST}"
    run(metering, [reading(MAY, least), reading(MAY, "4", hours=0.5), reading(MAY + HOUR, "-0.5")])

    # What is below zero overlaps nothing.
    assert fates(metering) == {"accepted": 1, "quarantined": 2}
    assert quantities(metering) == [("4.000000000", "-1000000000000.499999999")]
    assert told(metering) == [
        ("negative_quantity", "pdu", "m", "K", "2026-05", MAY.date(), 2,
         "-1000000000000.499999999")
    ]  # fmt: skip
    assert billed(metering) == [("2026-05-04", "4.000000000")]


def test_a_counter_that_drops_to_zero_and_returns_to_its_lifetime_value(metering: Any) -> None:
    lifetime = ["999999999990", "999999999991", "0", "999999999993", "999999999994"]
    run(metering, registers(MAY, lifetime), rated_kw="2")

    assert fates(metering) == {"accepted": 4, "quarantined": 1}
    assert quantities(metering) == [("2.000000000", "999999999993.000000000")]
    assert told(metering) == [
        ("register_reset", "pdu", "m", "K", "2026-05", MAY.date(), 1, None),
        ("spike", "pdu", "m", "K", "2026-05", MAY.date(), 1, "999999999993.000000000"),
    ]
    assert billed(metering) == [("2026-05-04", "2.000000000")]


def test_the_zero_of_such_a_counter_taken_out_by_hand_leaves_what_was_used(metering: Any) -> None:
    tables = landed_with(registers(MAY, ["990", "991", "0", "993", "994"]), rated_kw="2")
    metering.run(tables)
    tables["book__reading_edits"] = [
        {
            "site_id": "s",
            "meter_id": "pdu",
            "metric": "energy",
            "from_at": MAY + 2 * HOUR,
            "to_at": MAY + 3 * HOUR,
            "action": "reject",
            "reason": "dropped out",
        }
    ]
    metering.arrive(tables)

    assert fates(metering) == {"accepted": 4, "rejected": 1}
    assert quantities(metering) == [("4.000000000", "0.000000000")]
    assert told(metering) == []
    assert unbalanced(metering) == []


def test_a_counter_that_drops_to_zero_over_midnight(metering: Any) -> None:
    rows = [
        *registers(MAY + 22 * HOUR, ["990", "991"]),
        *registers(MAY + DAY, ["0", "993", "994"]),
    ]
    metering.run(landed_with(rows[:2], rated_kw="2"))
    metering.arrive(landed_with(rows, rated_kw="2"))

    assert quantities(metering) == [("1.000000000", "0.000000000")]
    assert quantities(metering, MAY + DAY) == [("1.000000000", "993.000000000")]
    assert told(metering) == [
        ("register_reset", "pdu", "m", "K", "2026-05", MAY.date(), 1, None),
        ("spike", "pdu", "m", "K", "2026-05", (MAY + DAY).date(), 1, "993.000000000"),
    ]
    assert unbalanced(metering) == []


def test_rows_that_several_batches_bring_count_once(metering: Any) -> None:
    def batch(name: str, minutes: int, value: str) -> list[Row]:
        return [
            reading(MAY + n * HOUR, value, batch_id=name, ingested_at=LATER + minutes * HOUR / 60)
            for n in range(24)
        ]

    # Fetched at one time, the greater batch wins; fetched later, it wins whatever its name.
    rows = [*batch("c", 0, "1"), *batch("d", 0, "2"), *batch("a", 1, LARGEST)]
    run(metering, rows[:48])
    assert fates(metering) == {"accepted": 24, "superseded": 24}
    assert billed(metering) == [("2026-05-04", "48.000000000")]

    metering.arrive(landed_with(rows))

    assert fates(metering) == {"accepted": 24, "superseded": 48}
    assert billed(metering) == [("2026-05-04", "23999999999999.999999976")]
    assert told(metering) == []
    assert unbalanced(metering) == []


def test_of_two_kinds_a_day_the_better_one_counts(metering: Any) -> None:
    gauges = [
        reading(MAY + n * HOUR / 4, "4", kind="gauge", metric="power", unit="kW") for n in range(5)
    ]
    counters = registers(MAY, ["7", "9"])
    intervals = [reading(MAY + 20 * HOUR, "0.25")]
    steps = [
        (gauges, {"accepted": 5}, "4.000000000"),
        ([*gauges, *counters], {"accepted": 2, "unused_kind": 5}, "2.000000000"),
        (
            [*gauges, *counters, *intervals],
            {"accepted": 1, "unused_kind": 7},
            "0.250000000",
        ),
        ([*gauges, *intervals], {"accepted": 1, "unused_kind": 5}, "0.250000000"),
    ]
    metering.run(book())
    for rows, expected, quantity in steps:
        metering.arrive(landed_with(rows))
        assert fates(metering) == expected
        assert billed(metering) == [("2026-05-04", quantity)]
        assert told(metering) == []
        assert unbalanced(metering) == []


def test_a_day_that_becomes_empty_is_no_day(metering: Any) -> None:
    yesterday = [reading(MAY - DAY, "3")]
    metering.run(landed_with([*yesterday, reading(MAY, "-1"), reading(MAY + HOUR, "5")]))
    assert [row[0] for row in told(metering)] == ["negative_quantity"]

    metering.arrive(landed_with(yesterday))

    assert fates(metering) == {}
    assert told(metering) == []
    assert billed(metering) == [("2026-05-03", "3.000000000")]
    assert metering.rows("select usage_date from usage_reconciliation") == [(date(2026, 5, 3),)]
    assert metering.rows("select usage_date from int_metering__days") == [(date(2026, 5, 3),)]
    revised = metering.rows(
        "select usage_date, metered_before, metered_after from usage_revisions"
        " where usage_date = date '2026-05-04'"
        " and run_no = (select max(run_no) from usage_revisions)"
    )
    assert revised == [(MAY.date(), Decimal(5), Decimal(0))]


def test_a_site_whose_only_day_becomes_empty_holds_nothing(metering: Any) -> None:
    other = {**book(site_id="t", machine_id="n", contract_id="L")}
    landed = [reading(MAY, "5"), reading(MAY, "1", site_id="t")]
    metering.run(merged(book(), other, {"landed": landed}))
    metering.arrive(merged(book(), other, {"landed": landed[1:]}))

    assert metering.rows("select distinct site_id from usage_reconciliation") == [("t",)]
    assert metering.rows("select distinct site_id from usage_daily") == [("t",)]
    assert unbalanced(metering) == []


def test_usage_set_by_hand_far_from_all_that_has_landed(metering: Any) -> None:
    # Before anything landed, half a year before, and half a year after it.
    def edit(begin: datetime, quantity: str) -> Row:
        return {
            "site_id": "s",
            "meter_id": "pdu",
            "metric": "energy",
            "from_at": begin,
            "to_at": begin + HOUR,
            "action": "set",
            "quantity": quantity,
            "reason": "read by eye",
        }

    early, late = MAY.replace(month=1), MAY.replace(month=11)
    edits = [edit(early, "1.5"), edit(late, LARGEST)]
    found = []
    metering.run({**book(), "book__reading_edits": edits})
    found.append(billed(metering))
    metering.arrive({**landed_with([reading(MAY, "2")]), "book__reading_edits": edits})
    found.append(billed(metering))
    metering.arrive({**landed_with([reading(MAY, "2")]), "book__reading_edits": edits[:1]})
    found.append(billed(metering))
    metering.arrive({**landed_with([reading(MAY, "2")]), "book__reading_edits": edits})
    found.append(billed(metering))
    metering.arrive(landed_with([reading(MAY, "2")]))
    found.append(billed(metering))

    by_hand = [("2026-01-04", "1.500000000"), ("2026-11-04", LARGEST)]
    measured = ("2026-05-04", "2.000000000")
    assert found == [
        by_hand,
        sorted([*by_hand, measured]),
        [by_hand[0], measured],
        sorted([*by_hand, measured]),
        [measured],
    ]
    assert unbalanced(metering) == []
