"""Machines paused for payers who do not pay, and resumed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from exporters.ledger.migrations.building import append_only, column, fact, newest
from exporters.ledger.types import JsonText

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def _suspension_id(*, unique: bool = False) -> sa.Column[str]:
    named = sa.ForeignKey("suspensions.suspension_id")
    return sa.Column("suspension_id", sa.Text, named, nullable=False, unique=unique or None)


def upgrade() -> None:
    fact(
        "suspensions",
        sa.Column("suspension_id", sa.Text, nullable=False, unique=True),
        column("payer_id", sa.Text),
        column("policy_id", sa.Text),
        column("stage", sa.Text),
        column("statement_numbers", JsonText),
        column("machines", sa.Integer),
        column("by", sa.Text),
        column("reason", sa.Text),
    )
    op.create_index("ix_suspensions_payer_id", "suspensions", ["payer_id"])
    fact(
        "suspended_machines",
        _suspension_id(),
        column("machine_id", sa.Text),
        column("contract_id", sa.Text),
        column("site_id", sa.Text),
        column("meters", JsonText),
        sa.UniqueConstraint("suspension_id", "machine_id", "site_id"),
    )
    fact(
        "suspension_approvals",
        column("payer_id", sa.Text),
        column("plan_digest", sa.Text),
        column("machines", sa.Integer),
        column("by", sa.Text),
        column("reason", sa.Text),
    )
    op.create_index("ix_suspension_approvals_payer_id", "suspension_approvals", ["payer_id"])
    fact(
        "resumptions",
        _suspension_id(unique=True),
        column("payer_id", sa.Text),
        column("by", sa.Text),
        column("reason", sa.Text),
    )
    fact(
        "machine_states",
        _suspension_id(),
        column("machine_id", sa.Text),
        column("site_id", sa.Text),
        column("wanted", sa.Text),
        column("state", sa.Text),
        column("switched", sa.Boolean),
        column("detail", sa.Text, nullable=True),
        sa.CheckConstraint("wanted IN ('off', 'on')", name="wanted"),
        sa.CheckConstraint("state IN ('off', 'on', 'unknown', 'released')", name="state"),
    )
    op.create_index("ix_machine_states_suspension_id", "machine_states", ["suspension_id"])
    newest("current_machine_states", "machine_states", ("suspension_id", "machine_id", "site_id"))
    for table in (
        "suspensions",
        "suspended_machines",
        "suspension_approvals",
        "resumptions",
        "machine_states",
    ):
        append_only(table)


def downgrade() -> None:
    raise NotImplementedError("a ledger is never taken back: restore a backup instead")
