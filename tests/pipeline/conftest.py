"""A data dir in which the demo has run, and `m2c` as a person runs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
M2C = Path(sys.executable).parent / "m2c"


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


def environment(**more: str) -> dict[str, str]:
    """The environment without anything of ours, so that a test depends on what it sets."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("M2C_", "DAGSTER_"))}
    return {**plain, **more}


def run_m2c(data_dir: Path, *arguments: str, **env: str) -> Answer:
    done = subprocess.run(
        [str(M2C), "--data-dir", str(data_dir), *arguments],
        capture_output=True,
        text=True,
        env=environment(**env),
        cwd=data_dir,
        check=False,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def m2c() -> Callable[..., Answer]:
    return run_m2c


@pytest.fixture(scope="session")
def fresh_data_dir(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Makes data dirs with the demo's book and nothing else."""

    def make() -> Path:
        data_dir = tmp_path_factory.mktemp("data")
        shutil.copytree(ROOT / "data" / "book", data_dir / "book")
        return data_dir

    return make


@pytest.fixture(scope="session")
def demo(fresh_data_dir: Callable[[], Path]) -> tuple[Path, Answer]:
    """The demo's data dir after one run, and what the run said."""
    data_dir = fresh_data_dir()
    return data_dir, run_m2c(data_dir, "demo")
