"""Where reports are put: safe names, whole files only, and a note of what was rendered from what.

A folder's `.rendered.json` remembers for each file stem which statement it shows and a fingerprint
of everything that went into it, so that a second rendering of the same content does nothing and
previews disappear once they are replaced.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from exporters.statements.text import file_stem

INDEX = ".rendered.json"
_PREVIEW = "preview-"


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """What the index says about one stem."""

    statement_id: str
    fingerprints: Mapping[str, str]
    """by format"""


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def stems_for(statements: Collection[tuple[str, str | None]]) -> dict[str, str]:
    """File stems by statement_id for (statement_id, statement_number or None) of one folder.

    Issued statements are called by their number, others `preview-…`; names that differ in nothing
    but case (one file on some systems) are told apart."""
    wanted = {
        statement_id: file_stem(number) if number else f"{_PREVIEW}{file_stem(statement_id)}"
        for statement_id, number in statements
    }
    clashes = Counter(stem.casefold() for stem in wanted.values())
    return {
        statement_id: stem
        if clashes[stem.casefold()] == 1
        else f"{stem}-{hashlib.sha256(statement_id.encode()).hexdigest()[:8]}"
        for statement_id, stem in wanted.items()
    }


def read_index(folder: Path) -> dict[str, Rendered]:
    """What was rendered into `folder` before; nothing if that is not known."""
    try:
        loaded: Any = json.loads((folder / INDEX).read_text("utf-8"))
        return {
            stem: Rendered(statement_id=entry["statement_id"], fingerprints=entry["fingerprints"])
            for stem, entry in loaded.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # Only a memory of work done: without it everything is rendered again.
        return {}


class RenderedFolder:
    """The rendered files of a folder, by the statement that they show."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._index = read_index(folder)
        self._stems = {
            rendered.statement_id: stem
            for stem, rendered in self._index.items()
            if not stem.startswith(_PREVIEW)
        }

    def files(self, number: str, statement_id: str, *, suffixes: Collection[str]) -> list[Path]:
        """The files of one issued statement, in the order of `suffixes` (without dot); none that
        the folder's index says show another one."""
        stem = self._stems.get(statement_id) or file_stem(number)
        known = self._index.get(stem)
        if known is not None and known.statement_id != statement_id:
            return []
        paths = [self._folder / f"{stem}.{suffix}" for suffix in suffixes]
        return [path for path in paths if path.is_file()]


def write_index(folder: Path, index: Mapping[str, Rendered]) -> None:
    entries = {
        stem: {"statement_id": r.statement_id, "fingerprints": dict(sorted(r.fingerprints.items()))}
        for stem, r in sorted(index.items())
    }
    write_atomically(folder / INDEX, json.dumps(entries, indent=1).encode())


@cache
def program_hash() -> str:
    """A hash of this package: a change of template or code renders anew."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for path in sorted(here.rglob("*")):
        if path.suffix in {".py", ".typ", ".html", ".css", ".yml"}:
            digest.update(path.relative_to(here).as_posix().encode() + b"\0")
            digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def fingerprint(*parts: object) -> str:
    """A hash of everything that a file shows, and of the program that makes it."""
    digest = hashlib.sha256(program_hash().encode())
    for part in parts:
        digest.update(json.dumps(part, default=str, sort_keys=True).encode() + b"\0")
    return digest.hexdigest()
