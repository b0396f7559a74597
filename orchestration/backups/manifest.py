"""What a backup consists of, file by file, as a JSON document that betrays a change of itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

FORMAT: Final = "meter-to-cash backup 1"
LEDGER: Final = "ledger/ledger.sqlite"


class BackupError(Exception):
    """A backup cannot be made or used as it is; the message says what a person can do."""


@dataclass(frozen=True)
class Entry:
    """A file: its path in the data dir, and where its content lies (by sha256, in the pool)."""

    path: str
    size: int
    sha256: str
    mtime_ns: int
    mode: int


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A whole backup. `number` counts the backups of a folder. `ledger`: facts, head and schema of
    the copy, None if there was no ledger. `folders`: those that would be missing, being empty.
    `book_version` is None for a book with faults, which `book_fault` tells."""

    number: int
    name: str
    made_at: str
    data_dir: str
    host: str
    program: str
    book_version: str | None
    book_fault: str | None
    ledger: dict[str, Any] | None
    folders: tuple[str, ...]
    files: tuple[Entry, ...]

    @property
    def total_bytes(self) -> int:
        return sum(entry.size for entry in self.files)

    def by_path(self) -> dict[str, Entry]:
        return {entry.path: entry for entry in self.files}

    def dumps(self) -> str:
        """The document: a line a file, so that a person can search it."""
        head = {name: value for name, value in asdict(self).items() if name != "files"}
        head = {"format": FORMAT, **head, "folders": list(self.folders)}
        files = [_line(entry) for entry in self.files]
        lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in head.items()]
        lines.append('"files": [\n' + ",\n".join(files) + "\n]")
        lines.append(f'"seal": {json.dumps(_seal(head, files))}')
        return "{" + ",\n".join(lines) + "}\n"

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Raises BackupError for a manifest that was altered, or is of another version."""
        try:
            said = json.loads(path.read_text())
            seal, form = said.pop("seal"), said.pop("format")
            entries = tuple(Entry(**entry) for entry in said.pop("files"))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BackupError(f"{path} is damaged or no manifest of a backup: {error}") from error
        if form != FORMAT:
            raise BackupError(
                f"{path} is of another version of this program ({form!r}, not {FORMAT!r})"
            )
        if seal != _seal({"format": form, **said}, [_line(entry) for entry in entries]):
            raise BackupError(f"{path} was altered: its seal does not fit what it says")
        try:
            return cls(**{**said, "folders": tuple(said["folders"])}, files=entries)
        except (TypeError, KeyError) as error:
            raise BackupError(f"{path} is no manifest of a backup: {error}") from error


def _line(entry: Entry) -> str:
    return json.dumps(asdict(entry))


def _seal(head: dict[str, Any], files: list[str]) -> str:
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for line in files:
        digest.update(b"\n" + line.encode())
    return digest.hexdigest()


def under(root: Path, *, with_hidden: bool) -> Iterator[Path]:
    """The files below a folder, in order; none if it is not there. Of the landing zone hidden ones
    are somebody's unfinished work."""
    if not root.is_dir():
        return
    for path in sorted(root.iterdir()):
        if path.name.startswith(".") and not with_hidden:
            continue
        if path.is_dir():
            yield from under(path, with_hidden=with_hidden)
        elif path.is_file():
            yield path
