"""What the last whole build of a data dir was made of, so that a run that makes only some of the
models can say beforehand that the others are those of another version or another engine."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

from connectors.files import write_atomically
from orchestration.engines import Engine, engine_from_env
from orchestration.settings import DataDir, code_version

# As the engines say that what a model reads is not there.
_SIGNS: Final = (
    "Catalog Error: Table with name",
    "IO Error: No files found that match",
    "[TABLE_OR_VIEW_NOT_FOUND]",
    "[PATH_NOT_FOUND]",
)


class AnotherVersionError(RuntimeError):
    """The warehouse is not of this version of the program; a build must come first."""


def models_of(manifest: Path) -> dict[str, str]:
    """The models of the parsed project, each with the checksum of its SQL."""
    return {
        node["name"]: node["checksum"]["checksum"]
        for node in _read(manifest)["nodes"].values()
        if node["resource_type"] == "model"
    }


def note(data_dir: DataDir, manifest: Path) -> None:
    """Write down that all models were built, by which version, on which engine and from what."""
    built = {
        "version": code_version(),
        "engine": str(engine_from_env()),
        "models": models_of(manifest),
    }
    write_atomically(_file(data_dir), json.dumps(built, indent=1).encode())


def require(data_dir: DataDir, manifest: Path, *, remade: Collection[str]) -> None:
    """Raise AnotherVersionError unless every model but those `remade`, and every table of the
    compiled book, is there as this version of the program has it on its engine."""
    try:
        built = _read(_file(data_dir))
    except FileNotFoundError:
        raise AnotherVersionError(_words(data_dir, "an earlier version")) from None
    version = f"version {built['version']}"
    there, wanted = built.get("engine", Engine.DUCKDB), engine_from_env()
    if there != wanted:
        raise AnotherVersionError(_words(data_dir, version, f"on {there}, not on {wanted}"))
    for name, checksum in models_of(manifest).items():
        if name not in remade and built["models"].get(name) != checksum:
            raise AnotherVersionError(_words(data_dir, version, f"its {name} is another"))
    for source in _read(manifest)["sources"].values():
        table = data_dir.compiled_book / f"{source['name']}.parquet"
        if source["source_name"] == "book" and not table.exists():
            raise AnotherVersionError(_words(data_dir, version, f"it lacks {table}"))


def is_lacking(said: str) -> bool:
    """Whether dbt failed because something was not there that a whole build makes."""
    return any(sign in said for sign in _SIGNS)


def lacking(data_dir: DataDir) -> AnotherVersionError:
    """The error for that."""
    return AnotherVersionError(
        _words(data_dir, "another version", "something that it must have is not there")
    )


def _words(data_dir: DataDir, version: str, why: str | None = None) -> str:
    reason = f" ({why})" if why else ""
    return (
        f"{data_dir.root} was built by {version} of this program{reason}, so its marts cannot be "
        "brought up to date: run `m2c build` first; what is noted in the ledger stays noted"
    )


def _file(data_dir: DataDir) -> Path:
    return data_dir.warehouse / "built.json"


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found
