"""The page on which a person lets an app into the local organisation, and the codes it gives.

A code is good once, for five minutes, for the app and the redirect URI that it was given to, and
only with the verifier of its challenge (RFC 7636).
"""

from __future__ import annotations

import base64
import hashlib
import html
import secrets
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode, urlsplit

from exporters.xero.sandbox.errors import bad_request
from exporters.xero.sandbox.store import Store

CODE_LIFE: Final = timedelta(minutes=5)
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


def spend(store: Store, form: dict[str, str], client_id: str, now: datetime) -> str | None:
    """The scopes that a code stands for; None if it is not good. It is spent either way."""
    code = form.get("code", "")
    kept = store.get("code", code)
    if kept is None:
        return None
    store.delete("code", code)
    store.commit()
    digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
    proved = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    good = (
        kept["client_id"] == client_id
        and kept["redirect_uri"] == form.get("redirect_uri")
        and now - datetime.fromisoformat(str(kept["at"])) <= CODE_LIFE
        and kept["challenge"] in ("", proved)
    )
    return str(kept["scope"]) if good else None


def _check(store: Store, asked: dict[str, str]) -> None:
    if store.get("app", asked.get("client_id", "")) is None:
        raise bad_request("unauthorized_client: there is no such app")
    parts = urlsplit(asked.get("redirect_uri", ""))
    if parts.scheme != "http" or parts.hostname not in ("localhost", "127.0.0.1"):
        raise bad_request("invalid_redirect_uri: the local Xero sends people to loopback only")
