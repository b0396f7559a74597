"""A data dir that another version of the program built is told in one sentence, before dbt is asked
for what is not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestration import built
from orchestration.settings import DataDir

BOOK = ("payers", "holidays")


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A project of three models, the last of which a refresh makes again."""
    path = tmp_path / "manifest.json"
    _write(path, {"usage_daily": "1", "statements": "2", "invoices": "3"})
    return path


def _write(path: Path, models: dict[str, str]) -> None:
    nodes: dict[str, dict[str, object]] = {
        f"model.{name}": {"name": name, "resource_type": "model", "checksum": {"checksum": sql}}
        for name, sql in models.items()
    }
    nodes["test.x"] = {"name": "x", "resource_type": "test"}
    sources = {name: {"name": name, "source_name": "book"} for name in BOOK}
    sources["ledger"] = {"name": "bills", "source_name": "ledger"}
    path.write_text(json.dumps({"nodes": nodes, "sources": sources}))


@pytest.fixture
def data_dir(tmp_path: Path, manifest: Path) -> DataDir:
    """A data dir after a whole build of that project."""
    made = DataDir(tmp_path / "data")
    made.compiled_book.mkdir(parents=True)
    for name in BOOK:
        (made.compiled_book / f"{name}.parquet").touch()
    built.note(made, manifest)
    return made


def test_what_this_version_built_can_be_refreshed(data_dir: DataDir, manifest: Path) -> None:
    built.require(data_dir, manifest, remade={"invoices"})


def test_a_model_that_the_refresh_makes_may_be_another(data_dir: DataDir, manifest: Path) -> None:
    _write(manifest, {"usage_daily": "1", "statements": "2", "invoices": "new", "disputes": "new"})
    built.require(data_dir, manifest, remade={"invoices", "disputes"})


@pytest.mark.parametrize(
    "models",
    [
        {"usage_daily": "1", "statements": "another", "invoices": "3"},
        {"usage_daily": "1", "statements": "2", "invoices": "3", "line_days": "new"},
    ],
)
def test_a_model_that_is_another_or_new_asks_for_a_build(
    data_dir: DataDir, manifest: Path, models: dict[str, str]
) -> None:
    _write(manifest, models)
    with pytest.raises(built.AnotherVersionError, match="run `m2c build` first") as told:
        built.require(data_dir, manifest, remade={"invoices"})
    assert str(told.value).startswith(f"{data_dir.root} was built by version ")
    assert "\n" not in str(told.value)


def test_a_table_of_the_compiled_book_that_is_missing(data_dir: DataDir, manifest: Path) -> None:
    (data_dir.compiled_book / "holidays.parquet").unlink()
    with pytest.raises(built.AnotherVersionError, match=r"it lacks .*holidays\.parquet"):
        built.require(data_dir, manifest, remade={"invoices"})


def test_what_one_engine_built_is_not_refreshed_on_another(
    data_dir: DataDir, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("M2C_ENGINE", "spark")
    with pytest.raises(built.AnotherVersionError, match=r"on duckdb, not on spark.*m2c build"):
        built.require(data_dir, manifest, remade=())


def test_a_data_dir_of_before_it_was_noted(data_dir: DataDir, manifest: Path) -> None:
    (data_dir.warehouse / "built.json").unlink()
    with pytest.raises(built.AnotherVersionError, match="built by an earlier version of this"):
        built.require(data_dir, manifest, remade={"invoices"})


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Catalog Error: Table with name charges does not exist!", True),
        ('IO Error: No files found that match the pattern "/d/warehouse/book/x.parquet"', True),
        ("Got 3 results, configured to fail if != 0", False),
    ],
)
def test_dbt_lacks_what_a_whole_build_makes(said: str, expected: bool) -> None:
    assert built.is_lacking(said) is expected
