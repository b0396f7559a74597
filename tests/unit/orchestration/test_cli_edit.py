"""`m2c edit`: what it says an edit would touch, and that only --write writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from connectors.book import BookError
from connectors.tables import READINGS
from orchestration import cli
from orchestration.settings import DataDir
from orchestration.warehouse import refresh_manifest
from tests.unit.book.conftest import SOUND, BookFiles

MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)
BY = ("--reason", "seen on site", "--by", "ann")
SPAN = ("--from", "2026-03-01T00:00:00Z", "--to", "2026-03-01T02:00:00Z")
PDU = ("NO-OSL1", "pdu-1", "energy")
Run = Callable[..., Result]


def reading(hours: float, value: str, *, batch: str = "b1", **changes: object) -> dict[str, object]:
    start = MIDNIGHT + timedelta(hours=hours)
    return {
        "site_id": "NO-OSL1",
        "source": "files",
        "meter_id": "pdu-1",
        "metric": "energy",
        "kind": "interval",
        "unit": "kWh",
        "interval_start": start,
        "interval_end": start + timedelta(hours=1),
        "value": Decimal(value),
        "quality": "good",
        "batch_id": batch,
        "ingested_at": MIDNIGHT + timedelta(days=1 if batch == "b1" else 2),
        **changes,
    }


def land(data_dir: DataDir, day: str, rows: list[dict[str, object]]) -> None:
    folder = data_dir.landing / "readings" / "site_id=NO-OSL1" / f"date={day}"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        pa.Table.from_pylist(rows, schema=READINGS.schema),
        folder / f"{rows[0]['batch_id']}.parquet",
    )


def publish(data_dir: DataDir, exceptions: list[tuple[object, ...]]) -> None:
    data_dir.marts.parent.mkdir()
    with duckdb.connect(str(data_dir.marts)) as marts:
        marts.execute(
            """
            set timezone = 'UTC';
            create table build_info as select timestamptz '2026-03-03 06:00:00+00' as built_at;
            create table machines as
            select 'NO-OSL1' as site_id, 'm1' as machine_id, 'pdu-1' as meter_id;
            create table billing_exceptions (
                exception_id varchar, kind varchar, severity varchar, period varchar,
                site_id varchar, meter_id varchar, machine_id varchar, day date,
                occurrences bigint, quantity decimal(38, 9), detail varchar, status varchar
            )
            """
        )
        for row in exceptions:
            marts.execute(
                "insert into billing_exceptions values "
                "(?, ?, 'warning', '2026-03', 'NO-OSL1', ?, 'm1', ?, ?, ?, ?, 'open')",
                list(row),
            )


SPIKE = ("e1", "spike", "pdu-1", "2026-03-01", 2, "180", "Meter pdu-1: 2 intervals above.")
RESET = ("e2", "register_reset", "pdu-1", "2026-03-01", 1, None, "Meter pdu-1: it fell.")
MISSING = ("e3", "missing_readings", None, None, 1, "4", "Machine m1: 4 hours.")
NEXT_DAY = ("e4", "negative_quantity", "pdu-1", "2026-03-02", 1, "-1", "Meter pdu-1: below zero.")


@pytest.fixture
def data_dir(tmp_path: Path) -> DataDir:
    """A book, four hours of pdu-1 of which one came twice, another meter, and exceptions."""
    found = DataDir(tmp_path)
    BookFiles(found.book)
    land(found, "2026-02-28", [reading(-0.5, "3"), reading(-2, "3")])
    land(
        found,
        "2026-03-01",
        [
            *(reading(hour, "90.25") for hour in range(4)),
            reading(0, "7", meter_id="pdu-2"),
            reading(0, "5", kind="register", metric="traffic", unit="GB", interval_end=None),
        ],
    )
    land(found, "2026-03-01", [reading(1, "1000", batch="b2", unit="kWh")])
    refresh_manifest(found)
    publish(found, [SPIKE, RESET, MISSING, NEXT_DAY])
    return found


@pytest.fixture
def run(data_dir: DataDir) -> Run:
    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(
            cli.cli, ["--data-dir", str(data_dir.root), *arguments], standalone_mode=False
        )

    return invoke


def edits(data_dir: DataDir) -> str:
    return (data_dir.book / "reading_edits.csv").read_text()


def test_a_proposal_tells_what_it_would_do_and_writes_nothing(data_dir: DataDir, run: Run) -> None:
    done = run("edit", "reject", *PDU, *SPAN, *BY)
    assert done.return_value == 0
    assert done.stdout.splitlines() == [
        "site_id,meter_id,metric,from,to,action,quantity,reason,by",
        "NO-OSL1,pdu-1,energy,2026-03-01T00:00:00Z,2026-03-01T02:00:00Z,reject,,seen on site,ann",
        "",
        "It takes out 2 landed readings of meter pdu-1 at NO-OSL1:",
        "  2 intervals of energy, 1,090.25 kWh, "
        "beginning 2026-03-01T00:00:00Z to 2026-03-01T01:00:00Z",
        "1 interval begins before the span and reaches into it. An edit goes by where an interval "
        "begins, so it is not part of it.",
        "Exceptions of this meter on those UTC days, as of the build of 2026-03-03 06:00 UTC:",
        "  register_reset: Meter pdu-1: it fell.",
        "  spike: Meter pdu-1: 2 intervals above.",
        f"Nothing was written; --write puts it into {data_dir.book / 'reading_edits.csv'}.",
    ]
    assert edits(data_dir) == SOUND["reading_edits.csv"]


def test_write_adds_the_row_once(data_dir: DataDir, run: Run) -> None:
    done = run("edit", "set", *PDU, *SPAN, *BY, "--quantity", "4.50", "--write")
    assert done.return_value == 0
    assert "It puts one interval of 4.5 kWh in their place" in done.stdout
    assert "what overlaps the interval that is put there is quarantined" in done.stdout
    assert "commit it, and the next build applies it" in done.stdout
    row = "NO-OSL1,pdu-1,energy,2026-03-01T00:00:00Z,2026-03-01T02:00:00Z,set,4.50,seen on site,ann"
    assert edits(data_dir) == SOUND["reading_edits.csv"] + row + "\n"
    again = run("edit", "set", *PDU, *SPAN, *BY, "--quantity", "4.50", "--write")
    assert isinstance(again.exception, BookError)
    assert "overlaps the edit of line 4" in str(again.exception)
    assert edits(data_dir) == SOUND["reading_edits.csv"] + row + "\n"


def test_json_has_the_row_and_what_it_touches(run: Run) -> None:
    answer = json.loads(run("edit", "accept", *PDU, *SPAN, *BY, "--json").stdout)
    assert (answer["line"], answer["written"], answer["warnings"]) == (4, False, [])
    (group,) = answer["touches"]["readings"]
    assert (group["readings"], group["quantity"]) == (2, "1090.250000000")
    assert [e["exception_id"] for e in answer["touches"]["exceptions"]] == ["e2", "e1"]
    assert any("2 quarantined spikes of 180 kWh" in word for word in answer["words"])


def test_accepting_where_no_spike_was_found(run: Run) -> None:
    span = ("--from", "2026-03-02T00:00:00Z", "--to", "2026-03-03T00:00:00Z")
    done = run("edit", "accept", *PDU, *span, *BY)
    assert "it would change nothing" in done.stdout
    assert "Nothing of energy of meter pdu-1 at NO-OSL1 lies in the landed files" in done.stdout


def test_the_unknown_meter_is_a_warning_and_nothing_lies_there(run: Run) -> None:
    done = run("edit", "reject", "NO-OSL1", "pdu-9", "energy", *SPAN, *BY)
    assert done.return_value == 0
    assert "Nothing of energy of meter pdu-9 at NO-OSL1 lies in the landed files" in done.stdout
    assert "Warning: reading_edits.csv line 4, meter_id: 'pdu-9'" in done.stdout


def test_energy_reaches_gauges_of_power_and_power_no_intervals(data_dir: DataDir, run: Run) -> None:
    gauge = {"metric": "power", "kind": "gauge", "unit": "W", "interval_end": None}
    land(data_dir, "2026-03-01", [reading(0.5, "80", batch="b3", **gauge)])
    refresh_manifest(data_dir)
    energy = run("edit", "reject", *PDU, *SPAN, *BY)
    assert "takes out 3 landed readings" in energy.stdout
    power = run("edit", "reject", "NO-OSL1", "pdu-1", "power", *SPAN, *BY)
    assert "takes out 1 landed reading of" in power.stdout
    assert "  1 gauge of power, at 2026-03-01T00:30:00Z" in power.stdout


def test_batches_that_no_build_has_listed_are_named(data_dir: DataDir, run: Run) -> None:
    land(data_dir, "2026-03-01", [reading(0, "1", batch="b4")])
    done = run("edit", "reject", *PDU, *SPAN, *BY)
    assert "1 landed batch of those days no build has listed yet" in done.stdout
    assert "1,090.25 kWh" in done.stdout


def test_a_refused_file_counts_for_nothing(data_dir: DataDir, run: Run) -> None:
    land(data_dir, "2026-03-01", [reading(0, "1", batch="b5", unit="furlong")])
    refresh_manifest(data_dir)
    done = run("edit", "reject", *PDU, *SPAN, *BY)
    assert "1,090.25 kWh" in done.stdout
    assert "no build has listed" not in done.stdout


def test_without_marts_it_still_proposes(data_dir: DataDir, run: Run) -> None:
    data_dir.marts.unlink()
    done = run("edit", "accept", *PDU, *SPAN, *BY)
    assert done.return_value == 0
    assert "Nothing is published yet" in done.stdout


def test_an_exception_gives_meter_and_day(run: Run) -> None:
    done = run("edit", "accept", "--from-exception", "e1", *BY)
    row = "NO-OSL1,pdu-1,energy,2026-03-01T00:00:00Z,2026-03-02T00:00:00Z,accept,,seen on site,ann"
    assert done.stdout.splitlines()[1] == row


def test_the_span_of_an_exception_can_be_narrowed(run: Run) -> None:
    done = run("edit", "reject", "--from-exception", "e1", *SPAN, *BY)
    assert ",2026-03-01T00:00:00Z,2026-03-01T02:00:00Z,reject," in done.stdout.splitlines()[1]


def test_the_metric_of_an_exception_is_asked_for_where_the_meter_has_several(run: Run) -> None:
    unsure = run("edit", "reject", "--from-exception", "e2", *BY)
    assert "landed that day: energy, traffic" in str(unsure.exception)
    named = run("edit", "reject", "--from-exception", "e2", "traffic", *BY)
    assert named.stdout.splitlines()[1].startswith("NO-OSL1,pdu-1,traffic,2026-03-01T00:00:00Z,")


def test_the_only_metric_of_the_day_is_taken(data_dir: DataDir, run: Run) -> None:
    land(data_dir, "2026-03-02", [reading(30, "1")])
    refresh_manifest(data_dir)
    done = run("edit", "reject", "--from-exception", "e4", *BY)
    assert done.stdout.splitlines()[1].startswith("NO-OSL1,pdu-1,energy,2026-03-02T00:00:00Z,")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--from-exception", "e3"), "its meters: 'pdu-1'"),
        (("--from-exception", "e9"), "there is no exception 'e9'"),
        (("--from-exception", "e1", *PDU), "name METRIC at most"),
        ((*PDU[:2], *SPAN), "name SITE METER METRIC"),
        ((*PDU, *SPAN[:2]), "give --from and --to"),
    ],
)
def test_wrong_use(run: Run, arguments: tuple[str, ...], message: str) -> None:
    done = run("edit", "reject", *arguments, *BY)
    assert type(done.exception).__name__ == "UsageError"
    assert message in str(done.exception)


def test_exceptions_end_with_what_to_do_next(run: Run) -> None:
    last = run("exceptions").stdout.splitlines()[-1]
    assert last.startswith("next: readings: `m2c edit reject|accept|set --from-exception")
    assert "missing readings: `m2c land`" in last
    assert "`m2c book check`" in last


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (set(), []),
        ({"no_tax_rule"}, ["", "next: the book: edit it, then `m2c book check`"]),
    ],
)
def test_next_steps_name_only_what_is_there(kinds: set[str], expected: Any) -> None:
    assert cli._next_steps(kinds) == expected
