"""The bench with a fresh local Xero and ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exporters.ledger import Actor, Ledger
from exporters.xero import XeroConfig
from exporters.xero.sandbox import XeroSandbox
from tests.integration.xero.bench import SEED, Bench, line, make_marts


@pytest.fixture(scope="session")
def xero_marts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Published marts with the book's facts that Xero needs."""
    return make_marts(tmp_path_factory.mktemp("marts") / "marts.duckdb")


@pytest.fixture
def xero_sandbox(tmp_path: Path) -> Iterator[XeroSandbox]:
    """A fresh local Xero."""
    with XeroSandbox(state=tmp_path / "sandbox" / "xero.sqlite", seed=SEED) as sandbox:
        yield sandbox


@pytest.fixture
def bench(tmp_path: Path, xero_sandbox: XeroSandbox, xero_marts: Path) -> Iterator[Bench]:
    """The bench."""
    (tmp_path / "ledger").mkdir()
    with Ledger.open(
        f"sqlite:///{tmp_path}/ledger/ledger.sqlite",
        clock=xero_sandbox.app.now,
        actor=Actor("test", "test", "test"),
    ) as ledger:
        config = XeroConfig.from_environment(xero_sandbox.environment(), data_dir=tmp_path)
        yield Bench(xero_sandbox, ledger, xero_marts, replace(config, read_seconds=2.0))


@pytest.fixture
def make_line() -> Callable[..., dict[str, Any]]:
    """Issued lines."""
    return line
