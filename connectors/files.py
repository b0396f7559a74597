"""Writing a file so that a reader sees all of it or nothing.

A temporary name in a sibling place of the same file system, flushed to the disk, then renamed.
Leftovers of a killed process carry a leading dot and are never read.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO


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
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    # The rename itself must survive a power cut too.
    folder_fd = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder_fd)
    finally:
        os.close(folder_fd)
