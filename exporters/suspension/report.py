"""What a run did or would do, for machines (`as_dict`) and people (`describe`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from exporters.collections.model import HeldBack
from exporters.suspension.model import AUTOMATIC, Machine, PlannedSuspension, Suspension
from exporters.suspension.switching import Result


@dataclass(frozen=True, kw_only=True)
class Resumption:
    """A suspension that this run ends."""

    suspension: Suspension
    by: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class SwitchReport:
    """`applied` is False for a dry run, and for a run that was not allowed to act at all.

    planned: suspensions that are due (in a dry run), that began or that wait for a person; paused:
    every machine that was looked at to be off; resumptions and resumed: the same for running again;
    active: suspensions as they were before this run."""

    now: datetime
    applied: bool
    route: Callable[[str], str] = str
    resumptions: tuple[Resumption, ...] = ()
    resumed: tuple[Result, ...] = ()
    planned: tuple[PlannedSuspension, ...] = ()
    paused: tuple[Result, ...] = ()
    held: tuple[HeldBack, ...] = ()
    active: tuple[Suspension, ...] = ()
    alerts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def needs_person(self) -> bool:
        return (
            bool(self.alerts)
            or any(p.waits for p in self.planned)
            or (self.applied and any(not r.is_done for r in (*self.paused, *self.resumed)))
        )

    def as_dict(self) -> dict[str, object]:
        return {
            "now": self.now.isoformat(),
            "applied": self.applied,
            "needs_person": self.needs_person,
            "suspensions": [
                {
                    "payer_id": p.payer_id,
                    "policy_id": p.policy_id,
                    "stage": p.stage,
                    "statement_numbers": list(p.statement_numbers),
                    "days_overdue": p.days_overdue,
                    "overdue": {currency: str(amount) for currency, amount in p.owed.items()},
                    "reason": p.reason,
                    "needs_approval": p.waits,
                    "approved_by": p.approved_by,
                    "machines": [self._machine(m, p.reason) for m in p.machines],
                    "never_suspended": [self._machine(m, "never_suspend") for m in p.spared],
                    "paused_already": [self._machine(m, "paused already") for m in p.paused],
                }
                for p in self.planned
            ],
            "paused": [self._result(r) for r in self.paused],
            "resumptions": [
                {
                    "suspension_id": r.suspension.suspension_id,
                    "payer_id": r.suspension.payer_id,
                    "by": r.by,
                    "reason": r.reason,
                }
                for r in self.resumptions
            ],
            "resumed": [self._result(r) for r in self.resumed],
            "held": [h.as_dict() for h in self.held],
            "active": [
                {
                    "suspension_id": s.suspension_id,
                    "payer_id": s.payer_id,
                    "since": s.since.isoformat(),
                    "state": s.state,
                    "statement_numbers": list(s.statement_numbers),
                    "machines": len(s.machines),
                    "unfinished": len(s.unfinished),
                }
                for s in self.active
            ],
            "alerts": list(self.alerts),
            "notes": list(self.notes),
        }

    def _machine(self, machine: Machine, reason: str) -> dict[str, object]:
        return {
            "machine_id": machine.machine_id,
            "contract_id": machine.contract_id,
            "site_id": machine.site_id,
            "meters": list(machine.meters),
            "connector": self.route(machine.site_id),
            "reason": reason,
        }

    def _result(self, result: Result) -> dict[str, object]:
        machine, suspension = result.job.paused.machine, result.job.suspension
        return {
            "suspension_id": suspension.suspension_id,
            "payer_id": suspension.payer_id,
            "machine_id": machine.machine_id,
            "site_id": machine.site_id,
            "meters": list(machine.meters),
            "connector": self.route(machine.site_id),
            "wanted": result.job.wanted,
            "state": result.state,
            "ordered": list(result.ordered),
            "problem": result.problem,
        }

    def describe(self) -> str:
        """The report in words, one finding a line."""
        lines = [f"Attention: {alert}" for alert in self.alerts]
        for resumption in self.resumptions:
            verb = "Resumed" if self.applied else "Would resume"
            by = "" if resumption.by == AUTOMATIC else f" ({resumption.by})"
            lines.append(
                f"{verb}: {resumption.suspension.payer_id}, suspended since"
                f" {resumption.suspension.since:%Y-%m-%d}: {resumption.reason}{by}"
            )
        lines += self._machines(self.resumed)
        for plan in self.planned:
            lines += self._planned(plan)
        lines += self._machines(self.paused)
        lines += self.notes
        for held in self.held:
            lines.append(f"Held back: {held.statement_number} ({held.payer_id}): {held.reason}")
        if not lines and self.active:
            payers = ", ".join(sorted({s.payer_id for s in self.active}))
            lines = [f"Nothing to do. Suspended: {payers}."]
        if not lines:
            lines = ["Nobody's machines are due to be paused or resumed."]
        elif not self.applied and (self.planned or self.resumptions or self.resumed):
            lines.append("Nothing was switched; add --apply to switch.")
        return "\n".join(lines)

    def _planned(self, plan: PlannedSuspension) -> list[str]:
        verb = "Waits for approval" if plan.waits else "Suspended" if self.applied else None
        count = f"{len(plan.machines)} machine{'s' * (len(plan.machines) != 1)}"
        lines = [f"{verb or 'Would suspend'}: {plan.payer_id}, {count}: {plan.reason}"]
        if plan.waits:
            lines.append(f"  {plan.waits}")
            lines.append(
                f"  m2c suspend --approve {plan.payer_id} --by WHO --reason TEXT lets it go on"
            )
        if plan.approved_by:
            lines.append(f"  approved by {plan.approved_by}")
        if not self.applied or plan.waits:
            lines += [
                f"  {m.machine_id} at {m.site_id} ({self.route(m.site_id)},"
                f" {', '.join(m.meters)}), contract {m.contract_id}"
                for m in plan.machines
            ]
        lines += [
            f"  {m.machine_id} at {m.site_id} is never suspended (machines.csv, never_suspend)"
            for m in plan.spared
        ]
        lines += [f"  {m.machine_id} at {m.site_id} is paused already" for m in plan.paused]
        if not plan.machines and not plan.paused:
            lines.append("  it has no machine that may be paused")
        return lines

    def _machines(self, results: Sequence[Result]) -> list[str]:
        lines: list[str] = []
        quiet: dict[tuple[str, str, str], int] = defaultdict(int)
        for result in results:
            machine = result.job.paused.machine
            if result.is_done and not result.ordered and result.problem is None:
                quiet[machine.site_id, result.job.suspension.payer_id, str(result.state)] += 1
                continue
            how = self.route(machine.site_id)
            told = f": {result.problem}" if result.problem else ""
            ordered = f"ordered {result.job.wanted}, " if result.ordered else ""
            lines.append(
                f"  {machine.machine_id} at {machine.site_id} ({how}):"
                f" {ordered}{result.state}{told}"
            )
        lines += [
            f"  {count} more of {payer} at {site}: {state}, as wanted"
            for (site, payer, state), count in sorted(quiet.items())
        ]
        return lines
