"""`make bench`: what a build costs, in time, memory and bytes, and whether its result is right.

Two measurements. The month: a fleet's readings of a month, built from nothing, against a script
written by hand over the same files. The history: the next night of a fleet with a month behind it
and of the same fleet with much more, in turns, for machines are shared and noisy. Time is judged as
ratios within one run.

Only `m2c build` and the public formats are used: book, landing zone, published marts. At scale
`full` a missed target ends the run with exit code 1; a wrong result does so at every scale.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import measure
import verify
from built import build, landed_readings
from fleet import SCALES, Fleet, Scale, land_night, prepare

_BY_HAND = Path(__file__).with_name("by_hand.py")
_GIB = 1024**3
_SLOWEST = 10
# The model that computes usage from landed readings, day by day.
_METERING = "model.meter_to_cash.int_metering__days"
_LINES = "model.meter_to_cash.statement_lines"
# Smaller processes only watch others.
_LARGE_BYTES = 64 * 1024**2

_MONTH_RATIO = 2.5
_NIGHT_RATIO = 1.15
_PEAK_GIB = 4.0
_BYTES_A_READING = 4.0
_NOTHING_NEW_SECONDS = 15.0
_RATING = 10.0


@dataclass(frozen=True)
class Figure:
    """A line of the table; `target` is the most that `value` may be, if anything is."""

    name: str
    value: float
    target: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        return None if self.target is None else self.value <= self.target


@dataclass
class Report:
    """What a run found: figures in their order, and differences in words.

    `nodes` by time and `processes` are those of the month's first build.
    """

    figures: list[Figure] = field(default_factory=list)
    nodes: list[tuple[str, float]] = field(default_factory=list)
    processes: list[measure.Part] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def add(self, name: str, value: float, target: float | None = None, *, digits: int = 3) -> None:
        """Add a figure, rounded to so many decimals."""
        self.figures.append(Figure(name, round(value, digits), target))

    @property
    def missed(self) -> list[Figure]:
        """The figures over their targets."""
        return [figure for figure in self.figures if figure.met is False]


def main() -> int:
    """Measure what the arguments ask for; return the exit code."""
    arguments = _arguments()
    scale = SCALES[arguments.scale]
    report = Report()
    with _room(arguments.keep) as room:
        root = room / arguments.scale
        if arguments.only in (None, "month"):
            measure_month(scale.month, root / "month", report, price=arguments.price)
        if arguments.only in (None, "history"):
            measure_history(scale, root, report)
        if arguments.only == "script":
            _prepare(scale.month, root / "month")
            _run_script(root / "month", report)
    _print(report, arguments.scale)
    if arguments.json is not None:
        arguments.json.write_text(_as_json(report, arguments.scale))
    return 1 if report.wrong or (arguments.scale == "full" and report.missed) else 0


def measure_month(fleet: Fleet, data_dir: Path, report: Report, *, price: str) -> None:
    """Build a month from nothing, and again with nothing new, against the script."""
    _prepare(fleet, data_dir)
    hand = _run_script(data_dir, report)
    first = _build(data_dir, "first build of the month", report)
    report.nodes = _slowest_nodes(data_dir)
    metering = dict(_nodes(data_dir))[_METERING]
    rating = _seconds_between(data_dir, _METERING, _LINES)
    report.processes = [part for part in first.parts if part.resident_bytes >= _LARGE_BYTES]
    dbt_seconds = _dbt_seconds(data_dir)
    again = _build(data_dir, "the month with nothing new", report)

    landed, size = landed_readings(data_dir)
    report.add("month: readings landed", landed)
    report.add("month: first build, seconds", first.seconds)
    report.add("month: of these in dbt, seconds", dbt_seconds)
    report.add("month: of these in metering, landing to usage, seconds", metering)
    report.add("month: metering ÷ script by hand", metering / hand, _MONTH_RATIO)
    report.add("month: first build ÷ script by hand", first.seconds / hand, _MONTH_RATIO)
    report.add("month: of these in rating, usage to statement lines, seconds", rating, _RATING)
    report.add("month: readings a second, landing to marts", landed / first.seconds)
    report.add("month: readings a second, landing to lines, in dbt", landed / (metering + rating))
    millions = landed / 1_000_000
    report.add("month: seconds for a million readings", first.seconds / millions)
    report.add(
        f"month: cost of a million readings where an hour of this machine costs {price}",
        first.seconds / 3600 * float(price) / millions,
        digits=6,
    )
    if first.tree_bytes is not None:
        report.add("month: peak memory, all processes, GiB", first.tree_bytes / _GIB, _PEAK_GIB)
    report.add("month: peak memory, largest process, GiB", first.largest_bytes / _GIB, _PEAK_GIB)
    report.add("month: nothing new, seconds", again.seconds, _NOTHING_NEW_SECONDS)
    report.add("month: landing zone, bytes a reading", size / landed, _BYTES_A_READING)
    for name, path in (("warehouse", _warehouse(data_dir)), ("marts", _marts(data_dir))):
        target = _BYTES_A_READING if name == "warehouse" else None
        report.add(f"month: {name}, bytes a reading", path.stat().st_size / landed, target)
    report.add("month: estimated, kWh", float(verify.estimated_kwh(_marts(data_dir))))
    _verify(data_dir, "month", report)


def measure_history(scale: Scale, root: Path, report: Report) -> None:
    """Build nights after a month of history and after a long one, in turns."""
    data_dirs = {"recent": root / "recent", "long": root / "long"}
    fleets = {"recent": scale.recent, "long": scale.long}
    for name, data_dir in data_dirs.items():
        _prepare(fleets[name], data_dir)
        built = _build(data_dir, f"history of {fleets[name].days} days", report)
        report.add(
            f"history: {fleets[name].days} days, readings landed", landed_readings(data_dir)[0]
        )
        report.add(f"history: {fleets[name].days} days, first build, seconds", built.seconds)
    nights: dict[str, list[float]] = {name: [] for name in data_dirs}
    in_dbt: dict[str, list[float]] = {name: [] for name in data_dirs}
    for number in range(scale.nights):
        for name, data_dir in data_dirs.items():
            land_night(fleets[name], data_dir, number)
            night = _build(data_dir, f"night {number + 1} after {fleets[name].days} days", report)
            nights[name].append(night.seconds)
            in_dbt[name].append(_dbt_seconds(data_dir))
    for name in data_dirs:
        night_after = f"history: a night after {fleets[name].days} days"
        report.add(f"{night_after}, seconds (median)", statistics.median(nights[name]))
        report.add(f"{night_after}, of these in dbt", statistics.median(in_dbt[name]))
    longer = "history: a night after long ÷ after short history"
    report.add(longer, _ratio_of_medians(nights), _NIGHT_RATIO)
    # What a build costs before it looks at data is the same for both and hides the difference.
    report.add(f"{longer}, in dbt alone", _ratio_of_medians(in_dbt))
    again = _build(data_dirs["long"], "the long history with nothing new", report)
    report.add("history: nothing new, seconds", again.seconds, _NOTHING_NEW_SECONDS)
    landed, _ = landed_readings(data_dirs["long"])
    size = _warehouse(data_dirs["long"]).stat().st_size
    report.add("history: warehouse, bytes a reading", size / landed)
    for name, data_dir in data_dirs.items():
        _verify(data_dir, f"history of {fleets[name].days} days", report)


# --- one step ------------------------------------------------------------------------------------


def _prepare(fleet: Fleet, data_dir: Path) -> None:
    _say(f"data of {fleet.machines} machines, {fleet.days} days …")
    prepare(fleet, data_dir)


def _run_script(data_dir: Path, report: Report) -> float:
    """Run the script by hand; return its seconds."""
    ran = measure.run([sys.executable, _BY_HAND, data_dir, _usage_file(data_dir)])
    if ran.exit_code != 0:
        raise SystemExit(f"the script by hand failed on {data_dir}:\n{ran.errors}")
    _say(f"script by hand: {ran.seconds:.1f} s")
    report.add("month: script by hand, seconds", ran.seconds)
    for part, seconds in json.loads(ran.output).items():
        report.add(f"month: of these for {part}, seconds", seconds)
    report.add("month: peak memory of the script, GiB", ran.largest_bytes / _GIB)
    return ran.seconds


def _build(data_dir: Path, what: str, report: Report) -> measure.Measured:
    built = build(data_dir)
    answer = json.loads(built.output)
    report.wrong += [
        f"{what}: refused {file['path']}: {file['reason']}" for file in answer["refused_batches"]
    ]
    _say(f"{what}: {built.seconds:.1f} s")
    return built


def _verify(data_dir: Path, what: str, report: Report) -> None:
    usage_file = _usage_file(data_dir)
    ran = measure.run([sys.executable, _BY_HAND, data_dir, usage_file])
    if ran.exit_code != 0:
        raise SystemExit(f"the script by hand failed on {data_dir}:\n{ran.errors}")
    found = verify.differences(_marts(data_dir), usage_file, landed_readings(data_dir)[0])
    report.wrong += [f"{what}: {sentence}" for sentence in found]
    _say(f"{what}: {'the marts differ from the script' if found else 'the marts are right'}")


def _ratio_of_medians(seconds: dict[str, list[float]]) -> float:
    return statistics.median(seconds["long"]) / statistics.median(seconds["recent"])


def _dbt_seconds(data_dir: Path) -> float:
    seconds: float = json.loads(_run_results(data_dir).read_text())["elapsed_time"]
    return seconds


def _nodes(data_dir: Path) -> list[tuple[str, float]]:
    results = json.loads(_run_results(data_dir).read_text())["results"]
    return [(result["unique_id"], result["execution_time"]) for result in results]


def _seconds_between(data_dir: Path, one: str, other: str) -> float:
    """Seconds from the end of one model to the end of another, whatever ran beside them."""
    ended = {
        result["unique_id"]: datetime.fromisoformat(step["completed_at"])
        for result in json.loads(_run_results(data_dir).read_text())["results"]
        for step in result["timing"]
        if step["name"] == "execute"
    }
    return (ended[other] - ended[one]).total_seconds()


def _slowest_nodes(data_dir: Path) -> list[tuple[str, float]]:
    return sorted(_nodes(data_dir), key=lambda node: -node[1])[:_SLOWEST]


def _run_results(data_dir: Path) -> Path:
    return data_dir / "warehouse" / "target" / "run_results.json"


def _warehouse(data_dir: Path) -> Path:
    return data_dir / "warehouse" / "warehouse.duckdb"


def _marts(data_dir: Path) -> Path:
    return data_dir / "published" / "marts.duckdb"


def _usage_file(data_dir: Path) -> Path:
    return data_dir / "by_hand.parquet"


# --- in and out ----------------------------------------------------------------------------------


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--scale", choices=list(SCALES), default="small")
    parser.add_argument(
        "--only",
        choices=["month", "history", "script"],
        help="one part; script = the script by hand on the month, nothing of ours",
    )
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="keep what is generated in DIR, and use it again"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the figures to FILE as well"
    )
    parser.add_argument(
        "--price", default="0.10", help="what an hour of this machine costs, in any currency"
    )
    return parser.parse_args()


@contextmanager
def _room(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        yield keep.resolve()
        return
    room = Path(tempfile.mkdtemp(prefix="m2c-bench-"))
    try:
        yield room
    finally:
        shutil.rmtree(room)


def _print(report: Report, scale: str) -> None:
    words = {None: "", True: "yes", False: "no"}
    lines = [
        f"Scale {scale}, {os.cpu_count()} cores.",
        "",
        "| figure | value | target | met? |",
        "|---|---:|---:|---|",
        *(
            f"| {f.name} | {f.value:,.10g} | {'' if f.target is None else f'≤ {f.target:g}'} "
            f"| {words[f.met]} |"
            for f in report.figures
        ),
    ]
    if report.nodes:
        lines += ["", "| slowest nodes of the month's first build | seconds |", "|---|---:|"]
        lines += [f"| {name} | {seconds:.1f} |" for name, seconds in report.nodes]
    if report.processes:
        lines += ["", "| process of the month's first build | from | to | peak MiB |"]
        lines += ["|---|---:|---:|---:|"]
        lines += [
            f"| {part.command[:60]} | {part.first_seen:.1f} s | {part.last_seen:.1f} s "
            f"| {part.resident_bytes / 1024**2:.0f} |"
            for part in report.processes
        ]
    if scale != "full":
        lines += ["", "Targets are judged at scale full."]
    if report.wrong:
        lines += ["", f"WRONG: {len(report.wrong)} differences, such as"]
        lines += [f"- {sentence}" for sentence in report.wrong[:20]]
    sys.stdout.write("\n".join(lines) + "\n")


def _as_json(report: Report, scale: str) -> str:
    document: dict[str, Any] = {
        "scale": scale,
        "cores": os.cpu_count(),
        "figures": [
            {"figure": f.name, "value": f.value, "target": f.target, "met": f.met}
            for f in report.figures
        ],
        "slowest_nodes": [{"node": name, "seconds": seconds} for name, seconds in report.nodes],
        "processes": [asdict(part) for part in report.processes],
        "wrong": report.wrong,
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _say(what: str) -> None:
    sys.stderr.write(what + "\n")


if __name__ == "__main__":
    sys.exit(main())
