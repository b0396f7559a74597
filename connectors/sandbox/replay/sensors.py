"""Which recorded sensors measure one machine each, and why the others may not be billed.

A server's management controller reports whatever its vendor thought of: the node's own input, its
parts, what its power supplies give out, and, in shared enclosures, the meter of the enclosure once
more for every node in it. Billing any two of these bills one kWh twice. The choice here is made
from the sensor's name and from the data together, because neither is enough: siblings that idle
show the same constant without sharing anything, and a shared meter may carry an innocent name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

CSV_NAME = "ipmi_power_2025-06-03.csv.gz"

Feed = Literal["node", "a", "b"]

_NODE_SENSORS = ("Sys Power", "Pwr Consumption")
_FEED_SENSORS = re.compile(r"PSU ?([12]) AC In Pwr")
_OUTPUT_SENSORS = re.compile(r"PSU ?\d DC Out Pwr")
_PART_SENSORS = ("CPU Power", "Mem Power", "Sys Fan Pwr")
_ENCLOSURE_NAME = re.compile(r"chassis|enclosure", re.IGNORECASE)
# Hall, rack, position in the rack, node in the enclosure: holy8a27208 is node 08 of 8a-27-2.
# What comes before is the node's use, not its place: gpu and plain nodes share enclosures.
_NODE_NAME = re.compile(r"[a-z]+(\d[a-z]\d{3})\d\d")

_AGREEMENT = 0.9
_TELLING_ENCLOSURES = 3
_STUCK_SHARE = 0.9
_STUCK_TIMES_MEDIAN = 5


@dataclass(frozen=True, slots=True, order=True)
class Accepted:
    """A sensor that measures one machine: all of it, or its feed a or b."""

    node: str
    sensor: str
    feed: Feed

    @property
    def meter_id(self) -> str:
        """The name the connectors give this meter."""
        return f"{self.node}/{self.sensor}"


@dataclass(frozen=True, slots=True, order=True)
class Refused:
    """A sensor that must not be billed, with the reason in plain words."""

    node: str
    sensor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """Every recorded sensor of every node is in exactly one of the two."""

    accepted: tuple[Accepted, ...]
    refused: tuple[Refused, ...]


def read_power_csv(realdata_dir: Path) -> pl.DataFrame:
    """The power lines of all nodes: node, sensor, at (UTC), value, in order."""
    path = realdata_dir / "harvard_ipmi" / CSV_NAME
    return (
        pl.read_csv(path, schema_overrides={"value": pl.String})
        .select(
            "node",
            "sensor",
            pl.col("timestamp_utc")
            .str.to_datetime("%Y-%m-%d %H:%M:%S UTC", time_unit="us")
            .dt.replace_time_zone("UTC")
            .alias("at"),
            pl.col("value").cast(pl.Int64),
        )
        .sort("node", "sensor", "at")
    )


def enclosure_of(node: str) -> str | None:
    """The enclosure that the node's name says it is in, if it says so."""
    found = _NODE_NAME.fullmatch(node)
    return found.group(1) if found else None


def judge(power: pl.DataFrame) -> Judgement:
    """Decides on every (node, sensor) of the recording (columns as `read_power_csv`)."""
    facts = _facts(power)
    shared = _shared_sensors(power)
    sensors_of: dict[str, set[str]] = {}
    for node, sensor in facts:
        sensors_of.setdefault(node, set()).add(sensor)
    accepted: list[Accepted] = []
    refused: list[Refused] = []
    for node in sorted(sensors_of):
        feeds = sorted(s for s in sensors_of[node] if _FEED_SENSORS.fullmatch(s))
        is_fed_twice = len(feeds) == 2
        usable = 0
        for sensor in sorted(sensors_of[node]):
            reason = _reason(facts[node, sensor], shared, node, sensor, is_fed_twice=is_fed_twice)
            if reason is not None:
                refused.append(Refused(node, sensor, reason))
                continue
            found = _FEED_SENSORS.fullmatch(sensor)
            feed: Feed = "node" if found is None else "a" if found.group(1) == "1" else "b"
            accepted.append(Accepted(node, sensor, feed))
            usable += 1
        if not usable:
            refused.append(Refused(node, "", "the node has no power sensor of its own"))
    return Judgement(tuple(accepted), tuple(refused))


@dataclass(frozen=True, slots=True)
class _Facts:
    lowest: int
    highest: int
    share_at_top: float
    top: int
    median_of_all: float


@dataclass(frozen=True, slots=True)
class _Sharing:
    """What is known of a sensor that siblings repeat."""

    is_named_so: bool
    telling: int
    agreement: float | None
    siblings: dict[str, tuple[str, ...]]


def _facts(power: pl.DataFrame) -> dict[tuple[str, str], _Facts]:
    frame = (
        power.with_columns(
            pl.col("value").max().over("sensor").alias("top"),
            pl.col("value").median().over("sensor").alias("median_of_all"),
        )
        .group_by("node", "sensor")
        .agg(
            pl.col("value").min().alias("lowest"),
            pl.col("value").max().alias("highest"),
            (pl.col("value") == pl.col("top")).mean().alias("share_at_top"),
            pl.col("top").first(),
            pl.col("median_of_all").first(),
        )
    )
    return {
        (row["node"], row["sensor"]): _Facts(
            row["lowest"],
            row["highest"],
            row["share_at_top"],
            row["top"],
            row["median_of_all"],
        )
        for row in frame.iter_rows(named=True)
    }


