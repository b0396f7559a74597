"""A data dir with the demo's book, and the definitions made for it."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from orchestration.settings import DataDir

with warnings.catch_warnings():
    # A dependency of dagster-dbt warns, once, that it is no longer needed.
    warnings.filterwarnings("ignore", message="sqlglotrs is deprecated")
    import dagster_dbt  # noqa: F401

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def billed_data_dir(tmp_path_factory: pytest.TempPathFactory) -> DataDir:
    root = tmp_path_factory.mktemp("data")
    shutil.copytree(ROOT / "data" / "book", root / "book")
    return DataDir(root)


@pytest.fixture(scope="module")
def definitions(billed_data_dir: DataDir) -> Iterator[dg.Definitions]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("M2C_DATA_DIR", str(billed_data_dir.root))
        from orchestration.definitions import build_definitions

        yield build_definitions(billed_data_dir)
