"""How cost grows with a fleet: the month's first build at 1, 3 and 10 times so many machines.

On DuckDB it measures time, memory and bytes; on Spark also the work of all tasks, what they read
and what they exchanged, from Spark's own event log. Where both engines ran, their statement lines
are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import measure
from built import build, landed_readings
from fleet import SCALES, Fleet, prepare

_GIB = 1024**3
_MARTS = Path("published/marts.duckdb")


@dataclass(frozen=True)
class Row:
    """What one build took; `work` is empty on DuckDB."""

    engine: str
    machines: int
    readings: int
    measured: measure.Measured
    landing_bytes: int
    warehouse_bytes: int
    work: Mapping[str, float]


def main() -> int:
    """Measure what the arguments ask for; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, prog="make sizing")
    parser.add_argument("--machines", type=int, default=1000, help="the fleet at 1x")
    parser.add_argument("--factors", default="1,3,10")
    parser.add_argument("--engines", default="duckdb", help="duckdb, spark or duckdb,spark")
    parser.add_argument("--room", type=Path, help="where data dirs are made, and kept")
    arguments = parser.parse_args()
    engines = arguments.engines.split(",")
    month = SCALES["full"].month
    room = arguments.room or Path(tempfile.mkdtemp(prefix="m2c-sizing-"))
    rows, wrong = [], []
    try:
        for factor in map(int, arguments.factors.split(",")):
            machines = arguments.machines * factor
            fleet = replace(month, machines=machines, contracts=max(12, machines // 50))
            data_dir = room / str(machines)
            prepare(fleet, data_dir)
            kept = {}
            for engine in engines:
                rows.append(_build(fleet, data_dir, engine))
                _say(_sentence(rows[-1]))
                kept[engine] = data_dir / f"marts-{engine}.duckdb"
                shutil.copyfile(data_dir / _MARTS, kept[engine])
            if len(kept) > 1 and (differing := _differing_lines(*kept.values())):
                wrong.append(f"{machines} machines: {differing} statement lines differ")
    finally:
        if arguments.room is None:
            shutil.rmtree(room)
    _say(_table(rows))
    for sentence in wrong:
        _say(sentence)
    if len(engines) > 1 and not wrong:
        _say("statement lines of all engines are equal")
    return 1 if wrong else 0


def _build(fleet: Fleet, data_dir: Path, engine: str) -> Row:
    shutil.rmtree(data_dir / "warehouse", ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        ran = build(data_dir, {"M2C_ENGINE": engine} | _event_log(Path(folder)))
        work = _work(Path(folder, "events").glob("*"))
    readings, landing_bytes = landed_readings(data_dir)
    return Row(
        engine=engine,
        machines=fleet.machines,
        readings=readings,
        measured=ran,
        landing_bytes=landing_bytes,
        warehouse_bytes=sum(
            path.stat().st_size
            for pattern in ("*.duckdb", "spark/tables/**/*")
            for path in (data_dir / "warehouse").glob(pattern)
            if path.is_file()
        ),
        work=work,
    )


def _event_log(folder: Path) -> dict[str, str]:
    """A configuration in which Spark writes down what every task took."""
    (folder / "events").mkdir()
    settings = {
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": f"file://{folder / 'events'}",
        "spark.eventLog.rolling.enabled": "false",
        "spark.eventLog.compress": "false",
    }
    text = "".join(f"{name} {value}\n" for name, value in settings.items())
    (folder / "spark-defaults.conf").write_text(text)
    return {"SPARK_CONF_DIR": str(folder)}


def _work(logs: Iterable[Path]) -> dict[str, float]:
    """The work of all tasks: seconds of CPU, bytes read, exchanged and spilled."""
    found: Counter[str] = Counter()
    for log in logs:
        with log.open(encoding="utf-8") as lines:
            for line in lines:
                if '"SparkListenerTaskEnd"' in line:
                    found.update(_work_of_task(json.loads(line).get("Task Metrics") or {}))
    return dict(found)


def _work_of_task(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {
        "tasks": 1,
        "cpu": metrics.get("Executor CPU Time", 0) / 1e9,
        "read": metrics.get("Input Metrics", {}).get("Bytes Read", 0),
        "exchanged": metrics.get("Shuffle Write Metrics", {}).get("Shuffle Bytes Written", 0),
        "spilled": metrics.get("Disk Bytes Spilled", 0),
    }


def _differing_lines(one: Path, other: Path) -> int:
    with duckdb.connect() as db:
        db.execute(f"attach '{one}' as one (read_only); attach '{other}' as other (read_only)")
        lines = "from {}.statement_lines select *"
        found = db.execute(
            f"select count(*) from (({lines.format('one')} except all {lines.format('other')})"
            f" union all ({lines.format('other')} except all {lines.format('one')}))"
        ).fetchone()
    return int(found[0]) if found else 0


def _sentence(row: Row) -> str:
    return f"{row.engine}, {row.machines} machines: {row.measured.seconds:.1f} s"


def _table(rows: list[Row]) -> str:
    lines = [
        f"{os.cpu_count()} cores, 31 days of a reading every 5 minutes.",
        "",
        "| engine | machines | readings | seconds | readings a second | peak GiB | of the largest"
        " process | landing bytes a machine and month | warehouse bytes a machine and month | tasks"
        " | CPU seconds of tasks | MiB read by tasks | MiB exchanged | MiB spilled |",
        "|---|" + "---:|" * 13,
    ]
    for row in rows:
        took, work = row.measured, row.work
        peak = (took.tree_bytes or took.largest_bytes) / _GIB
        # Not `largest_bytes`: nobody waits for Spark's virtual machine.
        largest = max((part.resident_bytes for part in took.parts), default=took.largest_bytes)
        cells = [
            row.engine,
            f"{row.machines:,}",
            f"{row.readings:,}",
            f"{took.seconds:.0f}",
            f"{row.readings / took.seconds:,.0f}",
            f"{peak:.1f}",
            f"{largest / _GIB:.1f}",
            f"{row.landing_bytes / row.machines:,.0f}",
            f"{row.warehouse_bytes / row.machines:,.0f}",
            *([f"{work['tasks']:,}", f"{work['cpu']:,.0f}"] if work else ["", ""]),
            *(
                f"{work[name] / 1024**2:,.0f}" if work else ""
                for name in ("read", "exchanged", "spilled")
            ),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
