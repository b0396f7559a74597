"""Landing: what is new or changed is written once, the rest is counted, nothing is half done."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.base import Batch, Rejected, Window
from connectors.errors import SourceUnavailable
from connectors.landing import LandingResult, land, land_all, scan
from connectors.rows import BatchBuilder
from connectors.tables import CHARGE_EVENTS, INDEX_PRICES, READINGS, Table

DAY = dt.datetime(2026, 5, 10, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
WINDOW = Window(DAY, DAY + 48 * HOUR)
LATER = DAY + 72 * HOUR


def row(hour: int = 0, value: object = 1, **changes: Any) -> tuple[object, ...]:
    fields = {
        "site_id": "NO-OSL1",
        "source": "test",
        "meter_id": "meter-1",
        "metric": "energy",
        "kind": "interval",
        "unit": "kWh",
        "interval_start": DAY + hour * HOUR,
        "interval_end": DAY + (hour + 1) * HOUR,
        "value": Decimal(str(value)),
        "quality": "good",
    }
    return tuple((fields | changes).values())


def event(hour: int = 0, event_id: str = "ev-1", amount: str = "80") -> tuple[object, ...]:
    return (
        event_id, "NO-OSL1", None, "K-1", "hands", "variable", DAY + hour * HOUR, Decimal("1.5"),
        "h", Decimal(amount), "EUR", "remote hands",
    )  # fmt: skip


def batch(*rows: tuple[object, ...], table: Table = READINGS, **options: Any) -> Batch:
    builder = BatchBuilder(
        table, origin=options.get("origin", "answer"), repeated=options.get("repeated", "reject")
    )
    for one in rows:
        builder.add(one)
    return builder.take()


class Site:
    """A site that gives what a test says."""

    def __init__(self, *batches: Batch, table: Table = READINGS, error: Exception | None = None):
        self.batches = batches
        self.table = table
        self.error = error

    def capabilities(self) -> frozenset[str]:
        return frozenset({self.table.name})

    def close(self) -> None:
        """Nothing to close."""

    def _give(self, _: Window) -> Iterator[Batch]:
        yield from self.batches
        if self.error is not None:
            raise self.error

    readings = charge_events = index_prices = _give


class Zone:
    """A data dir and a clock."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.landing_dir = root / "landing"
        self.rejected_dir = root / "rejected"
        self.now = LATER

    def land(
        self, *batches: Batch, table: Table = READINGS, window: Window = WINDOW
    ) -> LandingResult:
        return land(
            Site(*batches, table=table),
            site_id="NO-OSL1",
            window=window,
            landing_dir=self.landing_dir,
            rejected_dir=self.rejected_dir,
            clock=lambda: self.now,
            table=table.name,
        )

    def rows(self, table: Table = READINGS) -> pl.DataFrame:
        found = scan(self.landing_dir, self.root / "manifest")
        assert found.refused == ()
        paths = [file.path for file in found.files if file.table == table.name]
        if not paths:
            return pl.DataFrame(schema=dict.fromkeys(table.columns, pl.String))
        return pl.read_parquet(paths, hive_partitioning=False)

    def valid(self, table: Table = READINGS) -> dict[tuple[object, ...], object]:
        """What counts, by the rules of the warehouse: the latest fetch, then the greatest batch."""
        content = {"readings": "value", "charge_events": "unit_amount", "index_prices": "price"}
        rows = self.rows(table).sort("ingested_at", "batch_id")
        return {
            tuple(one[name] for name in table.key): one[content[table.name]]
            for one in rows.iter_rows(named=True)
        }

    def rejected(self) -> list[dict[str, Any]]:
        lines = []
        for path in sorted(self.rejected_dir.rglob("*.jsonl")):
            lines += [json.loads(line) for line in path.read_text().splitlines()]
        return lines


@pytest.fixture
def zone(tmp_path: Path) -> Zone:
    return Zone(tmp_path)


def balanced(result: LandingResult) -> bool:
    return result.rows_fetched == (
        result.rows_landed
        + result.rows_rejected
        + result.rows_unchanged
        + result.rows_duplicate
        + result.rows_outside
        + result.rows_skipped
    )


def test_a_fetch_becomes_one_file_a_day(zone: Zone) -> None:
    result = zone.land(batch(row(1), row(23), row(24)))
    assert (result.rows_fetched, result.rows_landed, len(result.batches)) == (3, 3, 1)
    (batch_id,) = result.batches
    assert [str(path.relative_to(zone.landing_dir.resolve())) for path in result.files] == [
        f"readings/site_id=NO-OSL1/date=2026-05-10/{batch_id}.parquet",
        f"readings/site_id=NO-OSL1/date=2026-05-11/{batch_id}.parquet",
    ]
    landed = zone.rows()
    assert tuple(landed.columns) == READINGS.columns
    assert landed["batch_id"].unique().to_list() == [batch_id]
    assert landed["ingested_at"].unique().to_list() == [LATER]


