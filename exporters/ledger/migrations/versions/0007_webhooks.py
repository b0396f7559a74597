"""Events that other systems are told: what happened, whom it is owed, what came of sending it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from exporters.ledger.migrations.building import append_only, column, fact, newest
from exporters.ledger.tables import RowId
from exporters.ledger.types import Instant, JsonText

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    fact(
        "webhook_endpoints",
        *(column(name, sa.Text) for name in ("endpoint_id", "state", "url", "by", "reason")),
        sa.CheckConstraint(
            "state IN ('known', 'gone', 'disabled', 'enabled', 'settled')", name="state"
        ),
    )
    op.create_index("ix_webhook_endpoints_endpoint_id", "webhook_endpoints", ["endpoint_id"])
    fact(
        "webhook_events",
        sa.Column("event_id", sa.Text, nullable=False, unique=True),
        column("type", sa.Text),
        column("subject", sa.Text),
        column("payer_id", sa.Text, nullable=True),
        column("customer_ids", JsonText),
        column("payload", JsonText),
        column("occurred_at", Instant),
    )
    op.create_index("ix_webhook_events_type_subject", "webhook_events", ["type", "subject"])
    op.create_index("ix_webhook_events_occurred_at", "webhook_events", ["occurred_at"])
    fact(
        "webhook_deliveries",
        column("event_id", sa.Text),
        column("endpoint_id", sa.Text),
        column("round", sa.Integer),
        sa.UniqueConstraint("event_id", "endpoint_id", "round"),
    )
    fact(
        "webhook_attempts",
        column("delivery_id", sa.Integer),
        column("endpoint_id", sa.Text),
        column("attempt", sa.Integer),
        column("status", sa.Text),
        column("http_status", sa.Integer, nullable=True),
        column("answer", sa.Text, nullable=True),
        column("next_at", Instant, nullable=True),
        column("pause_until", Instant, nullable=True),
        sa.CheckConstraint("status IN ('delivered', 'failed', 'given_up', 'gone')", name="status"),
        sa.UniqueConstraint("delivery_id", "attempt"),
    )
    op.create_index("ix_webhook_attempts_endpoint_id", "webhook_attempts", ["endpoint_id"])
    newest("current_webhook_attempts", "webhook_attempts", ("delivery_id",))
    fact(
        "webhook_scans",
        column("seq", RowId),
        column("built_at", Instant, nullable=True),
        column("settled_to", RowId),
    )
    for table in (
        "webhook_endpoints",
        "webhook_events",
        "webhook_deliveries",
        "webhook_attempts",
        "webhook_scans",
    ):
        append_only(table)


def downgrade() -> None:
    raise NotImplementedError("a ledger is never taken back: restore a backup instead")
