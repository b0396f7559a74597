"""dbt as a child process: the parsed project, and runs of it that Dagster does not watch.

Nothing here knows Dagster, so that a command that needs only dbt starts without it.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from orchestration.locks import hold
from orchestration.settings import DBT_PROJECT


def parsed_project() -> Path:
    """The project's manifest.json, parsed anew when a file of the project has changed."""
    target = DBT_PROJECT / "target"
    manifest = target / "manifest.json"
    mark = target / "parsed_inputs"
    digest = _inputs_digest()
    if manifest.exists() and mark.exists() and mark.read_text() == digest:
        return manifest
    with hold(target, "parse", purpose="parsing the dbt project"):
        data_dir = os.environ.get("M2C_DATA_DIR") or str(target)
        run_dbt(["parse"], target=target, data_dir=Path(data_dir))
        mark.write_text(digest)
    return manifest


def run_models(data_dir: Path, *, select: str, exclude: Sequence[str]) -> None:
    """Make some models of another data dir, without tests and without publishing. Raises
    RuntimeError with what dbt said."""
    target = data_dir / "warehouse" / "target"
    arguments = ["build", "--exclude-resource-types", "test", "unit_test", "--select", select]
    run_dbt([*arguments, "--exclude", *exclude], target=target, data_dir=data_dir)


def run_dbt(
    arguments: list[str], *, target: Path, data_dir: Path, blocks: Path | None = None
) -> None:
    """Run dbt on a data dir, with its files in `target` and, if given, docs blocks of a folder.
    Raises RuntimeError with what dbt said."""
    command = [str(dbt_executable()), "--quiet", *arguments, "--target-path", str(target)]
    command += ["--log-path", str(target), "--no-use-colors"]
    done = subprocess.run(
        command,
        env={
            **os.environ,
            "M2C_DATA_DIR": str(data_dir),
            **({} if blocks is None else {"M2C_DOCS_BLOCKS": str(blocks)}),
        },
        cwd=DBT_PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"dbt {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")


def _inputs_digest() -> str:
    digest = hashlib.sha256()
    folders = ("models", "macros", "tests", "seeds")
    files = [path for folder in folders for path in (DBT_PROJECT / folder).rglob("*")]
    for path in sorted([*files, *DBT_PROJECT.glob("*.yml")]):
        if path.is_file():
            stat = path.stat()
            digest.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def dbt_executable() -> Path:
    """dbt as the project starts it."""
    return Path(sys.executable).parent / "m2c-dbt"