def test_unchanged_answer_writes_nothing(zone: Zone) -> None:
    first = zone.land(batch(row(1), row(2)))
    before = {path: path.stat().st_mtime_ns for path in first.files}
    zone.now += HOUR
    result = zone.land(batch(row(2), row(1)))
    assert (result.rows_unchanged, result.rows_landed, result.batches) == (2, 0, ())
    assert {p: p.stat().st_mtime_ns for p in zone.landing_dir.rglob("*.parquet")} == before


@pytest.mark.parametrize("changes", [{"value": 2}, {"unit": "Wh"}, {"quality": "suspect"}], ids=str)
def test_changed_row_makes_a_batch_of_itself_only(zone: Zone, changes: dict[str, Any]) -> None:
    zone.land(batch(row(1), row(2)))
    zone.now += HOUR
    value = changes.pop("value", 1)
    result = zone.land(batch(row(1), row(2, value, **changes)))
    assert (result.rows_unchanged, result.rows_landed) == (1, 1)
    assert zone.rows().height == 3


def test_other_meter_metric_and_kind_are_other_rows(zone: Zone) -> None:
    zone.land(batch(row()))
    result = zone.land(
        batch(
            row(meter_id="meter-2"),
            row(kind="register", interval_end=None),
            row(metric="power", kind="gauge", unit="W", interval_end=None),
            row(interval_end=DAY + 2 * HOUR),
        )
    )
    assert result.rows_landed == 4


def test_answer_that_goes_back_and_forth_under_a_standing_clock(zone: Zone) -> None:
    for value in (1, 2, 1, 2, 3, 1):
        zone.land(batch(row(value=value)))
        assert set(zone.valid().values()) == {Decimal(value)}
    assert zone.rows().height == 6


def test_later_fetch_wins_though_the_clock_was_set_back(zone: Zone) -> None:
    zone.land(batch(row(value=1), row(1)))
    zone.now -= 10 * HOUR
    zone.land(batch(row(value=2)))
    assert zone.valid()[("meter-1", "energy", "interval", DAY, DAY + HOUR)] == 2


def test_row_that_was_ahead_of_its_time_lands_again_when_it_is_not(zone: Zone) -> None:
    zone.now = DAY
    ahead = batch(row(3))
    assert zone.land(ahead).rows_landed == 1
    zone.now = DAY + 2 * HOUR
    assert zone.land(ahead).rows_unchanged == 1
    zone.now = DAY + 3 * HOUR
    assert zone.land(ahead).rows_landed == 1
    zone.now = DAY + 4 * HOUR
    assert zone.land(ahead).rows_unchanged == 1


def test_window_is_half_open(zone: Zone) -> None:
    result = zone.land(batch(row(-1), row(0), row(47), row(48)))
    assert (result.rows_landed, result.rows_outside) == (2, 2)
    assert balanced(result)


def test_faulty_rows_are_set_aside_and_named(zone: Zone) -> None:
    result = zone.land(
        batch(row(0), row(1, unit="kwh"), row(2, site_id="FI-HEL1"), row(3, meter_id=None))
    )
    assert (result.rows_landed, result.rows_rejected) == (1, 3)
    assert balanced(result)
    told = zone.rejected()
    assert [(r["meter"], r["field"], r["value"]) for r in told] == [
        ("meter-1", "unit", "kwh"),
        ("meter-1", "site_id", "FI-HEL1"),
        (None, "meter_id", None),
    ]
    assert told[0]["reason"] == "energy comes in Wh, kWh, MWh, GWh, J, kJ, MJ, GJ"
    assert told[1]["reason"] == "expected NO-OSL1"


def test_rejected_rows_of_the_source_are_kept_and_counted_once(zone: Zone) -> None:
    faulty = Batch(
        frame=batch(row()).frame,
        origin="file.csv",
        rejected=(Rejected(reason="is not a number", origin="file.csv", row=7, value="\udcff"),),
        skipped=2,
    )
    first = zone.land(faulty)
    assert (first.rows_fetched, first.rows_rejected, first.rows_skipped) == (4, 1, 2)
    assert first.rejected_file is not None
    second = zone.land(faulty)
    assert second.rejected_file == first.rejected_file
    (told,) = zone.rejected()
    assert (told["row"], told["origin"], told["table"]) == (7, "file.csv", "readings")


