"""What the landing zone does with bad input, kind by kind: land it, set it aside, or refuse a file.

Landed is whatever may be true, however unlikely: metering judges it, and keeps it visible. Set
aside, with site, meter, field and value, is a row that cannot be a reading. Refused by name is a
file that somebody else put there and that holds such a row, or cannot be read.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.base import Batch, Window
from connectors.landing import LandingResult, Manifest, land, scan
from connectors.rows import FRAME_SCHEMAS, ReadingMap, RowMapper, get_column
from connectors.tables import INDEX_PRICES, INSTANT, READINGS, Table

DAY = dt.datetime(2026, 5, 10, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
NOW = DAY + 72 * HOUR
WINDOW = Window(DAY, DAY + 48 * HOUR)
FOREVER = 2**63 - 1


def reading(**changes: Any) -> dict[str, Any]:
    row = {
        "site_id": "NO-OSL1",
        "source": "test",
        "meter_id": "m-1",
        "metric": "energy",
        "kind": "interval",
        "unit": "kWh",
        "interval_start": DAY,
        "interval_end": DAY + HOUR,
        "value": Decimal("1.5"),
        "quality": "good",
    }
    return row | changes


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    schema = dict(FRAME_SCHEMAS["readings"])
    return pl.DataFrame([tuple(row.values()) for row in rows], schema=schema, orient="row")


class Site:
    """A connector that gives these frames."""

    def __init__(self, *batches: Batch) -> None:
        self.batches = batches

    def readings(self, _: Window) -> Iterator[Batch]:
        yield from self.batches


class Zone:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.landing_dir = root / "landing"
        self.now = NOW

    def land(self, *rows: dict[str, Any]) -> LandingResult:
        return self.take(Batch(frame=frame(*rows), origin="answer"))

    def take(self, *batches: Batch) -> LandingResult:
        return land(
            Site(*batches),
            site_id="NO-OSL1",
            window=WINDOW,
            landing_dir=self.landing_dir,
            rejected_dir=self.root / "rejected",
            clock=lambda: self.now,
        )

    def scan(self) -> Manifest:
        return scan(self.landing_dir, self.root / "manifest")

    def landed(self) -> pl.DataFrame:
        found = self.scan()
        assert found.refused == ()
        return pl.read_parquet([f.path for f in found.files], hive_partitioning=False)

    def rejected(self) -> list[dict[str, Any]]:
        (path,) = (self.root / "rejected" / "readings" / "site_id=NO-OSL1").iterdir()
        return [json.loads(line) for line in path.read_text().splitlines()]

    def put(self, table: Table, rows: pa.Table, key: str = "NO-OSL1") -> Path:
        """A file that somebody else put there."""
        folder = self.landing_dir / table.name / f"{table.partition}={key}" / "date=2026-05-10"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "by-hand.parquet"
        pq.write_table(rows, path)
        return path


def by_hand(*rows: dict[str, Any]) -> pa.Table:
    fetch = {"batch_id": "b-1", "ingested_at": NOW}
    return pa.Table.from_pylist([fetch | row for row in rows], schema=READINGS.schema)


@pytest.fixture
def zone(tmp_path: Path) -> Zone:
    return Zone(tmp_path)


# --- unlikely, and landed ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"value": Decimal("-12.5")}, id="negative"),
        pytest.param({"value": Decimal(10**12)}, id="10^12 kWh"),
        pytest.param({"value": Decimal("999999999999999.999999999")}, id="the largest"),
        pytest.param({"value": Decimal(0)}, id="zero"),
        pytest.param({"value": Decimal("0.000000001")}, id="the smallest"),
        pytest.param({"meter_id": "nobody-knows-this-one"}, id="a meter that no book has"),
        pytest.param({"meter_id": "Zähler 7 / ø"}, id="a meter with a strange name"),
        pytest.param({"interval_end": DAY + 400 * HOUR}, id="a very long interval"),
    ],
)
def test_what_may_be_true_is_landed_as_it_was_given(zone: Zone, change: dict[str, Any]) -> None:
    result = zone.land(reading(**change))
    assert (result.rows_landed, result.rows_rejected) == (1, 0)
    (row,) = zone.landed().drop("batch_id", "ingested_at").rows(named=True)
    assert row == reading(**change)


@pytest.mark.parametrize(
    "behind",
    [pytest.param(2 * HOUR, id="of tomorrow"), pytest.param(90 * 24 * HOUR, id="of next quarter")],
)
def test_reading_from_a_site_whose_clock_is_ahead_is_landed(
    zone: Zone, behind: dt.timedelta
) -> None:
    """Fetched before its interval began. Metering quarantines it until it is fetched again."""
    zone.now = DAY - behind
    zone.land(reading())
    (row,) = zone.landed().rows(named=True)
    assert row["ingested_at"] == DAY - behind < row["interval_start"]
    assert zone.land(reading()).rows_unchanged == 1
    zone.now = NOW
    assert zone.land(reading()).rows_landed == 1


def test_hand_filled_reading_that_was_fetched_before_it_happened_passes(zone: Zone) -> None:
    zone.put(READINGS, by_hand(reading() | {"ingested_at": DAY - 5 * HOUR}))
    assert zone.landed().height == 1


def test_rows_out_of_order_are_landed_in_order(zone: Zone) -> None:
    def at(hour: int, meter: str) -> dict[str, Any]:
        start = DAY + hour * HOUR
        return reading(meter_id=meter, interval_start=start, interval_end=start + HOUR)

    order = [(5, "m-2"), (3, "m-1"), (7, "m-2"), (1, "m-1"), (2, "m-2")]
    zone.take(*(Batch(frame=frame(at(*one)), origin="answer") for one in order))
    landed = zone.landed().select("meter_id", "interval_start").rows()
    assert landed == [
        (meter, DAY + hour * HOUR) for hour, meter in sorted(order, key=lambda o: (o[1], o[0]))
    ]
    again = zone.land(*(at(*one) for one in reversed(order)))
    assert (again.rows_unchanged, again.rows_landed) == (5, 0)


def test_hand_filled_rows_out_of_order_pass(zone: Zone) -> None:
    rows = [
        reading(meter_id=meter, interval_start=DAY + h * HOUR, interval_end=DAY + (h + 1) * HOUR)
        for h, meter in [(5, "m-2"), (3, "m-1"), (7, "m-2"), (1, "m-1")]
    ]
    in_order = zone.put(READINGS, by_hand(*sorted(rows, key=repr)))
    (before,) = zone.scan().files
    zone.put(READINGS, by_hand(*rows))
    (after,) = zone.scan().files
    assert before.path == in_order
    assert (after.rows, after.refused) == (4, False)
    assert after.rows_digest == before.rows_digest


# --- no reading, and set aside -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ({"unit": "kwh"}, "unit", "kwh"),
        ({"unit": "kW"}, "unit", "kW"),
        ({"unit": "GB"}, "unit", "GB"),
        ({"unit": ""}, "unit", ""),
        ({"unit": None}, "unit", None),
        ({"metric": "heat"}, "metric", "heat"),
        ({"meter_id": "rack\x007"}, "meter_id", "rack\x007"),
        ({"meter_id": "line\nbreak"}, "meter_id", "line\nbreak"),
        ({"meter_id": "escape\x1b[31m"}, "meter_id", "escape\x1b[31m"),
        ({"meter_id": "c1\x85"}, "meter_id", "c1\x85"),
        ({"meter_id": "x" * 129}, "meter_id", "x" * 129),
        ({"meter_id": ""}, "meter_id", ""),
        ({"value": None}, "value", None),
        ({"interval_end": DAY - HOUR}, "interval_end", "2026-05-09 23:00:00+00"),
        ({"interval_end": DAY}, "interval_end", "2026-05-10 00:00:00+00"),
        ({"interval_end": None}, "interval_end", None),
    ],
    ids=repr,
)
def test_what_is_no_reading_is_set_aside_and_the_rest_lands(
    zone: Zone, change: dict[str, Any], field: str, value: str | None
) -> None:
    result = zone.land(reading(**change), reading(meter_id="m-9"))
    assert (result.rows_landed, result.rows_rejected) == (1, 1)
    (told,) = zone.rejected()
    assert told["site_id"] == "NO-OSL1"
    assert told["meter"] == change.get("meter_id", "m-1")
    assert (told["field"], told["value"]) == (field, value)
    assert told["reason"]
    assert zone.landed()["meter_id"].to_list() == ["m-9"]


def mapped(*values: object) -> Batch:
    """The answer of a site whose numbers are these."""
    mapping = ReadingMap.model_validate(
        {
            "meter_id": "meter",
            "metric": {"fixed": "energy"},
            "kind": {"fixed": "interval"},
            "unit": {"fixed": "kWh"},
            "value": "kwh",
            "start": {"field": "at", "format": "iso"},
            "minutes": 60,
        }
    )
    mapper = RowMapper(
        mapping, site_id="NO-OSL1", site_timezone="UTC", source="test", get=get_column
    )
    builder = mapper.builder("answer")
    for number, value in enumerate(values):
        record = {"meter": f"m-{number}", "at": "2026-05-10T00:00:00Z", "kwh": value}
        mapper.map_into(builder, record, row=number)
    return builder.take()


@pytest.mark.parametrize(
    "value",
    [
        *(math.nan, math.inf, -math.inf, Decimal("NaN"), Decimal("-Infinity"), "NaN", "inf"),
        *("", None, True, "1,5", "12kWh", Decimal(10**15), "1e15", 1e300),
    ],
    ids=repr,
)
def test_what_is_no_number_is_set_aside(zone: Zone, value: object) -> None:
    result = zone.take(mapped(value, "2.5"))
    assert (result.rows_landed, result.rows_rejected) == (1, 1)
    (told,) = zone.rejected()
    assert (told["site_id"], told["meter"], told["field"]) == ("NO-OSL1", "m-0", "kwh")
    assert told["value"] == (None if value is None else str(value))
    assert zone.landed()["value"].to_list() == [Decimal("2.5")]


def test_connector_whose_numbers_are_floats_is_a_fault_of_the_program(zone: Zone) -> None:
    floats = frame(reading()).with_columns(value=pl.lit(math.nan))
    with pytest.raises(TypeError, match="Float64"):
        zone.take(Batch(frame=floats, origin="answer"))
    assert not (zone.landing_dir / "readings").exists()


# --- nothing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("batches", [0, 1, 3])
def test_answer_without_rows_lands_nothing(zone: Zone, batches: int) -> None:
    result = zone.take(*(Batch(frame=frame(), origin="answer") for _ in range(batches)))
    assert (result.rows_fetched, result.rows_landed, result.files) == (0, 0, ())
    assert result.rejected_file is None
    assert zone.scan().files == ()


def test_hand_filled_file_without_rows_passes(zone: Zone) -> None:
    path = zone.put(READINGS, READINGS.schema.empty_table())
    (file,) = zone.scan().files
    assert (file.path, file.rows, file.rows_digest, file.refused) == (path, 0, "0", False)
    assert zone.land(reading()).rows_landed == 1


# --- files that somebody else put there ----------------------------------------------------------


@pytest.mark.parametrize("part", [0.0, 0.02, 0.5, 0.9, 0.999])
def test_half_a_file_is_refused_by_name_and_nothing_of_it_counts(zone: Zone, part: float) -> None:
    rows = [reading(meter_id=f"m-{number}") for number in range(500)]
    path = zone.put(READINGS, by_hand(*rows))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    (refused,) = zone.scan().refused
    assert refused.path == path
    assert refused.reason.startswith("not a readable Parquet file")
    (file,) = zone.scan().files
    assert file.rows_digest is None
    assert zone.land(*rows).rows_landed == 500


def test_half_a_file_does_not_spoil_the_file_beside_it(zone: Zone) -> None:
    zone.land(reading())
    path = zone.put(READINGS, by_hand(reading(meter_id="m-2")))
    path.write_bytes(path.read_bytes()[:-1])
    assert [r.path for r in zone.scan().refused] == [path]
    assert zone.land(reading()).rows_unchanged == 1


@pytest.mark.parametrize("type_", [pa.float64(), pa.float32()], ids=str)
def test_file_of_floats_is_refused_also_if_they_are_no_numbers(
    zone: Zone, type_: pa.DataType
) -> None:
    rows = by_hand(reading())
    position = rows.schema.get_field_index("value")
    zone.put(READINGS, rows.set_column(position, "value", pa.array([math.nan], type_)))
    (refused,) = zone.scan().refused
    assert "column value has type" in refused.reason


@pytest.mark.parametrize(
    ("meter", "shown"), [("rack\x007", r"rack\x007"), ("a\x1b[2Jb", r"a\x1b[2Jb"), ("x\n", r"x\n")]
)
def test_control_characters_are_shown_and_not_printed(zone: Zone, meter: str, shown: str) -> None:
    zone.put(READINGS, by_hand(reading(meter_id=meter)))
    (refused,) = zone.scan().refused
    assert f"meter_id is '{shown}'" in refused.reason
    assert refused.reason.isprintable()


@pytest.mark.parametrize("column", ["interval_start", "interval_end", "ingested_at"])
@pytest.mark.parametrize("instant", [FOREVER, -FOREVER], ids=["infinity", "-infinity"])
def test_instant_that_is_none_is_refused(zone: Zone, column: str, instant: int) -> None:
    rows = by_hand(reading())
    position = rows.schema.get_field_index(column)
    instants = pa.array([instant], pa.int64()).cast(INSTANT)
    zone.put(READINGS, rows.set_column(position, column, instants))
    (refused,) = zone.scan().refused
    assert f"row 1, meter 'm-1': {column} is " in refused.reason
    assert "infinity" in refused.reason


def test_hour_that_is_none_is_refused(zone: Zone) -> None:
    prices = pa.table(
        {
            "index_id": ["NO1"],
            "hour_start": pa.array([FOREVER], pa.int64()).cast(INSTANT),
            "price": pa.array([Decimal(1)], pa.decimal128(18, 6)),
            "currency": ["EUR"],
            "batch_id": ["p-1"],
            "ingested_at": pa.array([NOW], INSTANT),
        },
        schema=INDEX_PRICES.schema,
    )
    zone.put(INDEX_PRICES, prices, key="NO1")
    (refused,) = zone.scan().refused
    assert "hour_start is 'infinity'; expected an instant" in refused.reason
