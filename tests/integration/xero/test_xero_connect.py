"""A person lets the app in, in the browser, and nothing but a good answer connects it."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl

import httpx
import pytest

from exporters.xero import XeroConfig
from exporters.xero.auth import RotatingTokens
from exporters.xero.connect import Callback, Consent, ask_for_consent, finish, missing
from exporters.xero.errors import UnavailableError, XeroAuthError
from exporters.xero.sandbox import XeroSandbox


@pytest.fixture
def config(xero_sandbox: XeroSandbox, tmp_path: Path) -> XeroConfig:
    """The authorization-code grant, not connected yet."""
    environment = {**xero_sandbox.environment(), "M2C_XERO_GRANT": "authorization_code"}
    return XeroConfig.from_environment(environment, data_dir=tmp_path)


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    """The program's own client."""
    with httpx.Client() as client:
        yield client


def visit(consent: Consent, answer: str = "allow", **changed: str) -> httpx.Response:
    """What a browser does: open the page, press the button, follow the answer."""
    with httpx.Client(follow_redirects=True) as browser:
        page = browser.get(consent.url)
        assert page.status_code == 200, page.text
        fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.text))
        where = page.url.copy_with(query=None)
        return browser.post(where, data={**fields, "answer": answer, **changed})


def test_consent_connects_and_the_token_is_kept_for_its_owner_alone(
    config: XeroConfig, xero_sandbox: XeroSandbox, http: httpx.Client
) -> None:
    clock = xero_sandbox.app.now
    with Callback(0) as callback:
        consent = ask_for_consent(config, callback.redirect_uri)
        assert "offline_access" in dict(parse_qsl(consent.url))["scope"]
        assert "You can close this page" in visit(consent).text
        found = finish(config, consent, callback.code(consent, seconds=5), http=http, clock=clock)
    assert [(one.tenant_id, one.name) for one in found] == [(config.tenant_id, "Local Hosting Ltd")]
    assert stat.S_IMODE(config.token_file.stat().st_mode) == 0o600
    assert (config.token_file.parent / ".gitignore").read_text() == "*\n"
    kept = json.loads(config.token_file.read_text())
    tokens = RotatingTokens(config, http, clock)
    assert tokens.current() == kept["access_token"]
    assert tokens.renewed(kept["access_token"]) != kept["access_token"]


def test_a_code_is_good_once_and_for_five_minutes(
    config: XeroConfig, xero_sandbox: XeroSandbox, http: httpx.Client
) -> None:
    clock = xero_sandbox.app.now
    with Callback(0) as callback:
        consent = ask_for_consent(config, callback.redirect_uri)
        visit(consent)
        code = callback.code(consent, seconds=5)
        finish(config, consent, code, http=http, clock=clock)
        with pytest.raises(XeroAuthError, match="invalid_grant"):
            finish(config, consent, code, http=http, clock=clock)
        visit(consent)
        late = callback.answer["code"]
        xero_sandbox.admin.advance(301)
        with pytest.raises(XeroAuthError, match="invalid_grant"):
            finish(config, consent, late, http=http, clock=clock)
        visit(consent)
        thief = replace(consent, verifier="guessed")
        with pytest.raises(XeroAuthError, match="invalid_grant"):
            finish(config, thief, callback.answer["code"], http=http, clock=clock)


def test_refusal_wrong_state_and_silence_connect_nothing(config: XeroConfig) -> None:
    with Callback(0) as callback:
        consent = ask_for_consent(config, callback.redirect_uri)
        with pytest.raises(XeroAuthError, match="nobody consented within 0 seconds"):
            callback.code(consent, seconds=0.01)
        assert "Not connected: access_denied" in visit(consent, "deny").text
        with pytest.raises(XeroAuthError, match="access_denied"):
            callback.code(consent, seconds=5)
        visit(consent, state="another")
        with pytest.raises(XeroAuthError, match="belongs to another attempt"):
            callback.code(consent, seconds=5)
        assert httpx.get(callback.redirect_uri.replace("callback", "x")).status_code == 404
        with pytest.raises(UnavailableError, match="--port"):
            Callback(int(callback.redirect_uri.split(":")[2].split("/")[0]))
    assert not config.token_file.exists()


def test_what_is_not_connected_is_named() -> None:
    assert "xero_tenant_id" in missing([], {})[0]
    (words,) = missing([], {"t-1": "seller north"})
    assert "t-1 of seller north is not connected" in words
