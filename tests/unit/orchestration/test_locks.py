"""Locks die with their process and say who holds them."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from orchestration.locks import LockBusyError, hold

_HOLDER = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from orchestration.locks import hold
    with hold(Path(sys.argv[1]), "warehouse", purpose="a long build"):
        print("held", flush=True)
        time.sleep(60)
    """
)


@pytest.fixture
def holder(tmp_path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_whoever_waits_is_told_who_holds(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    told: list[str] = []
    with (
        pytest.raises(LockBusyError, match=f"process {holder.pid} \\(a long build\\)"),
        hold(tmp_path, "warehouse", purpose="another", timeout_seconds=0.2, on_wait=told.append),
    ):
        pass
    assert str(holder.pid) in told[0]


def test_a_killed_holder_leaves_no_lock(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGKILL)
    started = time.monotonic()
    with hold(tmp_path, "warehouse", purpose="the next", timeout_seconds=5):
        assert time.monotonic() - started < 2


def test_a_lock_can_be_taken_again_by_its_holder(tmp_path: Path) -> None:
    with hold(tmp_path, "warehouse", purpose="outer"), hold(tmp_path, "warehouse", purpose="inner"):
        owner = (tmp_path / "warehouse.owner").read_text()
    assert "outer" in owner
