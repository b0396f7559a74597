"""Who is told what: the endpoints of webhooks.yml as the marts have them, and what of the ledger
each wants to hear. How a request reaches one is not here."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final
from urllib.parse import urlsplit

from exporters.marts import Marts
from exporters.webhooks.catalogue import TYPES

Row = Mapping[str, Any]
SECRET_PREFIX: Final = "whsec_"
_SECRET_BYTES: Final = range(24, 65)
MAKE_SECRET: Final = 'make one with: echo "whsec_$(openssl rand -base64 32)"'


class EndpointError(Exception):
    """An endpoint that cannot be sent to as it is: its secret, say. The words say what to do."""


class UnknownEndpointError(EndpointError):
    """The book has no endpoint of that name."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A system that is told what happens. secrets: names of environment variables, the new one
    first. events, customers, payers: what it is told of, all if empty."""

    endpoint_id: str
    url: str
    secrets: tuple[str, ...]
    events: tuple[str, ...] = ()
    customers: frozenset[str] = frozenset()
    payers: frozenset[str] = frozenset()
    description: str | None = None
    active: bool = True
    private: bool = False

    @property
    def host(self) -> str:
        """The host of its address."""
        return urlsplit(self.url).hostname or ""

    def wants(self, kind: str, *, payer_id: str | None, customer_ids: Sequence[str]) -> bool:
        """Whether it is told of an event. One that is told of some customers only hears of an event
        if that is about nobody else: a statement of several customers is told to none of them."""
        return (
            self.wants_type(kind)
            and (not self.payers or payer_id in self.payers)
            and (not self.customers or (bool(customer_ids) and self.customers >= {*customer_ids}))
        )

    def wants_type(self, kind: str) -> bool:
        """Whether events of this type are told at all."""
        return not self.events or any(fnmatchcase(kind, pattern) for pattern in self.events)

    def unknown_events(self) -> list[str]:
        """What it asks to be told of and no event ever is."""
        return [one for one in self.events if not any(fnmatchcase(kind, one) for kind in TYPES)]

    def keys(self, env: Mapping[str, str]) -> list[str]:
        """Its secrets, to sign with all of them. Raises EndpointError for one that is missing or
        none by the convention: `whsec_` and 24 to 64 bytes in base64."""
        found = []
        for name in self.secrets:
            secret = env.get(name)
            if not secret:
                raise EndpointError(f"{name} is not set: {MAKE_SECRET}")
            if not _is_secret(secret):
                raise EndpointError(
                    f"{name} is no secret by the convention (whsec_ and 24 to 64 bytes in base64): "
                    f"{MAKE_SECRET}"
                )
            found.append(secret)
        return found


def _is_secret(text: str) -> bool:
    try:
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return False
    return text.startswith(SECRET_PREFIX) and len(key) in _SECRET_BYTES


def read_endpoints(marts: Marts) -> list[Endpoint]:
    """The endpoints of the book, in order of their id. Raises MartsError."""
    return [
        Endpoint(
            endpoint_id=row["endpoint_id"],
            url=row["url"],
            secrets=_parts(row["secrets"]),
            events=_parts(row["events"]),
            customers=frozenset(_parts(row["customers"])),
            payers=frozenset(_parts(row["payers"])),
            description=row["description"],
            active=row["active"],
            private=row["private"],
        )
        for row in marts.table("webhook_endpoints")
    ]


def _parts(joined: str | None) -> tuple[str, ...]:
    return tuple(joined.split("|")) if joined else ()
