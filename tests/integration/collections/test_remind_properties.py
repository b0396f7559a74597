"""Whatever happens between runs, and wherever a run dies, no stage reaches a payer twice."""

from __future__ import annotations

import contextlib
import email
import email.policy
import itertools
import json
import tempfile
from collections import Counter
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from exporters.collections import transport
from exporters.collections.mail import Mail
from exporters.collections.transport import Receipt
from exporters.ledger import tables

World = Any

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.integers(1, 24 * 12)),
        st.tuples(st.sampled_from(["run", "dry_run", "die_before", "die_after", "refuse"]),
                  st.just(0)),
        st.tuples(st.sampled_from(["pay", "dispute", "resolve"]), st.integers(1, 2)),
    ),
    min_size=4,
    max_size=14,
)  # fmt: skip


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


def _dying(where: str) -> Any:
    original = transport.Outbox.send

    def send(self: transport.Outbox, mail: Mail, *, attempt: str) -> Receipt:
        if where == "refuse":
            raise transport.TransportError("disk full")
        if where == "die_after":
            original(self, mail, attempt=attempt)
        raise Killed

    return send


# One message about two invoices fails, then each gets through on a day of its own.
APART = [("refuse", 0), ("dispute", 1), ("run", 0), ("wait", 150), ("resolve", 1)]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
@example(steps=APART)
def test_no_stage_is_sent_twice(world: World, steps: list[tuple[str, int]]) -> None:
    kind = type(world)
    with tempfile.TemporaryDirectory() as folder:
        fresh = kind(folder=Path(folder))
        with duckdb.connect(str(fresh.marts)) as marts:
            marts.execute(f"attach '{world.marts}' as other (read_only)")
            marts.execute("copy from database other to marts")
        try:
            _play(fresh, steps)
        finally:
            fresh.ledger.close()


def _play(world: World, steps: list[tuple[str, int]]) -> None:
    world.issue("NORDIC-0001", due=date(2026, 11, 2))
    world.issue("NORDIC-0002", due=date(2026, 11, 9))
    for step, number in [*steps, ("run", 0), ("run", 0)]:
        invoice = f"NORDIC-000{number}"
        if step == "wait":
            world.later(hours=number)
        elif step == "pay":
            world.observe(invoice, amount_due="1.00" if number == 1 else "500.00")
        elif step in ("dispute", "resolve"):
            state = "open" if step == "dispute" else "resolved"
            world.ledger.record(tables.disputes, subject=invoice, state=state, by="t", reason="r")
        elif step in ("run", "dry_run"):
            world.remind(apply=step == "run")
        else:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(transport.Outbox, "send", _dying(step))
                with contextlib.suppress(Killed):
                    world.remind()
    _check(world)


def _check(world: World) -> None:
    sent: Counter[tuple[str, str]] = Counter()
    days: Counter[str] = Counter()
    by_invoice: dict[str, list[tuple[datetime, str]]] = {}
    delivered = {
        row["location"].rpartition("/")[2]: row
        for row in world.ledger.query(tables.deliveries.select())
        if row["status"] == "sent"
    }
    assert {path.name for path in world.mails()} == set(delivered)
    for intent in world.ledger.query(tables.intents.select().order_by(tables.intents.c.id)):
        body = json.loads(intent["body"])
        if f"{body['name']}.eml" not in delivered:
            continue
        days[body["name"][:10]] += 1
        for number, stage in body["claims"]:
            sent[number, stage] += 1
            by_invoice.setdefault(number, []).append((intent["at"], stage))
    assert all(count == 1 for count in sent.values()), sent
    assert all(count == 1 for count in days.values()), days
    order = ["friendly_reminder", "second_reminder", "final_notice"]
    for history in by_invoice.values():
        assert [stage for _, stage in history] == order[: len(history)]
        for (earlier, _), (later, _) in itertools.pairwise(history):
            assert (later.date() - earlier.date()).days >= 7 - 1  # local dates: an hour from UTC
    ids = [
        email.message_from_bytes(path.read_bytes(), policy=email.policy.default)["Message-ID"]
        for path in world.mails()
    ]
    assert len(set(ids)) == len(ids)
    assert world.ledger.verify() == ()
