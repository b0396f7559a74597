"""A person lets the app in, in the browser, and nothing but a good answer connects it."""

from __future__ import annotations

import json
import re
import socket
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl

import httpx
import pytest

from exporters.xero import XeroConfig
from exporters.xero.auth import RotatingTokens
from exporters.xero.connect import (
    Callback,
    Consent,
    Organisation,
    ask_for_consent,
    choose,
    finish,
    missing,
)
from exporters.xero.errors import UnavailableError, XeroAuthError
from exporters.xero.sandbox import StateInUseError, XeroSandbox


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
        consent = callback.consent(config)
        assert "offline_access" in dict(parse_qsl(consent.url))["scope"]
        assert "You can close this page" in visit(consent).text
        found = finish(config, consent, callback.code(seconds=5), http=http, clock=clock)
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
        consent = callback.consent(config)
        visit(consent)
        code = callback.code(seconds=5)
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


def test_refusal_silence_and_a_taken_port_connect_nothing(config: XeroConfig) -> None:
    with Callback(0) as callback:
        consent = callback.consent(config)
        with pytest.raises(XeroAuthError, match="nobody consented within 0 seconds; run"):
            callback.code(seconds=0.01)
        assert "Not connected: access_denied" in visit(consent, "deny").text
        with pytest.raises(XeroAuthError, match="access_denied"):
            callback.code(seconds=5)
        assert httpx.get(callback.redirect_uri.replace("callback", "x")).status_code == 404
        with pytest.raises(UnavailableError, match="--port"):
            Callback(int(callback.redirect_uri.split(":")[2].split("/")[0]))
    assert not config.token_file.exists()


@pytest.mark.parametrize(
    "query", ["", "code=c", "code=c&state=", "code=c&state=%C3%A9", "error=access_denied"]
)
def test_an_answer_to_another_question_says_so_and_ends_no_waiting(
    config: XeroConfig, query: str
) -> None:
    with Callback(0) as callback:
        early = httpx.get(f"{callback.redirect_uri}?code=c&state=")
        consent = callback.consent(config)
        for answer in (early, httpx.get(f"{callback.redirect_uri}?{query}")):
            assert "belongs to another attempt" in answer.text
        with pytest.raises(XeroAuthError, match="answer to another attempt"):
            callback.code(seconds=0.05)
        assert "You can close this page" in visit(consent).text
        assert callback.code(seconds=5)


def test_an_idle_connection_of_the_browser_does_not_block_the_answer(config: XeroConfig) -> None:
    with Callback(0) as callback:
        port = int(callback.redirect_uri.split(":")[2].split("/")[0])
        with socket.create_connection(("127.0.0.1", port)):
            consent = ask_for_consent(config, callback.redirect_uri)
            answer = httpx.get(f"{callback.redirect_uri}?state={consent.state}", timeout=2.0)
            assert answer.status_code == 200


def test_what_is_not_connected_is_named() -> None:
    assert "xero_tenant_id" in missing([], {})[0]
    (words,) = missing([], {"t-1": "seller north"})
    assert "t-1 of seller north is not connected" in words
    north = Organisation("t-1", "North AS")
    assert missing([north], {"t-1": "seller north"}) == []
    assert "export M2C_XERO_TENANT_ID=t-1  # North AS" in missing([north], {})


def test_the_chosen_organisation_must_be_connected_and_named() -> None:
    north = Organisation("t-1", "North AS")
    assert choose([north], "t-1", {"t-1": "seller north"}) == choose([north], "t-1", {}) == []
    (words,) = choose([north], "t-2", {"t-2": "seller south"})
    assert "t-2 is not connected" in words
    (words,) = choose([north], "t-1", {"t-2": "seller south"})
    assert "name t-2 (seller south)" in words


def test_a_refresh_token_ends_after_sixty_days_unused(
    config: XeroConfig, xero_sandbox: XeroSandbox, http: httpx.Client
) -> None:
    clock = xero_sandbox.app.now
    with Callback(0) as callback:
        consent = callback.consent(config)
        visit(consent)
        finish(config, consent, callback.code(seconds=5), http=http, clock=clock)
    tokens = RotatingTokens(config, http, clock)
    for _ in range(2):
        xero_sandbox.admin.advance(59 * 86400)
        assert "accounting.invoices" in tokens.granted()
    xero_sandbox.admin.advance(61 * 86400)
    with pytest.raises(XeroAuthError, match="invalid_grant"):
        tokens.current()


def test_a_second_local_xero_does_not_share_state_or_port(
    xero_sandbox: XeroSandbox, tmp_path: Path
) -> None:
    with pytest.raises(StateInUseError, match="another local Xero"):
        XeroSandbox(state=tmp_path / "sandbox" / "xero.sqlite")
    with pytest.raises(OSError, match="in use"):
        XeroSandbox(port=xero_sandbox.port)
