"""A small world of one payer for the dunning rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from exporters.collections.model import Payer, Receivable, Situation
from exporters.collections.policy import Policy, Stage

STANDARD = Policy(
    policy_id="standard",
    only_above=Decimal("25.00"),
    business_days_only=True,
    stages=(
        Stage(stage_no=1, stage="friendly_reminder", days_overdue=3, action="email",
              template="friendly_reminder", responsible="billing"),
        Stage(stage_no=2, stage="second_reminder", days_overdue=10, action="email",
              template="second_reminder", responsible="billing"),
        Stage(stage_no=3, stage="final_notice", days_overdue=20, action="email",
              template="final_notice", responsible="account_manager",
              copy_to=("head_of_finance",)),
        Stage(stage_no=4, stage="suspend", days_overdue=30, action="suspend_machines",
              requires=("final_notice",), notice_days=7, approval="auto"),
    ),
)  # fmt: skip
NORDIC = Payer(
    payer_id="NORDIC",
    name="Nordic Compute AS",
    country="NO",
    currency="EUR",
    email="ap@nordic.example",
    dunning_policy="standard",
)
# A Friday; the invoice of the world below is due on Monday 2026-11-02.
NOON = datetime(2026, 11, 13, 12, 0, tzinfo=UTC)


def receivable(number: str = "NORDIC-0001", **changes: object) -> Receivable:
    base = Receivable(
        statement_number=number,
        statement_id=f"NORDIC/2026-10/{number}",
        payer_id="NORDIC",
        period="2026-10",
        currency="EUR",
        total=Decimal("1000.00"),
        amount_due=Decimal("1000.00"),
        issue_date=date(2026, 10, 3),
        due_date=date(2026, 11, 2),
        online_url="https://in.xero.com/abc",
    )
    return replace(base, **changes)  # type: ignore[arg-type]


@pytest.fixture
def invoice() -> Callable[..., Receivable]:
    return receivable


@pytest.fixture
def world() -> Callable[..., Situation]:
    """Builds a situation: payments fresh, one invoice unless told otherwise."""

    def build(now: datetime = NOON, **changes: object) -> Situation:
        base = Situation(
            now=now,
            payments_read_at=now,
            payments_fresh_hours=6,
            payers={"NORDIC": NORDIC},
            policies={"standard": STANDARD},
            receivables=(receivable(),),
        )
        return replace(base, **changes)  # type: ignore[arg-type]

    return build
