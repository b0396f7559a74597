"""The recorded sites: which node is served where, its samples, and what ought to be accepted.

Servers are split by the hall in their names, so that two protocols carry real readings: hall 8a
comes from a Prometheus, everything else as CSV drops; the five nodes whose raw logs were recorded
come as those logs. No node is at two sites. The house comes as its utility's feed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree as ET

import polars as pl

from connectors.sandbox.replay.sensors import (
    CSV_NAME,
    Accepted,
    Judgement,
    enclosure_of,
    judge,
    meters_of,
    read_power_csv,
)

CSV_SITE, PROMETHEUS_SITE, LOG_SITE, FEED_SITE = "US-HLY1", "US-HLY2", "US-HLY3", "US-GBT1"
PROMETHEUS_HALL = "8a"
RECORDED_DAY = date(2025, 6, 3)

_FEED_NAME = "gb_test_usage_data.xml"
_ESPI = {"espi": "http://naesb.org/espi", "atom": "http://www.w3.org/2005/Atom"}
_MAX_GAUGE_SECONDS = 15 * 60


class RecordingError(ValueError):
    """The folder does not hold the recordings; the message says which file is wrong and how."""


@dataclass(frozen=True, slots=True)
class HouseFeed:
    """The utility's feed: the meter, its span, and the energy of every interval in Wh."""

    path: Path
    meter_id: str
    start: datetime
    end: datetime
    watt_hours: tuple[int, ...]


@dataclass(frozen=True)
class Recorded:
    """All recordings, judged and placed."""

    realdata_dir: Path
    power: pl.DataFrame
    judgement: Judgement
    logs: Mapping[str, Path]
    feed: HouseFeed

    def site_of(self, node: str) -> str:
        """The site at which a node is served."""
        if node in self.logs:
            return LOG_SITE
        enclosure = enclosure_of(node) or ""
        return PROMETHEUS_SITE if enclosure.startswith(PROMETHEUS_HALL) else CSV_SITE

    def accepted_at(self, site_id: str) -> list[Accepted]:
        """The sensors of one site that may be billed, in order."""
        return [a for a in self.judgement.accepted if self.site_of(a.node) == site_id]

    def nodes_at(self, site_id: str) -> list[str]:
        """Every recorded node of one site, accepted sensors or not."""
        nodes = self.power["node"].unique().sort()
        return [node for node in nodes if self.site_of(node) == site_id]

    def accepted_kwh(self) -> dict[tuple[str, str], Decimal]:
        """By (site, meter) the energy to accept, each interval rounded to 9 decimals of a kWh.

        Samples more than 15 minutes apart make no interval: that time is missing, not zero.
        """
        site_of = {a.meter_id: self.site_of(a.node) for a in self.judgement.accepted}
        spans = (
            self.power.join(meters_of(self.judgement.accepted), on=["node", "sensor"])
            .sort("meter_id", "at")
            .with_columns(
                (pl.col("at").shift(-1) - pl.col("at"))
                .dt.total_seconds()
                .over("meter_id")
                .alias("seconds"),
                (pl.col("value") + pl.col("value").shift(-1)).over("meter_id").alias("both"),
            )
            .filter(pl.col("seconds") <= _MAX_GAUGE_SECONDS)
            # both/2 W over seconds/3600 h, in whole nano-kWh, half up.
            .with_columns(
                ((pl.col("both") * pl.col("seconds") * 20_000 + 72) // 144).alias("nano_kwh")
            )
            .group_by("meter_id")
            .agg(pl.col("nano_kwh").sum())
        )
        totals = dict.fromkeys(((site_of[m], m) for m in site_of), Decimal(0))
        for meter_id, nano_kwh in spans.iter_rows():
            totals[site_of[meter_id], meter_id] = Decimal(nano_kwh).scaleb(-9)
        house = sum(self.feed.watt_hours)
        totals[FEED_SITE, self.feed.meter_id] = Decimal(house).scaleb(-3)
        return totals


def read_recorded(realdata_dir: Path) -> Recorded:
    """Reads and judges the recordings in the folder; `RecordingError` if they are not there."""
    csv_path = realdata_dir / "harvard_ipmi" / CSV_NAME
    feed_path = realdata_dir / "greenbutton" / _FEED_NAME
    for path in (csv_path, feed_path):
        if not path.is_file():
            raise RecordingError(f"{path} is missing: it is one of the recordings to replay")
    power = read_power_csv(realdata_dir)
    return Recorded(
        realdata_dir=realdata_dir,
        power=power,
        judgement=judge(power),
        logs=_logs(realdata_dir, power["node"].unique()),
        feed=_read_feed(feed_path),
    )


def _logs(realdata_dir: Path, nodes: Iterable[str]) -> dict[str, Path]:
    known = set(nodes)
    found = {}
    for path in sorted((realdata_dir / "harvard_ipmi" / "raw").glob("*.txt.xz")):
        node = path.name.split("-", 1)[0]
        if node in known:
            found[node] = path
    return found


def _read_feed(path: Path) -> HouseFeed:
    root = ET.parse(path).getroot()
    usage_point = next(
        (
            link.get("href", "")
            for link in root.iterfind("atom:entry/atom:link", _ESPI)
            if link.get("rel") == "self" and "/UsagePoint/" in link.get("href", "")
        ),
        None,
    )
    readings = []
    for reading in root.iterfind(".//espi:IntervalReading", _ESPI):
        start = reading.findtext("espi:timePeriod/espi:start", namespaces=_ESPI)
        duration = reading.findtext("espi:timePeriod/espi:duration", namespaces=_ESPI)
        value = reading.findtext("espi:value", namespaces=_ESPI)
        if start is None or duration is None or value is None:
            raise RecordingError(f"{path}: an IntervalReading without start, duration or value")
        readings.append((int(start), int(duration), int(value)))
    if usage_point is None or not readings:
        raise RecordingError(f"{path}: no usage point or no readings in the feed")
    readings.sort()
    last_start, last_duration, _ = readings[-1]
    return HouseFeed(
        path=path,
        meter_id=usage_point.split("/UsagePoint/", 1)[1].split("/", 1)[0],
        start=datetime.fromtimestamp(readings[0][0], UTC),
        end=datetime.fromtimestamp(last_start, UTC) + timedelta(seconds=last_duration),
        watt_hours=tuple(value for _, _, value in readings),
    )
