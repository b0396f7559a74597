"""Backups of a data dir as one set: complete, of one moment, cheap when nothing is new, verified
before anything is restored, and never mixed with what was there."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from sqlalchemy import select

from connectors.merges import alone
from exporters.ledger import Actor, restored, tables
from exporters.ledger.errors import NotReconciledError
from orchestration.backups import putback
from orchestration.backups.manifest import BackupError, Manifest
from orchestration.backups.putback import PutBack, put_back
from orchestration.backups.store import Store
from orchestration.backups.take import Taken, heads_in_backups, take_backup
from orchestration.ledger import open_ledger
from orchestration.locks import LockBusyError, hold
from orchestration.settings import DataDir, SettingsError

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime(2026, 11, 4, 5, tzinfo=UTC)
ACTOR = Actor("tester", "os-tester", "host-1")


def clock() -> datetime:
    return NOW


def land(data_dir: DataDir, name: str, content: bytes) -> Path:
    path = data_dir.landing / "readings" / "site_id=NO-OSL1" / "date=2026-10-01" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def say(data_dir: DataDir, subject: str) -> None:
    with open_ledger(data_dir, acting_as="tester") as ledger:
        ledger.record("holds", scope="payer", subject=subject, active=True, reason="r", by="b")


def subjects(data_dir: DataDir) -> list[str]:
    with open_ledger(data_dir, acting_as="tester") as ledger:
        assert ledger.verify() == ()
        return [row["subject"] for row in ledger.query(select(tables.holds))]


def tree(data_dir: DataDir) -> dict[str, tuple[bytes, int]]:
    """Content and time of every file of landing zone, book and rejected rows."""
    found = {}
    for part in ("book", "landing", "rejected"):
        for path in sorted((data_dir.root / part).rglob("*")):
            name = path.relative_to(data_dir.root).as_posix()
            if path.is_file() and not name.startswith("landing/."):
                found[name] = (path.read_bytes(), path.stat().st_mtime_ns)
    return found


def back_up(data_dir: DataDir, target: Path, **more: Any) -> Taken:
    return take_backup(data_dir, target, clock=clock, **more)


def restore(data_dir: DataDir, source: Path, **more: Any) -> PutBack:
    return put_back(data_dir, source, clock=clock, actor=ACTOR, **more)


@pytest.fixture
def data_dir(tmp_path: Path) -> DataDir:
    made = DataDir(tmp_path / "data")
    shutil.copytree(ROOT / "data" / "book", made.book)
    for no in range(12):
        land(made, f"b-{no}.parquet", f"content {no}".encode())
    (made.rejected / "readings").mkdir(parents=True)
    (made.rejected / "readings" / "x.jsonl").write_text("{}\n")
    say(made, "first")
    return made


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "nas"


def test_a_restored_set_is_what_was_backed_up(
    data_dir: DataDir, store: Path, tmp_path: Path
) -> None:
    taken = back_up(data_dir, store)
    assert taken.problems == ()
    assert taken.manifest.book_version is not None
    assert taken.manifest.book_version.startswith("b-")
    new = DataDir(tmp_path / "new")
    done = restore(new, store)
    assert done.aside is None
    assert tree(new) == tree(data_dir)
    assert subjects(new) == ["first"]
    assert not new.restoring.exists()
    with (
        open_ledger(new, acting_as="tester") as ledger,
        ledger.snapshot() as reader,
        pytest.raises(NotReconciledError),
    ):
        restored.require_reconciled(reader)


def test_a_second_backup_reads_and_copies_only_what_is_new(
    data_dir: DataDir, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = back_up(data_dir, store)
    land(data_dir, "b-new.parquet", b"new")
    read: list[str] = []
    real = Store.add

    def noted(self: Store, source: Path, path: str, **more: Any) -> Any:
        read.append(path)
        return real(self, source, path, **more)

    monkeypatch.setattr(Store, "add", noted)
    second = back_up(data_dir, store)
    assert [path for path in read if path.startswith("landing")] == [
        "landing/readings/site_id=NO-OSL1/date=2026-10-01/b-new.parquet"
    ]
    assert second.copied_files == 1
    assert len(second.manifest.files) == len(first.manifest.files) + 1
    assert second.manifest.number == first.manifest.number + 1
    assert [path.name for path in Store(store).names()] == [first.path.name, second.path.name]


def test_backing_up_a_restored_data_dir_gives_the_same_set(
    data_dir: DataDir, store: Path, tmp_path: Path
) -> None:
    first = back_up(data_dir, store)
    new = DataDir(tmp_path / "new")
    restore(new, store)
    second = back_up(new, store)

    def of_set(taken: Taken) -> list[dict[str, Any]]:
        files = [asdict(e) for e in taken.manifest.files if not e.path.startswith("ledger")]
        return sorted(files, key=lambda file: file["path"])

    assert of_set(second) == of_set(first)
    assert second.manifest.book_version == first.manifest.book_version
    before, after = first.manifest.ledger, second.manifest.ledger
    assert before is not None
    assert after is not None
    assert after["facts"] == before["facts"] + 1  # that it was restored
    with open_ledger(new, acting_as="tester") as ledger:
        assert ledger.verify(heads=heads_in_backups([store])) == ()


@pytest.mark.parametrize("seed", range(4))
def test_every_set_of_a_random_life_can_be_had_back(
    data_dir: DataDir, store: Path, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    expected: dict[str, tuple[Any, list[str]]] = {}
    for round_no in range(5):
        for _ in range(chance.randrange(4)):
            files = sorted(p for p in data_dir.landing.rglob("*.parquet"))
            match chance.randrange(5):
                case 0:
                    land(data_dir, f"r-{round_no}-{chance.random()}.parquet", chance.randbytes(50))
                case 1:
                    files[0].unlink()
                    land(data_dir, f"m-{chance.random()}.parquet", chance.randbytes(99))
                case 2:
                    say(data_dir, f"s-{round_no}")
                case 3:
                    # Same size, same time: only reading it tells.
                    path = data_dir.book / "payers.csv"
                    status, text = path.stat(), path.read_text()
                    path.write_text(text.swapcase())
                    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
                case 4:
                    files[-1].rename(files[-1].with_name(f"z-{chance.random()}.parquet"))
        taken = back_up(data_dir, store)
        expected[taken.manifest.name] = (tree(data_dir), subjects(data_dir))
    for name, (files_then, said) in expected.items():
        new = DataDir(tmp_path / name)
        restore(new, store, name=name)
        assert tree(new) == files_then
        assert subjects(new) == said


@pytest.mark.parametrize("kind", ["landing", "book", "ledger"])
def test_an_altered_byte_is_named_and_nothing_is_restored(
    data_dir: DataDir, store: Path, tmp_path: Path, kind: str
) -> None:
    taken = back_up(data_dir, store)
    entry = next(e for e in taken.manifest.files if e.path.startswith(kind))
    content = Store(store).content(entry.sha256)
    content.chmod(0o644)
    whole = content.read_bytes()
    middle = len(whole) // 2
    content.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    new = DataDir(tmp_path / "new")
    for dry_run in (True, False):
        with pytest.raises(BackupError) as found:
            restore(new, store, dry_run=dry_run)
        assert entry.path in str(found.value)
        assert "was altered" in str(found.value)
    assert not any((new.root / part).exists() for part in ("book", "landing", "ledger"))


def test_all_missing_contents_are_named_at_once(
    data_dir: DataDir, store: Path, tmp_path: Path
) -> None:
    taken = back_up(data_dir, store)
    lost = [e for e in taken.manifest.files if e.path.startswith("landing")][:3]
    for entry in lost:
        Store(store).content(entry.sha256).unlink()
    with pytest.raises(BackupError, match="3 of") as found:
        restore(DataDir(tmp_path / "new"), store)
    assert all(entry.path in str(found.value) for entry in lost)


def test_a_lost_content_is_copied_again_by_the_next_backup(data_dir: DataDir, store: Path) -> None:
    taken = back_up(data_dir, store)
    entry = next(e for e in taken.manifest.files if e.path.startswith("landing"))
    Store(store).content(entry.sha256).unlink()
    assert back_up(data_dir, store).copied_files == 1


def test_an_altered_manifest_is_refused(data_dir: DataDir, store: Path, tmp_path: Path) -> None:
    path = back_up(data_dir, store).path
    text = path.read_text()
    path.write_text(text.replace('"number": 1', '"number": 2'))
    with pytest.raises(BackupError, match=f"{path.name} was altered"):
        restore(DataDir(tmp_path / "new"), store)
    path.write_text(text[: len(text) // 2])
    with pytest.raises(BackupError, match="damaged"):
        restore(DataDir(tmp_path / "new"), store)


def test_a_data_dir_that_holds_something_is_refused_unless_told(
    data_dir: DataDir, store: Path
) -> None:
    back_up(data_dir, store)
    land(data_dir, "later.parquet", b"later")
    say(data_dir, "later")
    (data_dir.warehouse).mkdir()
    (data_dir.warehouse / "warehouse.duckdb").write_bytes(b"derived")
    (data_dir.outbox).mkdir()
    (data_dir.outbox / "a.eml").write_bytes(b"sent")
    before = tree(data_dir)
    with pytest.raises(BackupError, match=r"not empty: it has landing, book, rejected, a ledger"):
        restore(data_dir, store)
    assert tree(data_dir) == before

    done = restore(data_dir, store, force=True)

    assert done.aside is not None
    assert "later" not in subjects(data_dir)
    assert not any("later" in name for name in tree(data_dir))
    assert not data_dir.warehouse.exists()
    assert (data_dir.outbox / "a.eml").exists()  # what was sent was sent
    old = DataDir(done.aside)
    assert tree(old) == before
    assert (old.warehouse / "warehouse.duckdb").read_bytes() == b"derived"
    assert done.ledger is not None
    assert done.ledger.kept_aside is not None
    with closing(sqlite3.connect(done.ledger.kept_aside)) as con:
        assert con.execute("SELECT subject FROM holds ORDER BY id").fetchall() == [
            ("first",),
            ("later",),
        ]


class KilledError(Exception):
    """In the place of a kill, at a point of one's choice."""


