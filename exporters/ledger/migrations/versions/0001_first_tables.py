"""The first tables, their views, the hash chain, and the triggers that keep all of it
append-only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from exporters.ledger.migrations.building import append_only, column, create, fact, newest
from exporters.ledger.tables import RowId
from exporters.ledger.types import CalendarDate, ExactDecimal, Instant, JsonText

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

FACTS = (
    "close_decisions",
    "approvals",
    "issued_statements",
    "issued_lines",
    "series_advances",
    "intents",
    "outcomes",
    "documents",
    "payments",
    "poll_cursors",
    "reminders",
    "deliveries",
    "holds",
    "promises",
    "disputes",
    "exception_actions",
)
NEWEST_VIEWS = (
    ("current_documents", "documents", ("statement_number",), ""),
    ("current_payments", "payments", ("payment_id",), ""),
    ("active_holds", "holds", ("scope", "subject"), "AND f.active"),
    ("current_promises", "promises", ("payer_id",), ""),
    ("open_disputes", "disputes", ("subject",), "AND f.state = 'open'"),
    ("current_exception_actions", "exception_actions", ("exception_id",), ""),
    ("current_poll_cursors", "poll_cursors", ("name",), ""),
)
OPEN_INTENTS = """
    CREATE VIEW open_intents AS SELECT i.* FROM intents i
    WHERE NOT EXISTS (
        SELECT 1 FROM outcomes o WHERE o.intent_id = i.intent_id AND o.status <> 'unknown'
    )
