"""Every request that reaches a local Xero in the test run, from whichever process, is checked
against Xero's own OpenAPI description, where that stands beside the repository (`../shared/xero`).

What is wrong fails the test during which it was sent. Requests that are meant to be wrong carry the
header `x-by-hand`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import yaml

from exporters.xero.sandbox import LocalXero

DESCRIPTION = Path(__file__).parents[2] / "shared" / "xero" / "xero_accounting.yaml"
BY_HAND = "x-by-hand"
CLOSED = ("Invoice", "LineItem", "CreditNote", "Payment", "Contact", "Allocation")
COUNTED = "xero_requests_checked"
Check = Callable[[dict[str, Any]], None]

_waiting: list[dict[str, Any]] = []
_checked: Counter[str] = Counter()


class _Seen(list[dict[str, Any]]):
    """A local Xero's list of requests, each of which waits for its check too."""

    def append(self, request: dict[str, Any]) -> None:
        super().append(request)
        if BY_HAND not in request["headers"]:
            _waiting.append(request)


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


@cache
def described() -> Check | None:
    """The check of a request; None where the description or the checker is absent."""
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


@pytest.fixture(scope="session", autouse=True)
def _requests_are_seen() -> Iterator[None]:
    made = LocalXero.__init__

    def make(self: LocalXero, *arguments: Any, **options: Any) -> None:
        made(self, *arguments, **options)
        self.requests = _Seen()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalXero, "__init__", make)
        yield


@pytest.fixture(autouse=True)
def requests_are_as_described() -> Iterator[None]:
    """What was sent to a local Xero by the end of a test is as Xero describes it."""
    yield
    while _waiting:
        sent = _waiting.pop(0)
        check = described()
        if check is None:
            continue
        _checked["here"] += 1
        check(sent)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker tells how many it has checked."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[COUNTED] = _checked["here"]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker has told."""
    _checked["workers"] += getattr(node, "workeroutput", {}).get(COUNTED, 0)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How many requests were checked; one that is wrong has failed its test."""
    if count := _checked.total():
        terminalreporter.write_line(f"requests checked against Xero's description: {count}")
