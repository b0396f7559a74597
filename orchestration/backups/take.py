"""Taking a backup: the bulk is copied while everything goes on, then one moment is held for what is
left. In that moment nothing closes, issues, compiles or merges, and no edit is written; sites may
land, for files are only added, and whoever publishes or reads payments may go on, for the ledger is
copied as of one moment, before the landing zone is listed: what it knows rests on what is landed.
"""

from __future__ import annotations

import errno
import json
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any, Final

from connectors.book import BookError, load_book
from connectors.files import write_atomically
from connectors.merges import beside_others
from connectors.tables import TABLES
from connectors.zones import Folder, files_of
from exporters.ledger import KnownHead, Ledger, restored
from exporters.ledger.copies import LedgerCopy, back_up, in_words
from orchestration.backups.manifest import LEDGER, BackupError, Entry, Manifest, under
from orchestration.backups.store import Store
from orchestration.ledger import open_ledger
from orchestration.locks import hold
from orchestration.settings import Clock, DataDir, SettingsError, code_version
from orchestration.stores import landing_zone

WAIT_SECONDS: Final = 3600
BULK_PASSES: Final = 5
_REMEMBERED: Final = "backups.json"


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A backup that was made. `copied_*` is what the pool did not have; `problems` need a person,
    though the backup is whole."""

    path: Path
    manifest: Manifest
    copied_files: int
    copied_bytes: int
    removed: int
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        manifest = self.manifest
        return {
            "backup": manifest.name,
            "manifest": str(self.path),
            "made_at": manifest.made_at,
            "files": len(manifest.files),
            "bytes": manifest.total_bytes,
            "copied_files": self.copied_files,
            "copied_bytes": self.copied_bytes,
            "removed_backups": self.removed,
            "ledger": manifest.ledger,
            "book_version": manifest.book_version,
            "problems": list(self.problems),
            "notes": list(self.notes),
            "words": self.describe(),
            "exit_code": int(bool(self.problems)),
        }

    def describe(self) -> list[str]:
        """The backup in words."""
        manifest = self.manifest
        ledger = manifest.ledger
        lines = [
            f"backup {manifest.name} in {self.path.parent.parent}: {len(manifest.files)} files, "
            f"{_size(manifest.total_bytes)}; {self.copied_files} of them new, "
            f"{_size(self.copied_bytes)} copied",
            "  no ledger yet"
            if ledger is None
            else f"  ledger of {ledger['facts']} facts, head {ledger['head'][:12]}…",
            f"  book {manifest.book_version or f'with faults ({manifest.book_fault})'}",
        ]
        if self.removed:
            lines.append(f"  {self.removed} older backups removed")
        lines += [f"  note: {note}" for note in self.notes]
        return lines + [f"for a person: {problem}" for problem in self.problems]


def take_backup(
    data_dir: DataDir,
    target: Path,
    *,
    clock: Clock,
    keep: int | None = None,
    on_wait: Callable[[str], None] | None = None,
) -> Taken:
    """Make a backup of the data dir in the folder `target`, which may hold earlier ones.

    keep: how many backups to keep, the new one included. Killed at any point it leaves earlier
    backups as they were, and the next run goes on where it was. Raises SettingsError for a folder
    that cannot be meant, LockBusyError, BackupError, OSError.
    """
    target = target.resolve()
    if not data_dir.book.is_dir():
        raise SettingsError(
            f"{data_dir.root} is no data dir: it has no folder book (see --data-dir)"
        )
    zone = landing_zone(data_dir)
    for part in (data_dir.book, zone.folder, data_dir.rejected, data_dir.warehouse):
        if target.is_relative_to(part.resolve()):
            raise SettingsError(f"a backup cannot lie in {part}: name a folder outside of it")
    store = Store(target)
    with store.writing():
        work = _Work(data_dir, zone, store, on_wait)
        for _ in range(BULK_PASSES):
            if not work.copy_bulk():
                break
        manifest, problems = work.moment(clock)
        path = store.publish(manifest)
        removed = store.keep(keep) if keep else 0
    _remember(data_dir, target)
    notes = []
    if target.is_relative_to(data_dir.root):
        notes.append(
            "this backup lies in the data dir itself and is lost with it: name a folder on another "
            "disk (m2c backup DIR, or M2C_BACKUP_DIR)"
        )
    if data_dir.landing_url is not None:
        notes.append(
            f"the landed files are those of {zone.name_of(zone.folder)}, whole; a restore puts "
            "them into the folder landing, and changes nothing there"
        )
    return Taken(
        path=path,
        manifest=manifest,
        copied_files=store.copied_files,
        copied_bytes=store.copied_bytes,
        removed=removed,
        problems=tuple(problems),
        notes=tuple(notes),
    )


class _Work:
    def __init__(
        self,
        data_dir: DataDir,
        zone: Folder,
        store: Store,
        on_wait: Callable[[str], None] | None,
    ) -> None:
        self._data_dir, self._zone = data_dir, zone
        self._store, self._on_wait = store, on_wait
        previous = store.newest()
        self._previous = previous
        self._known = {} if previous is None else previous.by_path()
        self._known |= store.unfinished()

    def copy_bulk(self) -> int:
        """Copy what the pool does not have of the landing zone; how many files."""
        with beside_others(self._zone, only_if_known=True):
            wanted = [found for found in self._landed() if self._unchanged(*found) is None]
        needed = sum(source.stat().st_size for source, _ in wanted if source.exists())
        free = self._store.free_bytes()
        if needed > free:
            words = f"{needed:,} bytes are to be copied and {free:,} are free"
            raise OSError(errno.ENOSPC, words, str(self._store.root))
        copied = 0
        for source, path in wanted:
            try:
                self._known[path] = self._store.add(source, path, journal=True)
            except FileNotFoundError:
                continue  # merged with others meanwhile
            copied += 1
        return copied

    def moment(self, clock: Clock) -> tuple[Manifest, list[str]]:
        """Copy the ledger, the book and what landed since, as of one moment."""
        data_dir = self._data_dir
        problems: list[str] = []
        with (
            self._hold("warehouse"),
            self._hold("book"),
            beside_others(self._zone, only_if_known=True),
        ):
            now = clock().astimezone(UTC)
            files: list[Entry] = []
            ledger = self._ledger(files, problems)
            version, fault = self._book(files)
            files += [
                self._unchanged(source, path) or self._store.add(source, path)
                for source, path in self._landed()
            ]
        number = self._store.next_number()
        return (
            Manifest(
                number=number,
                name=f"{number:06d}-{now:%Y%m%dT%H%M%SZ}",
                made_at=now.isoformat(),
                data_dir=str(data_dir.root),
                host=socket.gethostname(),
                program=code_version(),
                book_version=version,
                book_fault=fault,
                ledger=ledger,
                folders=tuple(_empty_folders(data_dir)),
                files=tuple(files),
            ),
            problems,
        )

    def _hold(self, name: str) -> Any:
        return hold(
            self._data_dir.locks,
            name,
            purpose="backing up",
            timeout_seconds=WAIT_SECONDS,
            on_wait=self._on_wait,
        )

    def _landed(self) -> Iterator[tuple[Path, str]]:
        rejected = self._data_dir.rejected
        for folder, name, files in (
            (self._zone.folder, "landing", self._landing()),
            (rejected, "rejected", under(rejected, with_hidden=False)),
        ):
            for source in files:
                yield source, f"{name}/{source.relative_to(folder).as_posix()}"

    def _landing(self) -> Iterator[Path]:
        """The landing zone's files; of one at a store, its tables, each brought here."""
        if not self._zone.is_shared:
            yield from under(self._zone.folder, with_hidden=False)
            return
        folders = [self._zone.folder / table for table in TABLES]
        self._zone.refresh(*folders)
        for folder in folders:
            yield from files_of(self._zone, folder)

    def _unchanged(self, source: Path, path: str) -> Entry | None:
        """The entry of a landed file that was copied before: they are never written to again."""
        entry = self._known.get(path)
        if entry is None:
            return None
        try:
            status = source.stat()
        except FileNotFoundError:
            return None
        same = (status.st_size, status.st_mtime_ns) == (entry.size, entry.mtime_ns)
        return entry if same and self._store.has(entry) else None

    def _ledger(self, files: list[Entry], problems: list[str]) -> dict[str, Any] | None:
        if not self._data_dir.has_ledger():
            return None
        with (
            open_ledger(self._data_dir, acting_as="backup") as ledger,
            tempfile.TemporaryDirectory(prefix="m2c-backup-") as folder,
        ):
            copy = back_up(ledger, Path(folder) / "ledger.sqlite")
            if copy.faults:
                problems.append(f"the ledger itself does not verify: {in_words(copy.faults)}")
            files.append(self._store.add(copy.path, LEDGER))
            problems += self._other_line(ledger)
            return _ledger_words(ledger, copy)

    def _other_line(self, ledger: Ledger) -> list[str]:
        before = self._previous.ledger if self._previous is not None else None
        if before is None:
            return []
        known = KnownHead(before["head"], self._previous.name if self._previous else "", None)
        with ledger.snapshot() as reader:
            if not restored.lost_heads(reader, [known]):
                return []
        return [
            f"the backup before this one, {known.source}, has a ledger of {before['facts']} facts "
            "that the ledger here does not continue: it is another ledger or an older copy (see "
            "m2c ledger verify). No backup was removed or replaced"
        ]

    def _book(self, files: list[Entry]) -> tuple[str | None, str | None]:
        """Somebody may edit it with an editor, who asks for no lock: read until it stands still."""
        folder = self._data_dir.book
        for _ in range(5):
            before = _stamps(folder)
            found = [
                self._store.add(source, f"book/{source.relative_to(folder).as_posix()}")
                for source in under(folder, with_hidden=True)
            ]
            version, fault = _version(folder)
            if before == _stamps(folder):
                files += found
                return version, fault
        raise BackupError(f"{folder} changes all the time; run this again when nobody writes there")


