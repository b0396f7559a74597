"""One command as a process: how long it takes and how much memory it needs at its peak.

Two figures of memory, for each misleads in its own way: the sum over the process and all below it
counts pages that they share once each, and is sampled; the largest single process is exact and
leaves the others out. Sums need Linux (`/proc`). Nothing here knows what is measured.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_EVERY_SECONDS = 0.1
_PROC = Path("/proc")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A finished process: seconds of wall clock, bytes, and what it said.

    `tree_bytes` = the greatest sum of resident memory of the process and its descendants, None
    where it cannot be had; `largest_bytes` = the peak of the largest one of them.
    """

    seconds: float
    tree_bytes: int | None
    largest_bytes: int
    exit_code: int
    output: str
    errors: str


def run(command: Sequence[str | Path]) -> Measured:
    """Run `command` to its end, without this project's settings of the environment."""
    environment = {key: text for key, text in os.environ.items() if not key.startswith("M2C_")}
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        started = time.monotonic()
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            env=environment,
        )
        watch = _Watch(process.pid)
        watch.start()
        # Of the process and all that it waited for; RUSAGE_CHILDREN would mix in earlier runs.
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        watch.stop()
        output.seek(0)
        errors.seek(0)
        return Measured(
            seconds=seconds,
            tree_bytes=watch.peak or None,
            largest_bytes=usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
            exit_code=process.returncode,
            output=output.read(),
            errors=errors.read(),
        )


class _Watch(threading.Thread):
    """Samples the memory of a process and its descendants until told to stop."""

    def __init__(self, pid: int) -> None:
        super().__init__(name="watch memory", daemon=True)
        self.peak = 0
        self._known = {pid}
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(_EVERY_SECONDS):
            self.peak = max(self.peak, self._resident())

    def stop(self) -> None:
        self._ended.set()
        self.join()

    def _resident(self) -> int:
        children: dict[int, list[int]] = defaultdict(list)
        alive: set[int] = set()
        for entry in _PROC.glob("[0-9]*"):
            parent = _parent(entry)
            if parent is not None:
                alive.add(int(entry.name))
                children[parent].append(int(entry.name))
        # Whoever was once below stays known: a process whose parent died hangs elsewhere.
        self._known &= alive
        waiting = list(self._known)
        while waiting:
            for child in children[waiting.pop()]:
                if child not in self._known:
                    self._known.add(child)
                    waiting.append(child)
        page = os.sysconf("SC_PAGE_SIZE")
        return sum(_resident_pages(_PROC / str(pid)) for pid in self._known) * page


def _parent(process: Path) -> int | None:
    try:
        # The name, in brackets, may hold anything.
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def _resident_pages(process: Path) -> int:
    try:
        return int((process / "statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0
