"""What the bank saw, and which statements it is for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from exporters.ledger.migrations.building import append_only, column, fact, newest
from exporters.ledger.types import CalendarDate, ExactDecimal, JsonText

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    fact(
        "bank_statements",
        sa.Column("statement_key", sa.Text, nullable=False, unique=True),
        column("account", sa.Text),
        column("currency", sa.Text),
        column("reference", sa.Text, nullable=True),
        column("opened_on", CalendarDate, nullable=True),
        column("closed_on", CalendarDate, nullable=True),
        column("opening_balance", ExactDecimal, nullable=True),
        column("closing_balance", ExactDecimal, nullable=True),
        column("line_count", sa.Integer),
        column("form", sa.Text),
        column("file_name", sa.Text),
        column("file_digest", sa.Text),
        column("place", sa.Text, nullable=True),
    )
    fact(
        "bank_lines",
        sa.Column("line_id", sa.Text, nullable=False, unique=True),
        column("account", sa.Text),
        column("currency", sa.Text),
        column("booked_on", CalendarDate),
        column("value_on", CalendarDate, nullable=True),
        column("amount", ExactDecimal),
        *(
            column(name, sa.Text, nullable=True)
            for name in (
                "counterparty_name",
                "counterparty_account",
                "remittance",
                "end_to_end_id",
                "bank_reference",
            )
        ),
        column("reversal", sa.Boolean),
        column("form", sa.Text),
        column("file_name", sa.Text),
        column("place", sa.Text, nullable=True),
        column("raw", JsonText, nullable=True),
    )
    op.create_index(
        "ix_bank_lines_account_currency_booked_on",
        "bank_lines",
        ["account", "currency", "booked_on"],
    )
    fact(
        "bank_sightings",
        column("line_id", sa.Text),
        column("form", sa.Text),
        column("details", sa.Text),
        column("ordinal", sa.Integer),
        column("file_name", sa.Text),
        column("file_digest", sa.Text),
        column("place", sa.Text, nullable=True),
        sa.UniqueConstraint("line_id", "form"),
    )
    fact(
        "bank_matches",
        column("line_id", sa.Text),
        column("statement_number", sa.Text),
        column("amount", ExactDecimal),
        column("currency", sa.Text),
        column("state", sa.Text),
        column("payment_id", sa.Text, nullable=True),
        column("line_words", sa.Text),
        column("by", sa.Text),
        column("reason", sa.Text),
        sa.CheckConstraint(
            "state IN ('confirmed', 'explained', 'rejected', 'released')", name="state"
        ),
    )
    op.create_index("ix_bank_matches_line_id", "bank_matches", ["line_id"])
    op.create_index("ix_bank_matches_statement_number", "bank_matches", ["statement_number"])
    newest("current_bank_matches", "bank_matches", ("line_id", "statement_number"))
    fact(
        "bank_payments",
        sa.Column("payment_id", sa.Text, nullable=False, unique=True),
        sa.Column("match_id", sa.Integer, nullable=False, unique=True),
        column("line_id", sa.Text),
        column("statement_number", sa.Text),
    )
    fact(
        "bank_dismissals",
        column("line_id", sa.Text),
        column("dismissed", sa.Boolean),
        column("by", sa.Text),
        column("reason", sa.Text),
    )
    op.create_index("ix_bank_dismissals_line_id", "bank_dismissals", ["line_id"])
    newest("current_bank_dismissals", "bank_dismissals", ("line_id",))
    for table in (
        "bank_statements",
        "bank_lines",
        "bank_sightings",
        "bank_matches",
        "bank_payments",
        "bank_dismissals",
    ):
        append_only(table)


def downgrade() -> None:
    raise NotImplementedError("a ledger is never taken back: restore a backup instead")
