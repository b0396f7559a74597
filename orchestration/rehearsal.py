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


def refuse_elsewhere(env: Mapping[str, str], url: str, *, where: str, remedy: str) -> None:
    """Raise SettingsError when `M2C_NOW` is set and `url` is not on loopback. `where` says what is
    where, `remedy` what to do.

    The rule is that of the collections specification: a replaced clock is for tests and
    rehearsals.
    """
    if is_rehearsal(env) and not is_loopback(url):
        raise SettingsError(f"M2C_NOW is set, so this is a rehearsal, but {where}. {remedy}")


def _host(url: str, *, otherwise: str = "another machine") -> str:
    return urlsplit(url).hostname or otherwise


def refuse_outside_mailbox(env: Mapping[str, str]) -> None:
    """Refuse a mailbox for returned mail, in which mails would be marked, that is elsewhere."""
    if url := env.get("M2C_BOUNCES_IMAP_URL"):
        refuse_elsewhere(
            env,
            url,
            where=f"M2C_BOUNCES_IMAP_URL points at {_host(url)}",
            remedy="Unset one of them.",
        )


def refuse_outside_loopback(env: Mapping[str, str]) -> None:
    """Refuse Xero and a mail server that are elsewhere; without an address Xero is the real one."""
    for name in _TARGETS:
        url = env.get(name) or ""
        if not url and name in _OPTIONAL:
            continue
        refuse_elsewhere(
            env,
            url,
            where=f"{name} points at {_host(url, otherwise='the real one')}",
            remedy="Unset M2C_NOW, or point it at a server on loopback.",
        )


def refuse_sites_outside_loopback(hosts: Iterable[tuple[str, str]], env: Mapping[str, str]) -> None:
    """Refuse sites whose machines are switched elsewhere: (site_id, URL)."""
    if not is_rehearsal(env):
        return  # telling the hosts asks for every secret's configuration
    for site_id, url in hosts:
        refuse_elsewhere(
            env,
            url,
            where=f"the machines of site {site_id} are switched at {_host(url)}",
            remedy="Unset M2C_NOW, or let sources.yml name a host on loopback.",
        )


def refuse_endpoints_outside_loopback(
    env: Mapping[str, str], endpoints: Iterable[Endpoint]
) -> None:
    """Refuse endpoints that are elsewhere and would be sent to."""
    for one in endpoints:
        if one.active:
            refuse_elsewhere(
                env,
                one.url,
                where=f"endpoint {one.endpoint_id} of webhooks.yml is at {one.host}",
                remedy="Unset M2C_NOW, or make it not active.",
            )
