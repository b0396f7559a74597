"""Processes: telling whether one is still the one we knew, and ending with the one that started
us."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import threading
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def start_mark(pid: int) -> str | None:
    """Something that tells two processes of one number apart (the kernel's start time), None when
    there is no such process."""
    if platform.system() == "Linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return None
        fields = stat.rsplit(")", 1)[1].split()
        return None if fields[0] == "Z" else fields[19]
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return "unknown"
    return "unknown"


def is_alive(pid: int, mark: str) -> bool:
    """Whether the process that had this number and mark still runs."""
    return start_mark(pid) == mark


def die_with_parent(
    *, death_signal: signal.Signals = signal.SIGKILL, poll_seconds: float = 0.5
) -> None:
    """End this process at once when its parent ends, also when the parent is killed with SIGKILL.

    On Linux the kernel sends `death_signal`, also to what this process turns into by `exec`.
    """
    parent = os.getppid()
    if platform.system() == "Linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != parent:
            os._exit(137)
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(poll_seconds)
        os._exit(137)

    threading.Thread(target=watch, name="die-with-parent", daemon=True).start()
