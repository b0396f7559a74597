"""Processes that end with the one that started them."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import threading
import time

_PR_SET_PDEATHSIG = 1


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
