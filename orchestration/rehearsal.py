"""Rehearsals: while the clock is replaced, nothing outside this machine may be acted on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from exporters.collections import is_loopback
from orchestration.settings import SettingsError, is_rehearsal

if TYPE_CHECKING:
    from exporters.webhooks import Endpoint

_TARGETS = ("M2C_XERO_API_URL", "M2C_XERO_IDENTITY_URL", "M2C_SMTP_URL")
_OPTIONAL = ("M2C_SMTP_URL",)


def refuse_outside_mailbox(env: Mapping[str, str]) -> None:
    """Raise SettingsError when `M2C_NOW` is set and the mailbox for returned mail, in which mails
    would be marked, is not on loopback."""
    url = env.get("M2C_BOUNCES_IMAP_URL")
    if is_rehearsal(env) and url and not is_loopback(url):
        raise SettingsError(
            "M2C_NOW is set, so this is a rehearsal, but M2C_BOUNCES_IMAP_URL points at "
            f"{urlsplit(url).hostname or 'another machine'}. Unset one of them."
        )


def refuse_outside_loopback(env: Mapping[str, str]) -> None:
    """Raise SettingsError when `M2C_NOW` is set and a host that would be acted on is not loopback.

    The rule is that of the collections specification: a replaced clock is for tests and
    rehearsals.
    """
    if not is_rehearsal(env):
        return
    for name in _TARGETS:
        url = env.get(name)
        if not url and name in _OPTIONAL:
            continue
        if not url or not is_loopback(url):
            host = urlsplit(url or "").hostname or "the real one"
            raise SettingsError(
                f"M2C_NOW is set, so this is a rehearsal, but {name} points at {host}. "
                "Unset M2C_NOW, or point it at a server on loopback."
            )


def refuse_sites_outside_loopback(hosts: Iterable[tuple[str, str]], env: Mapping[str, str]) -> None:
    """The same of sites whose machines are switched: (site_id, URL)."""
    if not is_rehearsal(env):
        return
    for site_id, url in hosts:
        if not is_loopback(url):
            raise SettingsError(
                f"M2C_NOW is set, so this is a rehearsal, but the machines of site {site_id} are "
                f"switched at {urlsplit(url).hostname}. Unset M2C_NOW, or let sources.yml name a "
                "host on loopback."
            )


def refuse_endpoints_outside_loopback(
    env: Mapping[str, str], endpoints: Iterable[Endpoint]
) -> None:
    """Raise SettingsError when `M2C_NOW` is set and an endpoint that would be sent to is not on
    loopback."""
    if not is_rehearsal(env):
        return
    for one in endpoints:
        if one.active and not is_loopback(one.url):
            raise SettingsError(
                f"M2C_NOW is set, so this is a rehearsal, but endpoint {one.endpoint_id} of "
                f"webhooks.yml is at {one.host}. Unset M2C_NOW, or make it not active."
            )
