"""Makes marts files to report on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from tests.integration.statements.marts import FACTS, TABLES


@pytest.fixture
def make_marts(tmp_path: Path) -> Callable[..., Path]:
    """Makes a marts file; `changes` is SQL run on it last."""

    def make(changes: str = "", *, name: str = "marts.duckdb") -> Path:
        path = tmp_path / name
        with duckdb.connect(str(path)) as marts:
            marts.execute("set timezone = 'UTC'")
            marts.execute(TABLES)
            marts.execute(FACTS)
            if changes:
                marts.execute(changes)
        return path

    return make
