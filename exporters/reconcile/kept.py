"""Published marts that are kept because they know of a ledger that is no longer there: the next
build would replace them, and what they know of issued statements and reminders with them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from exporters.ledger.chain import GENESIS, KnownHead
from exporters.marts import MartsError, open_marts


def kept_folder(marts_path: Path) -> Path:
    """Where marts are kept, beside the published ones."""
    return marts_path.parent / "kept"


def all_marts(marts_path: Path) -> tuple[Path, ...]:
    """The published marts and those kept, oldest first, as far as they are there."""
    kept = sorted(kept_folder(marts_path).glob("marts-*.duckdb"), key=lambda p: p.stat().st_mtime)
    return (*kept, *((marts_path,) if marts_path.is_file() else ()))


def head_of(path: Path) -> str | None:
    """The head of the ledger that marts were built with; None if they had no ledger, or say
    nothing of one."""
    try:
        with open_marts(path) as marts:
            head = marts.build_info().get("ledger_head")
    except MartsError:
        return None
    return None if head in (None, GENESIS) else str(head)


def heads_in_marts(marts_path: Path) -> tuple[KnownHead, ...]:
    """The heads that published and kept marts remember, each once."""
    found: dict[str, KnownHead] = {}
    for path in all_marts(marts_path):
        head = head_of(path)
        if head is not None:
            found.setdefault(head, KnownHead(head, str(path)))
    return tuple(found.values())


def keep_marts(marts_path: Path) -> Path | None:
    """Keep the published marts under the name of their head, where no build replaces them; where
    they are kept, None if they know of no ledger. Whoever reads the published ones is not
    disturbed."""
    head = head_of(marts_path)
    if head is None:
        return None
    target = kept_folder(marts_path) / f"marts-{head[:16]}.duckdb"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        # A build replaces the published file by a rename: a second name keeps the old content.
        os.link(marts_path, partial)
    except OSError:
        shutil.copyfile(marts_path, partial)
    partial.replace(target)
    return target
