"""Who may touch landed files at one time, and how a merge of files that was cut short is settled.

Files are only ever added to the landing zone, side by side by any number of fetches, except by a
merge, which puts one file in the place of several. So whoever lists and reads files, or adds some,
does so ``beside_others``, and whoever merges does so ``alone``; both are operating-system locks,
which die with their process. Before a merge takes anything away it writes down what: a process
killed there leaves the note, and the next one, whatever it came to do, first finishes the removal.
So no row is ever seen twice or not at all. Not here: which files are merged, and into what
(``connectors.compaction``).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from connectors.files import sync_folder, write_atomically

_FOLDER: Final = ".merges"
_LOCK: Final = "lock"


@contextlib.contextmanager
def beside_others(landing_dir: Path, *, only_if_known: bool = False) -> Iterator[None]:
    """Hold while listing, reading or adding landed files; waits while files are being merged.

    With ``only_if_known`` nothing is made in a landing zone where nothing was landed or merged by
    this program, which may be read-only. Raises ``OSError``.
    """
    if only_if_known and not (landing_dir / _FOLDER / _LOCK).exists():
        yield
        return
    while True:
        if _notes(landing_dir):
            with alone(landing_dir):
                pass
        with _locked(landing_dir, fcntl.LOCK_SH):
            # A merge may have been killed between the two.
            if not _notes(landing_dir):
                yield
                return


@contextlib.contextmanager
def alone(landing_dir: Path) -> Iterator[None]:
    """Hold while files are merged; waits for all others. Settles first what was cut short."""
    with _locked(landing_dir, fcntl.LOCK_EX):
        for note in _notes(landing_dir):
            _settle(landing_dir, note)
        yield


def replace_files(
    landing_dir: Path, whole: Path, target: Path, originals: Sequence[tuple[Path, str]]
) -> None:
    """Put the finished file ``whole`` at ``target`` and take away the originals it stands for.

    ``originals`` are paths with their sha256; a file that says something else by then is left.
    ``whole`` must lie on the same file system and be on the disk already. Only for whoever is
    ``alone``. Raises ``OSError``; whenever it stops, what is landed is still complete.
    """
    with whole.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    note = landing_dir / _FOLDER / f"{uuid.uuid4().hex}.json"
    text = json.dumps(
        {
            "merged": {"path": str(target.relative_to(landing_dir)), "sha256": digest},
            "originals": [
                {"path": str(path.relative_to(landing_dir)), "sha256": sha256}
                for path, sha256 in originals
            ],
        },
        indent=1,
    )
    write_atomically(note, text.encode())
    whole.replace(target)
    sync_folder(target.parent)
    _settle(landing_dir, note)


def _settle(landing_dir: Path, note: Path) -> None:
    """Finish what a note says: the originals go if the merged file is there, else they stay."""
    said = json.loads(note.read_text())
    if _is(landing_dir / said["merged"]["path"], said["merged"]["sha256"]):
        for original in said["originals"]:
            path = landing_dir / original["path"]
            if _is(path, original["sha256"]):
                path.unlink()
        for folder in {(landing_dir / original["path"]).parent for original in said["originals"]}:
            sync_folder(folder)
    note.unlink()
    sync_folder(note.parent)


def _is(path: Path, sha256: str) -> bool:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == sha256
    except FileNotFoundError:
        return False


def _notes(landing_dir: Path) -> list[Path]:
    return sorted(
        path for path in (landing_dir / _FOLDER).glob("*.json") if not path.name.startswith(".")
    )


@contextlib.contextmanager
def _locked(landing_dir: Path, how: int) -> Iterator[None]:
    path = landing_dir / _FOLDER / _LOCK
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)
