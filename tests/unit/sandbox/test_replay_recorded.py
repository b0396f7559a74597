"""The replayed book and sites, on a small made-up recording in the folders of the real one."""

from __future__ import annotations

import csv
import gzip
import lzma
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from connectors.sandbox.replay import derive_book
from connectors.sandbox.replay.recorded import RecordingError, read_recorded
from connectors.sandbox.replay.serve import lay_out, recorded_series

FEED = """\
<feed xmlns="http://www.w3.org/2005/Atom">
  <entry>
    <link rel="self" href="/espi/1_1/resource/RetailCustomer/1/UsagePoint/AB12"/>
  </entry>
  <entry><content><IntervalBlock xmlns="http://naesb.org/espi">
    <IntervalReading>
      <timePeriod><duration>900</duration><start>1330578900</start></timePeriod>
      <value>300</value>
    </IntervalReading>
    <IntervalReading>
      <timePeriod><duration>900</duration><start>1330578000</start></timePeriod>
      <value>282</value>
    </IntervalReading>
  </IntervalBlock></content></entry>
</feed>
"""

SAMPLES = {
    # An hour of silence in the middle, seconds that jitter.
    ("holy7c10101", "Sys Power"): [("00:00:01", 100), ("00:01:03", 120), ("01:10:00", 100)],
    ("holy8a10102", "Sys Power"): [("00:00:05", 10), ("00:01:05", 20), ("00:02:05", 20)],
    ("holy8a10102", "Chassis Power"): [("00:00:05", 250), ("00:01:05", 250)],
    ("holygpu7c10103", "Sys Power"): [("00:00:05", 10), ("00:15:05", 10), ("00:30:06", 10)],
    ("lichtmandce04", "PSU1 AC In Pwr"): [("00:00:00", 250), ("00:01:00", 250)],
    ("lichtmandce04", "PSU2 AC In Pwr"): [("00:00:00", 150), ("00:01:00", 150)],
}


@pytest.fixture
def realdata(tmp_path: Path) -> Path:
    folder = tmp_path / "realdata"
    (folder / "harvard_ipmi" / "raw").mkdir(parents=True)
    (folder / "greenbutton").mkdir()
    (folder / "greenbutton" / "gb_test_usage_data.xml").write_text(FEED, encoding="utf-8")
    lines = ["node,timestamp_utc,sensor,value,unit,status"]
    for (node, sensor), samples in SAMPLES.items():
        lines += [f"{node},2025-06-03 {at} UTC,{sensor},{w},Watts,ok" for at, w in samples]
    path = folder / "harvard_ipmi" / "ipmi_power_2025-06-03.csv.gz"
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    log = folder / "harvard_ipmi" / "raw" / "lichtmandce04-2025-06-03.txt.xz"
    log.write_bytes(lzma.compress(b"Timestamp: 2025-06-03 00:00:00 UTC\n"))
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_nodes_go_to_one_site_each_by_name(realdata: Path) -> None:
    recorded = read_recorded(realdata)
    assert recorded.nodes_at("US-HLY1") == ["holy7c10101", "holygpu7c10103"]
    assert recorded.nodes_at("US-HLY2") == ["holy8a10102"]
    assert recorded.nodes_at("US-HLY3") == ["lichtmandce04"]


def test_accepted_energy_leaves_holes_out(realdata: Path) -> None:
    kwh = read_recorded(realdata).accepted_kwh()
    # 62 s at a mean of 110 W; the hour of silence gives nothing.
    assert kwh["US-HLY1", "holy7c10101/Sys Power"] == Decimal("0.001894444")
    assert kwh["US-HLY2", "holy8a10102/Sys Power"] == Decimal("0.000250000") + Decimal(
        "0.000333333"
    )
    # 900 s count, 901 s do not.
    assert kwh["US-HLY1", "holygpu7c10103/Sys Power"] == Decimal("0.0025")
    assert kwh["US-HLY3", "lichtmandce04/PSU1 AC In Pwr"] == Decimal("0.004166667")
    assert kwh["US-GBT1", "AB12"] == Decimal("0.582")
    assert len(kwh) == 6


