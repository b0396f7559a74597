"""The first tables, their views, the hash chain, and the triggers that keep all of it
append-only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from exporters.ledger.migrations.making import append_only as _append_only
from exporters.ledger.migrations.making import column as _column
from exporters.ledger.migrations.making import create as _create
from exporters.ledger.migrations.making import fact as _fact
from exporters.ledger.migrations.making import metadata
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
NEWEST = """
    CREATE VIEW {view} AS SELECT f.* FROM {table} f
    WHERE NOT EXISTS (SELECT 1 FROM {table} n WHERE n.id > f.id AND {same}) {also}
"""
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
    metadata.clear()
    _create_facts()
    _create(
        "chain",
        sa.Column("seq", RowId, primary_key=True, autoincrement=False),
        _column("table_name", sa.Text),
        sa.Column("row_id", RowId, nullable=False),
        _column("row_hash", sa.Text),
        _column("prev_hash", sa.Text),
        _column("hash", sa.Text),
        sa.UniqueConstraint("table_name", "row_id"),
    )
    for view, table, subject, also in NEWEST_VIEWS:
        same = " AND ".join(f"n.{column} = f.{column}" for column in subject)
        op.execute(NEWEST.format(view=view, table=table, same=same, also=also))
    op.execute(OPEN_INTENTS)
    for table in (*FACTS, "chain"):
        _append_only(table)


def downgrade() -> None:
    raise NotImplementedError("a ledger is never taken back: restore a backup instead")


def _create_facts() -> None:
    _fact(
        "close_decisions",
        _column("period", sa.Text),
        _column("statement_id", sa.Text),
        _column("content_hash", sa.Text),
        _column("decision", sa.Text),
        _column("reason", sa.Text),
        _column("total", ExactDecimal),
        _column("currency", sa.Text),
        sa.CheckConstraint("decision IN ('auto', 'needs_approval', 'blocked')", name="decision"),
    )
    op.create_index("ix_close_decisions_statement_id", "close_decisions", ["statement_id"])
    _fact(
        "approvals",
        _column("statement_id", sa.Text),
        _column("period", sa.Text),
        _column("content_hash", sa.Text),
        _column("automatic", sa.Boolean),
        _column("approved_by", sa.Text),
        _column("reason", sa.Text),
        sa.UniqueConstraint("statement_id", "content_hash", "automatic", "approved_by"),
    )
    _fact(
        "issued_statements",
        _column("statement_id", sa.Text),
        _column("statement_number", sa.Text),
        _column("series", sa.Text),
        _column("series_no", sa.Integer),
        _column("period", sa.Text),
        _column("statement_kind", sa.Text),
        _column("payer_id", sa.Text),
        _column("seller_id", sa.Text),
        _column("currency", sa.Text),
        _column("net", ExactDecimal),
        _column("tax", ExactDecimal),
        _column("total", ExactDecimal),
        _column("content_hash", sa.Text),
        _column("book_version", sa.Text),
        _column("code_version", sa.Text),
        _column("issue_date", CalendarDate),
        _column("due_date", CalendarDate),
        sa.UniqueConstraint("series", "series_no"),
        sa.UniqueConstraint("statement_id"),
        sa.UniqueConstraint("statement_number"),
    )
    op.create_index("ix_issued_statements_period", "issued_statements", ["period"])
    _fact(
        "issued_lines",
        _column("statement_number", sa.Text),
        _column("line_no", sa.Integer),
        _column("period", sa.Text),
        _column("statement_id", sa.Text),
        _column("statement_kind", sa.Text),
        _column("payer_id", sa.Text),
        _column("customer_id", sa.Text, nullable=True),
        _column("contract_id", sa.Text),
        _column("plan_id", sa.Text, nullable=True),
        _column("plan_version", sa.Integer, nullable=True),
        _column("book_version", sa.Text),
        _column("charge_code", sa.Text),
        _column("charge_model", sa.Text),
        _column("classification", sa.Text),
        _column("site_id", sa.Text, nullable=True),
        _column("region", sa.Text, nullable=True),
        _column("band", sa.Text, nullable=True),
        _column("description", sa.Text, nullable=True),
        _column("quantity", ExactDecimal),
        _column("unit", sa.Text),
        _column("unit_price", ExactDecimal),
        _column("amount", ExactDecimal),
        _column("currency", sa.Text),
        _column("tax_code", sa.Text),
        _column("tax_rate_percent", ExactDecimal),
        _column("tax_amount", ExactDecimal),
        _column("estimated_quantity", ExactDecimal, nullable=True),
        _column("line_key", sa.Text),
        _column("adjusts_period", sa.Text, nullable=True),
        _column("cause", sa.Text, nullable=True),
        sa.ForeignKeyConstraint(["statement_number"], ["issued_statements.statement_number"]),
        sa.UniqueConstraint("line_key"),
        sa.UniqueConstraint("statement_number", "line_no"),
    )
    _fact(
        "series_advances",
        _column("series", sa.Text),
        _column("series_no", sa.Integer),
        _column("reason", sa.Text),
    )
    op.create_index("ix_series_advances_series", "series_advances", ["series"])
    _fact(
        "intents",
        _column("intent_id", sa.Text),
        _column("kind", sa.Text),
        _column("subject", sa.Text),
        _column("idempotency_key", sa.Text),
        _column("body", JsonText),
        sa.UniqueConstraint("intent_id"),
    )
    op.create_index("ix_intents_kind_subject", "intents", ["kind", "subject"])
    _fact(
        "outcomes",
        _column("intent_id", sa.Text),
        _column("status", sa.Text),
        _column("external_id", sa.Text, nullable=True),
        _column("answer", JsonText, nullable=True),
        _column("message", sa.Text, nullable=True),
        sa.CheckConstraint("status IN ('ok', 'failed', 'unknown')", name="status"),
        sa.ForeignKeyConstraint(["intent_id"], ["intents.intent_id"]),
    )
    op.create_index("ix_outcomes_intent_id", "outcomes", ["intent_id"])
    _fact(
        "documents",
        _column("statement_number", sa.Text),
        _column("document_type", sa.Text),
        _column("xero_id", sa.Text, nullable=True),
        _column("status", sa.Text, nullable=True),
        _column("publish_state", sa.Text),
        _column("problem", sa.Text, nullable=True),
        _column("total", ExactDecimal, nullable=True),
        _column("amount_due", ExactDecimal, nullable=True),
        _column("amount_paid", ExactDecimal, nullable=True),
        _column("amount_credited", ExactDecimal, nullable=True),
        _column("currency", sa.Text, nullable=True),
        _column("date", CalendarDate, nullable=True),
        _column("due_date", CalendarDate, nullable=True),
        _column("online_url", sa.Text, nullable=True),
        _column("updated_at", Instant, nullable=True),
        _column("raw", JsonText, nullable=True),
    )
    op.create_index("ix_documents_statement_number", "documents", ["statement_number"])
    _fact(
        "payments",
        _column("payment_id", sa.Text),
        _column("statement_number", sa.Text),
        _column("amount", ExactDecimal),
        _column("currency", sa.Text),
        _column("paid_on", CalendarDate),
        _column("status", sa.Text),
        _column("reference", sa.Text, nullable=True),
        _column("raw", JsonText, nullable=True),
    )
    op.create_index("ix_payments_payment_id", "payments", ["payment_id"])
    op.create_index("ix_payments_statement_number", "payments", ["statement_number"])
    _fact(
        "poll_cursors",
        _column("name", sa.Text),
        _column("cursor_at", Instant),
    )
    op.create_index("ix_poll_cursors_name", "poll_cursors", ["name"])
    _fact(
        "reminders",
        _column("statement_number", sa.Text),
        _column("stage", sa.Text),
        _column("payer_id", sa.Text),
        _column("policy_id", sa.Text),
        _column("message_id", sa.Text, nullable=True),
        sa.UniqueConstraint("statement_number", "stage"),
    )
    _fact(
        "deliveries",
        _column("message_id", sa.Text),
        _column("channel", sa.Text),
        _column("recipient", sa.Text),
        _column("subject", sa.Text, nullable=True),
        _column("status", sa.Text),
        _column("location", sa.Text, nullable=True),
        _column("answer", JsonText, nullable=True),
    )
    op.create_index("ix_deliveries_message_id", "deliveries", ["message_id"])
    _fact(
        "holds",
        _column("scope", sa.Text),
        _column("subject", sa.Text),
        _column("active", sa.Boolean),
        _column("reason", sa.Text),
        _column("by", sa.Text),
        sa.CheckConstraint("scope IN ('payer', 'statement')", name="scope"),
    )
    op.create_index("ix_holds_scope_subject", "holds", ["scope", "subject"])
    _fact(
        "promises",
        _column("payer_id", sa.Text),
        _column("until_date", CalendarDate),
        _column("by", sa.Text),
        _column("reason", sa.Text),
    )
    op.create_index("ix_promises_payer_id", "promises", ["payer_id"])
    _fact(
        "disputes",
        _column("subject", sa.Text),
        _column("state", sa.Text),
        _column("by", sa.Text),
        _column("reason", sa.Text),
        sa.CheckConstraint("state IN ('open', 'resolved')", name="state"),
    )
    op.create_index("ix_disputes_subject", "disputes", ["subject"])
    _fact(
        "exception_actions",
        _column("exception_id", sa.Text),
        _column("action", sa.Text),
        _column("by", sa.Text),
        _column("reason", sa.Text),
        sa.CheckConstraint("action IN ('ack', 'resolve')", name="action"),
    )
    op.create_index("ix_exception_actions_exception_id", "exception_actions", ["exception_id"])
