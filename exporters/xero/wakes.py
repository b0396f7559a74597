"""Marks that something changed in Xero: left by whoever is told (webhooks), taken away by the poll
that began after them. One file a mark, so that none is lost between two processes."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Collection, Iterable
from datetime import datetime
from pathlib import Path


def leave(folder: Path, *, at: datetime, tenants: Iterable[str]) -> Path:
    """Leave a mark; it is whole and on the disk when this returns."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{at:%Y%m%dT%H%M%S.%fZ}-{uuid.uuid4().hex[:8]}.json"
    partial = folder / f".{name}"
    with partial.open("w", encoding="utf-8") as file:
        json.dump({"tenants": sorted(tenants)}, file)
        file.flush()
        os.fsync(file.fileno())
    return partial.replace(folder / name)


def waiting(folder: Path) -> list[Path]:
    """The marks that no poll has answered yet, oldest first."""
    return sorted(folder.glob("*.json"))


def answered(marks: Collection[Path]) -> None:
    """A poll that began after these marks has read everything."""
    for mark in marks:
        mark.unlink(missing_ok=True)
