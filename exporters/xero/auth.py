"""Access tokens: asked for with the app's credentials, or renewed with the rotating refresh token.

The refresh token is worth a new consent by a person if lost: it is replaced atomically, mode 0600,
by one process at a time, in a folder that git ignores. Tokens are never logged.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import httpx
from filelock import FileLock, Timeout

from exporters.xero.config import XeroConfig
from exporters.xero.errors import UnavailableError, XeroAuthError
from exporters.xero.wire import Json

EARLY = timedelta(seconds=60)
LOCK_SECONDS = 60
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class Tokens(Protocol):
    """What the client needs: a token now, and a newer one when Xero refuses that."""

    def current(self) -> str:
        """An access token that should be good."""

    def renewed(self, refused: str) -> str:
        """An access token other than the one that was refused."""

    def granted(self) -> frozenset[str]:
        """The scopes of the token in use; none if Xero did not say."""


def tokens_for(config: XeroConfig, http: httpx.Client, clock: Callable[[], datetime]) -> Tokens:
    """The tokens of the configured grant."""
    if config.grant == "authorization_code":
        return RotatingTokens(config, http, clock)
    return AppTokens(config, http, clock)


class AppTokens:
    """Grant client_credentials: thirty minutes each, no refresh token, kept in memory."""

    def __init__(
        self, config: XeroConfig, http: httpx.Client, clock: Callable[[], datetime]
    ) -> None:
        self._config, self._http, self._clock = config, http, clock
        self._token, self._expires = "", _LONG_AGO
        self._granted: frozenset[str] = frozenset()
        self._renewing = threading.Lock()

    def current(self) -> str:
        """The token in use, renewed a minute before it ends."""
        with self._renewing:
            if not self._token or self._clock() >= self._expires - EARLY:
                self._renew()
            return self._token

    def renewed(self, refused: str) -> str:
        """A new token after Xero refused one."""
        with self._renewing:
            if self._token == refused:
                self._renew()
            return self._token

    def granted(self) -> frozenset[str]:
        """As the last token's answer said."""
        self.current()
        return self._granted

    def _renew(self) -> None:
        form = {"grant_type": "client_credentials", "scope": " ".join(self._config.scopes)}
        answer = ask(self._config, self._http, form)
        self._token = str(answer["access_token"])
        self._granted = _scopes(answer)
        self._expires = self._clock() + timedelta(seconds=int(answer["expires_in"]))


class RotatingTokens:
    """Grant authorization_code: each renewal gives a new refresh token and spends the old one."""

    def __init__(
        self, config: XeroConfig, http: httpx.Client, clock: Callable[[], datetime]
    ) -> None:
        self._config, self._http, self._clock = config, http, clock
        self._file = config.token_file

    def current(self) -> str:
        """The shared token, renewed a minute before it ends."""
        kept = self._read()
        if kept.get("access_token") and self._clock() < _expiry(kept) - EARLY:
            return str(kept["access_token"])
        return self.renewed(str(kept.get("access_token") or ""))

    def renewed(self, refused: str) -> str:
        """The token that another process has got meanwhile, or a new one."""
        folder = self._file.parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            with FileLock(folder / "xero_token.lock", timeout=LOCK_SECONDS):
                kept = self._read()
                token = str(kept.get("access_token") or "")
                if token and token != refused and self._clock() < _expiry(kept) - EARLY:
                    return token
                form = {"grant_type": "refresh_token", "refresh_token": kept["refresh_token"]}
                answer = ask(self._config, self._http, form)
                _write(self._file, {**kept, **answer}, self._clock())
                return str(answer["access_token"])
        except Timeout:
            raise UnavailableError(
                f"another process has held {folder / 'xero_token.lock'} for {LOCK_SECONDS} seconds"
            ) from None

    def granted(self) -> frozenset[str]:
        """As the consent or the last renewal said."""
        self.current()
        return _scopes(self._read())

    def _read(self) -> Json:
        try:
            kept = json.loads(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise XeroAuthError(
                f"{self._file} is missing: connect the app to the organisation once, with "
                "m2c xero connect"
            ) from None
        except ValueError:
            raise XeroAuthError(f"{self._file} is no JSON; connect the app again") from None
        if not isinstance(kept, dict) or not kept.get("refresh_token"):
            raise XeroAuthError(f"{self._file} holds no refresh_token; connect the app again")
        return kept


def keep_tokens(config: XeroConfig, answer: Json, clock: Callable[[], datetime]) -> None:
    """Keep the tokens of a new consent in the place of those that are there."""
    folder = config.token_file.parent
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not answer.get("refresh_token"):
        raise XeroAuthError("Xero gave no refresh token: the app lacks the scope offline_access")
    with FileLock(folder / "xero_token.lock", timeout=LOCK_SECONDS):
        _write(config.token_file, answer, clock())


def _write(path: Path, answer: Json, now: datetime) -> None:
    ignore = path.parent / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", encoding="utf-8")
    content = {
        "refresh_token": answer["refresh_token"],
        "access_token": answer["access_token"],
        "expires_at": (now + timedelta(seconds=int(answer["expires_in"]))).isoformat(),
        "scope": str(answer.get("scope") or ""),
    }
    # mkstemp makes the file 0600, before a byte of the secret is in it.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".xero_token.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(name, path)  # noqa: PTH105 - the atomic replacement is the point


def _scopes(answer: Json) -> frozenset[str]:
    return frozenset(str(answer.get("scope") or "").split())


def _expiry(kept: Json) -> datetime:
    try:
        at = datetime.fromisoformat(str(kept.get("expires_at")))
    except ValueError:
        return _LONG_AGO
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def ask(config: XeroConfig, http: httpx.Client, form: dict[str, str]) -> Json:
    """Ask for a token with this form. Raises XeroAuthError if Xero gives none."""
    url = f"{config.identity_url}/connect/token"
    try:
        answer = http.post(url, data=form, auth=(config.client_id, config.client_secret))
    except httpx.TransportError as error:
        raise UnavailableError(f"{url} cannot be reached: {error}") from None
    try:
        content = answer.json()
    except ValueError:
        content = {}
    if answer.status_code >= 500 or answer.status_code == 429:
        raise UnavailableError(f"{url} answered {answer.status_code}; try again later")
    if answer.status_code != 200:
        reason = content.get("error", "no reason given") if isinstance(content, dict) else "?"
        raise XeroAuthError(
            f"Xero gave no token ({answer.status_code}, {reason}): check M2C_XERO_CLIENT_ID and "
            "M2C_XERO_CLIENT_SECRET, or connect the app to the organisation again"
        )
    if not isinstance(content, dict) or not {"access_token", "expires_in"} <= content.keys():
        raise XeroAuthError(f"{url} answered without an access token")
    return content