@pytest.mark.parametrize("at", range(8))
def test_a_restore_cut_short_while_exchanging_is_finished_by_the_next(
    data_dir: DataDir, store: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    back_up(data_dir, store)
    expected = tree(data_dir)
    land(data_dir, "later.parquet", b"later")
    say(data_dir, "later")
    data_dir.warehouse.mkdir()
    steps = iter(range(100))
    real = Path.rename

    def dying(self: Path, target: Path) -> Path:
        if next(steps) == at:
            raise KilledError
        return real(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", dying)
        try:
            restore(data_dir, store, force=True)
            died = False
        except KilledError:
            died = True
    if died:
        with (
            pytest.raises(LockBusyError, match="cut short"),
            hold(data_dir.locks, "warehouse", purpose="a build"),
        ):
            pass
        with pytest.raises(BackupError, match="finish it"):
            restore(data_dir, store / "other", force=True)
        restore(data_dir, store)  # without --force: it was said
    assert tree(data_dir) == expected
    assert subjects(data_dir) == ["first"]
    assert not data_dir.restoring.exists()
    (aside,) = data_dir.root.glob("before-restore-*")
    assert (aside / "landing/readings/site_id=NO-OSL1/date=2026-10-01/later.parquet").exists()
    assert list((aside / "ledger").glob("*.bak"))
    with open_ledger(data_dir, acting_as="tester") as ledger:
        assert len(ledger.query(select(tables.restores))) == 1
    with hold(data_dir.locks, "warehouse", purpose="a build"):
        pass


def test_a_backup_cut_short_is_none_and_the_next_goes_on(
    data_dir: DataDir, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, done = Store.add, iter(range(100))

    def dying(self: Store, source: Path, path: str, **more: Any) -> Any:
        if next(done) == 7:
            raise KilledError
        return real(self, source, path, **more)

    with monkeypatch.context() as patched:
        patched.setattr(Store, "add", dying)
        with pytest.raises(KilledError):
            back_up(data_dir, store)
    with pytest.raises(BackupError, match="no backup in"):
        restore(DataDir(store.parent / "new"), store)
    read: list[str] = []

    def noted(self: Store, source: Path, path: str, **more: Any) -> Any:
        read.append(path)
        return real(self, source, path, **more)

    monkeypatch.setattr(Store, "add", noted)
    taken = back_up(data_dir, store)
    landed = [path for path in read if path.startswith(("landing", "rejected"))]
    assert len(landed) == 13 - 7
    assert sum(e.path.startswith("landing") for e in taken.manifest.files) == 12


def test_old_backups_are_removed_with_what_only_they_name(
    data_dir: DataDir, store: Path, tmp_path: Path
) -> None:
    for no in range(4):
        land(data_dir, f"only-{no}.parquet", f"only {no}".encode())
        back_up(data_dir, store)
        (data_dir.landing / f"readings/site_id=NO-OSL1/date=2026-10-01/only-{no}.parquet").unlink()
    taken = back_up(data_dir, store, keep=2)
    assert taken.removed == 3
    assert [p.name[:6] for p in Store(store).names()] == ["000004", "000005"]
    contents = {path.read_bytes() for path in (store / "pool").glob("*/*")}
    assert b"only 3" in contents
    assert not contents & {b"only 0", b"only 1", b"only 2"}
    for name in ("4", "5"):
        restore(DataDir(tmp_path / name), store, name=name)


def test_landing_goes_on_and_merges_wait(
    data_dir: DataDir, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is merged away while the bulk is copied is no longer asked for."""
    real = Store.add
    merged: list[Path] = []

    def merging(self: Store, source: Path, path: str, **more: Any) -> Any:
        if not merged and more.get("journal"):
            merged.append(land(data_dir, "merged.parquet", b"all of it"))
            for no in range(3, 9):
                (source.parent / f"b-{no}.parquet").unlink(missing_ok=True)
        return real(self, source, path, **more)

    monkeypatch.setattr(Store, "add", merging)
    taken = back_up(data_dir, store)
    names = {Path(e.path).name for e in taken.manifest.files if e.path.startswith("landing")}
    assert "merged.parquet" in names
    assert not names & {f"b-{no}.parquet" for no in range(3, 9)}
    assert names == {p.name for p in data_dir.landing.rglob("*.parquet")}


def test_a_backup_waits_for_a_close_and_for_a_merge(data_dir: DataDir, store: Path) -> None:
    import threading

    with alone(data_dir.landing):  # a first merge: its lock is there from now on
        pass
    waits: list[str] = []
    done: list[Taken] = []
    with hold(data_dir.locks, "warehouse", purpose="closing 2026-10"):
        thread = threading.Thread(
            target=lambda: done.append(back_up(data_dir, store, on_wait=waits.append))
        )
        thread.start()
        thread.join(timeout=1.5)
        assert thread.is_alive()
        say(data_dir, "closed")
    thread.join(timeout=60)
    assert "closing 2026-10" in waits[0]
    ledger = done[0].manifest.ledger
    assert ledger is not None
    assert ledger["facts"] == 2


def test_two_at_once_are_not_taken(data_dir: DataDir, store: Path) -> None:
    store.mkdir()
    with FileLock(store / ".lock"), pytest.raises(LockBusyError, match="another backup"):
        back_up(data_dir, store)


def test_a_backup_of_an_older_ledger_says_so(data_dir: DataDir, store: Path) -> None:
    older = data_dir.root.parent / "older.sqlite"
    with (
        closing(sqlite3.connect(data_dir.ledger_file)) as con,
        closing(sqlite3.connect(older)) as copy,
    ):
        con.backup(copy)
    say(data_dir, "later")
    back_up(data_dir, store)
    for suffix in ("", "-wal", "-shm"):
        data_dir.ledger_file.with_name(f"ledger.sqlite{suffix}").unlink(missing_ok=True)
    shutil.copyfile(older, data_dir.ledger_file)
    taken = back_up(data_dir, store)
    assert len(taken.problems) == 1
    assert "another ledger or an older copy" in taken.problems[0]
    assert taken.as_dict()["exit_code"] == 1


def test_a_spoiled_ledger_is_backed_up_and_told(data_dir: DataDir, store: Path) -> None:
    with closing(sqlite3.connect(data_dir.ledger_file)) as con:
        con.execute("DROP TRIGGER holds_no_update")
        con.execute("UPDATE holds SET reason = 'x'")
        con.commit()
    taken = back_up(data_dir, store)
    assert "holds 1 was altered" in taken.problems[0]


def test_places_that_cannot_be_meant_are_refused(data_dir: DataDir, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot lie in"):
        back_up(data_dir, data_dir.landing / "backups")
    with pytest.raises(SettingsError, match="no folder book"):
        back_up(DataDir(tmp_path / "nothing"), tmp_path / "nas")
    with pytest.raises(BackupError, match="no backup in"):
        restore(DataDir(tmp_path / "new"), tmp_path / "nowhere")


def test_a_book_with_faults_and_a_data_dir_without_a_ledger(tmp_path: Path) -> None:
    bare = DataDir(tmp_path / "bare")
    (bare.book / "empty").mkdir(parents=True)
    (bare.book / "contracts.csv").write_text("nonsense\n")
    taken = back_up(bare, tmp_path / "nas")
    assert taken.manifest.ledger is None
    assert taken.manifest.book_version is None
    assert taken.manifest.book_fault
    new = DataDir(tmp_path / "new")
    restore(new, tmp_path / "nas")
    assert tree(new) == tree(bare)
    assert (new.book / "empty").is_dir()
    assert not new.has_ledger()


def test_a_full_disk_is_found_before_copying(
    data_dir: DataDir, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(data_dir, store)
    monkeypatch.setattr(Store, "free_bytes", lambda _: 1)
    land(data_dir, "more.parquet", b"more than a byte")
    with pytest.raises(OSError, match="are free"):
        back_up(data_dir, store)
    none = shutil._ntuple_diskusage(1, 1, 0)  # type: ignore[attr-defined]
    monkeypatch.setattr(putback.shutil, "disk_usage", lambda _: none)
    with pytest.raises(OSError, match="are to be restored"):
        restore(DataDir(tmp_path / "new"), store)
    assert not (tmp_path / "new" / "book").exists()


def test_a_manifest_says_what_it_is_of(data_dir: DataDir, store: Path) -> None:
    taken = back_up(data_dir, store)
    assert Manifest.read(taken.path) == taken.manifest
    said = json.loads(taken.path.read_text())
    assert said["data_dir"] == str(data_dir.root)
    assert datetime.fromisoformat(said["made_at"]) == NOW
    assert said["program"]
    assert said["ledger"]["facts"] == 1
    assert timedelta(0) == datetime.fromisoformat(said["made_at"]).utcoffset()


@pytest.fixture
def no_environment(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    return monkeypatch.setenv


@pytest.mark.needs_postgres
def test_a_ledger_on_postgresql_is_in_the_set(
    data_dir: DataDir,
    store: Path,
    tmp_path: Path,
    postgres: Any,
    no_environment: Callable[[str, str], None],
) -> None:
    no_environment("M2C_LEDGER_URL", postgres.new_ledger())
    say(data_dir, "on the server")
    taken = back_up(data_dir, store)
    assert taken.manifest.ledger is not None
    assert taken.manifest.ledger["database"] == "postgresql"
    no_environment("M2C_LEDGER_URL", postgres.new_database())
    new = DataDir(tmp_path / "new")
    restore(new, store)
    assert subjects(new) == ["on the server"]
    with pytest.raises(BackupError, match="a ledger"):
        restore(DataDir(tmp_path / "other"), store)
