"""Sending what is owed: several endpoints at once, one request at a time to each, and one thread
alone writes to the ledger what came of it.

The delivery stands in the ledger before it is sent and its attempt afterwards. A run that dies in
between leaves the delivery owed: it is sent again under the same id, by which receivers know it.

Order: to an endpoint events go as they stand in the ledger, and one about the same subject never
overtakes an earlier one that is still under way. Where an endpoint as a whole fails, the run leaves
it alone after one quick second try; a single event that it refuses does not hold up the others.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import func, select

from exporters.ledger import AlreadyRecorded, Ledger, Reader, Transaction, tables
from exporters.webhooks import owed as owing
from exporters.webhooks import states
from exporters.webhooks.catalogue import Happening
from exporters.webhooks.endpoints import Endpoint, EndpointError
from exporters.webhooks.noting import anything_new, note_events, preview
from exporters.webhooks.owed import Owed
from exporters.webhooks.report import EndpointReport, EventsReport, TestReport, by_type
from exporters.webhooks.retries import asked_to_wait, retry
from exporters.webhooks.sending import Answer, Sender
from exporters.webhooks.signing import signed
from exporters.webhooks.world import World

AT_ONCE: Final = 8
RUN_SECONDS: Final = 600.0
PATIENCE: Final = timedelta(seconds=10)
"""A retry that is due so soon is waited for."""
TEST_EVENT: Final = "endpoint.test"
Clock = Callable[[], datetime]


def _real_time() -> datetime:
    return datetime.now(UTC)


@dataclass(kw_only=True)
class _Lane:
    """One endpoint in a run."""

    endpoint: Endpoint
    keys: list[str]
    queue: list[Owed]
    report: EndpointReport
    failures: int = 0
    stopped: bool = False
    resting_until: datetime | None = None

    def next(self, now: datetime) -> Owed | None:
        """What is to be sent now. Without anything due, `resting_until` may say when to ask
        again."""
        if self.stopped or (self.resting_until is not None and now < self.resting_until):
            return None
        self.resting_until = None
        earlier: set[str] = set()
        for owed in self.queue:
            if owed.subject not in earlier and (owed.next_at is None or owed.next_at <= now):
                return owed
            earlier.add(owed.subject)
        soon = [one.next_at for one in self.queue if one.next_at and one.next_at - now <= PATIENCE]
        self.resting_until = min(soon, default=None)
        self.stopped = self.resting_until is None
        return None


@dataclass(kw_only=True)
class Delivering:
    """A run. clock: when retries are due; real_time: what requests are signed with. chance and
    sleep: of retries. limit: seconds after which nothing more is begun."""

    ledger: Ledger
    world: World
    env: Mapping[str, str]
    clock: Clock
    sender: Sender
    real_time: Clock = _real_time
    chance: Callable[[], float] = random.random
    sleep: Callable[[float], None] = time.sleep
    timer: Callable[[], float] = time.monotonic
    limit: float = RUN_SECONDS
    cut_short: bool = field(default=False, init=False)

    def run(self, reports: Mapping[str, EndpointReport]) -> None:
        """Send what is due; what came of it stands in the reports, one an endpoint."""
        until = self.timer() + self.limit
        lanes = self._lanes(reports)
        under_way: dict[Future[Answer], tuple[_Lane, Owed]] = {}
        while True:
            busy = {lane.endpoint.endpoint_id for lane, _ in under_way.values()}
            for lane in lanes:
                if lane.endpoint.endpoint_id in busy or len(under_way) >= AT_ONCE:
                    continue
                if self.timer() >= until:
                    self.cut_short = self.cut_short or lane.next(self.clock()) is not None
                    continue
                owed = lane.next(self.clock())
                if owed is not None:
                    under_way[self._send(lane, owed)] = lane, owed
            if not under_way:
                if self.timer() >= until or not self._rest(lanes):
                    return
                continue
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                lane, owed = under_way.pop(future)
                self._done(lane, owed, future.result())

    def _lanes(self, reports: Mapping[str, EndpointReport]) -> list[_Lane]:
        with self.ledger.snapshot() as reader:
            owed = owing.owed_deliveries(reader)
            paused = owing.paused_endpoints(reader)
        found = []
        for endpoint in self.world.endpoints:
            report = reports[endpoint.endpoint_id]
            queue = [one for one in owed if one.endpoint_id == endpoint.endpoint_id]
            is_paused = paused.get(endpoint.endpoint_id, self.clock()) > self.clock()
            if not queue or report.blocked or report.note or is_paused:
                continue
            found.append(
                _Lane(endpoint=endpoint, keys=endpoint.keys(self.env), queue=queue, report=report)
            )
        return found

    def _send(self, lane: _Lane, owed: Owed) -> Future[Answer]:
        with self.ledger.snapshot() as reader:
            payload = owing.payload_of(reader, owed.event_id)
        headers = signed(owed.event_id, payload, keys=lane.keys, at=self.real_time())
        return self.sender.send(lane.endpoint, payload, headers)

    def _rest(self, lanes: list[_Lane]) -> bool:
        """Wait for a retry that is due soon; whether there is one, and the clock goes on."""
        now = self.clock()
        soon = [lane.resting_until for lane in lanes if lane.resting_until and not lane.stopped]
        if not soon:
            return False
        self.sleep(max((min(soon) - now).total_seconds(), 0.0))
        return self.clock() > now

    def _done(self, lane: _Lane, owed: Owed, answer: Answer) -> None:
        lane.queue.remove(owed)
        now = self.clock()
        attempt = owed.attempts + 1
        fact: dict[str, Any] = {
            "delivery_id": owed.delivery_id,
            "endpoint_id": owed.endpoint_id,
            "attempt": attempt,
            "http_status": answer.http_status,
            "answer": answer.words,
        }
        if answer.is_delivered:
            fact["status"] = owing.DELIVERED
        elif answer.is_gone:
            fact["status"] = owing.HUNG_UP
        else:
            again = retry(
                attempt,
                now=now,
                chance=self.chance(),
                retry_after=asked_to_wait(answer.retry_after, now=self.real_time()),
            )
            fact["status"] = owing.FAILED if again else owing.GIVEN_UP
            if again:
                fact["next_at"] = again.at
                fact["pause_until"] = None if answer.is_of_the_event else again.pause_until
        try:
            with self.ledger.transaction() as tx:
                tx.record(tables.webhook_attempts, **fact)
                if answer.is_gone:
                    self._disable(tx, lane.endpoint)
        except AlreadyRecorded:
            return  # another machine sends from the same ledger, and was there first
        self._go_on(lane, owed, answer, fact, now)

    def _go_on(
        self, lane: _Lane, owed: Owed, answer: Answer, fact: Mapping[str, Any], now: datetime
    ) -> None:
        if answer.is_delivered:
            lane.report.delivered += 1
            lane.failures = 0
            return
        lane.report.gave_up += fact["status"] == owing.GIVEN_UP
        lane.report.hung_up = lane.report.hung_up or answer.is_gone
        next_at: datetime | None = fact.get("next_at")
        if next_at is not None:
            lane.report.failed += 1
            waiting = Owed(
                delivery_id=owed.delivery_id,
                event_id=owed.event_id,
                endpoint_id=owed.endpoint_id,
                type=owed.type,
                subject=owed.subject,
                attempts=fact["attempt"],
                next_at=next_at,
            )
            lane.queue.append(waiting)
            lane.queue.sort(key=lambda one: one.delivery_id)
        if answer.is_of_the_event:
            return
        lane.failures += 1
        if (
            lane.failures > 1
            or next_at is None
            or fact["pause_until"] is not None
            or next_at - now > PATIENCE
        ):
            lane.stopped = True
        else:
            lane.resting_until = next_at

    def _disable(self, tx: Transaction, endpoint: Endpoint) -> None:
        states.say_of_endpoint(
            tx, endpoint, states.DISABLED, by=endpoint.endpoint_id, reason="answered 410 Gone"
        )


def send_events(
    ledger: Ledger,
    world: World,
    *,
    env: Mapping[str, str],
    clock: Clock,
    apply: bool,
    sender: Callable[[], Sender] = Sender,
    **options: Any,
) -> EventsReport:
    """Make events of what is new and send what is due; without `apply` only tell what that would
    be. Run it alone; two at once send some events twice, under the same ids.

    Needs a ledger that may be acted on (`reconcile.gate`). options: of `Delivering`.
    """
    if not apply:
        return standing(ledger, world, env=env, clock=clock)
    noted = note_events(ledger, world)
    cut_short = False
    before = standing(ledger, world, env=env, clock=clock)
    reports = {one.endpoint_id: one for one in before.endpoints}
    if any(one.waiting for one in before.endpoints):
        with sender() as opened:
            run = Delivering(
                ledger=ledger, world=world, env=env, clock=clock, sender=opened, **options
            )
            run.run(reports)
        cut_short = run.cut_short
        owing.note_settled(ledger)
    after = standing(ledger, world, env=env, clock=clock)
    for one in after.endpoints:
        run_of = reports[one.endpoint_id]
        one.delivered, one.failed = run_of.delivered, run_of.failed
        one.gave_up, one.hung_up = run_of.gave_up, run_of.hung_up
    after.planned = False
    after.noted, after.new_endpoints, after.cut_short = noted.events, noted.new_endpoints, cut_short
    return after


def standing(ledger: Ledger, world: World, *, env: Mapping[str, str], clock: Clock) -> EventsReport:
    """How every endpoint stands: what waits, what was given up, why nothing is sent. Counts what is
    new and not noted yet as waiting; writes nothing."""
    with ledger.snapshot() as reader:
        new = preview(reader, world) if anything_new(reader, world) else []
        owed = owing.owed_deliveries(reader)
        given_up = owing.given_up_deliveries(reader)
        disabled = states.disabled_endpoints(reader, world)
        paused = owing.paused_endpoints(reader)
        found = []
        for endpoint in world.endpoints:
            name = endpoint.endpoint_id
            waiting = [one for one in owed if one.endpoint_id == name]
            fresh = [one.type for one, wanting in new if name in wanting]
            times = [one.next_at for one in waiting if one.next_at is not None]
            is_due = len(times) < len(waiting) or bool(fresh)
            report = EndpointReport(
                endpoint_id=name,
                url=endpoint.url,
                waiting=by_type([*(one.type for one in waiting), *fresh]),
                next_at=None if is_due else min(times, default=None),
                given_up=[dict(row) for row in given_up.get(name, ())],
                **_history(reader, name),
            )
            until = paused.get(name)
            if until is not None and until > clock() and waiting:
                report.next_at = max(until, report.next_at or until)
            report.blocked = _blocked(endpoint, env, disabled.get(name))
            if unknown := endpoint.unknown_events():
                report.problem = (
                    f"webhooks.yml names events that never happen: {', '.join(unknown)}"
                )
            if not endpoint.active:
                report.note = "is not active: its events wait"
            found.append(report)
    return EventsReport(endpoints=found, noted=len(new), planned=True)


def _history(reader: Reader, endpoint_id: str) -> dict[str, Any]:
    attempts = tables.webhook_attempts
    mine = attempts.c.endpoint_id == endpoint_id
    newest = reader.first(select(attempts).where(mine).order_by(attempts.c.id.desc()))
    delivered = reader.scalar(
        select(func.count()).where(mine).where(attempts.c.status == owing.DELIVERED)
    )
    if newest is None:
        return {}
    status = newest["status"].replace("_", " ")
    code = f"{newest['http_status']} " if newest["http_status"] is not None else ""
    return {
        "delivered_ever": delivered,
        "last_at": newest["at"],
        "last_status": status,
        "last_answer": f"{code}{newest['answer'] or ''}".strip(),
    }


def _blocked(
    endpoint: Endpoint, env: Mapping[str, str], disabled: Mapping[str, Any] | None
) -> str | None:
    if disabled is not None:
        return (
            f"it {disabled['reason']} on {disabled['at']:%Y-%m-%d %H:%M} UTC and is not sent to "
            "any more: put its new address in webhooks.yml, take it out, or say m2c events enable "
            f"{endpoint.endpoint_id} --by … --reason …"
        )
    try:
        endpoint.keys(env)
    except EndpointError as error:
        return str(error) if endpoint.active else None
    return None


def send_test(
    endpoint: Endpoint,
    *,
    env: Mapping[str, str],
    real_time: Clock = _real_time,
    sender: Callable[[], Sender] = Sender,
) -> TestReport:
    """Send a test event to an endpoint at once; the ledger knows nothing of it. Raises
    EndpointError if it cannot be signed."""
    keys = endpoint.keys(env)
    now = real_time()
    test = Happening(
        type=TEST_EVENT,
        key=uuid.uuid4().hex,
        subject=endpoint.endpoint_id,
        at=now,
        data={"endpoint_id": endpoint.endpoint_id},
    )
    event_id, payload = test.event_id(), test.payload()
    with sender() as opened:
        headers = signed(event_id, payload, keys=keys, at=now)
        answer = opened.send(endpoint, payload, headers).result()
    return TestReport(
        endpoint_id=endpoint.endpoint_id,
        url=endpoint.url,
        event_id=event_id,
        http_status=answer.http_status,
        words=answer.words,
        delivered=answer.is_delivered,
    )
