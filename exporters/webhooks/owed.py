"""What is owed to endpoints, as the ledger has it: deliveries that are neither made nor given up,
those given up, and how far all is settled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, select

from exporters.ledger import Ledger, Reader, tables

Row = Mapping[str, Any]
DELIVERED, FAILED, GIVEN_UP, HUNG_UP = "delivered", "failed", "given_up", "gone"
FINAL: Final = (DELIVERED, GIVEN_UP)
SETTLED: Final = "settled"
"""What a person says of an endpoint: nobody waits for what was given up before."""
SCAN_WORTH: Final = 500
"""So many settled deliveries, or facts of others, are worth a note that they need no look again."""
_SELECT_AT_ONCE: Final = 500


def last_scan(reader: Reader) -> Row:
    """How far events were made, and up to where nothing is owed: seq, built_at, settled_to."""
    scans = tables.webhook_scans
    found = reader.first(select(scans).order_by(scans.c.id.desc()))
    return found or {"seq": 0, "built_at": None, "settled_to": 0}


@dataclass(frozen=True, kw_only=True)
class Owed:
    """A delivery that is neither made nor given up. attempts: those that failed; next_at: when the
    next one is due, None if at once."""

    delivery_id: int
    event_id: str
    endpoint_id: str
    type: str
    subject: str
    attempts: int
    next_at: datetime | None


def owed_deliveries(reader: Reader) -> list[Owed]:
    """Everything that is owed, in the order of the ledger."""
    owed, attempts, events = (
        tables.webhook_deliveries,
        tables.webhook_attempts,
        tables.webhook_events,
    )
    rows = reader.query(
        select(owed.c.id, owed.c.event_id, owed.c.endpoint_id, events.c.type, events.c.subject)
        .join(events, events.c.event_id == owed.c.event_id)
        .where(owed.c.id > last_scan(reader)["settled_to"])
        .where(
            ~select(attempts.c.id)
            .where(attempts.c.delivery_id == owed.c.id)
            .where(attempts.c.status.in_(FINAL))
            .exists()
        )
        .order_by(owed.c.id)
    )
    newest: dict[int, Row] = {}
    for part in some([row["id"] for row in rows]):
        for row in reader.query(
            select(attempts).where(attempts.c.delivery_id.in_(part)).order_by(attempts.c.attempt)
        ):
            newest[row["delivery_id"]] = row
    return [
        Owed(
            delivery_id=row["id"],
            event_id=row["event_id"],
            endpoint_id=row["endpoint_id"],
            type=row["type"],
            subject=row["subject"],
            attempts=newest[row["id"]]["attempt"] if row["id"] in newest else 0,
            next_at=newest[row["id"]]["next_at"] if row["id"] in newest else None,
        )
        for row in rows
    ]


def paused_endpoints(reader: Reader) -> dict[str, datetime]:
    """Until when endpoints asked to be left alone, if the newest answer of each did."""
    table = tables.webhook_attempts
    newest = select(func.max(table.c.id)).group_by(table.c.endpoint_id)
    rows = reader.query(
        select(table.c.endpoint_id, table.c.pause_until)
        .where(table.c.id.in_(newest))
        .where(table.c.pause_until.is_not(None))
    )
    return {row["endpoint_id"]: row["pause_until"] for row in rows}


def payload_of(reader: Reader, event_id: str) -> str:
    """What is sent of an event, letter for letter."""
    events = tables.webhook_events.c
    return str(reader.scalar(select(events.payload).where(events.event_id == event_id)))


def given_up_deliveries(reader: Reader) -> dict[str, list[Row]]:
    """By endpoint, the deliveries that were given up, that nobody settled and no replay took up."""
    owed, attempts, events = (
        tables.webhook_deliveries,
        tables.webhook_attempts,
        tables.webhook_events,
    )
    later = owed.alias("later")
    settled = tables.webhook_endpoints.alias("settled")
    rows = reader.query(
        select(
            owed.c.id,
            owed.c.event_id,
            owed.c.endpoint_id,
            events.c.type,
            events.c.subject,
            attempts.c.at,
            attempts.c.http_status,
            attempts.c.answer,
        )
        .join(attempts, attempts.c.delivery_id == owed.c.id)
        .join(events, events.c.event_id == owed.c.event_id)
        .where(attempts.c.status == GIVEN_UP)
        .where(
            ~select(later.c.id)
            .where(later.c.event_id == owed.c.event_id)
            .where(later.c.endpoint_id == owed.c.endpoint_id)
            .where(later.c.round > owed.c.round)
            .exists()
        )
        .where(
            ~select(settled.c.id)
            .where(settled.c.endpoint_id == owed.c.endpoint_id)
            .where(settled.c.state == SETTLED)
            .where(settled.c.at >= attempts.c.at)
            .exists()
        )
        .order_by(owed.c.id)
    )
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["endpoint_id"], []).append(row)
    return found


def note_settled(ledger: Ledger) -> None:
    """Write down up to where nothing is owed any more, if that is worth a fact."""
    with ledger.snapshot() as reader:
        last = last_scan(reader)
        settled_to = _settled_to(reader)
        if settled_to - last["settled_to"] < SCAN_WORTH:
            return
    with ledger.transaction() as tx:
        last = last_scan(tx)
        tx.record(
            tables.webhook_scans,
            seq=last["seq"],
            built_at=last["built_at"],
            settled_to=_settled_to(tx),
        )


def _settled_to(reader: Reader) -> int:
    owed = owed_deliveries(reader)
    if owed:
        return owed[0].delivery_id - 1
    return int(reader.scalar(select(func.max(tables.webhook_deliveries.c.id))) or 0)


def some(keys: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The keys, as many at once as one query takes."""
    for start in range(0, len(keys), _SELECT_AT_ONCE):
        yield keys[start : start + _SELECT_AT_ONCE]
