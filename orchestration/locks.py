"""Locks of a data dir, held by a process and dying with it.

They are operating-system locks on files, so that a run after `kill -9` starts at once; Dagster's
pools only queue. Whoever holds a lock writes its process number and purpose beside it, for the
words shown to whoever waits.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

SWITCHING = "switching.json"  # a restore is exchanging the folders of the data dir


class LockBusyError(RuntimeError):
    """Another process holds the lock and did not let go in time."""


def require_whole(root: Path) -> None:
    """Raise LockBusyError if a restore of this data dir was cut short while it exchanged folders:
    half of it would be of another time."""
    if (root / ".restoring" / SWITCHING).exists():
        raise LockBusyError(
            f"a restore of {root} was cut short, and its folders do not fit each other: run the "
            "same m2c restore again to finish it; nothing else runs until then"
        )


@contextmanager
def hold(
    locks_dir: Path,
    name: str,
    *,
    purpose: str,
    timeout_seconds: float = 600,
    on_wait: Callable[[str], None] | None = None,
    while_switching: bool = False,
) -> Iterator[None]:
    """Hold the lock `name` of a data dir; raises LockBusyError after `timeout_seconds`, and where a
    restore was cut short (`while_switching` is for those who finish it). Re-entrant within one
    process and thread."""
    locks_dir.mkdir(parents=True, exist_ok=True)
    path = locks_dir / f"{name}.lock"
    owner = locks_dir / f"{name}.owner"
    lock = FileLock(path, is_singleton=True)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if on_wait is not None:
            on_wait(f"waiting for the {name} lock, held by {_read(owner)}")
        try:
            lock.acquire(timeout=timeout_seconds, poll_interval=0.05)
        except Timeout as busy:
            raise LockBusyError(
                f"the {name} lock of {locks_dir.parent} is held by {_read(owner)}; "
                f"gave up after {timeout_seconds:g} s. Run this again when that has ended."
            ) from busy
    try:
        if not while_switching:
            require_whole(locks_dir.parent)
        if lock.lock_counter == 1:
            owner.write_text(f"process {os.getpid()} ({purpose})")
        yield
    finally:
        lock.release()


def _read(owner: Path) -> str:
    try:
        return owner.read_text()
    except OSError:
        return "another process"
