"""The Prometheus stand-in answers as a real Prometheus with the same samples does."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from connectors.sandbox.prometheus import PrometheusSite, Series

NEEDED = [name for name in ("prometheus", "promtool") if shutil.which(name) is None]
pytestmark = [
    pytest.mark.needs_prometheus,
    pytest.mark.skipif(bool(NEEDED), reason="no Prometheus here: apt-get install prometheus"),
]

HOUR = 3600
# Far enough back for a block, and on a scrape's millisecond rather than a full second.
T0 = (int(time.time()) // HOUR) * HOUR - 3 * 24 * HOUR
STARTS_MS = T0 * 1000 + 250


def series() -> list[Series]:
    return [
        Series(
            {"__name__": "energy_joules_total", "outlet": outlet, "site": "S"},
            [STARTS_MS + number * 900_000 for number in range(40)],
            [str(10**12 + factor * number) for number in range(40)],
        )
        for outlet, factor in (("a:1", 900), ("b:2", 1_234_567))
    ]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("prometheus")
    lines = ["# TYPE energy_joules counter"]
    for one in series():
        labels = ",".join(f'{k}="{v}"' for k, v in one.labels.items() if k != "__name__")
        lines += [
            f"energy_joules_total{{{labels}}} {value} {at / 1000:.3f}"
            for at, value in zip(one.times, one.values, strict=True)
        ]
    (folder / "samples.txt").write_text("\n".join([*lines, "# EOF"]) + "\n", encoding="utf-8")
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "samples.txt", "data"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    (folder / "prometheus.yml").write_text("scrape_configs: []\n", encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    with subprocess.Popen(
        [
            "prometheus",
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            "--storage.tsdb.retention.time=10y",
            f"--web.listen-address={address}",
        ],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        url = f"http://{address}"
        try:
            _wait_ready(url)
            version = httpx.get(f"{url}/api/v1/status/buildinfo").json()["data"]["version"]
            if not version.startswith("2."):
                pytest.skip(f"the stand-in is a Prometheus 2, here is {version}")
            yield url
        finally:
            server.terminate()


def _wait_ready(url: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/-/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    pytest.fail("Prometheus did not get ready")


def ask_stand_in(path: str, params: Sequence[tuple[str, Any]]) -> httpx.Response:
    site = PrometheusSite(read=series, now=lambda: datetime.now(UTC))

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=site.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://p") as client:
            return await client.get(f"/api/v1/{path}", params=list(params))

    return asyncio.run(ask())


def in_order(body: dict[str, Any]) -> dict[str, Any]:
    data = body.get("data")
    if isinstance(data, dict) and "result" in data:
        data["result"].sort(key=lambda found: sorted(found["metric"].items()))
    elif isinstance(data, list):
        data.sort(key=str)
    return body


END = T0 + 10 * HOUR
ALL = "energy_joules_total"


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("query", [("query", f"{ALL}[1h]"), ("time", T0 + 2 * HOUR)]),
        ("query", [("query", f'{ALL}{{outlet="a:1"}}[3600000ms]'), ("time", f"{T0 + HOUR}.250")]),
        ("query", [("query", f"{ALL}[1d]"), ("time", END)]),
        ("query", [("query", f"{ALL}[1h]"), ("time", T0 - 10 * HOUR)]),
        ("query", [("query", ALL), ("time", T0 + 901)]),
        ("query", [("query", ALL), ("time", T0 + 900)]),
        ("query", [("query", ALL), ("time", f"{T0 + 300}.250")]),
        ("query", [("query", ALL), ("time", f"{T0 + 300}.249")]),
        ("query", [("query", f'{ALL}{{outlet=~"a.*",site!="X"}}'), ("time", T0 + 901)]),
        ("query", [("query", '{__name__=~"energy.*",outlet!~"a.*"}[20m]'), ("time", END - 1)]),
        ("query_range", [("query", ALL), ("start", T0), ("end", T0 + HOUR), ("step", "5m")]),
        ("query_range", [("query", ALL), ("start", T0), ("end", T0 + 7200), ("step", 61)]),
        ("query_range", [("query", ALL), ("start", T0), ("end", T0 + 11_001), ("step", 1)]),
        ("query_range", [("query", ALL), ("start", T0), ("end", T0 - 1), ("step", 1)]),
        ("query_range", [("query", ALL), ("start", T0), ("end", T0 + 1), ("step", 0)]),
        ("query", [("query", f"{ALL}["), ("time", T0)]),
        ("query", [("query", ALL), ("time", "noon")]),
        ("query", [("query", '{outlet=""}')]),
        ("series", [("match[]", ALL), ("start", T0), ("end", END)]),
        ("series", [("match[]", ALL), ("start", T0 - 20 * HOUR), ("end", T0 - 10 * HOUR)]),
        ("series", []),
        ("labels", [("match[]", ALL), ("start", T0), ("end", END)]),
        ("label/outlet/values", [("match[]", ALL), ("start", T0), ("end", END)]),
    ],
)
def test_same_question_same_answer(real: str, path: str, params: list[tuple[str, Any]]) -> None:
    theirs = httpx.get(f"{real}/api/v1/{path}", params=params)
    ours = ask_stand_in(path, params)
    assert ours.status_code == theirs.status_code
    expected, found = in_order(theirs.json()), in_order(ours.json())
    if expected["status"] == "error":
        # The parser words its errors by position; what matters is that it is told as one.
        assert (found["status"], found["errorType"]) == ("error", expected["errorType"])
    else:
        assert found == expected
