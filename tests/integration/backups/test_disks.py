"""A disk that is full or read-only: said in words that name the file, nothing lost, and the same
again works. Needs the right to mount a small disk in memory; elsewhere it is skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import select

from exporters.ledger import tables
from orchestration.ledger import open_ledger
from orchestration.settings import DataDir

ROOT = Path(__file__).resolve().parents[3]
M2C = Path(sys.executable).parent / "m2c"


@dataclass(frozen=True)
class Disk:
    """A disk of 24 MB with a data dir on it."""

    root: Path
    data_dir: DataDir

    def fill(self) -> None:
        with (self.root / "filling").open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                return

    def free(self) -> None:
        (self.root / "filling").unlink()

    def read_only(self, yes: bool) -> None:
        option = "remount,ro" if yes else "remount,rw"
        subprocess.run(["mount", "-o", option, str(self.root)], check=True)

    def m2c(self, *arguments: str) -> tuple[int, str]:
        plain = {k: v for k, v in os.environ.items() if not k.startswith(("M2C_", "DAGSTER_"))}
        done = subprocess.run(
            [str(M2C), "--data-dir", str(self.data_dir.root), *arguments],
            capture_output=True,
            text=True,
            env=plain,
            cwd=ROOT,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def holds(self) -> int:
        with open_ledger(self.data_dir, acting_as="test") as ledger:
            assert ledger.verify() == ()
            return len(ledger.query(select(tables.holds)))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    root = tmp_path / "disk"
    root.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(root)],
        capture_output=True,
        check=False,
    )
    if not mounted or mounted.returncode != 0:
        pytest.skip("a small disk cannot be mounted here: run as root, outside of a locked sandbox")
    try:
        data_dir = DataDir(root / "data")
        shutil.copytree(ROOT / "data" / "book", data_dir.book)
        (data_dir.landing / "readings").mkdir(parents=True)
        (data_dir.landing / "readings" / "b-1.parquet").write_bytes(b"x" * 100_000)
        with open_ledger(data_dir, acting_as="test") as ledger, ledger.transaction() as tx:
            for no in range(100):
                tx.record("holds", scope="payer", subject=str(no), active=True, reason="r", by="b")
        yield Disk(root, data_dir)
    finally:
        subprocess.run(["umount", str(root)], check=True)


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_care_of_a_disk_that_cannot_be_written(disk: Disk, fault: str) -> None:
    commands = {
        "ledger backup": ("ledger", "backup", str(disk.root / "copy.sqlite")),
        "backup": ("backup", str(disk.root / "nas")),
        "build": ("build",),
        "close": ("close", "2026-10"),
    }
    if fault == "full":
        disk.fill()
    else:
        disk.read_only(True)
    try:
        told = {name: disk.m2c(*arguments) for name, arguments in commands.items()}
    finally:
        if fault == "full":
            disk.free()
        else:
            disk.read_only(False)
    for name, (code, words) in told.items():
        assert code == 3, (name, words)
        assert str(disk.root) in words, (name, words)
        assert "Traceback" not in words, (name, words)
        assert "run this again" in words, (name, words)
    assert disk.holds() == 100
    assert not list(disk.root.glob("*.partial"))
    for name in ("ledger backup", "backup"):
        code, words = disk.m2c(*commands[name])
        assert code == 0, (name, words)
    assert disk.m2c("restore", str(disk.root / "nas"), "--dry-run")[0] == 0


def test_restoring_to_a_disk_that_is_too_small(disk: Disk, tmp_path: Path) -> None:
    nas = tmp_path / "nas"
    assert disk.m2c("backup", str(nas))[0] == 0
    (disk.data_dir.landing / "readings" / "big.parquet").write_bytes(b"y" * 15_000_000)
    assert disk.m2c("backup", str(nas))[0] == 0
    code, words = disk.m2c("restore", str(nas), "--force")
    assert code == 3
    assert "bytes are to be restored" in words
    assert str(disk.data_dir.root) in words
    assert (disk.data_dir.landing / "readings" / "big.parquet").stat().st_size == 15_000_000
    assert disk.holds() == 100
