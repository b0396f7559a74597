"""What issued lines were rated from, and disputes of single lines and events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from exporters.ledger.migrations.building import append_only, column, fact, newest

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    fact(
        "issued_inputs",
        sa.Column(
            "statement_number",
            sa.Text,
            sa.ForeignKey("issued_statements.statement_number"),
            nullable=False,
        ),
        column("contract_id", sa.Text),
        column("period", sa.Text),
        column("book_digest", sa.Text),
        column("readings_digest", sa.Text),
        sa.UniqueConstraint("statement_number", "contract_id", "period"),
    )
    fact(
        "charge_disputes",
        column("scope", sa.Text),
        column("subject", sa.Text),
        column("state", sa.Text),
        column("by", sa.Text),
        column("reason", sa.Text),
        sa.CheckConstraint("scope IN ('line', 'event')", name="scope"),
        sa.CheckConstraint("state IN ('open', 'upheld', 'rejected')", name="state"),
    )
    op.create_index("ix_charge_disputes_scope_subject", "charge_disputes", ["scope", "subject"])
    newest("current_charge_disputes", "charge_disputes", ("scope", "subject"))
    for table in ("issued_inputs", "charge_disputes"):
        append_only(table)


def downgrade() -> None:
    raise NotImplementedError("a ledger is never taken back: restore a backup instead")
