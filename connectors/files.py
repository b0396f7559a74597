"""Writing a file so that a reader sees all of it or nothing, and where to work until it is whole.

A temporary name in a sibling place of the same file system, flushed to the disk, then renamed.
Leftovers of a killed process carry a leading dot and are never read.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

_STALE_SECONDS: Final = 24 * 3600


def write_atomically(path: Path, content: bytes, *, temporary_dir: Path | None = None) -> None:
    """Write ``content`` to ``path``; a kill leaves either the old file or the new one."""

    def fill(stream: BinaryIO) -> None:
        stream.write(content)

    fill_atomically(path, fill, temporary_dir=temporary_dir)


def fill_atomically(
    path: Path, fill: Callable[[BinaryIO], None], *, temporary_dir: Path | None = None
) -> None:
    """Let ``fill`` write the file, then put it in place at once."""
    folder = temporary_dir or path.parent
    folder.mkdir(parents=True, exist_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{path.name}.{uuid.uuid4().hex}.tmp"
    try:
        with temporary.open("xb") as stream:
            fill(stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.filename is None:  # a write does not say what it wrote to
            error.filename = str(path)
        raise
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Let what was renamed into a folder or removed from it survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def working_folder(landing_dir: Path) -> Iterator[Path]:
    """Give a folder of one's own on the landing zone's file system, for as long as the work takes.

    What killed processes left there is removed once it is so old that none can still be at it.
    """
    work = landing_dir / ".work"
    _clear_stale(work)
    room = work / uuid.uuid4().hex
    room.mkdir(parents=True)
    try:
        yield room
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _clear_stale(work: Path) -> None:
    if not work.is_dir():
        return
    for left in work.iterdir():
        # Another process may be clearing its own at this moment.
        with contextlib.suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
