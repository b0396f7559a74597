"""Restoring a backup. Everything is copied beside the data dir's own folders and checked first;
then all of them are exchanged, the old ones put aside. A run that was killed while copying goes on
where it was; one that was killed while exchanging is finished by the next, and until then nothing
else runs on the data dir.
"""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path
from typing import Any, Final

from connectors.files import sync_folder, write_atomically
from exporters.ledger import Actor, LedgerError, copies
from exporters.ledger.copies import Restored, checked_copy
from exporters.reconcile.kept import keep_marts
from orchestration.backups.manifest import LEDGER, BackupError, Entry, Manifest
from orchestration.backups.store import Store
from orchestration.ledger import open_ledger
from orchestration.locks import SWITCHING, hold
from orchestration.settings import Clock, DataDir
from orchestration.stores import Lacking, lacking_at_url

PARTS: Final = ("landing", "book", "rejected")  # of the set, beside the ledger
DERIVED: Final = ("warehouse", "published")
LOCKS: Final = (
    "runs",
    "xero-runs",
    "webhook-runs",
    "warehouse",
    "dbt",
    "notices",
    "webhooks",
    "book",
)
SHOWN: Final = 20


@dataclass(frozen=True, kw_only=True)
class PutBack:
    """What a restore did, or would do. `aside`: where the old folders lie, None if there were
    none."""

    manifest: Manifest
    source: Path
    dry_run: bool
    aside: Path | None = None
    ledger: Restored | None = None
    lacking: Lacking | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "backup": self.manifest.name,
            "made_at": self.manifest.made_at,
            "files": len(self.manifest.files),
            "bytes": self.manifest.total_bytes,
            "ledger": self.manifest.ledger,
            "book_version": self.manifest.book_version,
            "dry_run": self.dry_run,
            "kept_aside": None if self.aside is None else str(self.aside),
            "ledger_kept_aside": str(self.ledger.kept_aside)
            if self.ledger and self.ledger.kept_aside
            else None,
            "lacking_at_url": [] if self.lacking is None else list(self.lacking.paths),
            "words": self.describe(),
            "exit_code": int(self.lacking is not None),
        }

    def describe(self) -> list[str]:
        """The restore in words."""
        manifest = self.manifest
        head = (
            f"backup {manifest.name} of {manifest.data_dir} on {manifest.host}: "
            f"{len(manifest.files)} files"
        )
        if self.dry_run:
            return [f"{head} are whole; nothing was changed (dry run)"]
        lines = [f"{head} are restored"]
        if self.aside is not None:
            lines.append(f"what was there before is in {self.aside}")
        if self.ledger is not None and self.ledger.kept_aside is not None:
            lines.append(f"the ledger that was there is {self.ledger.kept_aside}")
        if manifest.ledger is not None:
            lines.append(
                "--apply and issue are refused until the ledger is reconciled with what was sent "
                "since"
            )
        if self.lacking is not None:
            lines.append(f"for a person: {self.lacking.describe()}")
        lines.append("next: m2c build, then m2c reconcile")
        return lines


def put_back(
    data_dir: DataDir,
    source: Path,
    *,
    clock: Clock,
    actor: Actor,
    name: str | None = None,
    force: bool = False,
    dry_run: bool = False,
    on_wait: Callable[[str], None] | None = None,
) -> PutBack:
    """Restore the backup `name` (the newest) of the folder `source` into the data dir.

    Everything is verified before anything is touched. force: also where the data dir holds
    something, which is kept aside. Raises BackupError naming each file that differs, LedgerError,
    LockBusyError, OSError; StoreError where M2C_LANDING_URL cannot be compared, when all else is
    done.
    """
    done = _put_back(data_dir, source, clock, actor, name, force, dry_run, on_wait)
    if dry_run:
        return done
    landed = {
        entry.path.removeprefix("landing/"): entry.size
        for entry in done.manifest.files
        if entry.path.startswith("landing/")
    }
    return replace(done, lacking=lacking_at_url(data_dir, landed))


