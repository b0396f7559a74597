"""Telling processes apart, and ending with a parent that was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

from orchestration.processes import is_alive, start_mark

_PARENT = textwrap.dedent(
    """
    import subprocess, sys, time
    child = subprocess.Popen([sys.executable, "-c", '''
    import sys, time
    from orchestration.processes import die_with_parent
    die_with_parent()
    print("ready", flush=True)
    time.sleep(60)
    '''.replace("\\n    ", "\\n")], stdout=subprocess.PIPE, text=True)
    child.stdout.readline()
    print(child.pid, flush=True)
    time.sleep(60)
    """
)


def test_a_child_ends_with_its_killed_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    mark = start_mark(child)
    assert mark is not None
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 5
    while is_alive(child, mark) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_alive(child, mark)


def test_a_process_is_known_by_number_and_start() -> None:
    mark = start_mark(os.getpid())
    assert mark is not None
    assert is_alive(os.getpid(), mark)
    assert not is_alive(os.getpid(), "another start")


def test_a_process_that_ended_is_not_alive() -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    mark = start_mark(process.pid)
    process.wait()
    assert not is_alive(process.pid, mark or "")