"""


def upgrade() -> None:
    _create_facts()
    create(
        "chain",
        sa.Column("seq", RowId, primary_key=True, autoincrement=False),
        column("table_name", sa.Text),
        sa.Column("row_id", RowId, nullable=False),
        column("row_hash", sa.Text),
        column("prev_hash", sa.Text),
        column("hash", sa.Text),
        sa.UniqueConstraint("table_name", "row_id"),
    )
    for view, table, subject, also in NEWEST_VIEWS:
        newest(view, table, subject, also)
    op.execute(OPEN_INTENTS)
    for table in (*FACTS, "chain"):
        append_only(table)


def downgrade() -> None:
    raise NotImplementedError("a ledger is never taken back: restore a backup instead")


def _create_facts() -> None:
    fact(
        "close_decisions",
        column("period", sa.Text),
        column("statement_id", sa.Text),
        column("content_hash", sa.Text),
        column("decision", sa.Text),
        column("reason", sa.Text),
        column("total", ExactDecimal),
        column("currency", sa.Text),
        sa.CheckConstraint("decision IN ('auto', 'needs_approval', 'blocked')", name="decision"),
    )
    op.create_index("ix_close_decisions_statement_id", "close_decisions", ["statement_id"])
    fact(
        "approvals",
        column("statement_id", sa.Text),
        column("period", sa.Text),
        column("content_hash", sa.Text),
        column("automatic", sa.Boolean),
        column("approved_by", sa.Text),
        column("reason", sa.Text),
        sa.UniqueConstraint("statement_id", "content_hash", "automatic", "approved_by"),
    )
    fact(
        "issued_statements",
        column("statement_id", sa.Text),
        column("statement_number", sa.Text),
        column("series", sa.Text),
        column("series_no", sa.Integer),
        column("period", sa.Text),
        column("statement_kind", sa.Text),
        column("payer_id", sa.Text),
        column("seller_id", sa.Text),
        column("currency", sa.Text),
        column("net", ExactDecimal),
        column("tax", ExactDecimal),
        column("total", ExactDecimal),
        column("content_hash", sa.Text),
        column("book_version", sa.Text),
        column("code_version", sa.Text),
        column("issue_date", CalendarDate),
        column("due_date", CalendarDate),
        sa.UniqueConstraint("series", "series_no"),
        sa.UniqueConstraint("statement_id"),
        sa.UniqueConstraint("statement_number"),
    )
    op.create_index("ix_issued_statements_period", "issued_statements", ["period"])
    fact(
        "issued_lines",
        column("statement_number", sa.Text),
        column("line_no", sa.Integer),
        column("period", sa.Text),
        column("statement_id", sa.Text),
        column("statement_kind", sa.Text),
        column("payer_id", sa.Text),
        column("customer_id", sa.Text, nullable=True),
        column("contract_id", sa.Text),
        column("plan_id", sa.Text, nullable=True),
        column("plan_version", sa.Integer, nullable=True),
        column("book_version", sa.Text),
        column("charge_code", sa.Text),
        column("charge_model", sa.Text),
        column("classification", sa.Text),
        column("site_id", sa.Text, nullable=True),
        column("region", sa.Text, nullable=True),
        column("band", sa.Text, nullable=True),
        column("description", sa.Text, nullable=True),
        column("quantity", ExactDecimal),
        column("unit", sa.Text),
        column("unit_price", ExactDecimal),
        column("amount", ExactDecimal),
        column("currency", sa.Text),
        column("tax_code", sa.Text),
        column("tax_rate_percent", ExactDecimal),
        column("tax_amount", ExactDecimal),
        column("estimated_quantity", ExactDecimal, nullable=True),
        column("line_key", sa.Text),
        column("adjusts_period", sa.Text, nullable=True),
        column("cause", sa.Text, nullable=True),
        sa.ForeignKeyConstraint(["statement_number"], ["issued_statements.statement_number"]),
        sa.UniqueConstraint("line_key"),
        sa.UniqueConstraint("statement_number", "line_no"),
    )
    fact(
        "series_advances",
        column("series", sa.Text),
        column("series_no", sa.Integer),
        column("reason", sa.Text),
    )
    op.create_index("ix_series_advances_series", "series_advances", ["series"])
    fact(
        "intents",
        column("intent_id", sa.Text),
        column("kind", sa.Text),
        column("subject", sa.Text),
        column("idempotency_key", sa.Text),
        column("body", JsonText),
        sa.UniqueConstraint("intent_id"),
    )
    op.create_index("ix_intents_kind_subject", "intents", ["kind", "subject"])
    fact(
        "outcomes",
        column("intent_id", sa.Text),
        column("status", sa.Text),
        column("external_id", sa.Text, nullable=True),
        column("answer", JsonText, nullable=True),
        column("message", sa.Text, nullable=True),
        sa.CheckConstraint("status IN ('ok', 'failed', 'unknown')", name="status"),
        sa.ForeignKeyConstraint(["intent_id"], ["intents.intent_id"]),
    )
    op.create_index("ix_outcomes_intent_id", "outcomes", ["intent_id"])
    fact(
        "documents",
        column("statement_number", sa.Text),
        column("document_type", sa.Text),
        column("xero_id", sa.Text, nullable=True),
        column("status", sa.Text, nullable=True),
        column("publish_state", sa.Text),
        column("problem", sa.Text, nullable=True),
        column("total", ExactDecimal, nullable=True),
        column("amount_due", ExactDecimal, nullable=True),
        column("amount_paid", ExactDecimal, nullable=True),
        column("amount_credited", ExactDecimal, nullable=True),
        column("currency", sa.Text, nullable=True),
        column("date", CalendarDate, nullable=True),
        column("due_date", CalendarDate, nullable=True),
        column("online_url", sa.Text, nullable=True),
        column("updated_at", Instant, nullable=True),
        column("raw", JsonText, nullable=True),
    )
    op.create_index("ix_documents_statement_number", "documents", ["statement_number"])
    fact(
        "payments",
        column("payment_id", sa.Text),
        column("statement_number", sa.Text),
        column("amount", ExactDecimal),
        column("currency", sa.Text),
        column("paid_on", CalendarDate),
        column("status", sa.Text),
        column("reference", sa.Text, nullable=True),
        column("raw", JsonText, nullable=True),
    )
    op.create_index("ix_payments_payment_id", "payments", ["payment_id"])
    op.create_index("ix_payments_statement_number", "payments", ["statement_number"])
    fact(
        "poll_cursors",
        column("name", sa.Text),
        column("cursor_at", Instant),
    )
    op.create_index("ix_poll_cursors_name", "poll_cursors", ["name"])
    fact(
        "reminders",
        column("statement_number", sa.Text),
        column("stage", sa.Text),
        column("payer_id", sa.Text),
        column("policy_id", sa.Text),
        column("message_id", sa.Text, nullable=True),
        sa.UniqueConstraint("statement_number", "stage"),
    )
    fact(
        "deliveries",
        column("message_id", sa.Text),
        column("channel", sa.Text),
        column("recipient", sa.Text),
        column("subject", sa.Text, nullable=True),
        column("status", sa.Text),
        column("location", sa.Text, nullable=True),
        column("answer", JsonText, nullable=True),
    )
    op.create_index("ix_deliveries_message_id", "deliveries", ["message_id"])
    fact(
        "holds",
        column("scope", sa.Text),
        column("subject", sa.Text),
        column("active", sa.Boolean),
        column("reason", sa.Text),
        column("by", sa.Text),
        sa.CheckConstraint("scope IN ('payer', 'statement')", name="scope"),
    )
    op.create_index("ix_holds_scope_subject", "holds", ["scope", "subject"])
    fact(
        "promises",
        column("payer_id", sa.Text),
        column("until_date", CalendarDate),
        column("by", sa.Text),
        column("reason", sa.Text),
    )
    op.create_index("ix_promises_payer_id", "promises", ["payer_id"])
    fact(
        "disputes",
        column("subject", sa.Text),
        column("state", sa.Text),
        column("by", sa.Text),
        column("reason", sa.Text),
        sa.CheckConstraint("state IN ('open', 'resolved')", name="state"),
    )
    op.create_index("ix_disputes_subject", "disputes", ["subject"])
    fact(
        "exception_actions",
        column("exception_id", sa.Text),
        column("action", sa.Text),
        column("by", sa.Text),
        column("reason", sa.Text),
        sa.CheckConstraint("action IN ('ack', 'resolve')", name="action"),
    )
    op.create_index("ix_exception_actions_exception_id", "exception_actions", ["exception_id"])
