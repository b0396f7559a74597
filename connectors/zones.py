"""Where landed files lie: in a folder, or at an object store of which a folder here keeps a copy.

Everybody reads files of a folder. ``Folder`` is the landing zone itself; ``StoreZone`` is one at an
object store, and its folder the copy, in the same layout. What differs is in the verbs: ``refresh``
asks the store what there is and brings what the copy lacks; ``entries`` and ``stat`` answer from
that listing, never from what lies in the copy; ``write``, ``add`` and ``remove`` change the store
first, then the copy. Landed files are never written to again, so a copy whose size and time are
those of its object is not fetched twice, and a copy that is lost is only fetched once more.

How a landed file travels: it is made in a working folder, put into the store under its name in one
step, and moved into the copy. A process that is killed between leaves the file in the store, or
nothing. Not here: what a landed file must look like (``connectors.manifest``), and how the files of
a day are merged (``connectors.merges``).
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from connectors.files import fill_atomically, sync_folder, working_folder
from connectors.objects import Object, Objects, StoreError, local_folder, stamp

# Merges: their notes, and a mark that changes before anything is taken away.
MERGES: Final = ".merges"
_MARK: Final = "last"
_LISTINGS: Final = 6
_PAUSE_SECONDS: Final = 0.5


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A file or folder of a landing zone. ``path`` is where it is read, ``url`` its address at the
    store, None in a folder."""

    name: str
    path: Path
    is_dir: bool
    size: int = 0
    mtime_ns: int = 0
    url: str | None = None


class Folder:
    """A landing zone in a folder."""

    #: Whether machines that do not see each other's locks may work on it.
    is_shared = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def refresh(self, *below: Path, while_merging: bool = False) -> None:
        """Ask what lies below folders: nothing to do, whoever lists a folder sees what there is."""

    def entries(self, folder: Path) -> list[Entry]:
        """What lies in a folder, by name, but for hidden names; nothing if it is not there."""
        try:
            with os.scandir(folder) as found:
                listed = sorted(
                    (entry for entry in found if not entry.name.startswith((".", "_"))),
                    key=lambda entry: entry.name,
                )
        except FileNotFoundError:
            return []
        entries = []
        for entry in listed:
            if entry.is_dir():
                entries.append(Entry(name=entry.name, path=Path(entry.path), is_dir=True))
                continue
            try:
                status = entry.stat()
            except FileNotFoundError:
                continue
            entries.append(
                Entry(
                    name=entry.name,
                    path=Path(entry.path),
                    is_dir=False,
                    size=status.st_size,
                    mtime_ns=status.st_mtime_ns,
                )
            )
        return entries

    def stat(self, path: Path) -> tuple[int, int] | None:
        """A file's size and modification time, None if it is not there."""
        try:
            status = path.stat()
        except FileNotFoundError:
            return None
        return status.st_size, status.st_mtime_ns

    def name_of(self, path: Path) -> str:
        """What a person finds a file under."""
        return str(path)

    def write(self, target: Path, fill: Callable[[BinaryIO], None], *, room: Path) -> None:
        """Let ``fill`` write a file, then let it appear at once. ``room`` is a working folder."""
        fill_atomically(target, fill, temporary_dir=room)

    def add(self, whole: Path, target: Path) -> None:
        """Let a finished file of a working folder, on the disk already, appear at once."""
        target.parent.mkdir(parents=True, exist_ok=True)
        whole.replace(target)
        sync_folder(target.parent)

    def remove(self, paths: Sequence[Path]) -> None:
        """Take files away."""
        for path in paths:
            path.unlink()
        for folder in {path.parent for path in paths}:
            sync_folder(folder)

    @property
    def stale(self) -> frozenset[Path]:
        """Copies of what a listing of everything did not have any more."""
        return frozenset()

    def sweep(self) -> None:
        """Take stale copies away; only for whoever knows that nobody reads them."""