def _shared_sensors(power: pl.DataFrame) -> dict[str, _Sharing]:
    """Sensors that belong to the enclosure: said by the name, or shown by the data.

    Shown by the data means: in at least three enclosures where the sensor moves at all, siblings
    show one value in nearly every minute. A constant proves nothing either way.
    """
    names = power.select("node").unique().sort("node")
    enclosures = pl.DataFrame(
        [(node, enclosure_of(node)) for node in names["node"]],
        schema={"node": pl.String, "enclosure": pl.String},
        orient="row",
    )
    placed = power.join(enclosures, on="node").drop_nulls("enclosure")
    per_minute = (
        placed.group_by("enclosure", "sensor", pl.col("at").dt.truncate("1m").alias("minute"))
        .agg(
            pl.col("node").n_unique().alias("nodes"),
            (pl.col("value").min() == pl.col("value").max()).alias("agrees"),
            pl.col("value").min().alias("lowest"),
            pl.col("value").max().alias("highest"),
        )
        .filter(pl.col("nodes") > 1)
    )
    per_enclosure = (
        per_minute.group_by("enclosure", "sensor")
        .agg(
            pl.col("agrees").mean().alias("agreement"),
            (pl.col("lowest").min() < pl.col("highest").max()).alias("moves"),
        )
        .filter("moves")
    )
    evidence = {
        row["sensor"]: (row["telling"], row["agreement"])
        for row in per_enclosure.group_by("sensor")
        .agg(pl.len().alias("telling"), pl.col("agreement").median())
        .iter_rows(named=True)
    }
    siblings: dict[tuple[str, str], tuple[str, ...]] = {
        (row["sensor"], row["enclosure"]): tuple(row["nodes"])
        for row in placed.group_by("sensor", "enclosure")
        .agg(pl.col("node").unique().sort().alias("nodes"))
        .iter_rows(named=True)
    }
    found: dict[str, _Sharing] = {}
    for sensor in power["sensor"].unique().sort():
        telling, agreement = evidence.get(sensor, (0, None))
        is_shown = (
            agreement is not None and telling >= _TELLING_ENCLOSURES and agreement >= _AGREEMENT
        )
        is_named_so = _ENCLOSURE_NAME.search(sensor) is not None
        if is_named_so or is_shown:
            own = {enc: nodes for (name, enc), nodes in siblings.items() if name == sensor}
            found[sensor] = _Sharing(is_named_so, telling, agreement, own)
    return found


def _reason(
    facts: _Facts,
    shared: dict[str, _Sharing],
    node: str,
    sensor: str,
    *,
    is_fed_twice: bool,
) -> str | None:
    """Why the sensor may not be billed; None if it may."""
    if sensor in shared:
        return _why_shared(shared[sensor], node)
    if (
        facts.share_at_top >= _STUCK_SHARE
        and facts.top >= _STUCK_TIMES_MEDIAN * facts.median_of_all
        and facts.top > 0
    ):
        return f"stuck at {facts.top} W, the highest value this sensor ever shows (saturated)"
    if sensor in _PART_SENSORS:
        return "a part of the node, already counted in what the node draws"
    if _OUTPUT_SENSORS.fullmatch(sensor):
        return "what a power supply gives out, already counted in what it takes in"
    if _FEED_SENSORS.fullmatch(sensor):
        if is_fed_twice:
            return None
        return "one feed of two: the other is not recorded"
    if sensor in _NODE_SENSORS:
        if is_fed_twice:
            return "the sum of the node's two feeds, which are billed each by itself"
        if facts.highest == 0:
            return "reads 0 W all day although the node answered (dead sensor)"
        return None
    return "unknown sensor: nothing says what it measures"


def _why_shared(sharing: _Sharing, node: str) -> str:
    enclosure = enclosure_of(node) or ""
    others = [name for name in sharing.siblings.get(enclosure, ()) if name != node]
    reason = "the meter of the shared enclosure"
    if others:
        reason += f" {enclosure}, repeated by {', '.join(others)}"
    elif enclosure:
        reason += f" {enclosure}, no sibling of which is recorded"
    if sharing.agreement is not None:
        reason += (
            f"; siblings show the same value in {sharing.agreement:.0%} of the minutes"
            f" (median of {sharing.telling} enclosures where it moves)"
        )
    return reason


def meters_of(accepted: Iterable[Accepted]) -> pl.DataFrame:
    """Accepted sensors as a frame (node, sensor, meter_id) to join readings with."""
    return pl.DataFrame(
        [(a.node, a.sensor, a.meter_id) for a in accepted],
        schema={"node": pl.String, "sensor": pl.String, "meter_id": pl.String},
        orient="row",
    )
