"""What the README says of receiving events is so."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from exporters.webhooks import TYPES, send_test
from exporters.webhooks.endpoints import MAKE_SECRET
from tests.unit.webhooks.world import SECRET, endpoint

README = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
SECTION = README.partition("## Receiving events\n")[2].partition("\n## ")[0]
RECEIVER = re.search(r"```python\n(.*?)```", SECTION, re.S)


def test_every_type_stands_there_and_no_other() -> None:
    rows = [line.split("|")[1] for line in SECTION.splitlines() if line.startswith("| `")]
    assert sorted(re.findall(r"`([a-z_.]+)`", " ".join(rows))) == sorted(TYPES)
    assert MAKE_SECRET.partition(": ")[2] in SECTION


def test_the_receiver_receives(tmp_path: Path) -> None:
    assert RECEIVER is not None
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert "9000" in RECEIVER[1]
    program = tmp_path / "receiver.py"
    program.write_text(RECEIVER[1].replace("9000", str(port)), encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, str(program)],
        env={"M2C_WEBHOOK_ERP": SECRET},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as running:
        try:
            _wait_for(port)
            url = f"http://127.0.0.1:{port}/events"
            stranger = {"HOOK": SECRET[:-8] + "AAAAAAA="}
            assert not send_test(endpoint("erp", url), env=stranger).delivered
            report = send_test(endpoint("erp", url), env={"HOOK": SECRET})
            assert report.delivered
            assert running.stdout is not None
            assert running.stdout.readline() == (
                f"{report.event_id} endpoint.test {{'endpoint_id': 'erp'}}\n"
            )
        finally:
            running.kill()


def _wait_for(port: int) -> None:
    for _ in range(200):
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the receiver did not start")
