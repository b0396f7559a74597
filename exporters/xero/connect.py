"""Connecting the app to organisations: a person consents in the browser, once, and the refresh
token that comes back is kept where `auth` rotates it.

OAuth 2.0 authorization code flow with state and PKCE (RFC 6749, RFC 7636), the answer taken on
loopback (RFC 8252). No token is ever shown.
"""

from __future__ import annotations

import base64
import hashlib
import html
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import TracebackType
from typing import Final, Self
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx

from exporters.xero.auth import ask, keep_tokens
from exporters.xero.config import IDENTITY_URL, XeroConfig
from exporters.xero.errors import UnavailableError, XeroAuthError
from exporters.xero.wire import Json

LOGIN_URL: Final = "https://login.xero.com"
CALLBACK: Final = "/callback"
CONSENT_SECONDS: Final = 300.0
_HEAD: Final = "<!doctype html><meta charset=utf-8><title>Meter to cash</title>"
_DONE: Final = "Connected. You can close this page and go back to the terminal."


@dataclass(frozen=True)
class Organisation:
    """An organisation that the app is connected to."""

    tenant_id: str
    name: str


@dataclass(frozen=True)
class Consent:
    """What is asked of a person: the page to open, and what its answer must match."""

    url: str
    state: str
    verifier: str
    redirect_uri: str


def ask_for_consent(config: XeroConfig, redirect_uri: str) -> Consent:
    """The page on which a person lets the app in. The redirect URI must be one of the app's, letter
    by letter."""
    state, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
    query = {
        "response_type": "code",
        "client_id": config.client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join((*config.scopes, "offline_access")),
        "state": state,
        "code_challenge": challenge.decode(),
        "code_challenge_method": "S256",
    }
    host = LOGIN_URL if config.identity_url == IDENTITY_URL else config.identity_url
    return Consent(
        f"{host}/identity/connect/authorize?{urlencode(query)}", state, verifier, redirect_uri
    )


class Callback:
    """Waits on loopback for the browser to come back from Xero."""

    def __init__(self, port: int) -> None:
        self.answer: dict[str, str] = {}
        self._come = threading.Event()
        callback = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if parts.path != CALLBACK:
                    self.send_error(404)
                    return
                callback.answer = {k: v[-1] for k, v in parse_qs(parts.query).items()}
                refused = callback.answer.get("error")
                words = f"Not connected: {refused}." if refused else _DONE
                page = f"{_HEAD}<p>{html.escape(words)}</p>"
                self.send_response(200)
                self.send_header("content-type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(page.encode())
                callback._come.set()

            def log_message(self, *_: object) -> None:
                """Nothing: the address holds the code."""

        try:
            self._server = HTTPServer(("127.0.0.1", port), Handler)
        except OSError as error:
            raise UnavailableError(
                f"port {port} of this machine cannot be used ({error.strerror}): name another one "
                "with --port, and add its address to the redirect URIs of the Xero app"
            ) from None
        self.redirect_uri = f"http://localhost:{self._server.server_port}{CALLBACK}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def code(self, consent: Consent, *, seconds: float = CONSENT_SECONDS) -> str:
        """The code of the answer. Raises XeroAuthError if there is none, or it is not to our
        question."""
        if not self._come.wait(seconds):
            raise XeroAuthError(f"nobody consented within {seconds:.0f} seconds; run it again")
        if error := self.answer.get("error"):
            words = self.answer.get("error_description") or error
            raise XeroAuthError(f"Xero did not connect the app: {words}")
        if not secrets.compare_digest(self.answer.get("state", ""), consent.state):
            raise XeroAuthError(
                "the answer in the browser belongs to another attempt; run it again and use the "
                "address that it prints"
            )
        code = self.answer.get("code")
        if not code:
            raise XeroAuthError("the answer in the browser holds no code; run it again")
        return code


def finish(
    config: XeroConfig,
    consent: Consent,
    code: str,
    *,
    http: httpx.Client,
    clock: Callable[[], datetime],
) -> list[Organisation]:
    """Turn the code into tokens, keep them, and say which organisations the app may talk to."""
    answer = ask(
        config,
        http,
        {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": consent.redirect_uri,
            "code_verifier": consent.verifier,
        },
    )
    keep_tokens(config, answer, clock)
    return organisations_of(config, str(answer["access_token"]), http=http)


def organisations_of(config: XeroConfig, token: str, *, http: httpx.Client) -> list[Organisation]:
    """The organisations that a token opens."""
    parts = urlsplit(config.api_url)
    url = f"{parts.scheme}://{parts.netloc}/connections"
    try:
        answer = http.get(url, headers={"Authorization": f"Bearer {token}"})
    except httpx.TransportError as error:
        raise UnavailableError(f"{url} cannot be reached: {error}") from None
    if answer.status_code != 200:
        raise XeroAuthError(f"{url} answered {answer.status_code}: connect the app again")
    found: list[Json] = answer.json()
    return sorted(
        (
            Organisation(str(one["tenantId"]), str(one.get("tenantName") or ""))
            for one in found
            if one.get("tenantType") == "ORGANISATION"
        ),
        key=lambda organisation: organisation.name,
    )


def missing(connected: list[Organisation], wanted: dict[str, str]) -> list[str]:
    """In words, what is still to be connected or named. wanted: whose organisation it is, by
    tenant id."""
    known = {organisation.tenant_id for organisation in connected}
    words = [
        f"the organisation {tenant} of {whose} is not connected: run this again and choose it"
        for tenant, whose in sorted(wanted.items())
        if tenant not in known
    ]
    if not wanted:
        words.append(
            "say which one is billed: xero_tenant_id of the seller in the book, or "
            "M2C_XERO_TENANT_ID for the only one"
        )
    return words
