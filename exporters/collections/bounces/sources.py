"""Where mails that came back lie: a drop folder, or a mailbox (`mailbox`).

A drop folder holds `.eml` files and mboxes. A file whose mails are all settled goes to the folder
of those taken; one with a mail that somebody must look at stays.
"""

from __future__ import annotations

import hashlib
import mailbox as mailboxes
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_MOST_BYTES = 100_000_000
_NOT_WHOLE = frozenset({".part", ".partial", ".tmp", ".crdownload"})


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A mail: `name` is how people find it."""

    name: str
    content: bytes


class Batch(Protocol):
    """Mails that are put away together. `shared`: it lies where people get mail, so that whatever
    is no report stays as it is and is no matter of ours."""

    shared: bool

    @property
    def name(self) -> str: ...

    def letters(self) -> Iterator[Letter]:
        """The mails. Raises OSError where they cannot be read."""

    def put_away(self) -> None:
        """Take them out; they are settled in the ledger. Doing so again does no harm."""


class DroppedFile:
    """One file of the drop folder."""

    shared = False

    def __init__(self, path: Path, taken: Path) -> None:
        self._path = path
        self._taken = taken

    def letters(self) -> Iterator[Letter]:
        size = self._path.stat().st_size
        if size > _MOST_BYTES:
            raise OSError(f"{size:,} bytes, more than the {_MOST_BYTES:,} that are read")
        with self._path.open("rb") as file:
            head = file.read(5)
        if head != b"From ":
            yield Letter(name=self._path.name, content=self._path.read_bytes())
            return
        box = mailboxes.mbox(self._path, create=False)
        try:
            for number, key in enumerate(box.keys(), start=1):
                yield Letter(name=f"{self._path.name}, mail {number}", content=box.get_bytes(key))
        finally:
            box.close()

    @property
    def name(self) -> str:
        return self._path.name

    def put_away(self) -> None:
        self._taken.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(self._path.read_bytes()).hexdigest()[:12]
        self._path.replace(self._taken / f"{digest}-{self._path.name}")


def dropped(inbox: Path, taken: Path) -> list[DroppedFile]:
    """The files of a drop folder that are whole, by name."""
    if not inbox.is_dir():
        return []
    return [
        DroppedFile(path, taken)
        for path in sorted(inbox.iterdir())
        if path.is_file() and path.name[:1] not in ".~" and path.suffix not in _NOT_WHOLE
    ]
