"""What became of endpoints, as the ledger has it: known or gone from the book, disabled by their
own answer, and what people said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

from exporters.ledger import Ledger, Reader, Transaction, tables
from exporters.ledger.actions import who_and_why
from exporters.webhooks.endpoints import Endpoint
from exporters.webhooks.owed import SETTLED, given_up_deliveries
from exporters.webhooks.world import World

Row = Mapping[str, Any]
KNOWN, GONE, DISABLED, ENABLED = "known", "gone", "disabled", "enabled"


def known_endpoints(reader: Reader) -> set[str]:
    """The endpoints that events are owed to."""
    return {name for name, row in newest(reader, (KNOWN, GONE)).items() if row["state"] == KNOWN}


def disabled_endpoints(reader: Reader, world: World) -> dict[str, Row]:
    """The endpoints that said they want nothing any more, with that fact. It is said of an address:
    another one in the book is sent to again."""
    found = newest(reader, (DISABLED, ENABLED))
    return {
        one.endpoint_id: row
        for one in world.endpoints
        if (row := found.get(one.endpoint_id)) is not None
        and row["state"] == DISABLED
        and row["url"] == one.url
    }


def newest(reader: Reader, among: Sequence[str]) -> dict[str, Row]:
    """The newest of some states, by endpoint."""
    table = tables.webhook_endpoints
    rows = reader.query(select(table).where(table.c.state.in_(among)).order_by(table.c.id))
    return {row["endpoint_id"]: row for row in rows}


def say_of_endpoint(
    tx: Transaction, endpoint: Endpoint, state: str, *, by: str, reason: str
) -> None:
    """Write down what became of an endpoint."""
    tx.record(
        tables.webhook_endpoints,
        endpoint_id=endpoint.endpoint_id,
        state=state,
        url=endpoint.url,
        by=by,
        reason=reason,
    )


def enable(ledger: Ledger, world: World, endpoint_id: str, *, by: str, reason: str) -> list[str]:
    """Somebody says that an endpoint is to be sent to again after it said 410, in words. What
    waited meanwhile is sent. Raises UnknownEndpointError, ActionError."""
    by, reason = who_and_why(by, reason)
    endpoint = world.endpoint(endpoint_id)
    with ledger.transaction() as tx:
        was_disabled = endpoint_id in disabled_endpoints(tx, world)
        if was_disabled:
            say_of_endpoint(tx, endpoint, ENABLED, by=by, reason=reason)
    already = "" if was_disabled else " (was so already)"
    return [f"{endpoint_id}: enabled{already}, by {by}: {reason}"]


def settle(ledger: Ledger, world: World, endpoint_id: str, *, by: str, reason: str) -> list[str]:
    """Somebody answers for what was given up for an endpoint: nobody waits for it any more. Raises
    UnknownEndpointError, ActionError."""
    by, reason = who_and_why(by, reason)
    endpoint = world.endpoint(endpoint_id)
    with ledger.transaction() as tx:
        given_up = len(given_up_deliveries(tx).get(endpoint_id, ()))
        if given_up:
            say_of_endpoint(tx, endpoint, SETTLED, by=by, reason=reason)
    return [f"{endpoint_id}: {given_up} given up settled, by {by}: {reason}"]
