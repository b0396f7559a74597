"""Whom events are owed to: nobody twice, nobody what was before, nobody what is of others."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from exporters.ledger.actions import ActionError
from exporters.webhooks import (
    UnknownEndpointError,
    Wanted,
    enable,
    events_to_replay,
    note_events,
    noting,
    owe_again,
    owed,
    owed_deliveries,
    read_world,
    states,
)
from exporters.webhooks.endpoints import Endpoint
from tests.unit.webhooks.world import Story, an_alert, an_exception, endpoint


def note(story: Story) -> noting.Noted:
    return note_events(story.ledger, story.world)


def test_a_new_endpoint_is_told_what_happens_from_then_on(story: Story) -> None:
    story.issue("ACME-0001")
    story.built(exceptions=(an_exception(),))
    noted = note(story)
    assert (noted.events, noted.deliveries, noted.new_endpoints) == (2, 0, ("erp",))
    story.see("ACME-0001")
    story.issue("ACME-0002")
    story.built(exceptions=(an_exception(), an_exception("x-2")))
    assert note(story).new_endpoints == ()
    assert story.owed() == [
        ("erp", "invoice.published"),
        ("erp", "invoice.issued"),
        ("erp", "exception.opened"),
    ]
    story.built(endpoints=(endpoint("erp"), endpoint("crm")))
    assert note(story).new_endpoints == ("crm",)
    story.issue("ACME-0003")
    note(story)
    assert story.owed()[3:] == [("erp", "invoice.issued"), ("crm", "invoice.issued")]


def test_an_endpoint_that_was_away_is_not_told_what_happened_meanwhile(story: Story) -> None:
    note(story)
    erp = story.world.endpoints
    story.built(endpoints=())
    note(story)
    story.issue("ACME-0001")
    facts = story.ledger.head().facts
    note(story)
    assert story.ledger.head().facts == facts  # nobody is to be told anything
    story.built(endpoints=erp)
    assert note(story).new_endpoints == ("erp",)
    story.issue("ACME-0002")
    note(story)
    assert story.types() == ["invoice.issued"] * 2
    assert story.owed() == [("erp", "invoice.issued")]


def test_noting_again_notes_nothing(story: Story) -> None:
    story.built(exceptions=(an_exception(),), alerts=(an_alert(),))
    note(story)
    story.issue()
    note(story)
    facts = story.ledger.head().facts
    assert note(story) == noting.Noted()
    assert story.ledger.head().facts == facts
    story.record("poll_cursors", name="xero/org", cursor_at=story.now)
    assert note(story) == noting.Noted()
    assert story.ledger.verify() == ()


def test_many_facts_are_noted_in_several_transactions(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noting, "FACTS_AT_ONCE", 3)
    note(story)
    for n in range(1, 9):
        story.issue(f"ACME-{n:04}")
    story.built(exceptions=(an_exception(),))
    noted = note(story)
    assert (noted.events, noted.deliveries) == (9, 9)
    assert story.owed() == [("erp", "invoice.issued")] * 8 + [("erp", "exception.opened")]


def test_a_plan_tells_the_same_and_writes_nothing(story: Story) -> None:
    note(story)
    story.issue()
    story.see()
    story.built(exceptions=(an_exception(),))
    facts = story.ledger.head().facts
    with story.ledger.snapshot() as reader:
        planned = noting.preview(reader, story.world)
    assert story.ledger.head().facts == facts
    note(story)
    assert [(names[0], one.type) for one, names in planned] == story.owed()
    with story.ledger.snapshot() as reader:
        assert noting.preview(reader, story.world) == []


def test_what_waits_long_is_found_and_what_is_settled_is_not_looked_at_again(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owed, "SCAN_WORTH", 2)
    note(story)
    for n in range(1, 5):
        story.issue(f"ACME-{n:04}")
    note(story)
    with story.ledger.snapshot() as reader:
        waiting = owed_deliveries(reader)
    assert [one.attempts for one in waiting] == [0] * 4
    for one in (waiting[0], waiting[1], waiting[3]):
        story.record(
            "webhook_attempts",
            delivery_id=one.delivery_id,
            endpoint_id="erp",
            attempt=1,
            status="delivered",
            http_status=200,
        )
    owed.note_settled(story.ledger)
    with story.ledger.snapshot() as reader:
        assert owed.last_scan(reader)["settled_to"] == waiting[1].delivery_id
        (left,) = owed_deliveries(reader)
    assert left == waiting[2]


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({}, [1, 2, 3, 4]),
        ({"events": ("exception.*",)}, [4]),
        ({"events": ("*",)}, [1, 2, 3, 4]),
        ({"payers": frozenset({"ACME"})}, [1, 2]),
        ({"customers": frozenset({"acme"})}, [1]),
        ({"customers": frozenset({"acme", "labs"})}, [1, 2]),
        ({"customers": frozenset({"beta"}), "payers": frozenset({"ACME"})}, []),
    ],
)
def test_an_endpoint_is_told_what_it_wants_and_nothing_of_others(
    story: Story, limits: dict[str, object], told: list[int]
) -> None:
    story.built(endpoints=(endpoint("erp", **limits),))
    note(story)
    story.issue("ACME-0001", customers=["acme"])
    story.issue("ACME-0002", customers=["acme", "labs"])
    story.issue("BETA-0001", payer="BETA", customers=["beta"])
    story.built(exceptions=(an_exception(),))
    note(story)
    with story.ledger.snapshot() as reader:
        waiting = {one.event_id for one in owed_deliveries(reader)}
    assert [n for n, row in enumerate(story.events(), 1) if row["event_id"] in waiting] == told


def test_a_replay_owes_events_once_more_under_their_ids(story: Story) -> None:
    story.issue("ACME-0001")
    story.see("ACME-0001")
    story.issue("BETA-0001", payer="BETA", customers=["beta"])
    story.built(endpoints=(endpoint("acme", payers=frozenset({"ACME"})),))
    note(story)
    (acme,) = story.world.endpoints

    def found(wanted: Wanted) -> list[str]:
        with story.ledger.snapshot() as reader:
            return [row["type"] for row in events_to_replay(reader, acme, wanted)]

    first = story.events()[0]
    assert found(Wanted(since=story.now - timedelta(days=1))) == [
        "invoice.issued",
        "invoice.published",
    ]
    assert found(Wanted(until=first["occurred_at"])) == []
    assert found(Wanted(types=("invoice.pub*",))) == ["invoice.published"]
    assert found(Wanted(event_id=first["event_id"])) == ["invoice.issued"]
    assert found(Wanted(event_id=story.events()[2]["event_id"])) == []  # of another payer
    assert found(Wanted(given_up=True)) == []
    with story.ledger.transaction() as tx:
        owe_again(tx, acme, Wanted(event_id=first["event_id"]))
    assert story.owed() == [("acme", "invoice.issued")]
    assert found(Wanted()) == ["invoice.published"]  # the other is under way
    with story.ledger.transaction() as tx:
        (delivery,) = owed_deliveries(tx)
        tx.record(
            "webhook_attempts",
            delivery_id=delivery.delivery_id,
            endpoint_id="acme",
            attempt=1,
            status="given_up",
        )
    assert found(Wanted(given_up=True)) == ["invoice.issued"]
    with story.ledger.transaction() as tx:
        owe_again(tx, acme, Wanted(given_up=True))
        (again,) = owed_deliveries(tx)
        assert owed.given_up_deliveries(tx) == {}
    assert again.event_id == delivery.event_id
    assert again.delivery_id != delivery.delivery_id


def test_people_speak_of_endpoints_that_are_there_and_give_a_reason(story: Story) -> None:
    with pytest.raises(UnknownEndpointError, match="as of the last build, has erp"):
        enable(story.ledger, story.world, "crm", by="Kari", reason="it is back")
    with pytest.raises(ActionError, match="say who"):
        enable(story.ledger, story.world, "erp", by="Kari", reason=" ")
    (words,) = enable(story.ledger, story.world, "erp", by="Kari", reason="it is back")
    assert "was so already" in words


def test_a_disabled_endpoint_is_disabled_at_its_address(story: Story) -> None:
    (erp,) = story.world.endpoints
    with story.ledger.transaction() as tx:
        states.say_of_endpoint(tx, erp, states.DISABLED, by="erp", reason="answered 410 Gone")
    moved = replace(story.world, endpoints=(replace(erp, url="http://127.0.0.1:10/"),))
    with story.ledger.snapshot() as reader:
        assert list(states.disabled_endpoints(reader, story.world)) == ["erp"]
        assert states.disabled_endpoints(reader, moved) == {}
    (words,) = enable(story.ledger, story.world, "erp", by="Kari", reason="it is back")
    assert words == "erp: enabled, by Kari: it is back"
    with story.ledger.snapshot() as reader:
        assert states.disabled_endpoints(reader, story.world) == {}


def test_the_world_is_read_from_marts(marts_file: Path) -> None:
    world = read_world(marts_file)
    assert [one.endpoint_id for one in world.endpoints] == ["acme", "erp"]
    acme, erp = world.endpoints
    assert erp == Endpoint(endpoint_id="erp", url="https://erp.example.com/m2c", secrets=("HOOK",))
    assert acme.secrets == ("NEW", "OLD")
    assert acme.events == ("invoice.*", "machines.suspended")
    assert acme.customers == {"acme", "labs"}
    assert (acme.active, acme.private) == (False, True)
    assert world.customers == {"K-1": ("acme", "labs"), "K-2": ("beta",)}
    assert [row["exception_id"] for row in world.exceptions] == ["x-1"]
    assert [row["alert_key"] for row in world.alerts] == ["k"]
