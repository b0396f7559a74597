"""Faults of the machine that a person can mend, in words: a disk that is full or read-only."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

_NOTHING_LEFT: Final = 1_000_000

_REMEDIES: Final = {
    errno.ENOSPC: "the disk is full: free space there",
    errno.EDQUOT: "the quota of the disk is used up: free space there",
    errno.EFBIG: "it may not grow so large: raise the limit (ulimit -f), or free space there",
    errno.EROFS: "the disk is read-only: make it writable",
    errno.EACCES: "this account may not write or read there: give it the right",
    errno.EPERM: "this account may not write or read there: give it the right",
    errno.EIO: "the disk fails: look at it before anything else",
}
# As other programs say it who hand on no error number (DuckDB, dbt, Arrow).
_SIGNS: Final = {
    "No space left on device": errno.ENOSPC,
    "Disk quota exceeded": errno.EDQUOT,
    "File too large": errno.EFBIG,
    "Read-only file system": errno.EROFS,
    "Permission denied": errno.EACCES,
    "Input/output error": errno.EIO,
    # SQLite: Dagster's own files.
    "database or disk is full": errno.ENOSPC,
    "disk I/O error": errno.EIO,
    "attempt to write a readonly database": errno.EROFS,
    "unable to open database file": errno.EACCES,
}
_PATH: Final = re.compile(r"[\"'](/[^\"']+)[\"']")


def disk_in_words(error: BaseException, places: Sequence[Path]) -> str | None:
    """What is wrong with which file and what to do, None if it is no fault of a disk. `places` are
    the folders that were written to: the system does not say which file it could not write."""
    for found in _causes(error):
        number = found.errno if isinstance(found, OSError) else None
        where = found.filename if isinstance(found, OSError) else None
        text = str(found)
        if number not in _REMEDIES:
            number = next((n for sign, n in _SIGNS.items() if sign in text), None)
        if number is None:
            continue
        if number == errno.EIO and any(_is_full(place) for place in places):
            number = errno.ENOSPC
        if where is None:
            named = _PATH.search(text)
            where = named[1] if named else None
        shown = where if where is not None else _likeliest(places, number)
        said = f" ({found.strerror})" if isinstance(found, OSError) and found.strerror else ""
        return f"{shown}: {_REMEDIES[number]}, and run this again{said}"
    return None


def _likeliest(places: Sequence[Path], number: int) -> str:
    """The folder whose disk has nothing left, or the first."""
    if number in (errno.ENOSPC, errno.EDQUOT):
        for place in places:
            if _is_full(place):
                return f"the disk of {place}"
    return f"a file below {places[0]}"


def _is_full(place: Path) -> bool:
    try:
        return shutil.disk_usage(place).free < _NOTHING_LEFT
    except OSError:
        return False


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        yield at
        at = at.__cause__ or at.__context__
