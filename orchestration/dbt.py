"""dbt's side of the asset graph: the parsed project and how its nodes become assets."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtCliResource

from connectors.book import Book, load_book, render_words
from orchestration.locks import hold
from orchestration.settings import DBT_PROJECT, DataDir

_MARKS = frozenset("&<>{}%*_`#[]|~\\")

OWNERS = {
    "landing": ["team:data-engineering"],
    "book": ["team:finance"],
    "ledger": ["team:finance"],
    "staging": ["team:data-engineering"],
    "metering": ["team:data-engineering"],
    "rating": ["team:finance"],
    "billing": ["team:finance"],
    "marts": ["team:analytics"],
    "close": ["team:finance"],
    "invoicing": ["team:finance"],
    "collections": ["team:finance"],
}

# Months and contract terms come before metering, which cuts usage at their bounds.
_BEFORE_METERING = ("int_billing__periods", "int_billing__segments")

# The upstream asset of each dbt source; all tables of one source are written by one asset.
_SOURCE_ASSETS = {
    "book": "book",
    "manifest": "landed_batches",
    "ledger": "ledger_extract",
    "context": "build_context",
}


class Translator(DagsterDbtTranslator):
    """Groups by area of the project, and one upstream asset for all tables of a dbt source."""

    def __init__(self) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_duplicate_source_asset_keys=True))

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        if dbt_resource_props["resource_type"] == "source":
            return dg.AssetKey(_SOURCE_ASSETS[dbt_resource_props["source_name"]])
        return dg.AssetKey(dbt_resource_props["name"])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        layer, *area = dbt_resource_props["fqn"][1:-1] or ["staging"]
        if layer == "intermediate" and dbt_resource_props["name"] not in _BEFORE_METERING:
            return str(area[0])
        return "marts" if layer == "marts" else "staging"

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
        return OWNERS[self.get_group_name(dbt_resource_props)]

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        return str(dbt_resource_props["description"])


class DbtProcess(DbtCliResource):
    """dbt as a child process and nothing of dbt in this one."""

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> Any:  # noqa: ARG002 - its signature
        """None: dagster-dbt would load dbt here too before every run, which takes seconds, to read
        metadata from the warehouse; and only dbt opens that."""
        return None


def dbt_resource() -> DbtProcess:
    return DbtProcess(
        project_dir=str(DBT_PROJECT),
        profiles_dir=str(DBT_PROJECT),
        dbt_executable=str(_dbt_executable()),
    )


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
        _dbt(["parse"], target=target, data_dir=Path(data_dir))
        mark.write_text(digest)
    return manifest


def write_docs(data_dir: DataDir) -> Path:
    """The data dictionary of the warehouse as one self-contained page, which opens with the plans
    of the book in words. Raises RuntimeError, BookError."""
    # A target of its own: the builds' would be parsed anew for the other overview.
    target = data_dir.warehouse / "docs"
    blocks = target / "blocks"
    blocks.mkdir(parents=True, exist_ok=True)
    (blocks / "overview.md").write_text(overview(load_book(data_dir.book)), encoding="utf-8")
    with hold(data_dir.locks, "warehouse", purpose="writing the data dictionary"):
        _dbt(["docs", "generate", "--static"], target=target, data_dir=data_dir.root, blocks=blocks)
    page = data_dir.root / "docs" / "index.html"
    page.parent.mkdir(exist_ok=True)
    shutil.copyfile(target / "static_index.html", page)
    return page


def overview(book: Book) -> str:
    """What the data dictionary opens with, as dbt's docs block: every plan version in words."""
    lines = [
        "{% docs __overview__ %}",
        "# Data dictionary",
        "",
        "Every table and column is described in the tree on the left: under *Project*, `models`,"
        " `marts` are the tables of `published/marts.duckdb`.",
        "",
        f"## Plans in words, book {_as_text(book.version)}",
    ]
    for words in render_words(book):
        lines += ["", f"### {_as_text(words.plan_id)}, version {words.version}"]
        lines += ["", _as_text(words.title), ""]
        lines += [f"- {_as_text(sentence)}" for sentence in words.sentences.values()]
        if words.closing is not None:
            lines += ["", _as_text(words.closing)]
    return "\n".join([*lines, "{% enddocs %}", ""])


def _as_text(words: str) -> str:
    """Words of the book as they are: neither markup, nor Markdown, nor a template."""
    return "".join(f"&#{ord(c)};" if c in _MARKS else c for c in words)


def run_models(data_dir: Path, *, select: str, exclude: Sequence[str]) -> None:
    """Make some models of another data dir, without tests and without publishing. Raises
    RuntimeError with what dbt said."""
    target = data_dir / "warehouse" / "target"
    arguments = ["build", "--exclude-resource-types", "test", "unit_test", "--select", select]
    _dbt([*arguments, "--exclude", *exclude], target=target, data_dir=data_dir)


def _dbt(arguments: list[str], *, target: Path, data_dir: Path, blocks: Path | None = None) -> None:
    command = [str(_dbt_executable()), "--quiet", *arguments, "--target-path", str(target)]
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


def _dbt_executable() -> Path:
    return Path(sys.executable).parent / "m2c-dbt"
