"""What becomes of landed rows: kinds, restatements, samples in a row, what was set aside."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from exporters.explain.landed import Interval, Reading, intervals, read_readings
from exporters.marts import MartsError

HOUR = 3_600_000_000
DAY = 24 * HOUR
UNITS = {
    ("energy", "Wh"): {"numerator": 3_600, "denominator": 3_600_000},
    ("energy", "kWh"): {"numerator": 3_600_000, "denominator": 3_600_000},
    ("energy", "J"): {"numerator": 1, "denominator": 3_600_000},
    ("power", "W"): {"numerator": 1, "denominator": 1000},
}


def _reading(
    kind: str,
    start: int,
    value: str,
    *,
    end: int | None = None,
    metric: str = "energy",
    unit: str = "kWh",
    batch_id: str = "b-1",
    ingested: int = 0,
) -> Reading:
    return Reading(
        source="s",
        meter_id="m",
        metric=metric,
        kind=kind,
        unit=unit,
        start=start,
        end=end,
        value=Decimal(value),
        quality=None,
        batch_id=batch_id,
        ingested=ingested,
        file="f",
    )


def _hour(start: int, value: str, **more: Any) -> Reading:
    return _reading("interval", start, value, end=start + HOUR, **more)


def _made(*readings: Reading, **more: Any) -> list[Interval]:
    given: dict[str, Any] = {"set_aside": (), "set_by_hand": (), "estimates": (), "units": UNITS}
    return intervals(readings, **{**given, **more})


def _fates(found: list[Interval]) -> list[tuple[str, int | None]]:
    return [(one.fate, one.quantity) for one in found]


def _at(us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)


def _aside(reason: str, start: int, end: int, batch_id: str = "b-1") -> dict[str, Any]:
    return {
        "meter_id": "m",
        "reason": reason,
        "edit_reason": "checked" if reason == "rejected" else None,
        "interval_start": _at(start),
        "interval_end": _at(end),
        "batch_id": batch_id,
    }


def test_the_later_fetch_counts_and_says_so() -> None:
    found = _made(_hour(0, "2"), _hour(0, "2.4", batch_id="b-2", ingested=1))
    assert sorted(_fates(found)) == [("accepted", 2_400_000_000), ("superseded", None)]
    (lost,) = (one for one in found if one.fate == "superseded")
    assert lost.note == "by batch b-2"


def test_of_equal_fetches_the_greater_batch_counts() -> None:
    found = _made(_hour(0, "2", batch_id="b-2"), _hour(0, "3", batch_id="b-10"))
    assert ("accepted", 2_000_000_000) in _fates(found)


def test_one_kind_counts_on_a_day() -> None:
    found = _made(_hour(0, "1"), _reading("register", HOUR, "10"), _reading("register", DAY, "12"))
    assert [one.fate for one in found] == ["accepted", "unused_kind", "no interval"]


def test_two_registers_make_an_interval_in_the_canonical_unit() -> None:
    one = _reading("register", 0, "3600000", unit="J")
    two = _reading("register", HOUR, "1.5", unit="kWh")
    assert _fates(_made(one, two)) == [("accepted", 500_000_000)]


def test_a_reading_between_two_registers_parts_them() -> None:
    found = _made(_reading("register", 0, "1"), _hour(DAY, "5"), _reading("register", 2 * DAY, "9"))
    assert [one.fate for one in found] == ["no interval", "accepted", "no interval"]


@pytest.mark.parametrize(("minutes", "made"), [(15, True), (16, False)])
def test_gauges_further_apart_than_15_minutes_are_a_gap(minutes: int, made: bool) -> None:
    found = _made(
        _reading("gauge", 0, "1200", metric="power", unit="W"),
        _reading("gauge", minutes * HOUR // 60, "2400", metric="power", unit="W"),
    )
    # (1.2 + 2.4) / 2 kW for a quarter of an hour.
    assert (("accepted", 450_000_000) in _fates(found)) is made


def test_what_was_set_aside_does_not_count() -> None:
    found = _made(
        _hour(0, "6"),
        _hour(HOUR, "1"),
        _hour(2 * HOUR, "9", batch_id="b-9"),
        _hour(3 * HOUR, "1"),
        set_aside=[
            _aside("spike", 0, HOUR),
            _aside("rejected", HOUR, 2 * HOUR),
            _aside("absurd_value", 2 * HOUR, 3 * HOUR, "b-9"),
        ],
    )
    assert [one.fate for one in found] == ["spike", "rejected", "absurd_value", "accepted"]
    assert [one.counts for one in found] == [False, False, False, True]
    assert found[1].note == "checked"


def test_an_impossible_row_supersedes_nothing() -> None:
    found = _made(
        _hour(0, "1"),
        _hour(0, "1000000000000", batch_id="b-2", ingested=1),
        set_aside=[_aside("absurd_value", 0, HOUR, "b-2")],
    )
    assert sorted(_fates(found)) == [("absurd_value", None), ("accepted", 1_000_000_000)]


def test_what_is_set_by_hand_and_estimated_counts_besides() -> None:
    found = _made(
        set_by_hand=[
            {
                "meter_id": "m",
                "from_at": _at(0),
                "to_at": _at(HOUR),
                "quantity": Decimal("2.75"),
                "reason": "read on site",
                "decided_by": "Kari",
            }
        ],
        estimates=[
            {
                "meter_id": "m",
                "method": "like_day",
                "interval_start": _at(2 * HOUR),
                "interval_end": _at(3 * HOUR),
                "estimate_start": _at(HOUR),
                "estimate_end": _at(3 * HOUR),
                "estimate_quantity": Decimal("2.000000001"),
                "gap_start": _at(HOUR),
                "gap_end": _at(3 * HOUR),
            }
        ],
    )
    assert _fates(found) == [("accepted", 2_750_000_000), ("accepted", 2_000_000_001)]
    assert found[0].note == "set by Kari: read on site"
    assert found[1].only == (2 * HOUR, 3 * HOUR)


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(MartsError, match=r"gone\.parquet is not there any more.*m2c build"):
        read_readings(
            [tmp_path / "gone.parquet"], meters=["m"], metric="energy", from_us=0, until_us=1
        )
