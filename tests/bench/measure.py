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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_EVERY_SECONDS = 0.1
_PROC = Path("/proc")


@dataclass(kw_only=True)
class Part:
    """One process of several: its command, when it was seen first and last (seconds since the
    start), and its peak of resident memory as sampled, in bytes."""

    command: str
    first_seen: float
    last_seen: float
    resident_bytes: int


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A finished process: seconds of wall clock, bytes, and what it said.

    `tree_bytes` = the greatest sum of resident memory of the process and its descendants, None
    where it cannot be had; `largest_bytes` = the peak of the largest one of them; `parts` = each of
    them in the order they were seen, empty where it cannot be had.
    """

    seconds: float
    tree_bytes: int | None
    largest_bytes: int
    parts: tuple[Part, ...]
    exit_code: int
    output: str
    errors: str


def run(command: Sequence[str | Path], settings: Mapping[str, str] | None = None) -> Measured:
    """Run `command` to its end, with `settings` and without this project's own of the
    environment."""
    environment = {key: text for key, text in os.environ.items() if not key.startswith("M2C_")}
    environment |= settings or {}
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
            parts=tuple(watch.parts.values()),
            exit_code=process.returncode,
            output=output.read(),
            errors=errors.read(),
        )


class _Watch(threading.Thread):
    """Samples the memory of a process and its descendants until told to stop."""

    def __init__(self, pid: int) -> None:
        super().__init__(name="watch memory", daemon=True)
        self.peak = 0
        # By number and start, for numbers are used again.
        self.parts: dict[tuple[int, str], Part] = {}
        self._known = {pid}
        self._ended = threading.Event()
        self._since = time.monotonic()

    def run(self) -> None:
        while not self._ended.wait(_EVERY_SECONDS):
            self.peak = max(self.peak, self._resident())

    def stop(self) -> None:
        self._ended.set()
        self.join()

    def _resident(self) -> int:
        seen = {status.pid: status for status in map(_status, _PROC.glob("[0-9]*")) if status}
        children: dict[int, list[int]] = defaultdict(list)
        for status in seen.values():
            children[status.parent].append(status.pid)
        # Whoever was once below stays known: a process whose parent died hangs elsewhere.
        self._known &= seen.keys()
        waiting = list(self._known)
        while waiting:
            below = [child for child in children[waiting.pop()] if child not in self._known]
            self._known.update(below)
            waiting += below
        now = time.monotonic() - self._since
        for status in (seen[pid] for pid in self._known):
            part = self.parts.setdefault(
                (status.pid, status.started),
                Part(command="", first_seen=now, last_seen=now, resident_bytes=0),
            )
            # A process is its parent's copy before it is a command of its own.
            part.command = _command(status.pid) or part.command
            part.last_seen = now
            part.resident_bytes = max(part.resident_bytes, status.resident_bytes)
        return sum(seen[pid].resident_bytes for pid in self._known)


@dataclass(frozen=True)
class _Status:
    pid: int
    parent: int
    started: str
    resident_bytes: int


def _status(process: Path) -> _Status | None:
    try:
        # The name, in brackets, may hold anything; fields are counted after it (proc_pid_stat(5)).
        fields = (process / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    resident = int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    return _Status(int(process.name), int(fields[1]), fields[19], resident)


def _command(pid: int) -> str:
    try:
        words = (_PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return " ".join(word.rpartition("/")[2] if "/" in word else word for word in words).strip()
