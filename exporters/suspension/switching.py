"""Bring machines of suspensions into the state that is wanted of them: look, order, look again.

Of every meter the state is asked first, so that no order is ever given twice without looking; the
order's intent is in the ledger before the order goes out, and what became of it after. A run that
dies in between left an open intent: the next looks at the machine and writes down which it was. A
graceful shutdown takes minutes, so machines are switched several at once (one order at a time to an
address), while one thread alone writes the ledger. A site that does not answer is left for the next
run, and the others go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from exporters.ledger import Ledger, tables
from exporters.ledger.events import POWER
from exporters.suspension.lanes import Desk, in_lanes
from exporters.suspension.model import Paused, Suspension
from exporters.suspension.records import OrderKey, Orders
from exporters.suspension.switchboard import Power, Seen, Switchboard, SwitchError

UNSEEN_ORDER_STANDS = timedelta(hours=24)
"""For so long an order that the site took is not given again while nobody can say the state: people
who switch by hand are not asked twice a day."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A machine of a suspension and the state it is to have."""

    suspension: Suspension
    paused: Paused
    wanted: Power

    @property
    def site_id(self) -> str:
        return self.paused.machine.site_id


@dataclass(kw_only=True)
class Result:
    """What came of a job. `state`: on, off, unknown, or released; `ordered`: meters that were
    ordered in this run; `problem`: why it is not as wanted, in words."""

    job: Job
    state: Seen | str = "unknown"
    ordered: list[str] = field(default_factory=list)
    problem: str | None = None

    @property
    def is_done(self) -> bool:
        return self.state in (self.job.wanted, "released")


def carry_out(
    ledger: Ledger,
    board: Switchboard,
    jobs: Iterable[Job],
    *,
    orders: Mapping[OrderKey, Orders],
    clock: Callable[[], datetime],
    verify_seconds: float = 60,
) -> list[Result]:
    """Look at each machine, order what differs, wait up to `verify_seconds` for all together."""
    run = _Run(ledger=ledger, board=board, orders=orders, clock=clock)
    chosen = list(jobs)
    lanes = {id(job): run.lanes_of(job) for job in chosen}
    results = in_lanes(chosen, run.order, lanes=lambda job: lanes[id(job)])
    ends_at = time.monotonic() + verify_seconds
    pause = 0.5
    while True:
        waiting = [r for r in results if run.may_change(r)]
        in_lanes(waiting, run.look_at, lanes=lambda result: lanes[id(result.job)])
        waiting = [r for r in waiting if run.may_change(r)]
        if not waiting or time.monotonic() + pause > ends_at:
            break
        time.sleep(pause)
        pause = min(pause * 2, 10)
    for result in results:
        run.note(result)
    return results


@dataclass(kw_only=True)
class _Run:
    ledger: Ledger
    board: Switchboard
    orders: Mapping[OrderKey, Orders]
    clock: Callable[[], datetime]
    _silent: dict[str, str] = field(default_factory=dict)
    """why a site is not asked any more in this run"""

    def lanes_of(self, job: Job) -> frozenset[str]:
        """The addresses that orders for a machine go to."""
        return frozenset(self.board.lane(job.site_id, meter) for meter in job.paused.machine.meters)

    def order(self, job: Job, desk: Desk) -> Result:
        result = Result(job=job)
        for meter in job.paused.machine.meters:
            if job.site_id in self._silent:
                result.problem = self._silent[job.site_id]
                return result
            try:
                seen = self.board.seen(job.site_id, meter)
                self._settle(job, meter, seen, desk)
                if seen != job.wanted and not self._stands(job, meter, seen):
                    self._switch(job, meter, desk)
                    result.ordered.append(meter)
            except SwitchError as error:
                result.problem = str(error)
                if error.passing:
                    self._silent[job.site_id] = f"{error}; the next run tries again"
        if result.problem is None:
            self.look_again(result)
        return result

    def may_change(self, result: Result) -> bool:
        """Whether the machine may still come to the state that it was ordered in this run."""
        return bool(result.ordered) and not result.is_done and result.problem is None

    def look_at(self, result: Result, _desk: Desk) -> None:
        self.look_again(result)

    def look_again(self, result: Result) -> None:
        job = result.job
        if job.site_id in self._silent:
            return
        try:
            seen = {self.board.seen(job.site_id, meter) for meter in job.paused.machine.meters}
        except SwitchError as error:
            result.problem = str(error)
            return
        other: Power = "on" if job.wanted == "off" else "off"
        result.state = job.wanted if seen == {job.wanted} else other if other in seen else "unknown"

    def note(self, result: Result) -> None:
        """Write down a state that is news."""
        job, paused = result.job, result.job.paused
        if not result.is_done and result.problem is None:
            result.problem = (
                f"ordered {job.wanted}, the site does not say the state yet"
                if result.state == "unknown"
                else f"ordered {job.wanted} and is still {result.state}"
            )
        if result.problem is not None and result.state == "unknown" and paused.state is None:
            return  # nothing was seen
        if (paused.wanted, paused.state) == (job.wanted, result.state):
            return
        machine = paused.machine
        self.ledger.record(
            tables.machine_states,
            suspension_id=job.suspension.suspension_id,
            machine_id=machine.machine_id,
            site_id=machine.site_id,
            wanted=job.wanted,
            state=result.state,
            switched=paused.ordered or (bool(result.ordered) and job.wanted == "off"),
            detail=result.problem,
        )

    def _key(self, job: Job, meter: str) -> OrderKey:
        return (job.suspension.suspension_id, job.site_id, meter, job.wanted)

    def _settle(self, job: Job, meter: str, seen: Seen, desk: Desk) -> None:
        """Say what became of orders that a dead run, or a site that fell silent, left open."""
        for intent_id in self.orders.get(self._key(job, meter), Orders()).open_intents:
            if seen == "unknown":
                continue
            status = "ok" if seen == job.wanted else "failed"
            self._outcome(desk, intent_id, status, f"looked: the meter is {seen}")

    def _stands(self, job: Job, meter: str, seen: Seen) -> bool:
        taken_at = self.orders.get(self._key(job, meter), Orders()).taken_at
        return (
            seen == "unknown"
            and taken_at is not None
            and self.clock() - taken_at < UNSEEN_ORDER_STANDS
        )

    def _switch(self, job: Job, meter: str, desk: Desk) -> None:
        suspension_id = job.suspension.suspension_id
        number = self.orders.get(self._key(job, meter), Orders()).count + 1
        intent_id = desk.do(
            lambda: self.ledger.intent(
                POWER,
                subject=f"{suspension_id}/{job.site_id}/{meter}",
                intent_id=f"power/{suspension_id}/{job.site_id}/{meter}/{job.wanted}/{number}",
                body={
                    "suspension_id": suspension_id,
                    "machine_id": job.paused.machine.machine_id,
                    "site_id": job.site_id,
                    "meter_id": meter,
                    "state": job.wanted,
                },
            )
        )
        try:
            self.board.switch(job.site_id, meter, job.wanted)
        except SwitchError as error:
            status = "unknown" if error.passing else "failed"
            self._outcome(desk, intent_id, status, str(error))
            raise
        self._outcome(desk, intent_id, "ok", self.board.route(job.site_id))

    def _outcome(self, desk: Desk, intent_id: str, status: str, message: str) -> None:
        desk.do(lambda: self.ledger.outcome(intent_id, status, message=message))
