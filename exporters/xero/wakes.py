"""Marks that something changed in Xero: left by whoever is told (webhooks), taken away by the poll
that began after them. One file a mark, so that none is lost between two processes.

A poll that fails leaves its marks where they are, and `attempt` says when to try again.
"""

from __future__ import annotations

import json
import os
import uuid
from bisect import bisect_right
from collections.abc import Collection, Iterable
from datetime import datetime
from pathlib import Path
from typing import Final

RETRY_SECONDS: Final = (120, 600, 1800)
"""How old a mark is when the poll is tried again; from the last one on, as often as that."""


def leave(folder: Path, *, at: datetime, tenants: Iterable[str]) -> Path:
    """Leave a mark; it is whole and on the disk when this returns."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{at:%Y%m%dT%H%M%S.%fZ}-{uuid.uuid4().hex[:8]}.json"
    partial = folder / f"{name}.partial"
    with partial.open("w", encoding="utf-8") as file:
        json.dump({"tenants": sorted(tenants)}, file)
        file.flush()
        os.fsync(file.fileno())
    mark = partial.replace(folder / name)
    entries = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(entries)
    finally:
        os.close(entries)
    return mark


def waiting(folder: Path) -> list[Path]:
    """The marks that no poll has answered yet, oldest first."""
    return sorted(folder.glob("*.json"))


def attempt(mark: Path, *, now: float) -> int:
    """Which attempt to answer a mark is due at `now` (seconds since the epoch), from 0. A mark that
    was answered meanwhile needs none: 0."""
    try:
        age = now - mark.stat().st_mtime
    except FileNotFoundError:
        return 0
    last = RETRY_SECONDS[-1]
    return (
        bisect_right(RETRY_SECONDS, age)
        if age < last
        else len(RETRY_SECONDS) - 1 + int(age // last)
    )


def answered(marks: Collection[Path]) -> None:
    """A poll that began after these marks has read everything."""
    for mark in marks:
        mark.unlink(missing_ok=True)
