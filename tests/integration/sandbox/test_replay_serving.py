"""A small recording served again and read by the product's own connectors."""

from __future__ import annotations

import gzip
import lzma
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import psutil
import pytest
import yaml

from connectors.base import SourceSpec, Window
from connectors.landing import land_site
from connectors.sandbox import SandboxError
from connectors.sandbox.replay import Replay, derive_book

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FEED = """\
<feed xmlns="http://www.w3.org/2005/Atom">
  <entry>
    <link rel="self" href="/r/UsagePoint/AB12"/>
    <link rel="related" href="/r/UsagePoint/AB12/MeterReading"/>
    <content><UsagePoint xmlns="http://naesb.org/espi">
      <ServiceCategory><kind>0</kind></ServiceCategory>
    </UsagePoint></content>
  </entry>
  <entry>
    <link rel="self" href="/r/UsagePoint/AB12/MeterReading/01"/>
    <link rel="up" href="/r/UsagePoint/AB12/MeterReading"/>
    <link rel="related" href="/r/UsagePoint/AB12/MeterReading/01/IntervalBlock"/>
    <link rel="related" href="/r/ReadingType/07"/>
    <content><MeterReading xmlns="http://naesb.org/espi"/></content>
  </entry>
  <entry>
    <link rel="self" href="/r/ReadingType/07"/>
    <content><ReadingType xmlns="http://naesb.org/espi">
      <accumulationBehaviour>4</accumulationBehaviour><commodity>1</commodity>
      <flowDirection>1</flowDirection><intervalLength>900</intervalLength>
      <powerOfTenMultiplier>0</powerOfTenMultiplier><uom>72</uom>
    </ReadingType></content>
  </entry>
  <entry>
    <link rel="self" href="/r/UsagePoint/AB12/MeterReading/01/IntervalBlock/1"/>
    <link rel="up" href="/r/UsagePoint/AB12/MeterReading/01/IntervalBlock"/>
    <content><IntervalBlock xmlns="http://naesb.org/espi">
      <interval><duration>1800</duration><start>1330578000</start></interval>
      <IntervalReading>
        <timePeriod><duration>900</duration><start>1330578000</start></timePeriod>
        <value>282</value>
      </IntervalReading>
      <IntervalReading>
        <timePeriod><duration>900</duration><start>1330578900</start></timePeriod>
        <value>300</value>
      </IntervalReading>
    </IntervalBlock></content>
  </entry>
</feed>
"""
LOG = """\
Timestamp: 2025-06-03 00:00:00 UTC
PSU1 AC In Pwr           | 250 Watts         | ok
PSU2 AC In Pwr           | 150 Watts         | ok
Sys Power                | 400 Watts         | ok
Timestamp: 2025-06-03 00:01:00 UTC
PSU1 AC In Pwr           | 260 Watts         | ok
PSU2 AC In Pwr           | 150 Watts         | ok
Sys Power                | 410 Watts         | ok
"""


@pytest.fixture
def realdata(tmp_path: Path) -> Path:
    folder = tmp_path / "realdata"
    (folder / "harvard_ipmi" / "raw").mkdir(parents=True)
    (folder / "greenbutton").mkdir()
    (folder / "greenbutton" / "gb_test_usage_data.xml").write_text(FEED, encoding="utf-8")
    lines = ["node,timestamp_utc,sensor,value,unit,status"]
    for node, sensor, watts in (
        ("holy7c10101", "Sys Power", (100, 120)),
        ("holy8a10101", "Sys Power", (10, 20)),
        ("holy8a10101", "Chassis Power", (250, 250)),
        ("lichtmandce04", "PSU1 AC In Pwr", (250, 260)),
        ("lichtmandce04", "PSU2 AC In Pwr", (150, 150)),
    ):
        for minute, value in enumerate(watts):
            at = f"2025-06-03 00:0{minute}:03 UTC"
            lines.append(f"{node},{at},{sensor},{value},Watts,ok")
    text = "\n".join(lines) + "\n"
    csv_path = folder / "harvard_ipmi" / "ipmi_power_2025-06-03.csv.gz"
    csv_path.write_bytes(gzip.compress(text.encode()))
    log_path = folder / "harvard_ipmi" / "raw" / "lichtmandce04-2025-06-03.txt.xz"
    log_path.write_bytes(lzma.compress(LOG.encode()))
    return folder


