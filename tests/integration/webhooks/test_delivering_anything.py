"""Whatever happens, fails and dies: in the end each endpoint has every event that it wants, none
that it does not, and one id is one payload."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporters.ledger import Transaction
from exporters.webhooks import (
    Endpoint,
    Wanted,
    enable,
    note_events,
    noting,
    owe_again,
    owed,
    send_events,
)
from exporters.webhooks.sending import Answer
from tests.unit.webhooks.world import ENV, Story, an_exception, endpoint, story_at

ENDPOINTS = (
    endpoint("all"),
    endpoint("beta", payers=frozenset({"BETA"})),
    endpoint("paid", events=("invoice.paid", "invoice.voided")),
)


class KilledError(BaseException):
    """The process is gone."""


@dataclass
class Receivers:
    """Stands for the sender and all that it reaches. harshness: of faults."""

    chance: random.Random
    faulty: bool = True
    harshness: int = 1
    has: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def send(self, target: Endpoint, payload: str, headers: Mapping[str, str]) -> Future[Answer]:
        fate = (
            self.chance.choices(
                ["taken", "500", "422", "silent", "429", "410", "taken and killed", "killed"],
                [50, *(self.harshness * n for n in (5, 10, 5, 2, 1, 4, 2))],
            )[0]
            if self.faulty
            else "taken"
        )
        found: Future[Answer] = Future()
        if fate.startswith("taken"):
            self.has.setdefault(target.endpoint_id, []).append((headers["webhook-id"], payload))
        if "killed" in fate:
            found.set_exception(KilledError())
        elif fate == "taken":
            found.set_result(Answer(http_status=200, words=""))
        elif fate == "silent":
            found.set_result(Answer(http_status=None, words="no answer within 15 s"))
        else:
            asked = "600" if fate == "429" else None
            found.set_result(Answer(http_status=int(fate), words="", retry_after=asked))
        return found


class Life:
    """What happens to invoices and exceptions, by chance."""

    def __init__(self, story: Story, chance: random.Random) -> None:
        self.story, self.chance = story, chance
        self.invoices: dict[str, str] = {}
        self.open: set[str] = set()
        self.expected: dict[str, int] = {}

    def go_on(self) -> None:
        self.chance.choice([self.issue, self.pay, self.pay, self.void, self.build])()

    def happens(self, kind: str) -> None:
        self.expected[kind] = self.expected.get(kind, 0) + 1

    def issue(self) -> None:
        payer = self.chance.choice(["ACME", "BETA"])
        number = self.story.issue(f"{payer}-{len(self.invoices):04}", payer=payer)
        self.invoices[number] = "open"
        self.story.see(number)
        self.happens("invoice.issued")
        self.happens("invoice.published")

    def pay(self) -> None:
        for number, state in self.invoices.items():
            if state == "open":
                self.story.see(number, due="0.00", paid="1000.00", status="PAID")
                self.invoices[number] = "paid"
                self.happens("invoice.paid")
            elif state == "paid" and self.chance.random() < 0.5:
                self.story.see(number)
                self.invoices[number] = "open"

    def void(self) -> None:
        for number, state in self.invoices.items():
            if state == "open" and self.chance.random() < 0.3:
                self.story.see(number, status="VOIDED", state="drifted", due="0.00")
                self.invoices[number] = "void"
                self.happens("invoice.voided")

    def build(self) -> None:
        self.open = {f"x-{n}" for n in range(4) if self.chance.random() < 0.5}
        self.story.built(exceptions=tuple(an_exception(name) for name in sorted(self.open)))


def dying(story: Story, chance: random.Random, rate: float) -> None:
    """From now on some transactions die before they commit."""
    real = story.ledger.transaction

    @contextmanager
    def transaction() -> Iterator[Transaction]:
        with real() as tx:
            yield tx
            if chance.random() < rate:
                raise KilledError

    story.ledger.transaction = transaction  # type: ignore[method-assign]


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ledger") / "empty.sqlite"
    story_at(f"sqlite:///{path}").ledger.close()
    return path


def run(story: Story, receivers: Receivers, chance: random.Random) -> Any:
    def sleep(seconds: float) -> None:
        story.now += timedelta(seconds=seconds)

    return send_events(
        story.ledger,
        story.world,
        env=ENV,
        clock=lambda: story.now,
        apply=True,
        sender=lambda: receivers,  # type: ignore[arg-type, return-value]
        chance=chance.random,
        sleep=sleep,
    )


@given(seed=st.integers(0, 2**32))
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_every_event_arrives_wherever_it_is_wanted(
    seed: int, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noting, "FACTS_AT_ONCE", 3)
    monkeypatch.setattr(owed, "SCAN_WORTH", 5)
    with TemporaryDirectory() as folder:
        path = Path(shutil.copy(empty, folder))
        story = story_at(f"sqlite:///{path}")
        with closing(story.ledger):
            _live(story, random.Random(seed))


def _live(story: Story, chance: random.Random) -> None:
    real = story.ledger.transaction
    story.world = replace(story.world, endpoints=ENDPOINTS)
    receivers = Receivers(chance, harshness=chance.choice([1, 10]))
    life = Life(story, chance)
    note_events(story.ledger, story.world)
    for _ in range(chance.randint(1, 15)):
        for _ in range(chance.randint(0, 3)):
            life.go_on()
        dying(story, chance, 0.1)
        with suppress(KilledError):
            run(story, receivers, chance)
        story.ledger.transaction = real  # type: ignore[method-assign]
        story.now += timedelta(minutes=chance.choice([1, 5, 60, 3000]))
    # All is well again; people do what they are asked for.
    receivers.faulty = False
    for one in ENDPOINTS:
        enable(story.ledger, story.world, one.endpoint_id, by="Kari", reason="it is back")
    gave_up: set[str] = set()
    for _ in range(3):
        story.now += timedelta(days=2)
        report = run(story, receivers, chance)
        for one, found in zip(ENDPOINTS, report.endpoints, strict=True):
            if found.given_up:
                gave_up.add(one.endpoint_id)
                with story.ledger.transaction() as tx:
                    owe_again(tx, one, Wanted(given_up=True))
    assert report.exit_code == 0
    assert all(one.waiting == {} for one in report.endpoints)

    events = story.events()
    counted = {kind: story.types().count(kind) for kind in story.types()}
    assert {k: n for k, n in counted.items() if k.startswith("invoice.")} == life.expected
    opened = counted.get("exception.opened", 0) - counted.get("exception.resolved", 0)
    assert opened == len(life.open)
    place = {row["event_id"]: row["id"] for row in events}
    subject = {row["event_id"]: row["subject"] for row in events}
    for one in ENDPOINTS:
        has = receivers.has.get(one.endpoint_id, [])
        assert {event_id for event_id, _ in has} == {
            row["event_id"]
            for row in events
            if one.wants(
                row["type"],
                payer_id=row["payer_id"],
                customer_ids=json.loads(row["customer_ids"]),
            )
        }
        assert len(set(has)) == len({event_id for event_id, _ in has})  # one id, one payload
        if one.endpoint_id not in gave_up:
            newest: dict[str, int] = {}
            for event_id, _ in dict.fromkeys(has):
                assert newest.get(subject[event_id], 0) < place[event_id]
                newest[subject[event_id]] = place[event_id]
    assert story.ledger.verify() == ()
