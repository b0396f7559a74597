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
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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
_HEAD: Final = (
    "<!doctype html><html lang=en><meta charset=utf-8>"
    '<meta name=viewport content="width=device-width"><title>Meter to cash</title>'
)
_IDLE_SECONDS: Final = 10.0
_STYLE: Final = (
    "<style>body{font:18px system-ui;max-width:30rem;margin:4rem auto;padding:0 1rem}</style>"
)
_ALLOWED: Final = (
    "Xero let this program in. You can close this page: the terminal says whether all is connected."
)
_ANOTHER: Final = (
    "This answer belongs to another attempt, and nothing was connected by it. Close this page and "
    "open the address that the terminal shows now."
)


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
    """Waits on loopback for the browser to come back from Xero.

    Only an answer to our own question ends the waiting: any page may send the browser here.
    """

    def __init__(self, port: int) -> None:
        self.answer: dict[str, str] = {}
        self._state = ""
        self._strangers = 0
        self._come = threading.Event()
        callback = self

        class Handler(BaseHTTPRequestHandler):
            timeout = _IDLE_SECONDS  # browsers open connections ahead, and leave them idle

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if parts.path != CALLBACK:
                    self.send_error(404)
                    return
                words = callback._take({k: v[-1] for k, v in parse_qs(parts.query).items()})
                page = f"{_HEAD}{_STYLE}<p>{html.escape(words)}</p>".encode()
                self.send_response(200)
                self.send_header("content-type", "text/html; charset=utf-8")
                self.send_header("content-length", str(len(page)))
                self.send_header("cache-control", "no-store")
                self.send_header("referrer-policy", "no-referrer")
                self.end_headers()
                self.wfile.write(page)
                if callback.answer:
                    callback._come.set()

            def log_message(self, *_: object) -> None:
                """Nothing: the address holds the code."""

        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
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

    def consent(self, config: XeroConfig) -> Consent:
        """What to ask a person; from now on the answer to it is waited for, and to no other."""
        asked = ask_for_consent(config, self.redirect_uri)
        self._state = asked.state
        return asked

    def _take(self, answer: dict[str, str]) -> str:
        """Keep an answer to our question; the words for the page."""
        if not self._state or not secrets.compare_digest(
            answer.get("state", "").encode(), self._state.encode()
        ):
            self._strangers += 1
            return _ANOTHER
        self.answer = answer
        refused = answer.get("error")
        return f"Not connected: {refused}. You can close this page." if refused else _ALLOWED

    def code(self, *, seconds: float = CONSENT_SECONDS) -> str:
        """The code of the answer. Raises XeroAuthError if none came, or access was refused."""
        if not self._come.wait(seconds):
            other = (
                " (the browser came back with the answer to another attempt: use the address that "
                "is printed)"
                if self._strangers
                else ""
            )
            raise XeroAuthError(
                f"nobody consented within {seconds:.0f} seconds{other}; run it again"
            )
        if error := self.answer.get("error"):
            words = self.answer.get("error_description") or error
            raise XeroAuthError(f"Xero did not connect the app: {words}")
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
        words += [
            f"export M2C_XERO_TENANT_ID={organisation.tenant_id}  # {organisation.name}"
            for organisation in connected
        ]
    return words


def choose(connected: list[Organisation], tenant: str, wanted: dict[str, str]) -> list[str]:
    """In words, what stands against billing in the organisation `tenant` (--tenant)."""
    if tenant not in {organisation.tenant_id for organisation in connected}:
        return [f"the organisation {tenant} is not connected: run this again and choose it in Xero"]
    if wanted and tenant not in wanted:
        named = ", ".join(f"{one} ({whose})" for one, whose in sorted(wanted.items()))
        return [
            f"nothing would be billed in {tenant}: the book and M2C_XERO_TENANT_ID name {named}; "
            "set xero_tenant_id of the seller in the book, or M2C_XERO_TENANT_ID"
        ]
    return []
