"""Restores, what came of reconciling them, and statements that a restore lost."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from exporters.ledger.migrations.building import append_only, column, fact
from exporters.ledger.types import ExactDecimal, JsonText

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    fact(
        "restores",
        column("source", sa.Text),
        column("copy_facts", sa.Integer),
        column("copy_head", sa.Text),
        column("replaced_facts", sa.Integer, nullable=True),
        column("replaced_head", sa.Text, nullable=True),
        column("kept_aside", sa.Text, nullable=True),
    )
    fact(
        "reconciliations",
        column("restore_id", sa.Integer),
        column("complete", sa.Boolean),
        column("xero", sa.Text),
        column("heads", JsonText),
        column("findings", JsonText),
        sa.CheckConstraint("xero IN ('compared', 'never_used', 'not_compared')", name="xero"),
    )
    fact(
        "lost_statements",
        column("statement_id", sa.Text),
        column("statement_number", sa.Text),
        column("period", sa.Text),
        column("payer_id", sa.Text),
        column("total", ExactDecimal),
        column("currency", sa.Text),
        column("state", sa.Text),
        column("by", sa.Text),
        column("reason", sa.Text),
        sa.CheckConstraint("state IN ('lost', 'issue_again')", name="state"),
    )
    op.create_index("ix_lost_statements_statement_id", "lost_statements", ["statement_id"])
    for table in ("restores", "reconciliations", "lost_statements"):
        append_only(table)


def downgrade() -> None:
    raise NotImplementedError("a ledger is never taken back: restore a backup instead")
