"""The folder that backups lie in: a pool of contents named by their sha256, each once, and a
manifest a backup. It asks nothing of the file system but renames, so it may be a NAS.

    sets/000012-20261126T040000Z.json   a backup: which content belongs at which path
    pool/3f/3fa9…                       a content
    .partial/                           what a run is at; of no meaning afterwards

A backup is there when its manifest is, which comes last. A run that was killed leaves contents that
the next one finds, and a journal of them, so that it need not read those files again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO, Final

from filelock import FileLock, Timeout

from connectors.files import sync_folder, write_atomically
from orchestration.backups.manifest import BackupError, Entry, Manifest
from orchestration.locks import LockBusyError

CHUNK: Final = 1 << 20
SMALL: Final = 8 << 20
_NAME: Final = re.compile(r"(\d{6,})-\S+\.json")
_README: Final = """\
Backups of a meter-to-cash data dir. Restore with: m2c --data-dir NEW restore THIS_FOLDER

sets/ has a manifest for each backup, which says for each path the sha256 of its content; the
content lies in pool/ under that name. Nothing in here may be changed or removed by hand;
`m2c backup --keep N` removes old backups.
"""


class Store:
    """One such folder. Use `writing` around everything that adds or removes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._partial = root / ".partial"
        self._journal = self._partial / "journal.jsonl"
        self._unsynced: set[Path] = set()
        self.copied_files = 0
        self.copied_bytes = 0

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One at a time; raises LockBusyError at once if another run is at it."""
        self.root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.root / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise LockBusyError(
                f"another backup to {self.root}, or a restore from it, is going on"
            ) from None
        try:
            self._partial.mkdir(exist_ok=True)
            for left in self._partial.glob("*.tmp"):
                left.unlink()
            readme = self.root / "README.txt"
            if not readme.exists():
                write_atomically(readme, _README.encode(), temporary_dir=self._partial)
            yield
        finally:
            lock.release()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Keep others from removing backups meanwhile, as far as this folder can be written to."""
        try:
            lock = FileLock(self.root / ".lock")
            lock.acquire(timeout=0)
        except Timeout:
            raise LockBusyError(f"a backup to {self.root} is going on") from None
        except OSError:  # read-only: nobody else can write either
            yield
            return
        try:
            yield
        finally:
            lock.release()

    # sets

    def names(self) -> list[Path]:
        """The manifests, oldest first."""
        found = [p for p in (self.root / "sets").glob("*.json") if _NAME.fullmatch(p.name)]
        return sorted(found, key=lambda path: int(path.name.split("-")[0]))

    def newest(self) -> Manifest | None:
        """The newest backup. Raises BackupError if its manifest is damaged."""
        names = self.names()
        return Manifest.read(names[-1]) if names else None

    def find(self, name: str | None) -> Manifest:
        """The backup of that name, the newest without one. Raises BackupError."""
        names = self.names()
        if not names:
            raise BackupError(f"there is no backup in {self.root}")
        if name is None:
            return Manifest.read(names[-1])
        for path in names:
            if name in (path.name, path.stem, path.stem.split("-")[0].lstrip("0")):
                return Manifest.read(path)
        raise BackupError(
            f"there is no backup {name} in {self.root}; there are "
            f"{', '.join(path.stem for path in names[-10:])}"
        )

    def next_number(self) -> int:
        names = self.names()
        return int(names[-1].name.split("-")[0]) + 1 if names else 1

    def publish(self, manifest: Manifest) -> Path:
        """Put the manifest in place: now it is a backup."""
        for folder in sorted(self._unsynced):
            sync_folder(folder)
        path = self.root / "sets" / f"{manifest.name}.json"
        write_atomically(path, manifest.dumps().encode(), temporary_dir=self._partial)
        self._journal.unlink(missing_ok=True)
        return path

    def keep(self, count: int) -> int:
        """Remove all backups but the newest `count`, and contents that no backup names; how many
        backups went."""
        removed = self.names()[:-count]
        for path in removed:
            path.unlink()
        if removed:
            sync_folder(self.root / "sets")
            named = {entry.sha256 for path in self.names() for entry in Manifest.read(path).files}
            for content in (self.root / "pool").glob("*/*"):
                if content.name not in named:
                    content.unlink()
        return len(removed)

    # contents

    def content(self, sha256: str) -> Path:
        return self.root / "pool" / sha256[:2] / sha256

    def has(self, entry: Entry) -> bool:
        """Whether the content lies there in its size; only reading it tells whether it is whole."""
        try:
            return self.content(entry.sha256).stat().st_size == entry.size
        except FileNotFoundError:
            return False

    def unfinished(self) -> dict[str, Entry]:
        """What a killed run had copied, by path."""
        found: dict[str, Entry] = {}
        try:
            lines = self._journal.read_text().splitlines()
        except FileNotFoundError:
            return found
        for line in lines:
            try:
                entry = Entry(**json.loads(line))
            except (ValueError, TypeError):  # cut by the kill
                continue
            found[entry.path] = entry
        return found

    def add(self, source: Path, path: str, *, journal: bool = False) -> Entry:
        """Copy a file into the pool, unless its content is there; its entry under the name `path`.

        Raises FileNotFoundError if it has gone, BackupError if it changes while it is read.
        """
        for _ in range(5):
            before = source.stat()
            entry = self._found(source, path) or self._add_once(source, path)
            after = source.stat()
            same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
            if same and entry.size == before.st_size:
                if journal:
                    with self._journal.open("a") as file:
                        file.write(json.dumps(asdict(entry)) + "\n")
                return entry
        raise BackupError(f"{source} is being written to all the time; run this again later")

    def _found(self, source: Path, path: str) -> Entry | None:
        """The entry of a small file whose content is there: nothing is written to find that out."""
        with source.open("rb") as stream:
            status = os.fstat(stream.fileno())
            if status.st_size > SMALL:
                return None
            content = stream.read()
        entry = Entry(
            path=path,
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            mtime_ns=status.st_mtime_ns,
            mode=status.st_mode & 0o777,
        )
        return entry if self.has(entry) else None

    def _add_once(self, source: Path, path: str) -> Entry:
        temporary = self._partial / f"{uuid.uuid4().hex}.tmp"
        try:
            with source.open("rb") as content:
                status = os.fstat(content.fileno())
                sha256, size = _write(content, temporary)
            entry = Entry(
                path=path,
                size=size,
                sha256=sha256,
                mtime_ns=status.st_mtime_ns,
                mode=status.st_mode & 0o777,
            )
            target = self.content(entry.sha256)
            if self.has(entry):
                return entry
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.chmod(0o444)
            temporary.replace(target)
            self._unsynced |= {target.parent, target.parent.parent, self.root}
            self.copied_files += 1
            self.copied_bytes += size
            return entry
        except OSError as error:
            raise _naming(error, temporary) from error
        finally:
            temporary.unlink(missing_ok=True)

    def check(self, entry: Entry) -> str | None:
        """What is wrong with a content, None if it is what the manifest says."""
        try:
            with self.content(entry.sha256).open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            return _missing(entry, self.content(entry.sha256), error)
        return _altered(entry, self.content(entry.sha256), digest)

    def fetch(self, entry: Entry, target: Path) -> str | None:
        """Copy a content to `target`, at once and on the disk; what is wrong with it, None if it is
        what the manifest says. What a killed run fetched is only read again."""
        if target.is_file() and target.stat().st_size == entry.size:
            with target.open("rb") as stream:
                if hashlib.file_digest(stream, "sha256").hexdigest() == entry.sha256:
                    return None
        source = self.content(entry.sha256)
        temporary = target.with_name(f".{uuid.uuid4().hex}.tmp")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            try:
                content = source.open("rb")
            except OSError as error:
                return _missing(entry, source, error)
            with content:
                sha256, _ = _write(content, temporary)
            if (problem := _altered(entry, source, sha256)) is not None:
                return problem
            temporary.chmod(entry.mode)
            os.utime(temporary, ns=(entry.mtime_ns, entry.mtime_ns))
            temporary.replace(target)
            return None
        except OSError as error:
            raise _naming(error, target) from error
        finally:
            temporary.unlink(missing_ok=True)

    def free_bytes(self) -> int:
        return shutil.disk_usage(self.root).free


def _write(content: BinaryIO, target: Path) -> tuple[str, int]:
    """Copy a stream to a new file, on the disk when this returns; its sha256 and size."""
    digest, size = hashlib.sha256(), 0
    with target.open("xb") as out:
        while chunk := content.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest(), size


def _naming(error: OSError, path: Path) -> OSError:
    """The error with the file that was written to, which a write does not name."""
    if error.filename is None:
        return type(error)(error.errno, error.strerror, str(path))
    return error


def _missing(entry: Entry, content: Path, error: OSError) -> str:
    return f"{entry.path}: its content {content} cannot be read: {error.strerror}"


def _altered(entry: Entry, content: Path, found: str) -> str | None:
    if found == entry.sha256:
        return None
    return (
        f"{entry.path}: its content {content} was altered: sha256 is {found[:16]}…, the manifest "
        f"says {entry.sha256[:16]}…"
    )
