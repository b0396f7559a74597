"""Who may touch landed files at one time, and how a merge of files that was cut short is settled.

Files are only ever added to the landing zone, side by side by any number of fetches, except by a
merge, which puts one file in the place of several. So whoever lists and reads files, or adds some,
does so ``beside_others``, and whoever merges does so ``alone``; both are operating-system locks,
which die with their process. Before a merge takes anything away it writes down what: a process
killed there leaves the note, and the next one, whatever it came to do, first finishes the removal.
So no row is ever seen twice or not at all. Locks are of one machine: of a landing zone at a store,
machines that land and build may be many and see the notes there, but one of them merges. Not here:
which files are merged, and into what (``connectors.compaction``).
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
from typing import BinaryIO, Final

from connectors.files import working_folder
from connectors.zones import MERGES, Folder, as_zone

_LOCK: Final = "lock"


@contextlib.contextmanager
def beside_others(landing: Path | Folder, *, only_if_known: bool = False) -> Iterator[None]:
    """Hold while listing, reading or adding landed files; waits while files are being merged.

    With ``only_if_known`` nothing is made in a landing zone where nothing was landed or merged by
    this program, which may be read-only. Raises ``OSError``, ``StoreError``.
    """
    zone = as_zone(landing)
    if only_if_known and not zone.is_shared and not (zone.folder / MERGES / _LOCK).exists():
        yield
        return
    while True:
        if _notes(zone):
            with alone(zone):
                pass
        with _locked(zone, fcntl.LOCK_SH):
            # A merge may have been killed between the two.
            if not _notes(zone):
                yield
                return


@contextlib.contextmanager
def alone(landing: Path | Folder) -> Iterator[None]:
    """Hold while files are merged; waits for all others. Settles first what was cut short."""
    zone = as_zone(landing)
    with _locked(zone, fcntl.LOCK_EX):
        for note in _notes(zone):
            _settle(zone, note)
        yield


def sweep_if_alone(zone: Folder) -> None:
    """Take copies away of what is no more, unless somebody may be reading them just now."""
    if not zone.stale:
        return
    with contextlib.suppress(BlockingIOError), _locked(zone, fcntl.LOCK_EX | fcntl.LOCK_NB):
        zone.sweep()


def replace_files(
    zone: Folder, whole: Path, target: Path, originals: Sequence[tuple[Path, str]]
) -> None:
    """Put the finished file ``whole`` at ``target`` and take away the originals it stands for.

    ``originals`` are paths with their sha256; a file that says something else by then is left.
    ``whole`` must lie in a working folder of the zone and be on the disk already. Only for whoever
    is ``alone``. Raises ``OSError``, ``StoreError``; whenever it stops, what is landed is still
    complete.
    """
    with whole.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    note = zone.folder / MERGES / f"{uuid.uuid4().hex}.json"
    text = json.dumps(
        {
            "merged": {"path": str(target.relative_to(zone.folder)), "sha256": digest},
            "originals": [
                {"path": str(path.relative_to(zone.folder)), "sha256": sha256}
                for path, sha256 in originals
            ],
        },
        indent=1,
    )
    _write_note(zone, note, text)
    zone.add(whole, target)
    if zone.is_shared:
        # Another machine that saw the note while the merged file was on its way has dropped it.
        _write_note(zone, note, text)
    _settle(zone, note)


def _write_note(zone: Folder, note: Path, text: str) -> None:
    def fill(stream: BinaryIO) -> None:
        stream.write(text.encode())

    with working_folder(zone.folder) as room:
        zone.write(note, fill, room=room)


def _settle(zone: Folder, note: Path) -> None:
    """Finish what a note says: the originals go if the merged file is there, else they stay."""
    try:
        said = json.loads(note.read_text())
    except FileNotFoundError:
        return  # another machine has settled it
    merged = zone.folder / said["merged"]["path"]
    originals = {zone.folder / one["path"]: one["sha256"] for one in said["originals"]}
    zone.refresh(*{path.parent for path in (merged, *originals)}, while_merging=True)
    if _is(zone, merged, said["merged"]["sha256"]):
        zone.remove([path for path, sha256 in originals.items() if _is(zone, path, sha256)])
    zone.remove([note])


def _is(zone: Folder, path: Path, sha256: str) -> bool:
    if zone.stat(path) is None:
        return False
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == sha256
    except FileNotFoundError:
        return False


def _notes(zone: Folder) -> list[Path]:
    folder = zone.folder / MERGES
    zone.refresh(folder, while_merging=True)
    return [entry.path for entry in zone.entries(folder) if entry.name.endswith(".json")]


@contextlib.contextmanager
def _locked(zone: Folder, how: int) -> Iterator[None]:
    path = zone.folder / MERGES / _LOCK
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)
