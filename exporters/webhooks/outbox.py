"""The outbox of events in the ledger: events are made of facts that are new, and are owed to the
endpoints that were known by then and want them. Nothing is sent here.

An endpoint is owed what happens from the first run on that finds it in the marts. What was before
is made into events too, and is owed to nobody until somebody asks for a replay.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, Final

from sqlalchemy import func, select

from exporters.ledger import Ledger, Reader, Transaction, tables
from exporters.ledger.actions import who_and_why
from exporters.marts import open_marts
from exporters.webhooks.catalogue import FROM_FACTS, Happening, of_alerts, of_exceptions, of_fact
from exporters.webhooks.endpoints import Endpoint, UnknownEndpointError, read_endpoints
from exporters.webhooks.facts import Facts

Row = Mapping[str, Any]
FACTS_AT_ONCE: Final = 500  # in one transaction, while nobody else writes
_SELECT_AT_ONCE: Final = 500
_SCAN_WORTH: Final = 500
"""So many settled deliveries, or facts of others, are worth a note that they need no look again."""
KNOWN, GONE, DISABLED, ENABLED, SETTLED = "known", "gone", "disabled", "enabled", "settled"
DELIVERED, FAILED, GIVEN_UP, HUNG_UP = "delivered", "failed", "given_up", "gone"
FINAL: Final = (DELIVERED, GIVEN_UP)


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
    last = _last_scan(reader)
    return (
        known != {one.endpoint_id for one in world.endpoints}
        or last["built_at"] != world.built_at
        or bool(_links(reader, last["seq"], limit=1))
        or reader.head().facts - last["seq"] > _SCAN_WORTH
    )


def preview(reader: Reader, world: World) -> list[tuple[Happening, tuple[str, ...]]]:
    """What `note_events` would note, and to whom it would be owed; writes nothing."""
    known = known_endpoints(reader)
    if not world.endpoints and not known:
        return []
    last = _last_scan(reader)
    facts = Facts(reader)
    found = list(_of_facts(facts, reader, _links(reader, last["seq"])))
    found += _of_marts(facts, world, last)
    return [(one, tuple(_wanting(one, world, known))) for _, one in _with_ids(reader, found)]


def _step(tx: Transaction, world: World) -> tuple[Noted, bool]:
    """One transaction of facts; the last one looks at the marts and at new endpoints too."""
    last, known, head = _last_scan(tx), known_endpoints(tx), tx.head().facts
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
    owed = [
        {"event_id": event_id, "endpoint_id": endpoint_id, "round": 1}
        for event_id, one in events
        for endpoint_id in _wanting(one, world, known)
    ]
    tx.record_many(tables.webhook_deliveries, owed)
    new: tuple[str, ...] = ()
    if finished:
        new = _note_endpoints(tx, world, known)
    tx.record(
        tables.webhook_scans,
        seq=head if finished else links[-1]["seq"],
        built_at=world.built_at if finished else last["built_at"],
        settled_to=last["settled_to"],
    )
    return Noted(len(events), len(owed), new), finished


def _last_scan(reader: Reader) -> Row:
    scans = tables.webhook_scans
    found = reader.first(select(scans).order_by(scans.c.id.desc()))
    return found or {"seq": 0, "built_at": None, "settled_to": 0}


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
        for some in _some(ids):
            for row in reader.query(select(table).where(table.c.id.in_(some))):
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
    for some in _some([one.event_id() for one in happenings]):
        found = reader.query(select(events.event_id).where(events.event_id.in_(some)))
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


def _some(keys: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(keys), _SELECT_AT_ONCE):
        yield keys[start : start + _SELECT_AT_ONCE]


# --- endpoints ---


def known_endpoints(reader: Reader) -> set[str]:
    """The endpoints that events are owed to."""
    return {name for name, row in _newest(reader, (KNOWN, GONE)).items() if row["state"] == KNOWN}


def disabled_endpoints(reader: Reader, world: World) -> dict[str, Row]:
    """The endpoints that said they want nothing any more, with that fact. It is said of an address:
    another one in the book is sent to again."""
    found = _newest(reader, (DISABLED, ENABLED))
    return {
        one.endpoint_id: row
        for one in world.endpoints
        if (row := found.get(one.endpoint_id)) is not None
        and row["state"] == DISABLED
        and row["url"] == one.url
    }


def _newest(reader: Reader, states: Sequence[str]) -> dict[str, Row]:
    table = tables.webhook_endpoints
    rows = reader.query(select(table).where(table.c.state.in_(states)).order_by(table.c.id))
    return {row["endpoint_id"]: row for row in rows}


def _note_endpoints(tx: Transaction, world: World, known: set[str]) -> tuple[str, ...]:
    there = {one.endpoint_id: one for one in world.endpoints}
    new = tuple(name for name in there if name not in known)
    urls = {name: row["url"] for name, row in _newest(tx, (KNOWN,)).items()}
    for name in new:
        say_of_endpoint(tx, there[name], KNOWN, by="the book", reason="is in webhooks.yml")
    for name in sorted(known - there.keys()):
        tx.record(
            tables.webhook_endpoints,
            endpoint_id=name,
            state=GONE,
            url=urls[name],
            by="the book",
            reason="is not in webhooks.yml any more",
        )
    return new


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


# --- what is owed ---


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
        .where(owed.c.id > _last_scan(reader)["settled_to"])
        .where(
            ~select(attempts.c.id)
            .where(attempts.c.delivery_id == owed.c.id)
            .where(attempts.c.status.in_(FINAL))
            .exists()
        )
        .order_by(owed.c.id)
    )
    newest: dict[int, Row] = {}
    for some in _some([row["id"] for row in rows]):
        for row in reader.query(
            select(attempts).where(attempts.c.delivery_id.in_(some)).order_by(attempts.c.attempt)
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
        last = _last_scan(reader)
        settled_to = _settled_to(reader)
        if settled_to - last["settled_to"] < _SCAN_WORTH:
            return
    with ledger.transaction() as tx:
        last = _last_scan(tx)
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


# --- replays ---


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
