"""The Prometheus connector against a real server with back-filled blocks."""

from __future__ import annotations

import contextlib
import datetime as dt
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import httpx
import polars as pl
import pytest

from connectors.base import SourceSpec, Window
from connectors.landing import land_site, scan
from connectors.registry import build_connector

PROMETHEUS = shutil.which("prometheus")
PROMTOOL = shutil.which("promtool")
DAY = dt.datetime(2026, 5, 10, tzinfo=dt.UTC)
# More samples than query_range gives for a series: one every 5 seconds for a day is 17,280.
STEP = 5
SAMPLES = 24 * 3600 // STEP

pytestmark = [
    pytest.mark.needs_prometheus,
    pytest.mark.skipif(
        PROMETHEUS is None or PROMTOOL is None,
        reason="needs Prometheus: apt-get install prometheus",
    ),
]


def open_metrics(path: Path) -> None:
    start = int(DAY.timestamp())
    with path.open("w") as out:
        out.write("# TYPE pdu_energy_wh counter\n")
        for outlet in (1, 2):
            for n in range(SAMPLES + 1):
                # Outlet 2 is reset at noon.
                count = n if outlet == 1 or n < SAMPLES // 2 else n - SAMPLES // 2
                value = f"{count * outlet}.125"
                out.write(
                    f'pdu_energy_wh_total{{instance="pdu1",outlet="{outlet}"}} {value} '
                    f"{start + n * STEP}\n"
                )
        out.write("# TYPE node_power_watts gauge\n")
        for n in range(0, SAMPLES, 12):
            out.write(f'node_power_watts{{instance="n1"}} {300 + n % 7} {start + n * STEP}\n')
        out.write("# EOF\n")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    assert PROMETHEUS is not None
    assert PROMTOOL is not None
    root = tmp_path_factory.mktemp("prometheus")
    open_metrics(root / "metrics.txt")
    subprocess.run(
        [PROMTOOL, "tsdb", "create-blocks-from", "openmetrics", "metrics.txt", "tsdb"],
        cwd=root,
        check=True,
        capture_output=True,
    )
    (root / "prometheus.yml").write_text("global: {}\n")
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (root / "log").open("w")
    process = subprocess.Popen(
        [
            PROMETHEUS,
            f"--config.file={root / 'prometheus.yml'}",
            f"--storage.tsdb.path={root / 'tsdb'}",
            "--storage.tsdb.retention.time=100y",
            f"--web.listen-address=127.0.0.1:{port}",
            # Small enough that a window has to be asked for in pieces.
            "--query.max-samples=5000",
        ],
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(150):
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{url}/-/ready", trust_env=False).status_code == 200:
                    break
            time.sleep(0.2)
        else:
            raise AssertionError((root / "log").read_text())
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)
        log.close()


def spec(url: str) -> SourceSpec:
    return SourceSpec(
        "prometheus",
        {
            "url": url,
            "tls": "plain",
            "requests_per_second": 1000,
            "readings": [
                {
                    "series": "pdu_energy_wh_total",
                    "meter_id": "{instance}/{outlet}",
                    "metric": "energy",
                    "kind": "register",
                    "unit": "Wh",
                },
                {
                    "series": 'node_power_watts{instance="n1"}',
                    "meter_id": "{instance}",
                    "metric": "power",
                    "kind": "gauge",
                    "unit": "W",
                },
            ],
        },
    )


def test_the_server_limits_what_the_connector_does_not_use(server: str) -> None:
    answer = httpx.get(
        f"{server}/api/v1/query_range",
        params={
            "query": "pdu_energy_wh_total",
            "start": DAY.timestamp(),
            "end": DAY.timestamp() + 86400,
            "step": "5",
        },
        trust_env=False,
    )
    assert answer.status_code == 400
    assert "11,000 points" in answer.json()["error"]


def test_every_raw_sample_arrives_once(server: str, tmp_path: Path) -> None:
    window = Window(DAY, DAY + dt.timedelta(days=1))

    def run() -> int:
        done = land_site(
            "FI-HEL1",
            "Europe/Helsinki",
            spec(server),
            window=window,
            landing_dir=tmp_path / "landing",
            rejected_dir=tmp_path / "rejected",
            env={},
            clock=lambda: DAY + dt.timedelta(days=2),
        )
        (result,) = done.results
        assert result.rows_rejected == 0
        assert result.rows_fetched == 2 * SAMPLES + SAMPLES // 12
        return result.rows_landed

    assert run() == 2 * SAMPLES + SAMPLES // 12
    assert run() == 0
    found = scan(tmp_path / "landing", tmp_path / "manifest")
    assert found.refused == ()
    rows = pl.read_parquet([file.path for file in found.files], hive_partitioning=False)
    one = rows.filter(pl.col("meter_id") == "pdu1/1").sort("interval_start")
    assert one["value"].to_list() == [Decimal(n) + Decimal("0.125") for n in range(SAMPLES)]
    assert one["interval_start"][0] == DAY
    assert one["interval_start"][-1] == DAY + dt.timedelta(seconds=86400 - STEP)
    two = rows.filter(pl.col("meter_id") == "pdu1/2").sort("interval_start")["value"]
    assert two.max() == (SAMPLES // 2 - 1) * 2 + Decimal("0.125")
    assert rows.filter(pl.col("kind") == "gauge")["unit"].unique().to_list() == ["W"]


def test_windows_meet_without_gap_or_overlap(server: str) -> None:
    connector = build_connector(
        "FI-HEL1", "Europe/Helsinki", spec(server), {}, lambda: DAY + dt.timedelta(days=2)
    )
    instants: list[dt.datetime] = []
    whole = Window(DAY, DAY + dt.timedelta(hours=1))
    for piece in whole.pieces(dt.timedelta(minutes=7, seconds=5)):
        for batch in connector.readings(piece):  # type: ignore[attr-defined]
            one = batch.frame.filter(pl.col("meter_id") == "pdu1/1")
            instants += one["interval_start"].to_list()
    connector.close()
    assert sorted(instants) == [DAY + dt.timedelta(seconds=STEP * n) for n in range(720)]
