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


_held: list[int] = []  # descriptors of locks that go with the process


@contextmanager
def alive(locks_dir: Path, run_id: str) -> Iterator[None]:
    """Show that this process executes the run, until the block ends or the process does."""
    descriptor, unnamed = _locked(locks_dir, run_id)
    mark = _mark(locks_dir, run_id)
    try:
        unnamed.rename(mark)
        yield
    finally:
        unnamed.unlink(missing_ok=True)
        mark.unlink(missing_ok=True)
        os.close(descriptor)


def alive_until_exit(locks_dir: Path, run_id: str) -> None:
    """Show that this process executes the run, for as long as it lives.

    For who does not see the run's last word written. The mark stays behind; whoever looks for dead
    runs takes it away.
    """
    descriptor, unnamed = _locked(locks_dir, run_id)
    unnamed.rename(_mark(locks_dir, run_id))
    _held.append(descriptor)


def marked(locks_dir: Path) -> set[str]:
    """The ids of the runs that have a mark, whether their process lives or not."""
    return {path.name.removesuffix(_SUFFIX) for path in _marks(locks_dir)}


def dead(locks_dir: Path) -> list[str]:
    """The ids of the runs whose process went without ending its run."""
    return [path.name.removesuffix(_SUFFIX) for path in _marks(locks_dir) if _is_free(path)]


def forget(locks_dir: Path, run_id: str) -> None:
    """Take away the mark of a dead run that was dealt with."""
    _mark(locks_dir, run_id).unlink(missing_ok=True)


def _locked(locks_dir: Path, run_id: str) -> tuple[int, Path]:
    """A locked file without its name yet: who finds a mark must never find it free."""
    mark = _mark(locks_dir, run_id)
    mark.parent.mkdir(parents=True, exist_ok=True)
    unnamed = mark.with_name(f".{run_id}.{uuid.uuid4().hex}")
    descriptor = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor, unnamed


def _mark(locks_dir: Path, run_id: str) -> Path:
    return locks_dir / "executing" / f"{run_id}{_SUFFIX}"


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
