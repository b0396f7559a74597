"""Overpayments and prepayments, as Xero shows them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from exporters.ledger.migrations.building import append_only, column, fact, newest
from exporters.ledger.types import CalendarDate, ExactDecimal, JsonText

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    fact(
        "payer_credits",
        column("credit_id", sa.Text),
        column("kind", sa.Text),
        column("payer_id", sa.Text),
        column("currency", sa.Text),
        column("date", CalendarDate),
        column("total", ExactDecimal),
        column("remaining", ExactDecimal),
        column("status", sa.Text),
        column("raw", JsonText, nullable=True),
        sa.CheckConstraint("kind IN ('overpayment', 'prepayment')", name="kind"),
    )
    op.create_index("ix_payer_credits_credit_id", "payer_credits", ["credit_id"])
    op.create_index("ix_payer_credits_payer_id", "payer_credits", ["payer_id"])
    append_only("payer_credits")
    newest("current_payer_credits", "payer_credits", ("credit_id",))


def downgrade() -> None:
    raise NotImplementedError("a ledger is never taken back: restore a backup instead")
