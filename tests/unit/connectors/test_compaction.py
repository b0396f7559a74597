"""Merging the files of days that are over: every row stays, whenever it stops."""

from __future__ import annotations

import datetime as dt
import json
import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.base import Batch, Window
from connectors.compaction import Compaction, compact
from connectors.files import write_atomically
from connectors.landing import LandingResult, land
from connectors.manifest import Manifest, scan, sum_of_digests
from connectors.merges import alone, beside_others
from connectors.parquet import ROW_GROUP_ROWS, write_rows
from connectors.rows import BatchBuilder
from connectors.tables import CHARGE_EVENTS, INDEX_PRICES, READINGS, TABLES, Table

DAY = dt.datetime(2026, 5, 10, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
LATER = DAY + 100 * HOUR
OVER = dt.date(2026, 5, 12)
WINDOW = Window(DAY, DAY + 72 * HOUR)


def reading(hour: int = 0, value: object = 1, meter: str = "m-1") -> tuple[object, ...]:
    return (
        "NO-OSL1", "test", meter, "energy", "interval", "kWh", DAY + hour * HOUR,
        DAY + (hour + 1) * HOUR, Decimal(str(value)), "good",
    )  # fmt: skip


def event(hour: int = 0, event_id: str = "ev-1", amount: str = "80") -> tuple[object, ...]:
    return (
        event_id, "NO-OSL1", None, "K-1", "hands", "variable", DAY + hour * HOUR, Decimal("1.5"),
        "h", Decimal(amount), "EUR", "remote hands",
    )  # fmt: skip


def price(hour: int = 0, amount: str = "40") -> tuple[object, ...]:
    return ("NO1", DAY + hour * HOUR, Decimal(amount), "EUR")


class Site:
    def __init__(self, table: Table, rows: tuple[tuple[object, ...], ...]) -> None:
        self.table = table
        self.rows = rows

    def capabilities(self) -> frozenset[str]:
        return frozenset({self.table.name})

    def _give(self, _: Window) -> Iterator[Batch]:
        builder = BatchBuilder(self.table, origin="answer")
        for row in self.rows:
            builder.add(row)
        yield builder.take()

    readings = charge_events = index_prices = _give


class Zone:
    """A data dir whose clock goes on by an hour at each landing."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.landing_dir = root / "landing"
        self.now = LATER

    def land(self, *rows: tuple[object, ...], table: Table = READINGS) -> LandingResult:
        self.now += HOUR
        return land(
            Site(table, rows),
            site_id="NO-OSL1",
            window=WINDOW,
            landing_dir=self.landing_dir,
            rejected_dir=self.root / "rejected",
            clock=lambda: self.now,
            table=table.name,
        )

    def scan(self) -> Manifest:
        return scan(self.landing_dir, self.root / "manifest")

    def compact(self, before: dt.date = OVER, *, dry_run: bool = False) -> Compaction:
        return compact(self.landing_dir, self.scan(), before=before, dry_run=dry_run)

    def paths(self, table: Table = READINGS, date: str = "*") -> list[Path]:
        return sorted((self.landing_dir / table.name).glob(f"*/date={date}/*"))

    def rows(self, table: Table = READINGS) -> list[tuple[Any, ...]]:
        """All rows of all good files as the manifest lists them."""
        files = [f.path for f in self.scan().files if f.table == table.name and not f.refused]
        if not files:
            return []
        frame = pl.read_parquet(files, hive_partitioning=False).select(table.columns)
        return sorted(frame.rows(), key=repr)

    def digest(self, table: Table = READINGS) -> str:
        return sum_of_digests(
            f for f in self.scan().files if f.table == table.name and not f.refused
        )


@pytest.fixture
def zone(tmp_path: Path) -> Zone:
    return Zone(tmp_path)


def three_fetches(zone: Zone) -> None:
    """Two days of readings in three batches; hour 1 is superseded once, hour 2 twice."""
    zone.land(*(reading(hour) for hour in range(30)))
    zone.land(reading(1, 2), reading(2, 2), reading(25, 2))
    zone.land(reading(2, 3), reading(0, 1, "m-2"))


def test_each_day_becomes_one_file_with_every_row(zone: Zone) -> None:
    three_fetches(zone)
    rows, digest = zone.rows(), zone.digest()
    assert [len(zone.paths(date=f"2026-05-{day}")) for day in (10, 11)] == [3, 2]
    done = zone.compact()
    assert [(d.date.isoformat(), len(d.originals), d.rows) for d in done.days] == [
        ("2026-05-10", 3, 28),
        ("2026-05-11", 2, 7),
    ]
    assert zone.paths() == [day.merged for day in done.days]
    assert zone.rows() == rows
    assert zone.digest() == digest
    assert not done.needs_person
    assert not list((zone.landing_dir / ".merges").glob("*.json"))
    assert not list((zone.landing_dir / ".work").iterdir())


def test_superseded_rows_keep_their_batch_and_fetch(zone: Zone) -> None:
    three_fetches(zone)
    zone.compact()
    frame = pl.read_parquet(zone.paths(date="2026-05-10"), hive_partitioning=False)
    said = frame.filter(pl.col("interval_start") == DAY + 2 * HOUR).sort("ingested_at")
    assert said["value"].to_list() == [1, 2, 3]
    assert said["batch_id"].n_unique() == 3
    assert said["ingested_at"].to_list() == [LATER + n * HOUR for n in (1, 2, 3)]


def test_merged_file_has_the_types_of_the_format(zone: Zone) -> None:
    three_fetches(zone)
    (merged, _) = (day.merged for day in zone.compact().days)
    assert merged is not None
    assert pq.read_schema(merged) == READINGS.schema


def test_second_run_does_nothing(zone: Zone) -> None:
    three_fetches(zone)
    zone.compact()
    before = {path: path.stat().st_mtime_ns for path in zone.paths()}
    again = zone.compact()
    assert (again.days, again.left) == ((), ())
    assert again.describe() == ["nothing to merge before 2026-05-12"]
    assert {path: path.stat().st_mtime_ns for path in zone.paths()} == before


def test_day_that_gets_another_file_is_merged_again(zone: Zone) -> None:
    three_fetches(zone)
    zone.compact()
    for value in (7, 8, 9):
        zone.land(reading(3, value))
        rows = zone.rows()
        (day,) = zone.compact().days
        assert len(day.originals) == 2
        assert len(zone.paths(date="2026-05-10")) == 1
        assert zone.rows() == rows


def test_days_that_are_not_over_are_left(zone: Zone) -> None:
    three_fetches(zone)
    done = zone.compact(dt.date(2026, 5, 11))
    assert [day.date for day in done.days] == [dt.date(2026, 5, 10)]
    assert len(zone.paths(date="2026-05-11")) == 2


def test_dry_run_shows_the_plan_and_changes_nothing(zone: Zone) -> None:
    three_fetches(zone)
    before = zone.paths()
    plan = zone.compact(dry_run=True)
    assert zone.paths() == before
    assert (plan.files_before, len(plan.days), plan.bytes_after) == (5, 2, None)
    assert plan.describe() == [
        "readings NO-OSL1: 2 days (2026-05-10 to 2026-05-11), 5 files",
        "would merge 2 days: 5 files of 0.0 MB to 2",
    ]
    done = zone.compact()
    assert [(d.table, d.date, d.originals) for d in done.days] == [
        (d.table, d.date, d.originals) for d in plan.days
    ]


def test_nothing_landed_is_nothing_to_merge(zone: Zone) -> None:
    assert zone.compact().days == ()
    assert not zone.landing_dir.exists()


def test_landing_afterwards_finds_its_rows_unchanged(zone: Zone) -> None:
    three_fetches(zone)
    zone.compact()
    result = zone.land(*(reading(h, {1: 2, 2: 3, 25: 2}.get(h, 1)) for h in range(30)))
    assert (result.rows_unchanged, result.rows_landed, result.files) == (30, 0, ())


def test_events_of_several_days_stay_what_they_were(zone: Zone) -> None:
    zone.land(event(0), event(1, "ev-2"), event(26, "ev-3"), table=CHARGE_EVENTS)
    zone.land(event(0, amount="90"), event(30, "ev-4"), table=CHARGE_EVENTS)
    zone.land(event(27, "ev-1", "95"), table=CHARGE_EVENTS)  # ev-1 moves to the other day
    rows, digest = zone.rows(CHARGE_EVENTS), zone.digest(CHARGE_EVENTS)
    done = zone.compact()
    assert [(d.table, len(d.originals), d.rows) for d in done.days] == [
        ("charge_events", 2, 3),
        ("charge_events", 3, 3),
    ]
    assert (zone.rows(CHARGE_EVENTS), zone.digest(CHARGE_EVENTS)) == (rows, digest)
    again = zone.land(event(27, "ev-1", "95"), event(1, "ev-2"), table=CHARGE_EVENTS)
    assert (again.rows_unchanged, again.rows_landed) == (2, 0)


def test_index_prices_are_merged_by_index_and_day(zone: Zone) -> None:
    zone.land(*(price(hour) for hour in range(26)), table=INDEX_PRICES)
    zone.land(price(3, "-1"), table=INDEX_PRICES)
    rows = zone.rows(INDEX_PRICES)
    (day,) = zone.compact().days
    assert (day.table, day.partition_key, day.rows) == ("index_prices", "NO1", 25)
    assert zone.rows(INDEX_PRICES) == rows


def test_empty_files_are_merged_too(zone: Zone) -> None:
    zone.land(reading())
    (path,) = zone.paths()
    pq.write_table(READINGS.schema.empty_table(), path.with_name("empty-1.parquet"))
    pq.write_table(READINGS.schema.empty_table(), path.with_name("empty-2.parquet"))
    rows = zone.rows()
    (day,) = zone.compact().days
    assert (len(day.originals), day.rows) == (3, 1)
    assert zone.rows() == rows


# --- what is not merged --------------------------------------------------------------------------


def put(path: Path, **changes: Any) -> Path:
    """A copy of a landed file in which each row says something else."""
    frame = pl.read_parquet(path, hive_partitioning=False)
    changed = frame.with_columns(**{name: pl.lit(value) for name, value in changes.items()})
    schema = TABLES[path.parts[-4]].schema
    target = path.with_name(f"{changes['batch_id']}.parquet")
    more = [name for name in changed.columns if name not in schema.names]
    for name in more:
        schema = schema.append(pa.field(name, pa.string()))
    pq.write_table(changed.select(schema.names).to_arrow().cast(schema), target)
    return target


def test_refused_files_are_not_touched_and_named(zone: Zone) -> None:
    three_fetches(zone)
    first = zone.paths()[0]
    faulty = put(first, batch_id="faulty", unit="kwh")
    cut = first.with_name("cut.parquet")
    cut.write_bytes(first.read_bytes()[:-9])
    kept = {path: path.read_bytes() for path in (faulty, cut)}
    rows = zone.rows()
    done = zone.compact()
    assert {r.path.name for r in done.refused} == {"faulty.parquet", "cut.parquet"}
    assert done.needs_person
    assert {path: path.read_bytes() for path in kept} == kept
    assert len(zone.paths(date="2026-05-10")) == 3
    assert zone.rows() == rows


@pytest.mark.parametrize("name", ["b", "b-1", "a", "zz", "00", "b.merged-0"])
def test_file_refused_for_contradicting_another_stays_the_one_refused(
    zone: Zone, name: str
) -> None:
    """Of two files that contradict each other the first by name counts, also once it is merged."""
    zone.land(reading(0))
    (landed,) = zone.paths()
    said = put(landed, batch_id="b")
    put(landed, batch_id="c")
    frame = pq.read_table(said).to_pylist()[0] | {"value": Decimal(99)}
    other = said.with_name(f"{name}-2.parquet")
    pq.write_table(pa.Table.from_pylist([frame], schema=READINGS.schema), other)
    refused = {r.path for r in zone.scan().refused}
    rows = zone.rows()
    assert len(refused) == 1
    done = zone.compact()
    assert len(done.days) == 1
    assert {r.path for r in zone.scan().refused} == refused
    assert zone.rows() == rows


def test_files_with_columns_of_their_own_are_left(zone: Zone) -> None:
    three_fetches(zone)
    noted = put(zone.paths()[0], batch_id="noted", note="read by hand")
    done = zone.compact()
    (left,) = done.left
    assert left.path == noted
    assert left.reason == "it has columns that a merge would lose: note"
    assert noted.exists()
    assert [len(day.originals) for day in done.days] == [3, 2]


def test_same_rows_in_two_files_are_left_for_a_person(zone: Zone) -> None:
    three_fetches(zone)
    first = zone.paths()[0]
    copy = first.with_name("copy.parquet")
    copy.write_bytes(first.read_bytes())
    before = zone.paths(date="2026-05-10")
    done = zone.compact()
    (left,) = done.left
    assert left.path == first.parent
    assert "the same rows stand in several of its files" in left.reason
    assert zone.paths(date="2026-05-10") == before
    assert [day.date.day for day in done.days] == [11]


def test_day_whose_files_change_after_they_were_listed_is_left(zone: Zone) -> None:
    three_fetches(zone)
    found = zone.scan()
    os.utime(zone.paths(date="2026-05-11")[0], ns=(1, 1))
    done = compact(zone.landing_dir, found, before=OVER)
    assert [left.reason for left in done.left] == [
        "its files changed meanwhile; run this again",
    ]
    assert [day.date.day for day in done.days] == [10]


def test_file_that_comes_after_the_listing_is_left_for_the_next_time(zone: Zone) -> None:
    three_fetches(zone)
    found = zone.scan()
    zone.land(reading(5, 5))
    rows = zone.rows()
    compact(zone.landing_dir, found, before=OVER)
    assert len(zone.paths(date="2026-05-10")) == 2
    assert zone.rows() == rows


# --- killed at any step --------------------------------------------------------------------------


class Killed(BaseException):
    """What ends the process at this point."""


def _dying(original: Callable[..., Any], number: int, *, after: bool) -> Callable[..., Any]:
    calls = 0

    def call(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number and not after:
            raise Killed
        result = original(*arguments, **options)
        if calls == number:
            raise Killed
        return result

    return call


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("filled")
    zone = Zone(root)
    zone.land(*(reading(hour) for hour in range(24)))
    zone.land(reading(2, 3))
    zone.land(event(0), table=CHARGE_EVENTS)
    zone.land(event(0, amount="90"), table=CHARGE_EVENTS)
    return root


def _land_again(zone: Zone) -> None:
    result = zone.land(reading(0), reading(2, 3))
    assert (result.rows_unchanged, result.rows_landed) == (2, 0)


NEXT: list[Callable[[Zone], object]] = [Zone.scan, Zone.compact, _land_again]


# Of each day a file is written, its note, and put in place; then two originals and the note go.
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("step", "number"),
    [*(("replace", number) for number in range(1, 5)), *(("unlink", n) for n in range(1, 5))],
)
def test_kill_at_each_step_loses_nothing_and_shows_nothing_twice(
    tmp_path: Path,
    filled: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    number: int,
    after: bool,
) -> None:
    killed = Zone(shutil.copytree(filled, tmp_path / "killed"))
    rows = [killed.rows(READINGS), killed.rows(CHARGE_EVENTS)]
    found = killed.scan()
    with monkeypatch.context() as patch:
        patch.setattr(Path, step, _dying(getattr(Path, step), number, after=after))
        with pytest.raises(Killed):
            compact(killed.landing_dir, found, before=OVER)
    for nth, do in enumerate(NEXT):
        zone = Zone(shutil.copytree(killed.root, tmp_path / str(nth)))
        do(zone)
        assert [zone.rows(READINGS), zone.rows(CHARGE_EVENTS)] == rows
        zone.compact()
        assert [len(zone.paths(READINGS)), len(zone.paths(CHARGE_EVENTS))] == [1, 1]
        assert [zone.rows(READINGS), zone.rows(CHARGE_EVENTS)] == rows
        assert not list((zone.landing_dir / ".merges").glob("*.json"))


def _compact_and_die(root: str) -> None:
    zone = Zone(Path(root))
    found = zone.scan()
    unlink = Path.unlink
    calls = 0

    def die(path: Path, *_: Any, **__: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            os._exit(9)
        unlink(path)

    Path.unlink = die  # type: ignore[method-assign]
    compact(zone.landing_dir, found, before=OVER)


def test_process_that_dies_halfway_is_settled_by_the_next(zone: Zone) -> None:
    three_fetches(zone)
    rows = zone.rows()
    child = multiprocessing.get_context("fork").Process(
        target=_compact_and_die, args=(str(zone.root),)
    )
    child.start()
    child.join()
    assert child.exitcode == 9
    assert len(zone.paths(date="2026-05-10")) == 3  # the merged file and two originals
    assert zone.rows() == rows
    assert len(zone.paths(date="2026-05-10")) == 1


def test_original_that_someone_replaced_meanwhile_is_not_taken_away(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    three_fetches(zone)
    found = zone.scan()
    first = zone.paths()[0]
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", _dying(Path.unlink, 1, after=False))
        with pytest.raises(Killed):
            compact(zone.landing_dir, found, before=OVER)
    corrected = put(first, batch_id="corrected").read_bytes()
    first.with_name("corrected.parquet").unlink()
    first.write_bytes(corrected)
    zone.scan()
    assert first.read_bytes() == corrected
    assert len(zone.paths(date="2026-05-10")) == 2


def test_merge_whose_file_never_came_is_forgotten(zone: Zone) -> None:
    three_fetches(zone)
    first = zone.paths()[0]
    note = zone.landing_dir / ".merges" / "x.json"
    relative = str(first.relative_to(zone.landing_dir))
    write_atomically(
        note,
        json.dumps(
            {
                "merged": {"path": relative.replace(".parquet", ".x.parquet"), "sha256": "0"},
                "originals": [{"path": relative, "sha256": "0"}],
            }
        ).encode(),
    )
    before = zone.paths()
    zone.scan()
    assert zone.paths() == before
    assert not note.exists()


# --- side by side --------------------------------------------------------------------------------


def test_landing_waits_while_files_are_merged(zone: Zone) -> None:
    three_fetches(zone)
    landed = threading.Event()
    results: list[LandingResult] = []

    def fetch() -> None:
        results.append(zone.land(reading(0)))
        landed.set()

    with alone(zone.landing_dir):
        thread = threading.Thread(target=fetch)
        thread.start()
        assert not landed.wait(0.5)
    thread.join(30)
    assert results[0].rows_unchanged == 1


def test_merge_waits_for_whoever_reads(zone: Zone) -> None:
    three_fetches(zone)
    found = zone.scan()
    done = threading.Event()

    def merge() -> None:
        compact(zone.landing_dir, found, before=OVER)
        done.set()

    with beside_others(zone.landing_dir), beside_others(zone.landing_dir):
        thread = threading.Thread(target=merge)
        thread.start()
        assert not done.wait(0.5)
        assert len(zone.paths()) == 5
    thread.join(30)
    assert done.is_set()
    assert len(zone.paths()) == 2


def test_hand_filled_folder_that_nobody_may_write_is_listed(zone: Zone, tmp_path: Path) -> None:
    three_fetches(zone)
    by_hand = tmp_path / "by-hand"
    by_hand.mkdir()
    (zone.landing_dir / "readings").rename(by_hand / "readings")
    by_hand.chmod(0o555)
    found = scan(by_hand, tmp_path / "other-manifest")
    assert (len(found.files), found.refused) == (5, ())
    assert not (by_hand / ".merges").exists()


# --- the bytes -----------------------------------------------------------------------------------


def _many(count: int, decimals: int) -> pa.Table:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return (
            connection.sql(
                f"""
                SELECT
                    'NO-OSL1' AS site_id, 'test' AS source,
                    printf('meter-%05d', i // 288) AS meter_id, 'energy' AS metric,
                    'interval' AS kind, 'Wh' AS unit,
                    '2026-05-10 00:00:00+00'::TIMESTAMPTZ + to_minutes(5 * (i % 288))
                        AS interval_start,
                    '2026-05-10 00:05:00+00'::TIMESTAMPTZ + to_minutes(5 * (i % 288))
                        AS interval_end,
                    CAST(round(
                        100 + hash(i // 288) % 500 + (hash(i) % 100000)::DOUBLE / 1000, {decimals}
                    ) AS DECIMAL(24, 9)) AS value,
                    'good' AS quality, 'b-1' AS batch_id,
                    '2026-05-11 01:30:00+00'::TIMESTAMPTZ AS ingested_at
                FROM range({count}) AS t(i)
                """
            )
            .to_arrow_table()
            .cast(READINGS.schema)
        )


@pytest.mark.parametrize(("decimals", "bytes_a_row"), [(0, 1.5), (1, 2.0), (2, 4.0), (3, 5.5)])
def test_a_landed_reading_takes_few_bytes(
    tmp_path: Path, decimals: int, bytes_a_row: float
) -> None:
    rows = _many(288 * 1000, decimals)
    path = tmp_path / "x.parquet"
    with path.open("wb") as stream:
        assert write_rows(stream, READINGS.schema, rows.to_batches(max_chunksize=70_000)) == len(
            rows
        )
    assert path.stat().st_size / len(rows) < bytes_a_row
    assert pq.read_table(path).equals(rows)
    assert pl.read_parquet(path, hive_partitioning=False).equals(pl.DataFrame(rows))
    counted = duckdb.sql(
        f"SELECT count(*), sum(value) = {pl.DataFrame(rows)['value'].sum()} FROM '{path}'"
    ).fetchall()
    assert counted == [(len(rows), True)]


def test_row_groups_are_cut_where_they_should_be(tmp_path: Path) -> None:
    rows = _many(ROW_GROUP_ROWS + 5, 0)
    path = tmp_path / "x.parquet"
    with path.open("wb") as stream:
        write_rows(stream, READINGS.schema, rows.to_batches(max_chunksize=100_000))
    metadata = pq.read_metadata(path)
    assert [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)] == [
        ROW_GROUP_ROWS,
        5,
    ]
    assert pq.read_table(path).equals(rows)


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_no_rows_make_a_whole_file(tmp_path: Path, table: Table) -> None:
    path = tmp_path / "x.parquet"
    with path.open("wb") as stream:
        assert write_rows(stream, table.schema, []) == 0
    assert pq.read_table(path).equals(table.schema.empty_table())


def test_instants_that_do_not_repeat_are_read_by_both(tmp_path: Path) -> None:
    rows = _many(5000, 3)
    position = READINGS.schema.get_field_index("interval_start")
    jittered = pa.array(
        [DAY + n * dt.timedelta(milliseconds=1234, microseconds=n % 7) for n in range(len(rows))],
        READINGS.schema.field(position).type,
    )
    rows = rows.set_column(position, READINGS.schema.field(position), jittered)
    path = tmp_path / "x.parquet"
    with path.open("wb") as stream:
        write_rows(stream, READINGS.schema, rows.to_batches())
    encodings = pq.read_metadata(path).row_group(0).column(position).encodings
    assert "DELTA_BINARY_PACKED" in encodings
    assert pl.read_parquet(path, hive_partitioning=False).equals(pl.DataFrame(rows))
    total = duckdb.sql(f"SELECT sum(epoch_us(interval_start)) FROM '{path}'").fetchall()[0][0]
    assert total == sum(int(us) for us in jittered.cast(pa.int64()).to_pylist())
