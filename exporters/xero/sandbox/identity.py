"""Who may talk to the local organisation: consent, codes, tokens, and the scopes they open.

A code is good once, for five minutes, for the app and the redirect URI that it was given to, and
only with the verifier of its challenge (RFC 7636). An access token is good for thirty minutes; a
refresh token once, with a grace period for answers that got lost, and for sixty days unused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import html
import secrets
import uuid
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlencode, urlsplit

from exporters.xero.sandbox.errors import bad_request
from exporters.xero.sandbox.store import Store
from exporters.xero.sandbox.wire import Json

CODE_LIFE: Final = timedelta(minutes=5)
TOKEN_LIFE: Final = timedelta(minutes=30)
REFRESH_LIFE: Final = timedelta(days=60)
REFRESH_GRACE: Final = timedelta(minutes=30)
_SETTINGS: Final = ("accounting.settings",)
# Xero's description names only the broad scope for these; whichever narrow one is near will do.
_CREDITS: Final = (
    "accounting.payments",
    "accounting.banktransactions",
    "accounting.invoices",
    "accounting.transactions",
)
_OPENED_BY: Final = {
    "Accounts": _SETTINGS,
    "BrandingThemes": _SETTINGS,
    "Currencies": _SETTINGS,
    "InvoiceReminders": _SETTINGS,
    "Organisation": _SETTINGS,
    "TaxRates": _SETTINGS,
    "TrackingCategories": _SETTINGS,
    "Contacts": ("accounting.contacts",),
    "Invoices": ("accounting.invoices", "accounting.transactions"),
    "CreditNotes": ("accounting.invoices", "accounting.transactions"),
    "Payments": ("accounting.payments", "accounting.transactions"),
    "Overpayments": _CREDITS,
    "Prepayments": _CREDITS,
    "BankTransactions": ("accounting.banktransactions", "accounting.transactions"),
}
_ASKED: Final = ("client_id", "redirect_uri", "scope", "state", "code_challenge")
_PAGE: Final = """<!doctype html>
<meta charset=utf-8>
<meta name=viewport content="width=device-width">
<title>Connect an app</title>
<style>
body {{ font: 16px system-ui; max-width: 30rem; margin: 3rem auto; padding: 0 1rem }}
button {{ font: inherit; padding: .5rem 1.2rem; margin-right: .6rem }}
li {{ color: #444 }}
</style>
<h1>{app} wants to use {organisation}</h1>
<p>It asks for:</p>
<ul>{scopes}</ul>
<form method=post action="/identity/connect/authorize">
{fields}
<button name=answer value=allow>Allow access</button>
<button name=answer value=deny>Cancel</button>
</form>
"""


def page(store: Store, query: dict[str, str], *, organisation: str) -> str:
    """The consent page. Raises the 400 of an app or a redirect URI that is not known."""
    _check(store, query)
    fields = "".join(
        f'<input type=hidden name="{name}" value="{html.escape(query.get(name, ""))}">'
        for name in _ASKED
    )
    scopes = "".join(f"<li>{html.escape(scope)}</li>" for scope in query.get("scope", "").split())
    return _PAGE.format(
        app=html.escape(query["client_id"]),
        organisation=html.escape(organisation),
        scopes=scopes,
        fields=fields,
    )


def answer(store: Store, form: dict[str, str], now: datetime) -> str:
    """Where the browser is sent: with a code, or with what was refused."""
    _check(store, form)
    back = {"state": form.get("state", "")}
    if form.get("answer") == "allow":
        back["code"] = secrets.token_urlsafe(24)
        kept = {name: form.get(name, "") for name in ("client_id", "redirect_uri", "scope")}
        kept |= {"challenge": form.get("code_challenge", ""), "at": now.isoformat()}
        store.put("code", back["code"], kept)
    else:
        back["error"] = "access_denied"
    return f"{form['redirect_uri']}?{urlencode(back)}"


def credentials_of(header: str | None, form: dict[str, str]) -> tuple[str, str]:
    """Client id and secret, of a Basic header or of the form."""
    if header is not None and header.startswith("Basic "):
        try:
            client_id, _, secret = base64.b64decode(header[6:]).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return client_id, secret
    return form.get("client_id", ""), form.get("client_secret", "")


def is_open(method: str, resource: str, scopes: Collection[str]) -> bool:
    """Whether these scopes open a call of the accounting API. A token without scopes is of the time
    before they were kept, or was given to a person's hand: it opens all."""
    if not scopes:
        return True
    parts = [part for part in resource.split("/") if part]
    needed = _OPENED_BY.get(parts[0] if parts else "", ())
    if len(parts) > 2 and parts[2] == "Attachments":
        needed = ("accounting.attachments",)
    if not needed:
        return True
    wanted = {*needed, *(f"{one}.read" for one in needed)} if method == "GET" else {*needed}
    return not wanted.isdisjoint(scopes)


class Tokens:
    """Codes, access and refresh tokens, kept in the store so that a restart honours them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def grant(self, form: dict[str, str], client_id: str, secret: str, now: datetime) -> Json:
        """The answer of `/connect/token`: tokens, or `error` (then nothing else)."""
        if not self._is_app(client_id, secret):
            return {"error": "invalid_client"}
        kind = form.get("grant_type")
        if kind == "client_credentials":
            scope: str | None = form.get("scope", "")
        elif kind == "refresh_token":
            scope = self._spend_refresh(form.get("refresh_token", ""), client_id, now)
        elif kind == "authorization_code":
            scope = self._spend_code(form, client_id, now)
        else:
            return {"error": "unsupported_grant_type"}
        if scope is None:
            return {"error": "invalid_grant"}
        answer: Json = {
            "access_token": self._new_access(client_id, scope, now),
            "expires_in": int(TOKEN_LIFE.total_seconds()),
            "token_type": "Bearer",
            "scope": scope,
        }
        if kind == "refresh_token" or (
            kind == "authorization_code" and "offline_access" in scope.split()
        ):
            answer["refresh_token"] = self.new_refresh(client_id, now, scope=scope)
        return answer

    def _is_app(self, client_id: str, secret: str) -> bool:
        app = self._store.get("app", client_id)
        return app is not None and secrets.compare_digest(
            str(app["secret"]).encode(), secret.encode()
        )

    def _new_access(self, client_id: str, scope: str, now: datetime) -> str:
        token = secrets.token_urlsafe(32)
        expires = (now + TOKEN_LIFE).isoformat()
        body = {"_key": token, "client": client_id, "expires": expires, "scope": scope}
        self._store.put("token", token, body)
        return token

    def new_refresh(self, client_id: str, now: datetime, *, scope: str = "") -> str:
        """A fresh refresh token."""
        token = secrets.token_urlsafe(32)
        body = {"client": client_id, "used": None, "given": now.isoformat(), "scope": scope}
        self._store.put("refresh", token, body)
        return token

    def _spend_refresh(self, token: str, client_id: str, now: datetime) -> str | None:
        """The scopes of a refresh token; None if it is not good, or no more."""
        body = self._store.get("refresh", token)
        if body is None or body["client"] != client_id:
            return None
        scope = str(body.get("scope") or "")
        if body["used"] is not None:
            used = datetime.fromisoformat(str(body["used"]))
            return scope if now - used <= REFRESH_GRACE else None
        given = body.get("given")
        if given is not None and now - datetime.fromisoformat(str(given)) > REFRESH_LIFE:
            return None
        body["used"] = now.isoformat()
        self._store.put("refresh", token, body)
        return scope

    def _spend_code(self, form: dict[str, str], client_id: str, now: datetime) -> str | None:
        """The scopes that a code stands for; None if it is not good. It is spent either way."""
        code = form.get("code", "")
        kept = self._store.get("code", code)
        if kept is None:
            return None
        self._store.delete("code", code)
        self._store.commit()
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        proved = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        good = (
            kept["client_id"] == client_id
            and kept["redirect_uri"] == form.get("redirect_uri")
            and now - datetime.fromisoformat(str(kept["at"])) <= CODE_LIFE
            and kept["challenge"] in ("", proved)
        )
        return str(kept["scope"]) if good else None

    def check(self, header: str | None, now: datetime) -> str | None:
        """Why an Authorization header is not good, or None when it is."""
        body = self._of(header)
        if header is None or not header.startswith("Bearer "):
            return "AuthenticationUnsuccessful"
        if body is None:
            return "TokenInvalid: token is not valid"
        if now >= datetime.fromisoformat(str(body["expires"])):
            return f"TokenExpired: token expired at {body['expires']}"
        return None

    def scopes(self, header: str | None) -> list[str]:
        """The scopes of a good Authorization header."""
        return str((self._of(header) or {}).get("scope") or "").split()

    def _of(self, header: str | None) -> Json | None:
        return self._store.get("token", (header or "").removeprefix("Bearer "))

    def expire_all(self) -> None:
        """Make every access token expired (a test's or a demo's wish)."""
        past = datetime(2000, 1, 1, tzinfo=UTC).isoformat()
        for token in self._store.all("token"):
            token["expires"] = past
            self._store.put("token", str(token["_key"]), token)


def connections(settings: Json, at: str) -> list[Json]:
    """The answer of `/connections`: the organisation, connected since `at`."""
    tenant = str(settings["OrganisationID"])
    return [
        {
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, tenant)),
            "authEventId": str(uuid.uuid4()),
            "tenantId": tenant,
            "tenantType": "ORGANISATION",
            "tenantName": settings["Name"],
            "createdDateUtc": at,
            "updatedDateUtc": at,
        }
    ]


def _check(store: Store, asked: dict[str, str]) -> None:
    if store.get("app", asked.get("client_id", "")) is None:
        raise bad_request("unauthorized_client: there is no such app")
    parts = urlsplit(asked.get("redirect_uri", ""))
    if parts.scheme != "http" or parts.hostname not in ("localhost", "127.0.0.1"):
        raise bad_request("invalid_redirect_uri: the local Xero sends people to loopback only")
