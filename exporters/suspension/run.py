"""One run: let machines run again whose payers owe nothing overdue, then pause those that are due.

A dry run (the default) shows what would be done and touches nothing, no site either. With `apply`
the decision is written to the ledger before the first order, so that a run that dies is taken up by
the next, which looks at every machine first. What is known is read again right before each decision
is written: a payment that came since the plan was looked at stops it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from exporters.collections.local_days import local_date
from exporters.collections.model import HeldBack, Situation
from exporters.collections.plan import plan, why_not_chased, why_stale
from exporters.collections.situation import Book, read_book, read_situation
from exporters.ledger import AlreadyRecorded, Ledger, Reader, tables
from exporters.reconcile.gate import require_reconciled
from exporters.suspension import planning, records
from exporters.suspension.fleet import Fleet, read_fleet
from exporters.suspension.model import (
    AUTOMATIC,
    OVER,
    SUSPENDED,
    PlannedSuspension,
    Suspension,
)
from exporters.suspension.report import Resumption, SwitchReport
from exporters.suspension.switchboard import Switchboard
from exporters.suspension.switching import Job, Result, carry_out
from exporters.suspension.telling import Post, tell

Clock = Callable[[], datetime]


def suspend(
    marts_path: Path,
    ledger: Ledger,
    board: Switchboard,
    *,
    clock: Clock,
    lock_path: Path,
    post: Post | None = None,
    apply: bool = False,
    verify_seconds: float = 60,
) -> SwitchReport:
    """Resume what is to run again, then pause what is due.

    lock_path: a file that keeps two runs apart. post: how payers are told; without it they are not.
    Raises NotReconciledError if the ledger was put
    back to an older copy and `apply` is set, ValueError for an smtp_url that is none, MartsError,
    LedgerError.
    """
    run = _Run(marts_path, ledger, board, clock, verify_seconds, post)
    return _alone(run, lock_path, run.suspend, apply=apply)


def resume(
    marts_path: Path,
    ledger: Ledger,
    board: Switchboard,
    *,
    clock: Clock,
    lock_path: Path,
    post: Post | None = None,
    apply: bool = False,
    payer_id: str | None = None,
    by: str = AUTOMATIC,
    reason: str | None = None,
    verify_seconds: float = 60,
) -> SwitchReport:
    """Let machines run again: of payers that owe nothing overdue any more, or, on a person's order
    (`by`, `reason`), of the payer named whatever it owes. Raises as `suspend` does."""
    run = _Run(marts_path, ledger, board, clock, verify_seconds, post)

    def work(*, apply: bool) -> SwitchReport:
        if payer_id is None:
            return run.resume(apply=apply)
        return run.resume_ordered(payer_id, by=by, reason=reason or "", apply=apply)

    return _alone(run, lock_path, work, apply=apply)


def planned_suspensions(
    marts_path: Path, ledger: Ledger, *, clock: Clock
) -> list[PlannedSuspension]:
    """What `suspend` would pause if payments were read now, for who approves it."""
    with ledger.snapshot() as reader:
        return _Known.read(marts_path, reader, now=clock(), as_if_fresh=True).planned


def _alone(
    run: _Run, lock_path: Path, work: Callable[..., SwitchReport], *, apply: bool
) -> SwitchReport:
    if not apply:
        return work(apply=False)
    require_reconciled(run.ledger, run.marts_path)
    if run.post is not None:
        run.post.transport()  # an address that cannot be used is told before anything is switched
    lock_path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(lock_path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        busy = "another run is switching machines right now; nothing was done by this one"
        return SwitchReport(now=run.clock(), applied=False, alerts=(busy,))
    try:
        return work(apply=True)
    finally:
        lock.release()


@dataclass(frozen=True, kw_only=True)
class _Known:
    """All that decides, read in one moment."""

    book: Book
    situation: Situation
    held: tuple[HeldBack, ...]
    fleet: Fleet
    orders: Mapping[records.OrderKey, records.Orders]
    suspensions: Sequence[Suspension]
    planned: list[PlannedSuspension]

    @classmethod
    def read(
        cls,
        marts_path: Path,
        reader: Reader,
        *,
        now: datetime,
        bounce_address: str | None = None,
        as_if_fresh: bool = False,
    ) -> _Known:
        book = read_book(marts_path, bounce_address=bounce_address)
        situation = read_situation(reader, book, now=now, settled={})
        if as_if_fresh:
            situation = replace(situation, payments_read_at=now)
        decided = plan(situation)
        fleet = read_fleet(marts_path, now=now)
        orders = records.read_orders(reader)
        known = records.read_suspensions(reader, orders)
        return cls(
            book=book,
            situation=situation,
            held=tuple(planning.held_suspensions(situation, decided.held)),
            fleet=fleet,
            orders=orders,
            suspensions=known,
            planned=planning.plan_suspensions(
                decided.suspensions,
                fleet=fleet,
                known=known,
                approvals=records.read_approvals(reader),
            ),
        )


class _Run:
    def __init__(
        self,
        marts_path: Path,
        ledger: Ledger,
        board: Switchboard,
        clock: Clock,
        verify_seconds: float,
        post: Post | None,
    ) -> None:
        self.marts_path = marts_path
        self.ledger = ledger
        self.clock = clock
        self._board = board
        self._verify_seconds = verify_seconds
        self.post = post
        self._alerts: list[str] = []
        self._notes: list[str] = []

    # what a run is

    def resume(self, *, apply: bool) -> SwitchReport:
        known = self._read()
        resumptions, results = self._resume_paid(known, apply=apply)
        return self._report(known, apply, resumptions=resumptions, resumed=results)

    def resume_ordered(self, payer_id: str, *, by: str, reason: str, apply: bool) -> SwitchReport:
        known = self._read()
        over = [
            (s, reason)
            for s in known.suspensions
            if s.payer_id == payer_id and s.state == SUSPENDED
        ]
        if not over and not any(
            s.payer_id == payer_id and s.state != OVER for s in known.suspensions
        ):
            self._alerts.append(f"no machine of {payer_id} is paused")
        resumptions = self._end(over, by=by, apply=apply)
        results = self._let_run(known, over, apply=apply, only=payer_id)
        return self._report(known, apply, resumptions=resumptions, resumed=results)

    def suspend(self, *, apply: bool) -> SwitchReport:
        known = self._read()
        resumptions, resumed = self._resume_paid(known, apply=apply)
        if resumptions and apply:
            known = self._read()
        begun = self._begin_all(known) if apply else known.planned
        paused = self._keep_paused(apply=apply)
        if stale := [h.reason for h in known.held if h.code == "stale_payments"]:
            self._alerts.append(f"Nobody's machines are paused: {stale[0]}")
        return self._report(
            known,
            apply,
            resumptions=resumptions,
            resumed=resumed,
            planned=begun,
            paused=paused,
        )

    def _read(self) -> _Known:
        with self.ledger.snapshot() as reader:
            return _Known.read(
                self.marts_path,
                reader,
                now=self.clock(),
                bounce_address=self.post.bounce_address if self.post else None,
            )

    def _report(
        self,
        known: _Known,
        apply: bool,
        *,
        resumptions: Sequence[Resumption] = (),
        resumed: Sequence[Result] = (),
        planned: Sequence[PlannedSuspension] = (),
        paused: Sequence[Result] = (),
    ) -> SwitchReport:
        told = self._tell() if apply else []
        return SwitchReport(
            now=known.situation.now,
            applied=apply,
            route=self._board.route,
            resumptions=tuple(resumptions),
            resumed=tuple(resumed),
            planned=tuple(planned),
            paused=tuple(paused),
            held=known.held,
            active=tuple(s for s in known.suspensions if s.state != OVER),
            alerts=tuple(self._alerts),
            notes=(*self._notes, *told),
        )

    def _tell(self) -> list[str]:
        known = self._read()
        if self.post is None:
            return []
        told, alerts = tell(
            self.ledger,
            self.post,
            book=known.book,
            situation=known.situation,
            suspensions=known.suspensions,
            sites=known.fleet.sites,
        )
        self._alerts += alerts
        return told

    # running again

    def _resume_paid(self, known: _Known, *, apply: bool) -> tuple[list[Resumption], list[Result]]:
        over = planning.whose_machines_resume(known.situation, known.suspensions)
        stale = why_stale(known.situation)
        if over and stale:
            payers = ", ".join(sorted({s.payer_id for s, _ in over}))
            self._alerts.append(f"Nobody's machines are resumed ({payers} would be): {stale}")
            over = []
        resumptions = self._end(over, by=AUTOMATIC, apply=apply)
        return resumptions, self._let_run(known, over, apply=apply)

    def _end(
        self, over: Sequence[tuple[Suspension, str]], *, by: str, apply: bool
    ) -> list[Resumption]:
        found = []
        for suspension, reason in over:
            if apply:
                try:
                    self.ledger.record(
                        tables.resumptions,
                        suspension_id=suspension.suspension_id,
                        payer_id=suspension.payer_id,
                        by=by,
                        reason=reason,
                    )
                except AlreadyRecorded:
                    continue
            found.append(Resumption(suspension=suspension, by=by, reason=reason))
        return found

    def _let_run(
        self,
        known: _Known,
        over: Sequence[tuple[Suspension, str]],
        *,
        apply: bool,
        only: str | None = None,
    ) -> list[Result]:
        """Of suspensions that are over, now or since earlier, the machines that do not run yet."""
        ending = {s.suspension_id for s, _ in over}
        jobs = [
            Job(suspension=suspension, paused=paused, wanted="on")
            for suspension in known.suspensions
            if (suspension.resumed is not None or suspension.suspension_id in ending)
            and only in (None, suspension.payer_id)
            for paused in suspension.machines
            if not paused.is_done("on")
        ]
        if not apply:
            return [Result(job=job, state=job.paused.state or "unknown") for job in jobs]
        ours: list[Job] = []
        released: list[Result] = []
        for job in jobs:
            why = self._why_released(known, job)
            if why is None:
                ours.append(job)
            else:
                released.append(self._release(job, why))
        return [*released, *self._carry_out(known, ours)]

    @staticmethod
    def _why_released(known: _Known, job: Job) -> str | None:
        """Why a machine is not switched on again: it is not the payer's there any more."""
        machine, payer_id = job.paused.machine, job.suspension.payer_id
        now_there = {m.place: m for m in known.fleet.of(payer_id)}.get(machine.place)
        if now_there is None:
            return f"it does not stand at {machine.site_id} for {payer_id} any more"
        if now_there.meters != machine.meters:
            was, now = ", ".join(machine.meters), ", ".join(now_there.meters)
            return f"it was paused on {was} and stands on {now} now"
        return None

    def _release(self, job: Job, why: str) -> Result:
        machine = job.paused.machine
        self.ledger.record(
            tables.machine_states,
            suspension_id=job.suspension.suspension_id,
            machine_id=machine.machine_id,
            site_id=machine.site_id,
            wanted="on",
            state="released",
            switched=True,
            detail=why,
        )
        self._alerts.append(
            f"Machine {machine.machine_id} at {machine.site_id} is left as it is: {why}"
        )
        return Result(job=job, state="released", problem=why)

    # pausing

    def _begin_all(self, known: _Known) -> list[PlannedSuspension]:
        """Write down every suspension that may begin; each is looked at anew right before."""
        begun = []
        for planned in known.planned:
            if planned.waits is not None or not (planned.machines or planned.paused):
                begun.append(planned)
                continue
            fresh = self._read()
            still = next((p for p in fresh.planned if p.payer_id == planned.payer_id), None)
            if still is None or still.digest != planned.digest or still.waits is not None:
                self._notes.append(
                    f"{planned.payer_id} is not suspended: what was planned does not hold any more"
                )
                continue
            if self._begin(still, fresh):
                begun.append(still)
        return begun

    def _begin(self, planned: PlannedSuspension, fresh: _Known) -> bool:
        payer = fresh.situation.payers[planned.payer_id]
        day = local_date(fresh.situation.now, country=payer.country).isoformat()
        suspension_id = records.new_suspension_id(planned.payer_id, day, fresh.suspensions)
        try:
            with self.ledger.transaction() as tx:
                if planned.machines:  # else the stage finds all of them paused
                    tx.record(
                        tables.suspensions,
                        suspension_id=suspension_id,
                        payer_id=planned.payer_id,
                        policy_id=planned.policy_id,
                        stage=planned.stage,
                        statement_numbers=list(planned.statement_numbers),
                        machines=len(planned.machines),
                        by=planned.approved_by or AUTOMATIC,
                        reason=planned.reason,
                    )
                tx.record_many(
                    tables.suspended_machines,
                    [
                        {
                            "suspension_id": suspension_id,
                            "machine_id": machine.machine_id,
                            "contract_id": machine.contract_id,
                            "site_id": machine.site_id,
                            "meters": list(machine.meters),
                        }
                        for machine in planned.machines
                    ],
                )
                tx.record_many(
                    tables.reminders,
                    [
                        {
                            "statement_number": number,
                            "stage": planned.stage,
                            "payer_id": planned.payer_id,
                            "policy_id": planned.policy_id,
                        }
                        for number in planned.statement_numbers
                    ],
                )
        except AlreadyRecorded:
            self._notes.append(
                f"{planned.payer_id} is not suspended: another run has taken this stage"
            )
            return False
        return True

    def _keep_paused(self, *, apply: bool) -> list[Result]:
        """Look at every machine that is to be paused, those of earlier runs too: one that somebody
        switched on meanwhile is paused again."""
        if not apply:
            return []
        known = self._read()
        jobs = []
        for suspension in known.suspensions:
            if suspension.state != SUSPENDED:
                continue
            why = _why_no_orders(known.situation, suspension)
            if why is not None:
                if suspension.unfinished:
                    left = len(suspension.unfinished)
                    self._notes.append(
                        f"{suspension.payer_id}: {left} machines are not paused further: {why}"
                    )
                continue
            theirs = {m.place for m in known.fleet.of(suspension.payer_id)}
            jobs += [
                Job(suspension=suspension, paused=paused, wanted="off")
                for paused in suspension.machines
                if paused.machine.place in theirs
            ]
        return self._carry_out(known, jobs)

    def _carry_out(self, known: _Known, jobs: Sequence[Job]) -> list[Result]:
        if not jobs:
            return []
        return carry_out(
            self.ledger,
            self._board,
            jobs,
            orders=known.orders,
            clock=self.clock,
            verify_seconds=self._verify_seconds,
        )


def _why_no_orders(situation: Situation, suspension: Suspension) -> str | None:
    """Why no machine of a suspension may be ordered off now, though it is not over."""
    if stale := why_stale(situation):
        return stale
    payer = situation.payers.get(suspension.payer_id)
    if payer is None:
        return f"payer {suspension.payer_id} is not in the book"
    today = local_date(situation.now, country=payer.country)
    reasons = [
        reason[1] if reason else None
        for one in situation.receivables
        if one.statement_number in suspension.statement_numbers and one.amount_due > 0
        for reason in (why_not_chased(situation, payer, one, today),)
    ]
    if not reasons:
        return "what it was for is paid"
    return next((r for r in reasons if r), None) if all(reasons) else None