def test_row_said_twice_lands_once(zone: Zone) -> None:
    result = zone.land(batch(row(), row()), batch(row()))
    assert (result.rows_landed, result.rows_duplicate) == (1, 2)
    assert balanced(result)


def test_answer_that_contradicts_itself_lands_nothing_of_it(zone: Zone) -> None:
    zone.land(batch(row(0, 1)))
    result = zone.land(batch(row(0, 2), row(0, 3), row(1)))
    assert (result.rows_landed, result.rows_rejected) == (1, 2)
    assert balanced(result)
    assert "stand more than once in this answer" in zone.rejected()[0]["reason"]
    assert zone.valid()[("meter-1", "energy", "interval", DAY, DAY + HOUR)] == 1


def test_last_of_contradicting_rows_if_the_book_says_so(zone: Zone) -> None:
    result = zone.land(batch(row(0, 2), row(0, 3), repeated="last"))
    assert (result.rows_landed, result.rows_duplicate, result.rows_rejected) == (1, 1, 0)
    assert set(zone.valid().values()) == {Decimal(3)}


def test_later_file_of_a_fetch_replaces_an_earlier_one(zone: Zone) -> None:
    result = zone.land(
        batch(row(0, 1), row(1, 1), origin="a.csv"), batch(row(0, 2), origin="a-again.csv")
    )
    assert (result.rows_landed, result.rows_duplicate, result.rows_rejected) == (2, 1, 0)
    assert sorted(map(str, zone.valid().values())) == ["1.000000000", "2.000000000"]


def test_row_no_longer_given_stays(zone: Zone) -> None:
    zone.land(batch(row(0), row(1)))
    zone.land(batch(row(0)))
    assert zone.rows().height == 2


def test_refused_file_does_not_count_as_landed(zone: Zone) -> None:
    (path,) = zone.land(batch(row())).files
    hand_filled = pl.read_parquet(path, hive_partitioning=False).with_columns(unit=pl.lit("x"))
    path.unlink()
    hand_filled.write_parquet(path)
    result = zone.land(batch(row()))
    assert result.rows_landed == 1


def test_hand_filled_file_with_more_columns_counts_as_landed(zone: Zone) -> None:
    (path,) = zone.land(batch(row())).files
    landed = pl.read_parquet(path, hive_partitioning=False)
    more = landed.with_columns(meter_id=pl.lit("m2"), batch_id=pl.lit("a"), note=pl.lit("x"))
    more.write_parquet(path.with_name("a.parquet"))
    result = zone.land(batch(row(), row(meter_id="m2")))
    assert (result.rows_unchanged, result.rows_landed) == (2, 0)


def test_failing_fetch_writes_nothing(zone: Zone) -> None:
    site = Site(batch(row()), error=SourceUnavailable("NO-OSL1", "page 2 failed"))
    with pytest.raises(SourceUnavailable, match="site NO-OSL1: page 2 failed"):
        land(
            site,
            site_id="NO-OSL1",
            window=WINDOW,
            landing_dir=zone.landing_dir,
            rejected_dir=zone.rejected_dir,
            clock=lambda: LATER,
        )
    assert [path for path in zone.root.rglob("*") if path.is_file()] == []


