"""Whose machines are due to be paused, whose to run again, and what a person must be asked: pure
functions of what is known.

Which invoices have come to the stage that suspends, and what holds that back, is decided by the
dunning plan (`exporters.collections`); here machines come to it, and the safeguards.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from exporters.collections.local_days import local_date
from exporters.collections.model import HeldBack, OverdueInvoice, Situation
from exporters.collections.model import Suspension as DueSuspension
from exporters.collections.plan import overdue_invoices
from exporters.collections.policy import SUSPEND_MACHINES, Stage
from exporters.suspension.fleet import Fleet
from exporters.suspension.model import (
    RESUMING,
    SUSPENDED,
    Machine,
    Paused,
    PlannedSuspension,
    Suspension,
)

SMALL_FLEET_CAP = 20
"""5 % of a small fleet is no machine at all: up to this many need no person, if the setting allows
them."""


def machines_cap(fleet: Fleet) -> int:
    """How many machines one run may pause without a person: `max_machines_per_run`, or 5 % of the
    fleet if that is less."""
    return min(fleet.max_machines_per_run, max(SMALL_FLEET_CAP, fleet.size // 20))


def plan_suspensions(
    due: Iterable[DueSuspension],
    *,
    fleet: Fleet,
    known: Sequence[Suspension],
    approvals: Mapping[str, tuple[str, str]],
) -> list[PlannedSuspension]:
    """The suspensions that are due, a payer each, the longest overdue first."""
    by_payer: dict[str, list[DueSuspension]] = defaultdict(list)
    for one in due:
        by_payer[one.payer_id].append(one)
    paused = _places(s.machines for s in known if s.state == SUSPENDED)
    # What is just being resumed is not taken again before it runs.
    resuming = _places(s.unfinished for s in known if s.state == RESUMING)
    planned = [
        _planned(payer_id, invoices, fleet.of(payer_id), paused, resuming)
        for payer_id, invoices in by_payer.items()
    ]
    planned.sort(key=lambda plan: (-plan.days_overdue, plan.payer_id))
    manual = {one.payer_id for one in due if one.stage.approval == "manual"}
    return _with_approvals(planned, manual=manual, cap=machines_cap(fleet), approvals=approvals)


def _places(machines: Iterable[Iterable[Paused]]) -> set[tuple[str, str]]:
    return {one.machine.place for some in machines for one in some}


def _planned(
    payer_id: str,
    invoices: Sequence[DueSuspension],
    machines: Sequence[Machine],
    paused: set[tuple[str, str]],
    resuming: set[tuple[str, str]],
) -> PlannedSuspension:
    first = max(invoices, key=lambda one: one.days_overdue)
    owed: dict[str, Decimal] = defaultdict(Decimal)
    for one in invoices:
        owed[one.currency] += one.amount_due
    return PlannedSuspension(
        payer_id=payer_id,
        policy_id=first.policy_id,
        stage=first.stage.stage,
        statement_numbers=tuple(sorted(one.statement_number for one in invoices)),
        days_overdue=first.days_overdue,
        owed=dict(sorted(owed.items())),
        machines=tuple(
            m for m in machines if not m.never_suspend and m.place not in paused | resuming
        ),
        spared=tuple(m for m in machines if m.never_suspend),
        paused=tuple(m for m in machines if m.place in paused),
    )


def _with_approvals(
    planned: Sequence[PlannedSuspension],
    *,
    manual: set[str],
    cap: int,
    approvals: Mapping[str, tuple[str, str]],
) -> list[PlannedSuspension]:
    unasked = [p for p in planned if p.digest not in approvals]
    total = sum(len(p.machines) for p in unasked)
    found = []
    for plan in planned:
        approval = approvals.get(plan.digest)
        if approval is not None:
            found.append(replace(plan, approved_by=f"{approval[0]}: {approval[1]}"))
            continue
        why = None
        if plan.payer_id in manual:
            why = f"policy {plan.policy_id} asks a person (approval: manual)"
        elif total > cap and plan.machines:
            why = (
                f"{total} machines would be paused in this run, and {cap} may be without a person"
                " (settings.yml, max_machines_per_run; or 5 % of the fleet)"
            )
        found.append(replace(plan, waits=why))
    return found


def held_suspensions(situation: Situation, held: Iterable[HeldBack]) -> list[HeldBack]:
    """Of what is held back, the invoices that are old enough for the stage that suspends."""
    stages: dict[str, Stage] = {}
    for payer in situation.payers.values():
        policy = situation.policies.get(payer.dunning_policy or "")
        for stage in policy.stages if policy else ():
            if stage.action == SUSPEND_MACHINES:
                stages.setdefault(payer.payer_id, stage)
    found = []
    for one in held:
        due = stages.get(one.payer_id)
        if due is None or one.code in ("done", "not_yet"):
            continue
        old_enough = one.stage is None and one.days_overdue >= due.days_overdue
        if old_enough or one.stage == due.stage:
            found.append(one)
    return found


def owed_invoices(situation: Situation, payer_id: str) -> list[OverdueInvoice]:
    """A payer's invoices that are past due on its own calendar, the oldest first. What is disputed
    is not owed until that is settled."""
    payer = situation.payers.get(payer_id)
    today = local_date(situation.now, country=payer.country) if payer else situation.now.date()
    return overdue_invoices(
        (
            one
            for one in situation.receivables
            if one.payer_id == payer_id
            and one.is_outstanding
            and one.statement_number not in situation.disputed
        ),
        today,
    )


def overdue_of(situation: Situation, payer_id: str) -> dict[str, Decimal]:
    """What a payer owes that is past due, by currency, credits taken off; nothing where that is
    nothing."""
    owed: dict[str, Decimal] = defaultdict(Decimal)
    for invoice in owed_invoices(situation, payer_id):
        owed[invoice.receivable.currency] += invoice.receivable.amount_due
    for currency in list(owed):
        owed[currency] -= situation.credits.get((payer_id, currency), Decimal(0))
    return {currency: amount for currency, amount in sorted(owed.items()) if amount > 0}


def whose_machines_resume(
    situation: Situation, known: Iterable[Suspension]
) -> list[tuple[Suspension, str]]:
    """Suspensions that are over because nothing overdue is left, with the reason."""
    return [
        (suspension, f"{suspension.payer_id} owes nothing overdue any more")
        for suspension in known
        if suspension.state == SUSPENDED and not overdue_of(situation, suspension.payer_id)
    ]
