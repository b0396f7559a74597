"""The bench with a fresh local Xero and ledger.

Where the OpenAPI description of Xero stands beside the repository, every request that a test on the
bench makes is checked against it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import yaml

from exporters.ledger import Actor, Ledger
from exporters.xero import XeroConfig
from exporters.xero.sandbox import XeroSandbox
from tests.integration.xero.bench import SEED, Bench, line, make_marts

DESCRIPTION = Path(__file__).parents[4] / "shared" / "xero" / "xero_accounting.yaml"
CLOSED = ("Invoice", "LineItem", "CreditNote", "Payment", "Contact", "Allocation")
Check = Callable[[dict[str, Any]], None]


class Kept(list[dict[str, Any]]):
    """The sandbox's list of requests, of which `every` forgets nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.every: list[dict[str, Any]] = []

    def append(self, request: dict[str, Any]) -> None:
        super().append(request)
        self.every.append(request)


def correct(node: Any) -> None:
    """Turn string-typed booleans into booleans, and let files be bytes, not base64 text."""
    if isinstance(node, dict):
        if "application/octet-stream" in node:
            node["application/octet-stream"] = {}
        for key, value in node.items():
            if key in ("required", "readOnly", "explode", "nullable") and isinstance(value, str):
                node[key] = value.lower() == "true"
            else:
                correct(value)
    elif isinstance(node, list):
        for value in node:
            correct(value)


@pytest.fixture(scope="session")
def xero_description() -> Check | None:
    """Checks a request against Xero's description; None where that or the checker is absent."""
    try:
        from openapi_core import Config, OpenAPI
        from openapi_core.testing import MockRequest
    except ImportError:
        return None
    if not DESCRIPTION.is_file():
        return None
    content = yaml.load(DESCRIPTION.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    correct(content)
    for name in CLOSED:
        content["components"]["schemas"][name]["additionalProperties"] = False
    # Of the tokens only the presence matters here; the gate of the local Xero checks them.
    for path in content["paths"].values():
        for operation in path.values():
            if isinstance(operation, dict):
                operation.pop("security", None)
    description = OpenAPI.from_dict(content, config=Config(spec_validator_cls=None))

    def check(sent: dict[str, Any]) -> None:
        description.validate_request(
            MockRequest(
                "https://api.xero.com",
                sent["method"].lower(),
                sent["path"],
                args=dict(parse_qsl(sent["query"])),
                headers=sent["headers"],
                data=None if sent["method"] == "GET" else sent["body"].encode(),
                content_type=sent["headers"].get("content-type", "application/json"),
            )
        )

    return check


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
def bench(
    tmp_path: Path,
    xero_sandbox: XeroSandbox,
    xero_marts: Path,
    xero_description: Check | None,
) -> Iterator[Bench]:
    """The bench; when the test is over its requests are checked."""
    kept = Kept()
    xero_sandbox.app.requests = kept
    (tmp_path / "ledger").mkdir()
    with Ledger.open(
        f"sqlite:///{tmp_path}/ledger/ledger.sqlite",
        clock=xero_sandbox.app.now,
        actor=Actor("test", "test", "test"),
    ) as ledger:
        config = XeroConfig.from_environment(xero_sandbox.environment(), data_dir=tmp_path)
        yield Bench(xero_sandbox, ledger, xero_marts, replace(config, read_seconds=2.0))
    if xero_description is not None:
        for sent in kept.every:
            xero_description(sent)


@pytest.fixture
def make_line() -> Callable[..., dict[str, Any]]:
    """Issued lines."""
    return line
