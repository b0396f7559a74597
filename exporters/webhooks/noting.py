"""Events are made of what is new in ledger and marts, and owed to the endpoints that were known by
then and want them. Nothing is sent here.

An endpoint is owed what happens from the first run on that finds it in the marts. What was before
is made into events too, and is owed to nobody until somebody asks for a replay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from sqlalchemy import select

from exporters.ledger import Ledger, Reader, Transaction, tables
from exporters.webhooks import owed, states
from exporters.webhooks.catalogue import FROM_FACTS, Happening, of_alerts, of_exceptions, of_fact
from exporters.webhooks.facts import Facts
from exporters.webhooks.owed import last_scan, some
from exporters.webhooks.states import known_endpoints, say_of_endpoint
from exporters.webhooks.world import World

Row = Mapping[str, Any]
FACTS_AT_ONCE: Final = 500  # in one transaction, while nobody else writes


@dataclass(frozen=True)
class Noted:
    """What is new: events, deliveries that are owed, endpoints known from now on."""

    events: int = 0
    deliveries: int = 0
    new_endpoints: tuple[str, ...] = ()

    def __add__(self, other: Noted) -> Noted:
        return Noted(
            self.events + other.events,
            self.deliveries + other.deliveries,
            (*self.new_endpoints, *other.new_endpoints),
        )


def note_events(ledger: Ledger, world: World) -> Noted:
    """Make events of everything that is new in ledger and marts, and owe them to whoever wants
    them. What was noted stays noted if a run dies; the next goes on from there."""
    noted = Noted()
    while True:
        with ledger.snapshot() as reader:
            if not anything_new(reader, world):
                return noted
        with ledger.transaction() as tx:
            step, finished = _step(tx, world)
        noted += step
        if finished:
            return noted


def anything_new(reader: Reader, world: World) -> bool:
    """Whether there may be something to note. Reads little."""
    known = known_endpoints(reader)
    if not world.endpoints and not known:
        return False
    last = last_scan(reader)
    return (
        known != {one.endpoint_id for one in world.endpoints}
        or last["built_at"] != world.built_at
        or bool(_links(reader, last["seq"], limit=1))
        or reader.head().facts - last["seq"] > owed.SCAN_WORTH
    )


def preview(reader: Reader, world: World) -> list[tuple[Happening, tuple[str, ...]]]:
    """What `note_events` would note, and to whom it would be owed; writes nothing."""
    known = known_endpoints(reader)
    if not world.endpoints and not known:
        return []
    last = last_scan(reader)
    facts = Facts(reader)
    found = list(_of_facts(facts, reader, _links(reader, last["seq"])))
    found += _of_marts(facts, world, last)
    return [(one, tuple(_wanting(one, world, known))) for _, one in _with_ids(reader, found)]


def _step(tx: Transaction, world: World) -> tuple[Noted, bool]:
    """One transaction of facts; the last one looks at the marts and at new endpoints too."""
    last, known, head = last_scan(tx), known_endpoints(tx), tx.head().facts
    links = _links(tx, last["seq"], limit=FACTS_AT_ONCE)
    finished = len(links) < FACTS_AT_ONCE
    facts = Facts(tx)
    happenings = list(_of_facts(facts, tx, links))
    if finished:
        happenings += _of_marts(facts, world, last)
    events = list(_with_ids(tx, happenings))
    tx.record_many(
        tables.webhook_events,
        [
            {
                "event_id": event_id,
                "type": one.type,
                "subject": one.subject,
                "payer_id": one.payer_id,
                "customer_ids": list(one.customer_ids),
                "payload": one.payload(),
                "occurred_at": one.at,
            }
            for event_id, one in events
        ],
    )
    deliveries = [
        {"event_id": event_id, "endpoint_id": endpoint_id, "round": 1}
        for event_id, one in events
        for endpoint_id in _wanting(one, world, known)
    ]
    tx.record_many(tables.webhook_deliveries, deliveries)
    new: tuple[str, ...] = ()
    if finished:
        new = _note_endpoints(tx, world, known)
    tx.record(
        tables.webhook_scans,
        seq=head if finished else links[-1]["seq"],
        built_at=world.built_at if finished else last["built_at"],
        settled_to=last["settled_to"],
    )
    return Noted(len(events), len(deliveries), new), finished


def _links(reader: Reader, after: int, *, limit: int | None = None) -> list[dict[str, Any]]:
    chain = tables.chain.c
    return reader.query(
        select(chain.seq, chain.table_name, chain.row_id)
        .where(chain.seq > after)
        .where(chain.table_name.in_(FROM_FACTS))
        .order_by(chain.seq)
        .limit(limit)
    )


def _of_facts(facts: Facts, reader: Reader, links: Sequence[Row]) -> Iterator[Happening]:
    rows: dict[tuple[str, int], Row] = {}
    for name in {link["table_name"] for link in links}:
        table = tables.metadata.tables[name]
        ids = [link["row_id"] for link in links if link["table_name"] == name]
        for part in some(ids):
            for row in reader.query(select(table).where(table.c.id.in_(part))):
                rows[name, row["id"]] = row
    for link in links:
        name = link["table_name"]
        yield from of_fact(facts, name, rows[name, link["row_id"]])


def _of_marts(facts: Facts, world: World, last: Row) -> Iterator[Happening]:
    if last["built_at"] == world.built_at:
        return
    yield from of_exceptions(facts, world.exceptions, world.customers, at=world.built_at)
    yield from of_alerts(world.alerts, at=world.built_at)


def _with_ids(reader: Reader, happenings: Sequence[Happening]) -> Iterator[tuple[str, Happening]]:
    """Those that are new, each with its id: what happens once is told once, what happens again is
    numbered."""
    taken: set[str] = set()
    events = tables.webhook_events.c
    for part in some([one.event_id() for one in happenings]):
        found = reader.query(select(events.event_id).where(events.event_id.in_(part)))
        taken |= {row["event_id"] for row in found}
    for one in happenings:
        for number in count(1):
            event_id = one.event_id(number)
            is_taken = event_id in taken or (number > 1 and _is_there(reader, event_id))
            if not is_taken:
                taken.add(event_id)
                yield event_id, one
            if not is_taken or one.once:
                break


def _is_there(reader: Reader, event_id: str) -> bool:
    events = tables.webhook_events.c
    return reader.scalar(select(events.id).where(events.event_id == event_id)) is not None


def _wanting(one: Happening, world: World, known: Iterable[str]) -> Iterator[str]:
    for endpoint in world.endpoints:
        if endpoint.endpoint_id in known and endpoint.wants(
            one.type, payer_id=one.payer_id, customer_ids=one.customer_ids
        ):
            yield endpoint.endpoint_id


def _note_endpoints(tx: Transaction, world: World, known: set[str]) -> tuple[str, ...]:
    there = {one.endpoint_id: one for one in world.endpoints}
    new = tuple(name for name in there if name not in known)
    urls = {name: row["url"] for name, row in states.newest(tx, (states.KNOWN,)).items()}
    for name in new:
        say_of_endpoint(tx, there[name], states.KNOWN, by="the book", reason="is in webhooks.yml")
    for name in sorted(known - there.keys()):
        tx.record(
            tables.webhook_endpoints,
            endpoint_id=name,
            state=states.GONE,
            url=urls[name],
            by="the book",
            reason="is not in webhooks.yml any more",
        )
    return new
