"""What the marts say that concerns events: who is to be told, and what only they know of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from exporters.marts import open_marts
from exporters.webhooks.endpoints import Endpoint, UnknownEndpointError, read_endpoints

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class World:
    """What the marts say that concerns events."""

    built_at: datetime
    endpoints: tuple[Endpoint, ...]
    exceptions: tuple[Row, ...] = ()
    alerts: tuple[Row, ...] = ()
    customers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def endpoint(self, endpoint_id: str) -> Endpoint:
        """The endpoint of this id. Raises UnknownEndpointError if there is none."""
        for one in self.endpoints:
            if one.endpoint_id == endpoint_id:
                return one
        named = ", ".join(one.endpoint_id for one in self.endpoints) or "none"
        raise UnknownEndpointError(
            f"no endpoint {endpoint_id!r}; webhooks.yml, as of the last build, has {named}"
        )


def read_world(marts_path: Path) -> World:
    """The marts at a path. Raises MartsError."""
    with open_marts(marts_path) as marts:
        customers: dict[str, list[str]] = {}
        for row in marts.rows("SELECT DISTINCT contract_id, customer_id FROM contracts ORDER BY 2"):
            customers.setdefault(row["contract_id"], []).append(row["customer_id"])
        return World(
            built_at=marts.build_info()["built_at"],
            endpoints=tuple(read_endpoints(marts)),
            exceptions=tuple(
                marts.rows("SELECT * FROM billing_exceptions ORDER BY first_seen, exception_id")
            ),
            alerts=tuple(
                marts.rows("SELECT * FROM alerts WHERE is_reached ORDER BY period, alert_key")
            ),
            customers={contract: tuple(found) for contract, found in customers.items()},
        )
