"""Dunning policies as typed values: what `dunning.yml` of the book says, read from the marts.

Belongs here: the shape of a policy and its stages, and reading them. Deciding what a policy means
for an invoice today is `plan`; texts of messages are `mail`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from exporters.marts import Marts

EMAIL = "email"
SUSPEND_MACHINES = "suspend_machines"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of a policy. `stage` is its name, unique within the policy; stages are ordered by
    `stage_no`. `days_overdue` counts from the due date; `notice_days` is the least number of days
    between the delivery of each stage in `requires` and this one."""

    stage_no: int
    stage: str
    days_overdue: int
    action: str
    template: str | None = None
    responsible: str | None = None
    copy_to: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    notice_days: int = 0
    approval: str | None = None


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A dunning policy: nothing is chased unless more than `only_above` (payer currency) is
    overdue, and on business days of the payer's country only if `business_days_only`."""

    policy_id: str
    only_above: Decimal
    business_days_only: bool
    stages: tuple[Stage, ...]

    def gap_days(self, stage: Stage) -> int:
        """Days that must lie between the stage before `stage` and `stage`, as configured."""
        earlier = [s for s in self.stages if s.stage_no < stage.stage_no]
        if not earlier:
            return 0
        return max(1, stage.days_overdue - earlier[-1].days_overdue)


def _names(value: str | None) -> tuple[str, ...]:
    return tuple(part for part in (value or "").split("|") if part)


def read_policies(marts: Marts) -> Mapping[str, Policy]:
    """All policies of the published marts, by policy_id, their stages in order."""
    stages: dict[str, list[Stage]] = {}
    for row in marts.rows("select * from dunning_stages order by policy_id, stage_no"):
        stages.setdefault(row["policy_id"], []).append(
            Stage(
                stage_no=row["stage_no"],
                stage=row["stage"],
                days_overdue=row["days_overdue"],
                action=row["action"],
                template=row["template"],
                responsible=row["responsible"],
                copy_to=_names(row["copy_to"]),
                requires=_names(row["requires"]),
                notice_days=row["notice_days"] or 0,
                approval=row["approval"],
            )
        )
    return {
        row["policy_id"]: Policy(
            policy_id=row["policy_id"],
            only_above=Decimal(0) if row["only_above"] is None else row["only_above"],
            business_days_only=bool(row["business_days_only"]),
            stages=tuple(stages.get(row["policy_id"], ())),
        )
        for row in marts.table("dunning_policies")
    }