def filled(value: Any, env: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: filled(entry, env) for key, entry in value.items()}
    if isinstance(value, list):
        return [filled(entry, env) for entry in value]
    if isinstance(value, str) and value.startswith("${"):
        return env[value[2:].partition(":-")[0]]
    return value


def test_each_site_gives_its_recorded_meters_to_its_connector(
    realdata: Path, tmp_path: Path
) -> None:
    derived = derive_book(realdata, tmp_path / "book")
    sources = yaml.safe_load((tmp_path / "book" / "sources.yml").read_text(encoding="utf-8"))
    with Replay(realdata_dir=realdata, state_dir=tmp_path / "state") as replay:
        for site_id, (first, last) in derived.days.items():
            source = sources[site_id]
            land_site(
                site_id,
                "America/New_York",
                SourceSpec(source["kind"], filled(source["config"], dict(replay.env)), {}),
                window=Window.of_days(first, last + timedelta(days=1)),
                landing_dir=tmp_path / "landing",
                rejected_dir=tmp_path / "rejected",
                env=replay.env,
                clock=lambda: NOW,
            )
    assert not (tmp_path / "rejected").exists()
    landed = pl.concat(
        [
            pl.read_parquet(path, hive_partitioning=False)
            for path in (tmp_path / "landing").rglob("*.parquet")
        ]
    )
    rows = landed.group_by("site_id", "source", "meter_id", "metric", "kind", "unit").agg(
        pl.col("value").sum()
    )
    assert sorted(rows.iter_rows()) == [
        ("US-GBT1", "files", "AB12", "energy", "interval", "Wh", Decimal(582)),
        ("US-HLY1", "files", "holy7c10101/Sys Power", "power", "gauge", "W", Decimal(220)),
        ("US-HLY2", "prometheus", "holy8a10101/Sys Power", "power", "gauge", "W", Decimal(30)),
        ("US-HLY3", "files", "lichtmandce04/PSU1 AC In Pwr", "power", "gauge", "W", Decimal(510)),
        ("US-HLY3", "files", "lichtmandce04/PSU2 AC In Pwr", "power", "gauge", "W", Decimal(300)),
    ]


def test_the_prometheus_has_the_refused_sensors_too(realdata: Path, tmp_path: Path) -> None:
    with Replay(realdata_dir=realdata, state_dir=tmp_path) as replay:
        url = replay.env["M2C_US_HLY2_URL"]
        answer = httpx.get(f"{url}/api/v1/label/name/values")
        found = httpx.get(f"{url}/api/v1/query", params={"query": "ipmi_power_watts[1d]"})
    assert answer.json()["data"] == ["Chassis Power", "Sys Power"]
    assert len(found.json()["data"]["result"]) == 2


def test_missing_recordings_are_said(tmp_path: Path) -> None:
    replay = Replay(realdata_dir=tmp_path / "nowhere", state_dir=tmp_path / "state")
    with pytest.raises(SandboxError, match="is one of the recordings to replay"):
        replay.start()


PARENT = """
import sys, time
from pathlib import Path
from connectors.sandbox.replay import Replay
replay = Replay(realdata_dir=Path(sys.argv[1]), state_dir=Path(sys.argv[2]))
replay.start()
print(replay.pid, flush=True)
time.sleep(600)
"""


def test_nothing_outlives_a_killed_parent(realdata: Path, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(realdata), str(tmp_path / "state")],
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        _, alive = psutil.wait_procs([child], timeout=20)
    assert alive == []
