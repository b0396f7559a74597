"""`m2c statements` on published marts: files before issue, names that would steer a terminal."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Make = Callable[..., Path]
HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e[red]:smile:"


@pytest.fixture
def data_dir(make_marts: Make, tmp_path: Path) -> Path:
    """A data dir with nothing in it but published marts."""
    marts = make_marts(
        f"update statement_lines set description = '{HOSTILE}';"
        f"update billing_exceptions set detail = '{HOSTILE}';"
        f"update payers set name = '{HOSTILE}'"
    )
    folder = tmp_path / "data"
    (folder / "published").mkdir(parents=True)
    marts.rename(folder / "published" / "marts.duckdb")
    return folder


def m2c(data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("m2c")), "--data-dir", str(data_dir), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_a_preview_before_issue(data_dir: Path) -> None:
    made = m2c(data_dir, "statements", "GOLF/2026-10/all", "--render", "--json")
    assert made.returncode == 0, made.stderr
    (one,) = json.loads(made.stdout)
    assert one["preview"] is True
    for kind in ("pdf", "html", "xlsx"):
        path = Path(one["paths"][kind])
        assert path.parent == data_dir / "reports" / "2026-10"
        assert path.stat().st_size > 0
    assert m2c(data_dir, "statements", "--render").returncode == 2
    assert m2c(data_dir, "statements", "NOBODY/2026-10/all", "--render").returncode == 2


def test_output_shows_and_does_not_obey(data_dir: Path) -> None:
    for arguments in (("statements", "BOREALIS-0007"), ("exceptions", "--period", "2026-10")):
        told = m2c(data_dir, *arguments)
        assert r"\x1b]0;owned\x07" in told.stdout
        assert "[red]:smile:" in told.stdout
        plain = m2c(data_dir, *arguments, "--json")
        for text in (told.stdout, told.stderr, plain.stdout):
            assert not set(text) & set("\x1b\x07\x9b\u202e")
        assert any(HOSTILE in row.values() for row in json.loads(plain.stdout))
