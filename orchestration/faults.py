"""Faults of the machine that a person can mend, in words: a disk that is full or read-only."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from typing import Final

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
}
_PATH: Final = re.compile(r"[\"'](/[^\"']+)[\"']")


def disk_in_words(error: BaseException) -> str | None:
    """What is wrong with which file and what to do, None if it is no fault of a disk."""
    for found in _causes(error):
        number = found.errno if isinstance(found, OSError) else None
        where = found.filename if isinstance(found, OSError) else None
        text = str(found)
        if number not in _REMEDIES:
            number = next((n for sign, n in _SIGNS.items() if sign in text), None)
        if number is None:
            continue
        if where is None:
            named = _PATH.search(text)
            where = named[1] if named else None
        shown = where if where is not None else "a file that could not be named"
        said = f" ({found.strerror})" if isinstance(found, OSError) and found.strerror else ""
        return f"{shown}: {_REMEDIES[number]}, and run this again{said}"
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        yield at
        at = at.__cause__ or at.__context__
