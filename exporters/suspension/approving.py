"""A person lets a suspension go on that may not without."""

from __future__ import annotations

from exporters.ledger import Ledger, tables
from exporters.suspension.model import PlannedSuspension


class ApprovalError(ValueError):
    """There is nothing of that payer to approve."""


def approve_suspension(
    ledger: Ledger, planned: list[PlannedSuspension], payer_id: str, *, by: str, reason: str
) -> PlannedSuspension:
    """Approve a payer's suspension as it is planned now: other statements or machines ask again.

    Raises ApprovalError if none of the payer's is planned, or `by` or `reason` is empty.
    """
    if not by.strip() or not reason.strip():
        raise ApprovalError("an approval says who approves and why")
    plan = next((one for one in planned if one.payer_id == payer_id), None)
    if plan is None:
        named = ", ".join(one.payer_id for one in planned) or "of nobody"
        raise ApprovalError(f"no suspension of {payer_id} is due; due is that {named}")
    if plan.approved_by is None:
        ledger.record(
            tables.suspension_approvals,
            payer_id=payer_id,
            plan_digest=plan.digest,
            machines=len(plan.machines),
            by=by,
            reason=reason,
        )
    return plan