def _ledger_words(ledger: Ledger, copy: LedgerCopy) -> dict[str, Any]:
    return {
        "path": LEDGER,
        "facts": copy.head.facts,
        "head": copy.head.hash,
        "schema": copy.schema,
        "database": "sqlite" if ledger.path is not None else "postgresql",
    }


def _stamps(folder: Path) -> list[tuple[str, int, int]]:
    return [
        (str(path), status.st_size, status.st_mtime_ns)
        for path in under(folder, with_hidden=True)
        for status in (path.stat(),)
    ]


def _version(folder: Path) -> tuple[str | None, str | None]:
    try:
        return load_book(folder).version, None
    except BookError as error:
        return None, str(error).splitlines()[0]


def _empty_folders(data_dir: DataDir) -> Iterator[str]:
    """Empty folders of the book: a git repository in it is none without them."""
    for path in sorted(data_dir.book.rglob("*")):
        if path.is_dir() and not any(path.iterdir()):
            yield f"book/{path.relative_to(data_dir.book).as_posix()}"


# --- where backups are ----------------------------------------------------------------------------


def backup_dirs(data_dir: DataDir, named: Path | None = None) -> list[Path]:
    """The folders that hold backups of this data dir, as far as is known here."""
    try:
        remembered = json.loads((data_dir.root / _REMEMBERED).read_text())
    except (FileNotFoundError, ValueError):
        remembered = []
    found = [*([named] if named else []), data_dir.backups, *map(Path, remembered)]
    return [path for path in dict.fromkeys(p.resolve() for p in found) if (path / "sets").is_dir()]


def _remember(data_dir: DataDir, target: Path) -> None:
    """Which folders were backed up to: their heads prove that no tail of the ledger was cut."""
    known = [str(path) for path in backup_dirs(data_dir)]
    if str(target) not in known or not (data_dir.root / _REMEMBERED).exists():
        named = sorted({*known, str(target)})
        write_atomically(data_dir.root / _REMEMBERED, json.dumps(named, indent=1).encode())


def heads_in_backups(folders: list[Path]) -> tuple[KnownHead, ...]:
    """The heads of the ledger that backups keep. Raises BackupError for a damaged manifest."""
    return tuple(
        KnownHead(
            manifest.ledger["head"], f"backup {path} knows", int(manifest.ledger["facts"]) or None
        )
        for folder in folders
        for path in Store(folder).names()
        if (manifest := Manifest.read(path)).ledger is not None and manifest.ledger["facts"]
    )


def _size(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"
