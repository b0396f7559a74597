"""`kill -9` at random steps of a backup and of a restore, and the same again; and a backup while
another process writes facts. `M2C_TEST_KILLS` says how many steps."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import select

from exporters.ledger import Actor, tables
from orchestration.backups.manifest import BackupError
from orchestration.backups.putback import put_back
from orchestration.backups.store import Store
from orchestration.backups.take import heads_in_backups, take_backup
from orchestration.ledger import open_ledger
from orchestration.settings import DataDir

ROOT = Path(__file__).resolve().parents[3]
KILLS = int(os.environ.get("M2C_TEST_KILLS", "2")) * 3
SEED = int(os.environ.get("M2C_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
FILES = 250
# What a process does to files is counted, and it dies as it begins the step it is told.
STEPS: Final = """
import os, signal, sys

steps, last = 0, int(sys.argv.pop())

def step(event, _):
    global steps
    if event == "open" or event.startswith(("os.", "shutil.")):
        steps += 1
        if steps == last:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(step)
"""
BACKUP: Final = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from orchestration.backups.take import take_backup
from orchestration.settings import DataDir
{steps}
take_backup(DataDir(Path(sys.argv[1])), Path(sys.argv[2]), clock=lambda: datetime.now(UTC))
print(steps)
""".replace("{steps}", STEPS)
RESTORE: Final = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from exporters.ledger import Actor
from orchestration.backups.putback import put_back
from orchestration.settings import DataDir
{steps}
put_back(DataDir(Path(sys.argv[1])), Path(sys.argv[2]), clock=lambda: datetime.now(UTC),
         actor=Actor("child", "child", "child"), force=True)
print(steps)
""".replace("{steps}", STEPS)
WRITER: Final = """
import sys
from pathlib import Path
from orchestration.ledger import open_ledger
from orchestration.settings import DataDir

with open_ledger(DataDir(Path(sys.argv[1])), acting_as="child") as ledger:
    while True:
        with ledger.transaction() as tx:
            for part in range(5):
                tx.record("exception_actions", exception_id=str(part), action="ack", by="b",
                          reason="r")
        print("wrote", flush=True)
"""


def clock() -> datetime:
    return datetime.now(UTC)


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        timeout=300,
        check=False,
    )


def steps_of(program: str, *arguments: object) -> int:
    """How many steps it takes when nobody kills it."""
    child = run(program, *arguments, 0)
    assert child.returncode == 0
    return int(child.stdout)


def kill(program: str, *arguments: object, at: int) -> None:
    assert run(program, *arguments, at).returncode == -signal.SIGKILL


def tree(root: Path) -> dict[str, bytes]:
    return {
        f"{part}/{path.relative_to(root / part)}": path.read_bytes()
        for part in ("book", "landing")
        for path in sorted((root / part).rglob("*"))
        if path.is_file() and not path.relative_to(root / part).parts[0].startswith(".")
    }


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> DataDir:
    """A data dir with many small files and a ledger. Not to be written to."""
    made = DataDir(tmp_path_factory.mktemp("original"))
    shutil.copytree(ROOT / "data" / "book", made.book)
    folder = made.landing / "readings" / "site_id=NO-OSL1"
    for no in range(FILES):
        path = folder / f"date=2026-10-{1 + no % 28:02d}" / f"b-{no}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.Random(no).randbytes(20_000))
    with open_ledger(made, acting_as="tester") as ledger, ledger.transaction() as tx:
        for no in range(500):
            tx.record("holds", scope="payer", subject=str(no), active=True, reason="r", by="b")
    return made


def test_a_killed_backup_is_none_and_is_finished_by_the_next(
    original: DataDir, tmp_path: Path
) -> None:
    steps = steps_of(BACKUP, original.root, tmp_path / "whole")
    chance = random.Random(SEED)
    for attempt in range(KILLS):
        store = tmp_path / f"nas-{attempt}"
        kill(BACKUP, original.root, store, at=chance.randint(1, steps))
        names = Store(store).names()
        if not names:
            with pytest.raises(BackupError, match="no backup in"):
                Store(store).find(None)
        taken = take_backup(original, store, clock=clock)
        assert taken.manifest.number == len(names) + 1
        assert taken.problems == ()
        assert [p for e in taken.manifest.files if (p := Store(store).check(e))] == []
        assert not list(store.rglob("*.tmp"))
        assert sum(e.path.startswith("landing") for e in taken.manifest.files) == FILES


def test_a_killed_restore_leaves_the_old_or_is_finished_by_the_next(
    original: DataDir, tmp_path: Path
) -> None:
    store = tmp_path / "nas"
    take_backup(original, store, clock=clock)
    expected = tree(original.root)
    other = DataDir(tmp_path / "other")
    shutil.copytree(original.book, other.book)
    (other.book / "own.txt").write_text("another book")
    with open_ledger(other, acting_as="tester") as ledger:
        ledger.record("holds", scope="payer", subject="own", active=True, reason="r", by="b")

    def copy(name: str) -> DataDir:
        shutil.copytree(other.root, tmp_path / name)
        return DataDir(tmp_path / name)

    steps = steps_of(RESTORE, copy("undisturbed").root, store)
    chance = random.Random(SEED)
    for attempt in range(KILLS):
        place = copy(f"place-{attempt}")
        before = tree(place.root)
        # The exchange is the last part, and short.
        at = chance.randint(1 if attempt % 2 else round(steps * 0.8), steps)
        kill(RESTORE, place.root, store, at=at)
        if place.restoring.exists() and not (place.restoring / "switching.json").exists():
            assert tree(place.root) in (before, expected)  # the room goes last
        done = put_back(
            place, store, clock=clock, actor=Actor("again", "again", "again"), force=True
        )
        assert tree(place.root) == expected
        assert not place.restoring.exists()
        with open_ledger(place, acting_as="tester") as ledger:
            assert ledger.verify(heads=heads_in_backups([store])) == ()
            assert len(ledger.query(select(tables.holds))) == 500
            assert len(ledger.query(select(tables.restores))) == 1
        asides = list(place.root.glob("before-restore-*"))
        assert any((aside / "book" / "own.txt").exists() for aside in asides), done


def test_backups_while_another_process_writes_facts(original: DataDir, tmp_path: Path) -> None:
    place = DataDir(tmp_path / "data")
    shutil.copytree(original.book, place.book)
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, place.root], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "wrote\n"
        taken = [take_backup(place, tmp_path / "nas", clock=clock) for _ in range(4)]
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()
    facts = [t.manifest.ledger["facts"] for t in taken if t.manifest.ledger is not None]
    assert len(facts) == 4
    assert all(count % 5 == 0 for count in facts)
    assert facts[0] < facts[-1]
    assert all(t.problems == () for t in taken)
    with open_ledger(place, acting_as="tester") as ledger:
        assert ledger.verify(heads=heads_in_backups([tmp_path / "nas"])) == ()
    for done in taken:
        new = DataDir(tmp_path / done.manifest.name)
        put_back(
            new,
            tmp_path / "nas",
            clock=clock,
            actor=Actor("t", "t", "t"),
            name=done.manifest.name,
        )