def _put_back(
    data_dir: DataDir,
    source: Path,
    clock: Clock,
    actor: Actor,
    name: str | None,
    force: bool,
    dry_run: bool,
    on_wait: Callable[[str], None] | None,
) -> PutBack:
    work = _Work(data_dir, clock, actor, on_wait)
    if work.is_switching() and not dry_run:
        return work.finish(source, name)
    store = Store(source.resolve())
    with store.reading():
        manifest = store.find(name)
        if dry_run:
            _refuse(
                [p for entry in manifest.files if (p := store.check(entry)) is not None], manifest
            )
            _check_ledger(store.content(_ledger_entry(manifest).sha256), manifest, clock)
            return PutBack(manifest=manifest, source=store.root, dry_run=True)
        if not force:
            work.refuse_to_overwrite()
        work.stage(store, manifest)
    return work.switch(store, manifest, force=force)


class _Work:
    def __init__(
        self,
        data_dir: DataDir,
        clock: Clock,
        actor: Actor,
        on_wait: Callable[[str], None] | None,
    ) -> None:
        self._data_dir, self._clock, self._actor = data_dir, clock, actor
        self._on_wait = on_wait
        self._room = data_dir.restoring
        self._marker = self._room / SWITCHING

    def is_switching(self) -> bool:
        return self._marker.exists()

    def refuse_to_overwrite(self) -> None:
        """Raise BackupError if the data dir holds anything that a restore would replace."""
        root = self._data_dir.root
        held = [name for name in PARTS if any(p.is_file() for p in (root / name).rglob("*"))]
        if self._holds_facts():
            held.append("a ledger")
        if held:
            raise BackupError(
                f"{self._data_dir.root} is not empty: it has {', '.join(held)}. Restore into an "
                "empty folder (m2c --data-dir NEW restore …), or say --force: what is there is "
                "then kept aside"
            )

    def _holds_facts(self) -> bool:
        if not self._data_dir.has_ledger():
            return False
        try:
            with open_ledger(self._data_dir, acting_as="restore") as ledger:
                return ledger.head().facts > 0
        except LedgerError:
            if self._data_dir.ledger_file.exists():
                return True  # unreadable, but something
            raise

    # copying

    def stage(self, store: Store, manifest: Manifest) -> None:
        """Copy the backup beside what is there, checking every byte of it."""
        said = self._room / "backup.json"
        mine = f"{store.root}\n{manifest.name}\n{manifest.dumps()[-70:]}"
        if not said.exists() or said.read_text() != mine:
            shutil.rmtree(self._room, ignore_errors=True)
            write_atomically(said, mine.encode())
        new = self._room / "new"
        for name in PARTS:
            (new / name).mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self._room).free
        have = sum(p.stat().st_size for p in new.rglob("*") if p.is_file())
        if manifest.total_bytes - have > free:
            raise OSError(
                errno.ENOSPC,
                f"{manifest.total_bytes - have:,} bytes are to be restored and {free:,} are free",
                str(self._data_dir.root),
            )
        problems = [
            problem
            for entry in manifest.files
            if (problem := store.fetch(entry, new / entry.path)) is not None
        ]
        _refuse(problems, manifest)
        wanted = {entry.path for entry in manifest.files}
        for path in [p for p in new.rglob("*") if p.is_file()]:
            if path.relative_to(new).as_posix() not in wanted:
                path.unlink()
        for empty in manifest.folders:
            (new / empty).mkdir(parents=True, exist_ok=True)
        for folder in {path.parent for path in new.rglob("*")}:
            sync_folder(folder)
        if manifest.ledger is not None:
            _check_ledger(new / LEDGER, manifest, self._clock)

    # exchanging

    def switch(self, store: Store, manifest: Manifest, *, force: bool) -> PutBack:
        """Put what was copied in place, with nothing else going on."""
        stamp = self._clock().astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        aside, count = self._data_dir.root / f"before-restore-{stamp}", 1
        while aside.exists():
            count += 1
            aside = self._data_dir.root / f"before-restore-{stamp}-{count}"
        with self._alone():
            if not force:
                self.refuse_to_overwrite()  # somebody may have begun here while it was copied
            write_atomically(self._room / "manifest.json", manifest.dumps().encode())
            write_atomically(
                self._marker,
                json.dumps(
                    {"source": str(store.root), "backup": manifest.name, "aside": aside.name}
                ).encode(),
            )
            return self._exchange(manifest, store.root, aside)

    def finish(self, source: Path, name: str | None) -> PutBack:
        """Finish what a killed run began to exchange."""
        said = json.loads(self._marker.read_text())
        manifest = Manifest.read(self._room / "manifest.json")
        if source.resolve() != Path(said["source"]) or name not in (None, manifest.name):
            raise BackupError(
                f"a restore of {said['backup']} from {said['source']} was cut short: finish it "
                f"first, with m2c restore {said['source']}"
            )
        with self._alone():
            aside = self._data_dir.root / said["aside"]
            return self._exchange(manifest, Path(said["source"]), aside)

    def _alone(self) -> AbstractContextManager[None]:
        return alone_on(self._data_dir, on_wait=self._on_wait)

    def _exchange(self, manifest: Manifest, source: Path, aside: Path) -> PutBack:
        root, new = self._data_dir.root, self._room / "new"
        keep_marts(self._data_dir.marts)
        restored = self._restore_ledger(manifest, source, aside)
        for name in DERIVED:
            self._put_aside(root / name, aside / name)
        for name in PARTS:
            # Once the new one is in place there is nothing left of it to be put there.
            if (new / name).exists():
                self._put_aside(root / name, aside / name)
                (new / name).rename(root / name)
                sync_folder(root)
        self._marker.unlink()
        sync_folder(self._room)
        shutil.rmtree(self._room)
        return PutBack(
            manifest=manifest,
            source=source,
            dry_run=False,
            aside=aside if aside.exists() else None,
            ledger=restored,
        )

    def _restore_ledger(self, manifest: Manifest, source: Path, aside: Path) -> Restored | None:
        if manifest.ledger is None:
            if self._data_dir.has_ledger() and self._data_dir.ledger_file.exists():
                self._put_aside(self._data_dir.ledger_file.parent, aside / "ledger")
            return None
        return copies.restore(
            self._data_dir.ledger_url,
            self._room / "new" / LEDGER,
            clock=self._clock,
            actor=self._actor,
            source=f"backup {manifest.name} of {manifest.made_at} in {source}",
            kept_aside=aside / "ledger",
            lose_newer=True,  # asked before anything was touched
        )

    def _put_aside(self, path: Path, target: Path) -> None:
        if not path.exists():
            return
        if path.name == "published":
            # Marts that are kept say what a restored ledger lost: they stay.
            for file in path.iterdir():
                if file.is_file():
                    target.mkdir(parents=True, exist_ok=True)
                    file.replace(target / file.name)
            return
        if target.exists():  # by a run that was cut short
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
        sync_folder(target.parent)


