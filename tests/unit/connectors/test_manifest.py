"""What lies in the landing zone: listed, refused where it breaks its form, remembered."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors import manifest as manifest_module
from connectors.landing import Manifest, scan
from connectors.manifest import sum_of_digests
from connectors.tables import CHARGE_EVENTS, INDEX_PRICES, READINGS, Table

GOLDEN = Path(__file__).parents[4] / "shared" / "golden"
DAY = dt.datetime(2026, 5, 10, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


def reading(**changes: Any) -> dict[str, Any]:
    row = {
        "site_id": "NO-OSL1",
        "source": "test",
        "meter_id": "meter-1",
        "metric": "energy",
        "kind": "interval",
        "unit": "kWh",
        "interval_start": DAY,
        "interval_end": DAY + HOUR,
        "value": Decimal("1.5"),
        "quality": "good",
        "batch_id": "b-1",
        "ingested_at": DAY + dt.timedelta(days=1),
    }
    return row | changes


def event(**changes: Any) -> dict[str, Any]:
    row = {
        "event_id": "ev-1",
        "site_id": "NO-OSL1",
        "machine_id": None,
        "contract_id": "K-1",
        "service_code": "hands",
        "classification": "variable",
        "occurred_at": DAY,
        "quantity": Decimal("1.25"),
        "unit": "h",
        "unit_amount": Decimal("80"),
        "currency": "EUR",
        "description": "remote hands",
        "batch_id": "e-1",
        "ingested_at": DAY + HOUR,
    }
    return row | changes


def price(**changes: Any) -> dict[str, Any]:
    row = {
        "index_id": "NO1",
        "hour_start": DAY,
        "price": Decimal("-0.5"),
        "currency": "EUR",
        "batch_id": "p-1",
        "ingested_at": DAY,
    }
    return row | changes


class Landing:
    """A data dir filled by hand."""

    def __init__(self, root: Path) -> None:
        self.landing_dir = root / "landing"
        self.manifest_dir = root / "warehouse" / "manifest"

    def put(
        self,
        rows: list[dict[str, Any]],
        *,
        table: Table = READINGS,
        name: str = "b-1.parquet",
        key: str = "NO-OSL1",
        date: str = "2026-05-10",
        schema: pa.Schema | None = None,
    ) -> Path:
        folder = self.landing_dir / table.name / f"{table.partition}={key}" / f"date={date}"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name
        pq.write_table(pa.Table.from_pylist(rows, schema=schema or table.schema), path)
        return path

    def scan(self) -> Manifest:
        return scan(self.landing_dir, self.manifest_dir)

    def refused(self) -> dict[str, str]:
        return {refused.path.name: refused.reason for refused in self.scan().refused}

    def listed(self, table: str = "readings") -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = pq.read_table(
            self.manifest_dir / f"{table}.parquet"
        ).to_pylist()
        return rows


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return Landing(tmp_path)


@pytest.mark.parametrize(
    "folder", sorted(GOLDEN.glob("*/data/landing")), ids=lambda folder: folder.parents[1].name
)
def test_hand_filled_folders_pass(folder: Path, tmp_path: Path) -> None:
    found = scan(folder, tmp_path)
    assert found.refused == ()
    assert len(found.new) == len(list(folder.rglob("*.parquet")))


def test_absent_folder_is_an_empty_one(landing: Landing) -> None:
    found = landing.scan()
    assert found == Manifest(new=(), changed=(), removed=(), refused=(), files=())
    for table in ("readings", "charge_events", "index_prices"):
        assert landing.listed(table) == []
        empty = pq.read_table(landing.manifest_dir / f"empty_{table}.parquet")
        assert empty.num_rows == 0


def test_empty_typed_file_unites_with_landed_ones(landing: Landing) -> None:
    path = landing.put([reading()])
    landing.scan()
    empty = landing.manifest_dir / "empty_readings.parquet"
    rows = duckdb.read_parquet([str(empty), str(path)]).fetchall()
    assert len(rows) == 1


def test_manifest_lists_each_file(landing: Landing) -> None:
    path = landing.put([reading()])
    found = landing.scan()
    assert found.new == (path,)
    (row,) = landing.listed()
    assert row["path"] == str(path)
    assert (row["partition_key"], row["date"]) == ("NO-OSL1", dt.date(2026, 5, 10))
    assert (row["size"], row["mtime_ns"]) == (path.stat().st_size, path.stat().st_mtime_ns)
    assert (row["rows"], row["refused"], row["reason"]) == (1, False, None)
    assert len(row["sha256"]) == 64


def test_unchanged_files_are_not_opened_again(
    landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    landing.put([reading()])
    bad = landing.put([reading(unit="kwh")], name="b-2.parquet")
    first = landing.scan()

    def refuse(*_: object) -> None:
        raise AssertionError("a file was opened again")

    monkeypatch.setattr(manifest_module, "_check_footer", refuse)
    second = landing.scan()
    assert (second.new, second.changed, second.removed) == ((), (), ())
    assert second.files == first.files
    assert [refused.path for refused in second.refused] == [bad]


def test_other_rules_read_everything_again(
    landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = landing.put([reading()])
    landing.scan()
    monkeypatch.setattr(manifest_module, "RULES_VERSION", "another")
    assert landing.scan().new == (path,)


def test_broken_manifest_is_made_anew(landing: Landing) -> None:
    path = landing.put([reading()])
    landing.scan()
    (landing.manifest_dir / "readings.parquet").write_bytes(b"PAR1 but not really")
    assert landing.scan().new == (path,)


def test_changed_and_removed_files_are_named(landing: Landing) -> None:
    kept = landing.put([reading()])
    gone = landing.put([reading(batch_id="b-2")], name="b-2.parquet")
    landing.scan()
    landing.put([reading(), reading(meter_id="meter-2")])
    os.utime(kept, ns=(1, 1))
    gone.unlink()
    found = landing.scan()
    assert (found.new, found.changed, found.removed) == ((), (kept,), (gone,))
    assert [row["rows"] for row in landing.listed()] == [2]


BREAKS: list[tuple[dict[str, Any], str]] = [
    ({"site_id": None}, "site_id is empty; a value is required"),
    ({"site_id": "FI-HEL1"}, "site_id is 'FI-HEL1'; the folder says NO-OSL1"),
    ({"source": None}, "source is empty"),
    ({"meter_id": ""}, "meter_id is ''"),
    ({"meter_id": "x" * 129}, "expected 1 to 128 characters"),
    ({"meter_id": "tab\there"}, "none of them a control character"),
    ({"metric": "heat"}, "metric is 'heat'; expected one of energy, power, runtime"),
    ({"kind": "total"}, "kind is 'total'; expected one of interval, register, gauge"),
    ({"kind": "gauge"}, "gauge goes with power and nothing else"),
    ({"metric": "power", "unit": "kW"}, "gauge goes with power and nothing else"),
    ({"unit": "kwh"}, "row 1, meter 'meter-1': unit is 'kwh'; energy comes in Wh, kWh"),
    ({"unit": "kW"}, "energy comes in Wh"),
    ({"metric": "traffic", "unit": "kWh"}, "traffic comes in B, kB"),
    ({"metric": "runtime", "unit": "d"}, "runtime comes in s, min, h"),
    ({"metric": "fuel", "unit": "L"}, "fuel comes in l, m3"),
    ({"interval_start": None}, "interval_start is empty"),
    ({"interval_end": None}, "an interval needs its end"),
    ({"interval_end": DAY}, "expected an instant after interval_start"),
    ({"kind": "register"}, "a register or gauge has no end"),
    ({"value": None}, "value is empty"),
    ({"quality": "fine"}, "quality is 'fine'; expected one of good, estimated, suspect"),
    ({"batch_id": "a b"}, "batch_id is 'a b'; expected an identifier"),
    ({"ingested_at": None}, "ingested_at is empty"),
    (
        {"interval_start": DAY - HOUR, "interval_end": DAY},
        "its UTC date is not that of the folder",
    ),
]


@pytest.mark.parametrize(("change", "reason"), BREAKS, ids=lambda value: str(value)[:40])
def test_file_with_a_broken_row_is_refused_whole(
    landing: Landing, change: dict[str, Any], reason: str
) -> None:
    landing.put([reading(**change), reading(meter_id="meter-9")])
    good = landing.put([reading(batch_id="b-2")], name="b-2.parquet")
    found = landing.scan()
    (refused,) = found.refused
    assert refused.path.name == "b-1.parquet"
    assert reason in refused.reason
    assert [file.path for file in found.files if not file.refused] == [good]


@pytest.mark.parametrize(
    "change",
    [
        {"meter_id": "x" * 128},
        {"meter_id": "Meter 7 / outlet ø (A)"},
        {"kind": "register", "interval_end": None},
        {"metric": "power", "kind": "gauge", "unit": "W", "interval_end": None},
        {"metric": "fuel", "unit": "m3", "kind": "register", "interval_end": None},
        {"value": Decimal("-1")},
        {"value": Decimal("999999999999999.999999999")},
        {"interval_start": DAY + 23 * HOUR, "interval_end": DAY + 240 * HOUR},
        {"quality": "suspect"},
    ],
    ids=str,
)
def test_unusual_rows_are_allowed(landing: Landing, change: dict[str, Any]) -> None:
    landing.put([reading(**change)])
    assert landing.refused() == {}


def test_reason_names_row_and_count(landing: Landing) -> None:
    landing.put([reading(), reading(meter_id="m-2", unit="x"), reading(meter_id="m-3", unit="y")])
    assert landing.refused() == {
        "b-1.parquet": "row 2, meter 'm-2': unit is 'x'; energy comes in Wh, kWh, MWh, GWh, J, kJ, "
        "MJ, GJ (2 rows of the file break a rule)"
    }


def test_days_before_1970_are_dated_right(landing: Landing) -> None:
    start = dt.datetime(1969, 12, 31, 23, tzinfo=dt.UTC)
    landing.put([reading(interval_start=start)], date="1969-12-31")
    assert landing.refused() == {}


@pytest.mark.parametrize(
    ("column", "type_", "reason"),
    [
        ("interval_start", pa.timestamp("us"), "column interval_start has type"),
        ("interval_start", pa.timestamp("ms", tz="UTC"), "column interval_start has type"),
        ("interval_end", pa.null(), "column interval_end has type Null"),
        ("value", pa.decimal128(18, 6), "expected Decimal(precision=24, scale=9)"),
        ("value", pa.float64(), "column value has type DOUBLE"),
        ("meter_id", pa.int64(), "column meter_id has type INT64; expected String"),
    ],
)
def test_wrong_type_is_refused(
    landing: Landing, column: str, type_: pa.DataType, reason: str
) -> None:
    position = READINGS.schema.get_field_index(column)
    schema = READINGS.schema.set(position, pa.field(column, type_))
    row = reading()
    if column == "interval_end":
        row |= {"kind": "register", "interval_end": None}
    if column == "meter_id":
        row |= {"meter_id": 7}
    if column == "value":
        row |= {"value": 1.5 if type_ == pa.float64() else Decimal("1.5")}
    if column == "interval_start" and type_ == pa.timestamp("us"):
        row |= {"interval_start": DAY.replace(tzinfo=None)}
    landing.put([row], schema=schema)
    assert reason in landing.refused()["b-1.parquet"]


def test_missing_column_is_refused_and_extra_ignored(landing: Landing) -> None:
    schema = READINGS.schema.remove(READINGS.schema.get_field_index("quality"))
    landing.put([reading()], schema=schema)
    extra = READINGS.schema.append(pa.field("note", pa.string()))
    landing.put([reading(batch_id="b-2", note="hello")], schema=extra, name="b-2.parquet")
    assert landing.refused() == {"b-1.parquet": "columns missing: quality"}


def test_extra_columns_of_some_files_do_no_harm(landing: Landing) -> None:
    extra = READINGS.schema.append(pa.field("note", pa.string())).append(
        pa.field("date", pa.date32())
    )
    landing.put([reading(batch_id="b-1", note="hello")], schema=extra, name="b-1.parquet")
    landing.put([reading(batch_id="b-2")], name="b-2.parquet")
    rows = [reading(batch_id="b-3"), reading(batch_id="b-3")]
    landing.put(rows, name="b-3.parquet", schema=extra.append(pa.field("x", pa.int8())))
    assert list(landing.refused()) == ["b-3.parquet"]


def test_columns_in_another_order_and_other_writers(landing: Landing) -> None:
    path = landing.put([reading(batch_id="b-0")], name="b-0.parquet")
    frame = pl.read_parquet(path, hive_partitioning=False)
    reordered = frame.select(reversed(frame.columns)).with_columns(
        pl.col("metric").cast(pl.Categorical), batch_id=pl.lit("b-2")
    )
    reordered.write_parquet(path.with_name("b-2.parquet"))
    duckdb.sql(
        f"COPY (SELECT * REPLACE ('b-3' AS batch_id) FROM '{path}') "
        f"TO '{path.with_name('b-3.parquet')}'"
    )
    found = landing.scan()
    assert (len(found.files), found.refused) == (3, ())


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet at all" * 100])
def test_unreadable_file_is_refused(landing: Landing, content: bytes) -> None:
    good = landing.put([reading()])
    good.with_name("b-2.parquet").write_bytes(content)
    refused = landing.refused()
    assert list(refused) == ["b-2.parquet"]
    assert refused["b-2.parquet"].startswith("not a readable Parquet file")


def test_damage_below_a_whole_footer_is_refused_alone(landing: Landing) -> None:
    good = landing.put([reading()])
    rows = [reading(meter_id=f"meter-{n}", batch_id="b-2") for n in range(1000)]
    damaged = landing.put(rows, name="b-2.parquet")
    content = bytearray(damaged.read_bytes())
    content[4:200] = b"\xff" * 196
    damaged.write_bytes(bytes(content))
    refused = landing.refused()
    assert list(refused) == ["b-2.parquet"]
    assert refused["b-2.parquet"].startswith("cannot be read: ")
    assert [row["path"] for row in landing.listed() if not row["refused"]] == [str(good)]


def test_key_twice_in_one_batch_is_refused(landing: Landing) -> None:
    landing.put([reading(), reading(value=Decimal(2))])
    assert "stands twice in batch b-1" in landing.refused()["b-1.parquet"]


def test_register_key_twice_is_seen_though_its_end_is_empty(landing: Landing) -> None:
    row = reading(kind="register", interval_end=None)
    landing.put([row, row])
    assert "stands twice in batch b-1" in landing.refused()["b-1.parquet"]


def test_key_in_two_batches_of_one_file_is_allowed(landing: Landing) -> None:
    landing.put([reading(), reading(batch_id="b-2", value=Decimal(2))], name="merged.parquet")
    assert landing.refused() == {}


def test_batch_contradicting_itself_in_two_files(landing: Landing) -> None:
    landing.put([reading()], name="b-1.parquet")
    second = landing.put([reading(value=Decimal(2))], name="b-1-again.parquet")
    refused = landing.refused()
    # By name, not by arrival: "b-1-again" stands before "b-1.".
    assert list(refused) == ["b-1.parquet"]
    assert "with other values in b-1-again.parquet" in refused["b-1.parquet"]
    second.unlink()
    assert landing.refused() == {}


def test_same_file_under_two_names_is_harmless(landing: Landing) -> None:
    landing.put([reading()], name="b-1.parquet")
    landing.put([reading()], name="copy.parquet")
    assert landing.refused() == {}


def test_event_twice_in_a_batch_on_two_days(landing: Landing) -> None:
    landing.put([event()], table=CHARGE_EVENTS)
    later = event(occurred_at=DAY + 24 * HOUR)
    landing.put([later], table=CHARGE_EVENTS, name="b-2.parquet", date="2026-05-11")
    assert "with other values in b-1.parquet" in landing.refused()["b-2.parquet"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"event_id": "two words"}, "event_id is 'two words'; expected an identifier"),
        ({"machine_id": ""}, "machine_id is ''"),
        ({"classification": "other"}, "expected one of recurring, variable, exception, disputed"),
        ({"currency": "eur"}, "expected an ISO 4217 code"),
        ({"unit_amount": None}, "unit_amount is empty"),
    ],
)
def test_events_have_rules_too(landing: Landing, change: dict[str, Any], reason: str) -> None:
    landing.put([event(**change)], table=CHARGE_EVENTS)
    assert reason in landing.refused()["b-1.parquet"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"hour_start": DAY + dt.timedelta(minutes=15)}, "expected the beginning of an hour"),
        ({"index_id": "NO2"}, "the folder says NO1"),
        ({"price": None}, "price is empty"),
    ],
)
def test_index_prices_have_rules_too(landing: Landing, change: dict[str, Any], reason: str) -> None:
    landing.put([price(**change)], table=INDEX_PRICES, key="NO1")
    assert reason in landing.refused()["b-1.parquet"]


def test_good_events_and_prices_pass(landing: Landing) -> None:
    landing.put([event()], table=CHARGE_EVENTS)
    landing.put([price()], table=INDEX_PRICES, key="NO1")
    found = landing.scan()
    assert (len(found.files), found.refused) == (2, ())


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("readings/b.parquet", "the file is in the wrong place"),
        ("readings/site_id=A/b.parquet", "the file is in the wrong place"),
        ("readings/site_id=A/date=2026-5-1/b.parquet", "the file is in the wrong place"),
        ("readings/site_id=A/date=2026-05-01/more/b.parquet", "the file is in the wrong place"),
        ("readings/A/date=2026-05-01/b.parquet", "the file is in the wrong place"),
        ("readings/site_id=A/date=2026-05-01/b.csv", "not a Parquet file"),
        ("readings/site_id=A/date=2026-05-01/B.PARQUET", "its name must end in .parquet"),
        ("index_prices/site_id=A/date=2026-05-01/b.parquet", "the file is in the wrong place"),
    ],
)
def test_data_in_the_wrong_place_is_said_aloud(landing: Landing, place: str, reason: str) -> None:
    path = landing.landing_dir / place
    path.parent.mkdir(parents=True)
    path.write_bytes(landing.put([reading()], name="good.parquet").read_bytes())
    assert reason in landing.refused()[path.name]
    (row,) = [row for row in landing.listed(place.split("/")[0]) if row["path"] == str(path)]
    assert row["refused"]


@pytest.mark.parametrize(
    "name", [".b-9.parquet.123.tmp", "_SUCCESS", "b-9.parquet.tmp", ".DS_Store", "README.md"]
)
def test_files_being_written_are_not_seen(landing: Landing, name: str) -> None:
    path = landing.put([reading()])
    path.with_name(name).write_bytes(b"half a f")
    found = landing.scan()
    assert [file.path for file in found.files] == [path]
    assert found.refused == ()


def test_verdicts_do_not_depend_on_the_order_of_arrival(tmp_path: Path) -> None:
    def puts() -> list[Callable[[Landing], Path]]:
        return [
            lambda at: at.put([reading()], name="b-1.parquet"),
            lambda at: at.put([reading(value=Decimal(2))], name="a.parquet"),
            lambda at: at.put([reading(value=Decimal(2)), reading(meter_id="z")], name="c.parquet"),
        ]

    def verdicts(order: list[int], name: str) -> dict[str, bool]:
        at = Landing(tmp_path / name)
        for number in order:
            puts()[number](at)
            at.scan()
        return {file.path.name: file.refused for file in at.scan().files}

    expected = {"a.parquet": False, "b-1.parquet": True, "c.parquet": False}
    assert verdicts([0, 1, 2], "x") == expected
    assert verdicts([2, 1, 0], "y") == expected
    assert verdicts([1, 0, 2], "z") == expected


def test_summary_is_ready_for_json(landing: Landing) -> None:
    path = landing.put([reading(unit="x")])
    summary = landing.scan().as_dict()
    assert summary["new"] == 1
    assert summary["refused"] == [{"path": str(path), "reason": landing.refused()["b-1.parquet"]}]


# --- the digest of rows --------------------------------------------------------------------------


def _digests(landing: Landing) -> dict[str, str | None]:
    return {file.path.name: file.rows_digest for file in landing.scan().files}


def _changed_values(table: Table) -> list[tuple[Table, str, object]]:
    values: dict[Table, dict[str, object]] = {
        READINGS: {
            **{"source": "other", "meter_id": "m", "metric": "fuel", "unit": "Wh"},
            **{"interval_start": DAY + HOUR / 2, "interval_end": DAY + 2 * HOUR},
            **{"value": Decimal("1.500000001"), "quality": "suspect", "batch_id": "b-2"},
            "ingested_at": DAY + dt.timedelta(days=1, microseconds=1),
        },
        CHARGE_EVENTS: {
            **{"event_id": "ev-2", "machine_id": "M-1", "contract_id": None, "service_code": "s"},
            **{"classification": "recurring", "occurred_at": DAY + HOUR, "quantity": Decimal(1)},
            **{"unit": "m", "unit_amount": Decimal(81), "currency": "NOK", "description": ""},
            **{"batch_id": "e-2", "ingested_at": DAY},
        },
        INDEX_PRICES: {
            **{"hour_start": DAY + HOUR, "price": Decimal(0), "currency": "NOK"},
            **{"batch_id": "p-2", "ingested_at": DAY + HOUR},
        },
    }
    assert {*values[table], table.partition, "kind"} >= set(table.columns)
    return [(table, column, value) for column, value in values[table].items()]


ROW_OF: dict[str, Callable[..., dict[str, Any]]] = {
    "readings": reading,
    "charge_events": event,
    "index_prices": price,
}


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        change
        for table in (READINGS, CHARGE_EVENTS, INDEX_PRICES)
        for change in _changed_values(table)
    ],
    ids=str,
)
def test_digest_depends_on_every_column(
    landing: Landing, table: Table, column: str, value: object
) -> None:
    row = ROW_OF[table.name]
    change = {column: value}
    if column == "metric":
        change["unit"] = "l"
    key = "NO1" if table is INDEX_PRICES else "NO-OSL1"
    landing.put([row()], table=table, key=key)
    (before,) = landing.scan().files
    landing.put([row(**change)], table=table, key=key)
    (after,) = landing.scan().files
    assert not after.refused
    assert before.rows_digest != after.rows_digest


def test_digest_depends_on_the_kind_and_the_partition(landing: Landing) -> None:
    register = {"kind": "register", "interval_end": None}
    landing.put([reading(**register)])
    landing.put([reading(site_id="FI-HEL1", **register)], key="FI-HEL1")
    gauge = {"kind": "gauge", "metric": "power", "unit": "W", "interval_end": None}
    landing.put([reading(**gauge)], key="NO-OSL1", name="b-2.parquet")
    assert len({file.rows_digest for file in landing.scan().files}) == 3


def test_digest_does_not_depend_on_how_the_rows_are_written(landing: Landing) -> None:
    rows = [
        reading(
            meter_id=f"m-{n % 7}",
            interval_start=DAY + n * HOUR / 60,
            interval_end=DAY + (n + 1) * HOUR / 60,
            value=Decimal(n % 100) / 8,
        )
        for n in range(700)
    ]
    table = pa.Table.from_pylist(rows, schema=READINGS.schema)
    path = landing.put(rows)
    digests = set()
    for written in (table, table.take(pa.array(list(reversed(range(700)))))):
        for options in (
            {"compression": "zstd", "use_dictionary": True},
            {"compression": "none", "use_dictionary": False, "row_group_size": 100},
            {"use_dictionary": ["meter_id", "value"], "data_page_version": "2.0"},
        ):
            pq.write_table(written, path, **options)
            (file,) = landing.scan().files
            digests.add(file.rows_digest)
    pl.DataFrame(table).write_parquet(path)
    digests |= {file.rows_digest for file in landing.scan().files}
    by_value = path.with_name("by-value.tmp")
    duckdb.sql(
        f"COPY (SELECT * FROM '{path}' ORDER BY hash(value)) TO '{by_value}' (FORMAT parquet)"
    )
    by_value.replace(path)
    digests |= {file.rows_digest for file in landing.scan().files}
    assert len(digests) == 1
    assert None not in digests


def test_digests_of_files_add_up(landing: Landing) -> None:
    rows = [reading(meter_id=f"m-{n}", batch_id="b") for n in range(100)]
    whole = landing.put(rows)
    (file,) = landing.scan().files
    whole.unlink()
    for part in range(3):
        landing.put(rows[part::3], name=f"{part}.parquet")
    parts = landing.scan().files
    assert len(parts) == 3
    assert sum_of_digests(parts) == file.rows_digest
    total = duckdb.sql(
        f"""
        SELECT CAST(sum(CAST(rows_digest AS HUGEINT)) % 18446744073709551616 AS VARCHAR)
        FROM '{landing.manifest_dir / "readings.parquet"}'
        """
    ).fetchall()
    assert total == [(file.rows_digest,)]


def test_row_said_twice_does_not_cancel_itself_out(landing: Landing) -> None:
    landing.put([reading()], name="one.parquet")
    landing.put([reading()], name="two.parquet")
    one, two = landing.scan().files
    assert one.rows_digest == two.rows_digest
    assert sum_of_digests([one, two]) not in (one.rows_digest, "0")


def test_refused_file_has_no_digest(landing: Landing) -> None:
    landing.put([reading(unit="x")])
    landing.scan()
    (row,) = landing.listed()
    assert (row["refused"], row["rows_digest"]) == (True, None)


def test_another_version_of_duckdb_reads_everything_again(
    landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = landing.put([reading()])
    landing.scan()
    assert landing.scan().new == ()
    monkeypatch.setattr(duckdb, "__version__", "9.9.9")
    assert landing.scan().new == (path,)


# --- screening -----------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [READINGS, CHARGE_EVENTS, INDEX_PRICES], ids=lambda t: t.name)
def test_each_rule_is_screened_once(table: Table) -> None:
    rows, texts = table.rules_of_rows(), table.rules_of_texts()
    assert sorted(map(repr, (*rows, *texts))) == sorted(map(repr, table.rules))
    for rule in texts:
        duckdb.sql(
            f"SELECT {rule.broken} FROM (SELECT "
            + ", ".join(f"'x' AS {column}" for column in table.texts)
            + ")"
        ).fetchall()


def test_one_bad_row_among_many_is_found_wherever_it_is(landing: Landing) -> None:
    starts = [DAY + n * HOUR / 600 for n in range(9000)]
    rows = [
        reading(meter_id=f"m-{n % 50}", interval_start=start, interval_end=start + HOUR)
        for n, start in enumerate(starts)
    ]
    for place in (0, 4500, 8999):
        rows_then = [*rows]
        rows_then[place] = rows[place] | {"interval_end": rows[place]["interval_start"]}
        landing.put(rows_then)
        (reason,) = landing.refused().values()
        assert reason.startswith(f"row {place + 1}, meter ")
        assert "expected an instant after interval_start" in reason


def test_many_files_are_checked_in_pieces_that_memory_holds(
    landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(10, 20):
        for batch in ("b-1", "b-2"):
            start = DAY + dt.timedelta(days=day - 10)
            row = reading(batch_id=batch, interval_start=start, interval_end=start + HOUR)
            landing.put([row] * (1 + (day == 14)), name=f"{batch}.parquet", date=f"2026-05-{day}")
    whole = landing.scan()
    sizes = []
    check = manifest_module._check_rows

    def counted(*arguments: Any) -> Any:
        sizes.append(len(arguments[2]))
        return check(*arguments)

    monkeypatch.setattr(manifest_module, "_check_rows", counted)
    monkeypatch.setattr(manifest_module, "_CHUNK_ROWS", 5)
    monkeypatch.setattr(manifest_module, "RULES_VERSION", "again")
    pieces = landing.scan()
    assert pieces.files == whole.files
    assert [r.path.name for r in whole.refused] == ["b-1.parquet", "b-2.parquet"]
    assert sizes == [4, 4, 2, 4, 4, 2]
