"""Events that are sent once more because somebody asks for it, each under its id."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from exporters.ledger import Reader, Transaction, tables
from exporters.webhooks.endpoints import Endpoint
from exporters.webhooks.owed import given_up_deliveries, owed_deliveries

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which events are to be sent again: of [since, until) in time, of some types (patterns), those
    given up only, or one."""

    since: datetime | None = None
    until: datetime | None = None
    types: tuple[str, ...] = ()
    given_up: bool = False
    event_id: str | None = None


def events_to_replay(reader: Reader, endpoint: Endpoint, wanted: Wanted) -> list[Row]:
    """The events that an endpoint wants and that are not under way to it, in order."""
    events = tables.webhook_events
    statement = select(
        events.c.event_id,
        events.c.type,
        events.c.subject,
        events.c.occurred_at,
        events.c.payer_id,
        events.c.customer_ids,
    ).order_by(events.c.id)
    if wanted.since is not None:
        statement = statement.where(events.c.occurred_at >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(events.c.occurred_at < wanted.until)
    if wanted.event_id is not None:
        statement = statement.where(events.c.event_id == wanted.event_id)
    under_way = {
        one.event_id for one in owed_deliveries(reader) if one.endpoint_id == endpoint.endpoint_id
    }
    given_up = {
        row["event_id"] for row in given_up_deliveries(reader).get(endpoint.endpoint_id, ())
    }
    chosen = Endpoint(endpoint_id="", url="", secrets=(), events=wanted.types)
    return [
        row
        for row in reader.query(statement)
        if row["event_id"] not in under_way
        and (not wanted.given_up or row["event_id"] in given_up)
        and chosen.wants_type(row["type"])
        and endpoint.wants(
            row["type"],
            payer_id=row["payer_id"],
            customer_ids=json.loads(row["customer_ids"]),
        )
    ]


def owe_again(tx: Transaction, endpoint: Endpoint, wanted: Wanted) -> list[Row]:
    """Owe events to an endpoint once more, each under its id; those that are."""
    found = events_to_replay(tx, endpoint, wanted)
    owed = tables.webhook_deliveries
    rounds: dict[str, int] = {
        row["event_id"]: row["round"]
        for row in tx.query(
            select(owed.c.event_id, func.max(owed.c.round).label("round"))
            .where(owed.c.endpoint_id == endpoint.endpoint_id)
            .group_by(owed.c.event_id)
        )
    }
    tx.record_many(
        owed,
        [
            {
                "event_id": row["event_id"],
                "endpoint_id": endpoint.endpoint_id,
                "round": rounds.get(row["event_id"], 0) + 1,
            }
            for row in found
        ],
    )
    return found
