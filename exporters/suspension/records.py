"""Suspensions as the ledger has them, and what was ordered of their machines."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from exporters.ledger import Reader, tables
from exporters.ledger.events import POWER
from exporters.suspension.model import Machine, Paused, Suspension
from exporters.suspension.switchboard import Power


@dataclass(frozen=True, kw_only=True)
class Orders:
    """What was ordered of one meter for one state in one suspension: how often, and when the site
    last took it."""

    count: int = 0
    taken_at: datetime | None = None
    open_intents: tuple[str, ...] = ()


OrderKey = tuple[str, str, str, Power]
"""suspension_id, site_id, meter_id, state"""


def read_orders(ledger: Reader) -> Mapping[OrderKey, Orders]:
    """All orders there were."""
    intents, outcomes = tables.intents, tables.outcomes
    status = {
        row["intent_id"]: row["status"]
        for row in ledger.query(
            select(outcomes.c.intent_id, outcomes.c.status)
            .join(intents, intents.c.intent_id == outcomes.c.intent_id)
            .where(intents.c.kind == POWER)
            .order_by(outcomes.c.id)
        )
    }
    found: dict[OrderKey, Orders] = {}
    for row in ledger.query(select(intents).where(intents.c.kind == POWER).order_by(intents.c.id)):
        body = json.loads(row["body"])
        key = (body["suspension_id"], body["site_id"], body["meter_id"], body["state"])
        known = found.get(key, Orders())
        outcome = status.get(row["intent_id"])
        is_open = outcome in (None, "unknown")
        found[key] = Orders(
            count=known.count + 1,
            taken_at=row["at"] if outcome == "ok" else known.taken_at,
            open_intents=(*known.open_intents, row["intent_id"]) if is_open else known.open_intents,
        )
    return found


def read_suspensions(
    ledger: Reader, orders: Mapping[OrderKey, Orders] | None = None
) -> list[Suspension]:
    """All suspensions there were, oldest first, with what is known of their machines."""
    made = read_orders(ledger) if orders is None else orders
    machines: dict[str, list[Machine]] = defaultdict(list)
    by_id = tables.suspended_machines.c.id
    for row in ledger.query(select(tables.suspended_machines).order_by(by_id)):
        machines[row["suspension_id"]].append(
            Machine(
                machine_id=row["machine_id"],
                contract_id=row["contract_id"],
                site_id=row["site_id"],
                meters=tuple(json.loads(row["meters"])),
            )
        )
    states = {
        (row["suspension_id"], row["machine_id"], row["site_id"]): row
        for row in ledger.query(select(tables.current_machine_states))
    }
    resumed = {
        row["suspension_id"]: row["reason"] for row in ledger.query(select(tables.resumptions))
    }
    return [
        Suspension(
            suspension_id=row["suspension_id"],
            payer_id=row["payer_id"],
            statement_numbers=tuple(json.loads(row["statement_numbers"])),
            since=row["at"],
            machines=tuple(
                _paused(machine, row["suspension_id"], states, made)
                for machine in machines[row["suspension_id"]]
            ),
            resumed=resumed.get(row["suspension_id"]),
        )
        for row in ledger.query(select(tables.suspensions).order_by(tables.suspensions.c.id))
    ]


def _paused(
    machine: Machine,
    suspension_id: str,
    states: Mapping[tuple[str, str, str], Mapping[str, object]],
    orders: Mapping[OrderKey, Orders],
) -> Paused:
    seen = states.get((suspension_id, machine.machine_id, machine.site_id), {})
    wanted, state = seen.get("wanted"), seen.get("state")
    return Paused(
        machine=machine,
        ordered=any(
            (suspension_id, machine.site_id, meter, "off") in orders for meter in machine.meters
        ),
        wanted=None if wanted is None else ("on" if wanted == "on" else "off"),
        state=None if state is None else str(state),
    )


def read_approvals(ledger: Reader) -> dict[str, tuple[str, str]]:
    """Who approved and why, by the digest of the plan."""
    table = tables.suspension_approvals
    return {
        row["plan_digest"]: (row["by"], row["reason"])
        for row in ledger.query(select(table).order_by(table.c.id))
    }


def new_suspension_id(payer_id: str, day: str, known: Sequence[Suspension]) -> str:
    """An id that no suspension has, readable: payer and day."""
    taken = {suspension.suspension_id for suspension in known}
    base = f"{payer_id}-{day}"
    number, name = 1, base
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    return name