@contextmanager
def alone_on(
    data_dir: DataDir, *, purpose: str = "restoring", on_wait: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Hold whatever closes, issues, publishes, reminds, builds or edits."""
    with ExitStack() as stack:
        for name in LOCKS:
            stack.enter_context(
                hold(data_dir.locks, name, purpose=purpose, on_wait=on_wait, while_switching=True)
            )
        yield


def _ledger_entry(manifest: Manifest) -> Entry:
    return manifest.by_path()[LEDGER]


def _refuse(problems: list[str], manifest: Manifest) -> None:
    if not problems:
        return
    more = f"\n  and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    raise BackupError(
        f"backup {manifest.name} is damaged, and nothing was restored: {len(problems)} of "
        f"{len(manifest.files)} files differ from what the manifest says:\n  "
        + "\n  ".join(problems[:SHOWN])
        + more
        + "\nAnother backup may be whole (--backup NAME)"
    )


def _check_ledger(path: Path, manifest: Manifest, clock: Clock) -> None:
    if manifest.ledger is None:
        return
    with checked_copy(path, clock=clock) as copy:
        head = copy.head()
    if (head.facts, head.hash) != (manifest.ledger["facts"], manifest.ledger["head"]):
        raise BackupError(
            f"backup {manifest.name}: its ledger has {head.facts} facts and head "
            f"{head.hash[:12]}…, the manifest says {manifest.ledger['facts']} and "
            f"{manifest.ledger['head'][:12]}…"
        )