class StoreZone(Folder):
    """A landing zone at an object store; ``copy`` is a folder that nothing else writes to.

    Every method that asks the store raises StoreError.
    """

    is_shared = True

    def __init__(self, objects: Objects, copy: Path) -> None:
        super().__init__(copy)
        self._objects = objects
        self._tree: dict[Path, dict[str, Entry]] = {}
        self._stale: set[Path] = set()

    @property
    def url(self) -> str:
        return self._objects.url

    def refresh(self, *below: Path, while_merging: bool = False) -> None:
        """List the objects below folders and bring those that the copy lacks or has otherwise.

        What is listed is what there was at one moment, whatever other machines land or merge
        meanwhile; ``while_merging`` is for whoever merges. Raises StoreError also if what is there
        changes faster than it can be read.
        """
        kept = {path for folder in below for path in _files(folder)}
        reason = ""
        for attempt in range(_LISTINGS):
            if attempt:
                time.sleep(_PAUSE_SECONDS * attempt)
            merges = {} if while_merging else self._objects.list(MERGES)
            listed: dict[str, Object] = {}
            for folder in below:
                listed |= self._objects.list(self._name(folder))
            changed = self._bring(listed)
            if changed:
                reason = f"{changed} changed or went while it was read"
            elif while_merging:
                break
            elif self._objects.list(MERGES) != merges:
                reason = "files were merged there while they were listed"
            elif any(name.endswith(".json") for name in merges):
                reason = "files are being merged there by another machine"
            else:
                break
        else:
            raise StoreError(self.url, f"{reason}, again and again; run this again later")
        for folder in below:
            self._forget(folder)
        for name, found in listed.items():
            self._know(self.folder / name, found)
        if not while_merging:
            self._stale = {path for path in kept if self._name(path) not in listed}

    def entries(self, folder: Path) -> list[Entry]:
        """What the last listing had in a folder."""
        return sorted(self._tree.get(folder, {}).values(), key=lambda entry: entry.name)

    def stat(self, path: Path) -> tuple[int, int] | None:
        """A file's size and stamp as the last listing had them."""
        entry = self._tree.get(path.parent, {}).get(path.name)
        return None if entry is None else (entry.size, entry.mtime_ns)

    def name_of(self, path: Path) -> str:
        """The address of a file."""
        return self._objects.url_of(self._name(path))

    def write(self, target: Path, fill: Callable[[BinaryIO], None], *, room: Path) -> None:
        """Let ``fill`` write a file, then put it into the store at once."""
        whole = room / f"{uuid.uuid4().hex}.tmp"
        with whole.open("xb") as stream:
            fill(stream)
        self.add(whole, target)

    def add(self, whole: Path, target: Path) -> None:
        """Put a finished file of a working folder into the store at once, and into the copy."""
        found = self._objects.put(whole, self._name(target))
        self._keep(whole, target, found)
        self._know(target, found)

    def remove(self, paths: Sequence[Path]) -> None:
        """Take files away, telling those who list at this moment to list again."""
        names = [self._name(path) for path in paths]
        if any(not name.startswith(MERGES) for name in names):
            with working_folder(self.folder) as room:
                mark = room / _MARK
                mark.write_text(uuid.uuid4().hex)
                self._objects.put(mark, f"{MERGES}/{_MARK}")
        self._objects.remove(names)
        for path in paths:
            path.unlink(missing_ok=True)
            self._tree.get(path.parent, {}).pop(path.name, None)

    def bring(self, paths: Iterable[Path]) -> None:
        """Bring files that the copy lacks, as far as the store has them."""
        wanted = {}
        for path in paths:
            if not path.exists() and (found := self._objects.find(self._name(path))) is not None:
                wanted[self._name(path)] = found
        self._bring(wanted)

    @property
    def stale(self) -> frozenset[Path]:
        """Copies that were there before the last listing, which did not have them."""
        return frozenset(self._stale)

    def sweep(self) -> None:
        """Take stale copies away; only for whoever knows that nobody reads them."""
        for path in self._stale:
            path.unlink(missing_ok=True)
        self._stale = set()

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _bring(self, listed: Mapping[str, Object]) -> str | None:
        """Fetch what the copy lacks or has otherwise; the address of one that is not as listed."""
        lacking = {
            name: found for name, found in listed.items() if not _is_copy(self.folder / name, found)
        }
        if not lacking:
            return None
        changed = None
        with working_folder(self.folder) as room:
            wanted = {name: room / str(number) for number, name in enumerate(lacking)}
            for name, size in self._objects.fetch(wanted.items()):
                if size == lacking[name].size:
                    self._keep(wanted[name], self.folder / name, lacking[name])
                else:
                    changed = self._objects.url_of(name) + (
                        "" if size is None else f" ({size:,} of {lacking[name].size:,} bytes)"
                    )
        return changed

    def _keep(self, whole: Path, target: Path, found: Object) -> None:
        stamp(whole, found)
        target.parent.mkdir(parents=True, exist_ok=True)
        whole.replace(target)

    def _know(self, path: Path, found: Object) -> None:
        self._tree.setdefault(path.parent, {})[path.name] = Entry(
            name=path.name,
            path=path,
            is_dir=False,
            size=found.size,
            mtime_ns=found.stamp_ns,
            url=self.name_of(path),
        )
        folder = path.parent
        while folder != self.folder:
            above = self._tree.setdefault(folder.parent, {})
            if folder.name in above:
                break
            above[folder.name] = Entry(name=folder.name, path=folder, is_dir=True)
            folder = folder.parent

    def _forget(self, folder: Path) -> None:
        for entry in self._tree.pop(folder, {}).values():
            if entry.is_dir:
                self._forget(entry.path)
        self._tree.get(folder.parent, {}).pop(folder.name, None)


def zone_at(url: str, *, copy: Path) -> Folder:
    """The landing zone at a path or address; ``copy`` is where the copy of one at a store goes.

    Raises StoreAddressError for an address that cannot be used.
    """
    folder = local_folder(url)
    return Folder(folder) if folder is not None else StoreZone(Objects(url), copy.resolve())


def as_zone(landing: Path | Folder) -> Folder:
    """The landing zone of a folder, or the one that is given."""
    return landing if isinstance(landing, Folder) else Folder(landing.resolve())


def files_of(zone: Folder, folder: Path) -> Iterator[Path]:
    """Every file below a folder, by name, as the zone lists it."""
    for entry in zone.entries(folder):
        if entry.is_dir:
            yield from files_of(zone, entry.path)
        else:
            yield entry.path


def _is_copy(path: Path, found: Object) -> bool:
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    return (status.st_size, status.st_mtime_ns) == (found.size, found.stamp_ns)


def _files(folder: Path) -> Iterator[Path]:
    """Files of the copy that stand for an object."""
    return (
        path
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith((".", "_"))
    )
