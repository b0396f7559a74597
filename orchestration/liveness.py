"""Whether the process of a run still lives, also seen from another machine.

While a run is executed, its process holds an operating-system lock on a file of the data dir, which
goes with the process however that ends. Process numbers would tell as much only on the same
machine, and pods and containers have new host names each time. Whoever has the volume can ask.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SUFFIX = ".alive"


@contextmanager
def alive(locks_dir: Path, run_id: str) -> Iterator[None]:
    """Show that this process executes the run, until the block ends or the process does."""
    folder = locks_dir / "executing"
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / f"{run_id}{_SUFFIX}"
    unnamed = folder / f".{run_id}.{uuid.uuid4().hex}"
    descriptor = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        # Locked before it has its name: who finds it must never find it free.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        unnamed.rename(mark)
        yield
    finally:
        unnamed.unlink(missing_ok=True)
        mark.unlink(missing_ok=True)
        os.close(descriptor)


def marked(locks_dir: Path) -> set[str]:
    """The ids of the runs that have a mark, whether their process lives or not."""
    return {path.name.removesuffix(_SUFFIX) for path in _marks(locks_dir)}


def dead(locks_dir: Path) -> list[str]:
    """The ids of the runs whose process went without ending its run."""
    return [path.name.removesuffix(_SUFFIX) for path in _marks(locks_dir) if _is_free(path)]


def forget(locks_dir: Path, run_id: str) -> None:
    """Take away the mark of a dead run that was dealt with."""
    (locks_dir / "executing" / f"{run_id}{_SUFFIX}").unlink(missing_ok=True)


def _marks(locks_dir: Path) -> list[Path]:
    return sorted((locks_dir / "executing").glob(f"*{_SUFFIX}"))


def _is_free(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:  # it ended just now
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # What was locked may have ended meanwhile, and its name be gone or another's.
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False
    finally:
        os.close(descriptor)