def test_kill_between_two_files_is_made_good_by_the_next_run(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = Path.replace
    calls = 0

    def killed(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return put(self, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        zone.land(batch(row(0), row(24)))
    monkeypatch.undo()
    assert zone.rows().height == 1
    result = zone.land(batch(row(0), row(24)))
    assert (result.rows_unchanged, result.rows_landed) == (1, 1)
    assert zone.rows().height == 2


def test_process_killed_while_writing_leaves_nothing_that_is_read(zone: Zone) -> None:
    program = textwrap.dedent(
        """
        import datetime as dt, os, sys
        from pathlib import Path
        import connectors.landing as landing
        sys.path.insert(0, sys.argv[2])
        from test_landing import Site, WINDOW, LATER, batch, row

        def die(self, target):
            os._exit(9)

        Path.replace = die
        root = Path(sys.argv[1])
        landing.land(
            Site(batch(row())), site_id="NO-OSL1", window=WINDOW, landing_dir=root / "landing",
            rejected_dir=root / "rejected", clock=lambda: LATER,
        )
        """
    )
    run = subprocess.run(
        [sys.executable, "-c", program, str(zone.root), str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 9, run.stderr
    assert any((zone.landing_dir / ".work").iterdir())
    assert zone.rows().height == 0
    assert zone.land(batch(row())).rows_landed == 1


def test_leftovers_of_killed_runs_are_cleared_after_a_day(zone: Zone) -> None:
    left = zone.landing_dir / ".work" / "left"
    fresh = zone.landing_dir / ".work" / "fresh"
    left.mkdir(parents=True)
    fresh.mkdir()
    os.utime(left, (1, 1))
    zone.land(batch(row()))
    assert not left.exists()
    assert fresh.exists()


def test_event_that_moves_to_another_day(zone: Zone) -> None:
    zone.land(batch(event(0), table=CHARGE_EVENTS), table=CHARGE_EVENTS)
    again = zone.land(batch(event(0), table=CHARGE_EVENTS), table=CHARGE_EVENTS)
    assert again.rows_unchanged == 1
    zone.now += HOUR
    moved = zone.land(batch(event(30), table=CHARGE_EVENTS), table=CHARGE_EVENTS)
    assert moved.rows_landed == 1
    assert zone.land(batch(event(30), table=CHARGE_EVENTS), table=CHARGE_EVENTS).rows_landed == 0
    assert zone.rows(CHARGE_EVENTS).height == 2


def test_index_prices_land_by_index(zone: Zone) -> None:
    prices = batch(
        ("NO1", DAY, Decimal("-1.25"), "EUR"), ("NO2", DAY, Decimal(40), "EUR"), table=INDEX_PRICES
    )
    result = zone.land(prices, table=INDEX_PRICES)
    assert result.rows_landed == 2
    assert {path.parts[-3] for path in result.files} == {"index_id=NO1", "index_id=NO2"}
    assert zone.land(prices, table=INDEX_PRICES).rows_unchanged == 2


def test_price_far_ahead_is_no_future_reading(zone: Zone) -> None:
    zone.now = DAY - 48 * HOUR
    prices = batch(("NO1", DAY, Decimal(40), "EUR"), table=INDEX_PRICES)
    zone.land(prices, table=INDEX_PRICES)
    zone.now = LATER
    assert zone.land(prices, table=INDEX_PRICES).rows_unchanged == 1


def test_all_tables_of_a_site_are_landed_though_one_fails(zone: Zone) -> None:
    class Half(Site):
        def capabilities(self) -> frozenset[str]:
            return frozenset({"readings", "charge_events"})

        def readings(self, _: Window) -> Iterator[Batch]:
            raise SourceUnavailable("NO-OSL1", "no readings today")

    with pytest.raises(SourceUnavailable, match="no readings today"):
        land_all(
            Half(batch(event(), table=CHARGE_EVENTS), table=CHARGE_EVENTS),
            site_id="NO-OSL1",
            window=WINDOW,
            landing_dir=zone.landing_dir,
            rejected_dir=zone.rejected_dir,
            clock=lambda: LATER,
        )
    assert zone.rows(CHARGE_EVENTS).height == 1


def test_connector_that_breaks_the_form_is_a_fault_of_the_program(zone: Zone) -> None:
    wrong = Batch(frame=pl.DataFrame({"value": [1.0]}), origin="x")
    with pytest.raises(TypeError, match="a connector gave columns"):
        zone.land(wrong)


def test_result_is_ready_for_json(zone: Zone) -> None:
    result = zone.land(batch(row(), row(1, unit="x")))
    plain = json.loads(json.dumps(result.as_dict()))
    assert (plain["rows_landed"], plain["rows_rejected"]) == (1, 1)
    assert "1 landed" in result.describe()


hours = st.integers(min_value=-2, max_value=50)
values = st.integers(min_value=0, max_value=3)
answers = st.lists(
    st.tuples(hours, values, st.sampled_from(["m1", "m2"]), st.sampled_from(["kWh", "kWh", "x"])),
    max_size=8,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(fetches=st.lists(answers, min_size=1, max_size=4))
def test_what_counts_is_always_the_last_answer(
    fetches: list[list[tuple[int, int, str, str]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    zone = Zone(tmp_path_factory.mktemp("zone"))
    expected: dict[tuple[str, dt.datetime], Decimal] = {}
    for answer in fetches:
        result = zone.land(
            batch(*(row(h, v, meter_id=m, unit=u) for h, v, m, u in answer), repeated="last")
        )
        assert balanced(result)
        for hour, value, meter, unit in answer:
            start = DAY + hour * HOUR
            if unit != "x" and WINDOW.contains(start):
                expected[(meter, start)] = Decimal(value)
    assert {(str(k[0]), k[3]): v for k, v in zone.valid().items()} == expected
