"""Care of the ledger, as the terminal runs it: copies, restores, proof that no fact is missing, and
reconciling what a restore lost. Backups of the whole data dir are `backups`."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC
from pathlib import Path

from exporters.ledger import ChainFault, ChainHead, KnownHead, Ledger, LedgerError, copies, restored
from exporters.ledger.chain import GENESIS
from exporters.ledger.copies import checked_copy, in_words
from exporters.ledger.errors import SpoiledCopyError
from exporters.reconcile.kept import heads_in_marts, keep_marts
from exporters.reconcile.reconcile import Reconciliation, XeroStep, reconcile
from exporters.xero import XeroConfig, is_configured
from exporters.xero.reading_back import XeroReadBack
from orchestration.backups.putback import alone_on
from orchestration.backups.take import backup_dirs, heads_in_backups
from orchestration.ledger import actor_named, open_ledger
from orchestration.runs import Report
from orchestration.settings import Clock, DataDir, SettingsError

Say = Callable[[str], None]


def known_heads(data_dir: DataDir, named: tuple[Path, ...] = ()) -> tuple[KnownHead, ...]:
    """Every head of the ledger that is known outside of it: of published and kept marts, of
    backups, and of copies and folders that are named."""
    folders = [path for path in named if path.is_dir()]
    return (
        *heads_in_marts(data_dir.marts),
        *heads_in_backups([*folders, *backup_dirs(data_dir)]),
        *(head_of_copy(path) for path in named if not path.is_dir()),
    )


def head_of_copy(path: Path) -> KnownHead:
    """The head of a copy of the ledger, as it says itself. Raises SpoiledCopyError."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as con:
            row = con.execute("SELECT seq, hash FROM chain ORDER BY seq DESC LIMIT 1").fetchone()
    except sqlite3.Error as error:
        raise SpoiledCopyError(f"{path} is no whole copy of a ledger: {error}") from error
    facts, head = row or (0, GENESIS)
    return KnownHead(str(head), f"the copy {path}", int(facts) or None)


def verify_ledger(data_dir: DataDir, named: tuple[Path, ...]) -> Report:
    """Read the whole ledger against its chain, and against every head known elsewhere."""
    if not data_dir.has_ledger():
        raise SettingsError(f"{data_dir.root} has no ledger yet: nothing was closed there")
    heads = known_heads(data_dir, named)
    with open_ledger(data_dir, acting_as="verify") as ledger, ledger.snapshot() as reader:
        accounted = restored.accounted_heads(reader)
        compared = tuple(head for head in heads if head.hash not in accounted)
        return _verified(ledger.url, reader.head(), reader.verify(heads=compared), compared)


def verify_copy(path: Path, *, clock: Clock) -> Report:
    """Read a copy of a ledger against its own chain."""
    try:
        with checked_copy(path, clock=clock) as copy:
            return _verified(str(path), copy.head(), (), ())
    except SpoiledCopyError as error:
        faults = [{"kind": "spoiled", "table": None, "row_id": None, "message": str(error)}]
        return {"ledger": str(path), "faults": faults, "words": [str(error)], "exit_code": 1}


def _verified(
    shown: str,
    head: ChainHead,
    faults: tuple[ChainFault, ...],
    compared: tuple[KnownHead, ...],
) -> Report:
    words = [f"{shown}: {head.facts} facts, head {head.hash[:12]}…"]
    if faults:
        words += [f"  {fault.kind}: {fault.message}" for fault in faults]
        words.append(
            f"{len(faults)} fault{'s' * (len(faults) != 1)}: a whole copy can be restored "
            "(m2c ledger restore, m2c restore)"
        )
    else:
        words.append(
            "every fact is as it was written; "
            + (
                f"heads of it known elsewhere, all of them held: {len(compared)}"
                if compared
                else "no head of it is known elsewhere"
            )
        )
    return {
        "ledger": shown,
        "facts": head.facts,
        "head": head.hash,
        "heads_compared": [
            {"source": known.source, "facts": known.facts, "head": known.hash} for known in compared
        ],
        "faults": [
            {"kind": f.kind, "table": f.table, "row_id": f.row_id, "message": f.message}
            for f in faults
        ],
        "words": words,
        "exit_code": int(bool(faults)),
    }