def test_the_book_places_what_was_accepted_for_the_recorded_day(
    realdata: Path, tmp_path: Path
) -> None:
    derived = derive_book(realdata, tmp_path / "book")
    machines = rows(tmp_path / "book" / "machines.csv")
    assert [(row["machine_id"], row["site_id"], row["meter_id"]) for row in machines] == [
        ("holy7c10101", "US-HLY1", "holy7c10101/Sys Power"),
        ("holy8a10102", "US-HLY2", "holy8a10102/Sys Power"),
        ("holygpu7c10103", "US-HLY1", "holygpu7c10103/Sys Power"),
        ("lichtmandce04", "US-HLY3", "lichtmandce04/PSU1 AC In Pwr"),
        ("lichtmandce04", "US-HLY3", "lichtmandce04/PSU2 AC In Pwr"),
        ("front-electric-meter", "US-GBT1", "AB12"),
    ]
    assert machines[0]["valid_from"] == "2025-06-03T00:00:00Z"
    assert machines[0]["valid_to"] == "2025-06-04T00:00:00Z"
    assert machines[-1]["valid_from"] == "2012-03-01T05:00:00Z"
    assert machines[-1]["valid_to"] == "2012-03-01T05:30:00Z"
    assigned = {r["machine_id"]: r["contract_id"] for r in rows(tmp_path / "book/assignments.csv")}
    assert assigned == {
        "holy7c10101": "R-CPU",
        "holy8a10102": "R-CPU",
        "holygpu7c10103": "R-GPU",
        "lichtmandce04": "R-LAB",
        "front-electric-meter": "H-1",
    }
    assert derived.periods == ("2012-03", "2025-06")
    assert derived.days["US-GBT1"] == (date(2012, 3, 1), date(2012, 3, 1))
    assert derived.days["US-HLY2"] == (date(2025, 6, 3), date(2025, 6, 3))
    assert [(r.node, r.sensor) for r in derived.refused] == [("holy8a10102", "Chassis Power")]


def test_contracts_cover_their_months_and_plans_are_in_force_then(
    realdata: Path, tmp_path: Path
) -> None:
    derive_book(realdata, tmp_path / "book")
    spans = {
        row["contract_id"]: (row["plan_id"], row["valid_from"], row["valid_to"])
        for row in rows(tmp_path / "book" / "contracts.csv")
    }
    assert spans["H-1"] == ("house-power", "2012-03-01", "2012-04-01")
    assert spans["R-CPU"] == ("research-power", "2025-06-01", "2025-07-01")
    plan = yaml.safe_load((tmp_path / "book/plans/house-power.yml").read_text(encoding="utf-8"))
    assert plan["versions"][0]["valid_from"] == "2012-03"


def test_the_same_recordings_give_the_same_book_and_drops(realdata: Path, tmp_path: Path) -> None:
    contents = []
    for number in (1, 2):
        target = tmp_path / f"run{number}"
        derive_book(realdata, target)
        lay_out(read_recorded(realdata), target)
        contents.append(
            {
                str(path.relative_to(target)): path.read_bytes()
                for path in sorted(target.rglob("*"))
                if path.is_file()
            }
        )
    assert contents[0] == contents[1]
    assert len(contents[0]) == 15


def test_drops_hold_the_lines_of_their_nodes_as_recorded(realdata: Path, tmp_path: Path) -> None:
    env = lay_out(read_recorded(realdata), tmp_path)
    text = gzip.decompress(
        (Path(env["M2C_US_HLY1_DROPS"]) / "ipmi_power_2025-06-03.csv.gz").read_bytes()
    ).decode()
    assert text.splitlines()[1] == "holy7c10101,2025-06-03 00:00:01 UTC,Sys Power,100,Watts,ok"
    assert len(text.splitlines()) == 1 + 3 + 3
    assert sorted(env) == ["M2C_US_GBT1_DROPS", "M2C_US_HLY1_DROPS", "M2C_US_HLY3_DROPS"]
    assert [p.name for p in Path(env["M2C_US_HLY3_DROPS"]).iterdir()] == [
        "lichtmandce04-2025-06-03.txt.xz"
    ]


def test_the_served_series_are_the_recorded_samples(realdata: Path) -> None:
    chassis, system = recorded_series(read_recorded(realdata))
    assert chassis.labels["name"] == "Chassis Power"
    assert system.labels == {
        "__name__": "ipmi_power_watts",
        "instance": "holy8a10102",
        "job": "ipmi",
        "name": "Sys Power",
    }
    first = datetime(2025, 6, 3, 0, 0, 5, tzinfo=UTC)
    assert list(system.times) == [int(first.timestamp() * 1000) + n * 60_000 for n in range(3)]
    assert list(system.values) == ["10", "20", "20"]


def test_a_missing_recording_is_named(realdata: Path, tmp_path: Path) -> None:
    (realdata / "greenbutton" / "gb_test_usage_data.xml").unlink()
    with pytest.raises(RecordingError, match=r"gb_test_usage_data\.xml is missing"):
        derive_book(realdata, tmp_path / "book")
