"""Tokens: one renewal at a time, the rotating one never lost, faults in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from exporters.xero import XeroConfig
from exporters.xero.auth import tokens_for
from exporters.xero.errors import UnavailableError, XeroAuthError
from exporters.xero.sandbox import CLIENT_ID, XeroSandbox


@pytest.fixture
def config(xero_sandbox: XeroSandbox, tmp_path: Path) -> XeroConfig:
    """Authorization-code grant, with a first refresh token in place."""
    config = XeroConfig.from_environment(
        xero_sandbox.environment() | {"M2C_XERO_GRANT": "authorization_code"}, data_dir=tmp_path
    )
    config.token_file.parent.mkdir()
    token = xero_sandbox.admin.call("refresh-token", client_id=CLIENT_ID)["refresh_token"]
    config.token_file.write_text(json.dumps({"refresh_token": token}))
    return config


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    """A client."""
    with httpx.Client() as client:
        yield client


def test_many_renew_once(xero_sandbox: XeroSandbox, config: XeroConfig, http: httpx.Client) -> None:
    def current(_: int) -> str:
        return tokens_for(config, http, xero_sandbox.app.now).current()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(current, range(8)))) == 1
    kept = json.loads(config.token_file.read_text())
    xero_sandbox.admin.advance(1750)
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(current, range(8)))) == 1
    assert json.loads(config.token_file.read_text())["refresh_token"] != kept["refresh_token"]
    assert [f.name for f in config.token_file.parent.glob(".xero_token*")] == []


def test_refused_token_is_renewed_only_if_nobody_did(
    xero_sandbox: XeroSandbox, config: XeroConfig, http: httpx.Client
) -> None:
    one = tokens_for(config, http, xero_sandbox.app.now)
    two = tokens_for(config, http, xero_sandbox.app.now)
    first = one.current()
    second = one.renewed(first)
    assert second != first
    assert two.renewed(first) == second


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "is missing: connect the app"),
        ("x", "is no JSON"),
        ("{}", "holds no refresh_token"),
        ('{"refresh_token": "never-given"}', "invalid_grant"),
    ],
)
def test_faults_say_what_to_do(
    xero_sandbox: XeroSandbox,
    config: XeroConfig,
    http: httpx.Client,
    content: str | None,
    words: str,
) -> None:
    config.token_file.unlink()
    if content is not None:
        config.token_file.write_text(content)
    with pytest.raises(XeroAuthError, match=words) as caught:
        tokens_for(config, http, xero_sandbox.app.now).current()
    assert "never-given" not in str(caught.value)


def test_wrong_secret(xero_sandbox: XeroSandbox, config: XeroConfig, http: httpx.Client) -> None:
    wrong = replace(config, grant="client_credentials", client_secret="wrong")
    with pytest.raises(XeroAuthError, match="invalid_client"):
        tokens_for(wrong, http, xero_sandbox.app.now).current()


def test_identity_out_of_reach_or_broken(
    xero_sandbox: XeroSandbox, config: XeroConfig, http: httpx.Client
) -> None:
    xero_sandbox.admin.fault("status", path="^/connect/token$", status=503)
    with pytest.raises(UnavailableError, match="503"):
        tokens_for(config, http, xero_sandbox.app.now).current()
    nowhere = replace(config, identity_url="http://127.0.0.1:9")
    with pytest.raises(UnavailableError, match="cannot be reached"):
        tokens_for(nowhere, http, xero_sandbox.app.now).current()