def back_up_ledger(
    data_dir: DataDir, target: Path | None, *, clock: Clock, force: bool = False
) -> Report:
    """Copy the ledger to a file, or into a folder under a name of its own."""
    if not data_dir.has_ledger():
        raise SettingsError(f"{data_dir.root} has no ledger yet: nothing was closed there")
    with open_ledger(data_dir, acting_as="backup") as ledger:
        place = _place_of_copy(data_dir, target, clock)
        if place == ledger.path:
            raise SettingsError(f"{place} is the ledger itself")
        if place.exists() and not force:
            _require_continued(ledger, place)
        copy = copies.back_up(ledger, place)
    words = [f"{copy.path}: {copy.head.facts} facts, head {copy.head.hash[:12]}…"]
    if copy.faults:
        words.append(f"for a person: the ledger itself does not verify: {in_words(copy.faults)}")
    return {
        "copy": str(copy.path),
        "facts": copy.head.facts,
        "head": copy.head.hash,
        "schema": copy.schema,
        "faults": [fault.message for fault in copy.faults],
        "words": words,
        "exit_code": int(bool(copy.faults)),
    }


def _place_of_copy(data_dir: DataDir, target: Path | None, clock: Clock) -> Path:
    if target is not None and not target.is_dir():
        return target.resolve()
    folder = target or data_dir.backups / "ledger"
    return folder.resolve() / f"ledger-{clock().astimezone(UTC):%Y%m%dT%H%M%S.%fZ}.sqlite"


def _require_continued(ledger: Ledger, place: Path) -> None:
    """A copy may be replaced by a later one of the same ledger, by nothing else."""
    with ledger.snapshot() as reader:
        held = reader.holds(head_of_copy(place).hash)
    if not held:
        raise LedgerError(
            f"{place} is a copy of another ledger, or a newer one: it is not overwritten unless "
            "you say --force"
        )


def restore_ledger(
    data_dir: DataDir, source: Path, *, clock: Clock, force: bool, say: Say | None = None
) -> Report:
    """Put a copy of the ledger in its place; the one that was there is kept aside."""
    with alone_on(data_dir, on_wait=say):
        keep_marts(data_dir.marts)
        done = copies.restore(
            data_dir.ledger_url,
            source,
            clock=clock,
            actor=actor_named("restore"),
            source=f"copy {source.resolve()}",
            kept_aside=data_dir.ledger_file.parent,
            lose_newer=force,
        )
    if done.already:
        words = [f"the ledger is {source} already, restored and not used since"]
    else:
        words = [f"restored {source}: {done.copy.facts} facts, head {done.copy.hash[:12]}…"]
    if done.kept_aside is not None:
        words.append(f"the ledger that was there is {done.kept_aside}")
    words += [f"lost: {count} of {table}" for table, count in sorted(done.lost.items())]
    words += [
        "--apply and issue are refused until the ledger is reconciled with what was sent since",
        "next: m2c reconcile, then m2c build",
    ]
    return {
        "facts": done.copy.facts,
        "head": done.copy.hash,
        "kept_aside": None if done.kept_aside is None else str(done.kept_aside),
        "lost": done.lost,
        "already": done.already,
        "words": words,
        "exit_code": 0,
    }


def reconcile_data_dir(
    data_dir: DataDir, *, dry_run: bool, by: str, clock: Clock, say: Say | None = None
) -> Reconciliation:
    """Compare the ledger with what is known elsewhere, and write down what it lacks."""
    if not data_dir.has_ledger():
        raise SettingsError(f"{data_dir.root} has no ledger: restore one first")
    with (
        alone_on(data_dir, purpose="reconciling", on_wait=say),
        open_ledger(data_dir, acting_as=by) as ledger,
    ):
        return reconcile(
            ledger,
            data_dir.marts,
            outbox_dir=data_dir.outbox,
            known_heads=heads_in_backups(backup_dirs(data_dir)),
            xero=_xero_step(data_dir, ledger, clock),
            dry_run=dry_run,
        )


def _xero_step(data_dir: DataDir, ledger: Ledger, clock: Clock) -> XeroStep | None:
    if not is_configured(os.environ):
        return None
    config = XeroConfig.from_environment(os.environ, data_dir=data_dir.root)
    return XeroReadBack(ledger, data_dir.marts, config=config, clock=clock)
