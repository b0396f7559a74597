"""The ledger's tables: one a kind of fact, each row written once and never changed. Here are names,
types and constraints only; how rows are written is `store`'s, how the schema comes into being is
`migrations`'.

Every fact table begins with `id` (1, 2, 3 … without gaps), `at` (the instant it was written down),
`actor` (who asked), `os_user` and `host` (where the process ran). `Ledger.record` fills these in.

The views at the end answer "how do things stand now": the newest fact about a subject.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

from exporters.ledger.types import CalendarDate, ExactDecimal, Instant, JsonText

NAMING: Final = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
metadata: Final = MetaData(naming_convention=NAMING)
RowId: Final = BigInteger().with_variant(Integer(), "sqlite")


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _maybe(name: str) -> Column[str]:
    return Column(name, Text)


def _fact(name: str, *parts: Column[object] | object) -> Table:
    return Table(
        name,
        metadata,
        Column("id", RowId, primary_key=True, autoincrement=False),
        Column("at", Instant, nullable=False),
        _text("actor"),
        _text("os_user"),
        _text("host"),
        *parts,  # type: ignore[arg-type]
        # The keyword makes SQLite remember the highest id ever given, so a cut tail shows.
        sqlite_autoincrement=True,
    )


def _one_of(column: str, *allowed: str) -> CheckConstraint:
    listed = ", ".join(f"'{word}'" for word in allowed)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


close_decisions: Final = _fact(
    "close_decisions",
    _text("period"),
    _text("statement_id"),
    _text("content_hash"),
    _text("decision"),
    _text("reason"),
    Column("total", ExactDecimal, nullable=False),
    _text("currency"),
    _one_of("decision", "auto", "needs_approval", "blocked"),
    Index(None, "statement_id"),
)
approvals: Final = _fact(
    "approvals",
    _text("statement_id"),
    _text("period"),
    _text("content_hash"),
    Column("automatic", Boolean, nullable=False),
    _text("approved_by"),
    _text("reason"),
    UniqueConstraint("statement_id", "content_hash", "automatic", "approved_by"),
)
issued_statements: Final = _fact(
    "issued_statements",
    _text("statement_id"),
    _text("statement_number"),
    _text("series"),
    Column("series_no", Integer, nullable=False),
    _text("period"),
    _text("statement_kind"),
    _text("payer_id"),
    _text("seller_id"),
    _text("currency"),
    Column("net", ExactDecimal, nullable=False),
    Column("tax", ExactDecimal, nullable=False),
    Column("total", ExactDecimal, nullable=False),
    _text("content_hash"),
    _text("book_version"),
    _text("code_version"),
    Column("issue_date", CalendarDate, nullable=False),
    Column("due_date", CalendarDate, nullable=False),
    UniqueConstraint("statement_id"),
    UniqueConstraint("statement_number"),
    UniqueConstraint("series", "series_no"),
    Index(None, "period"),
)
issued_lines: Final = _fact(
    "issued_lines",
    Column(
        "statement_number",
        Text,
        ForeignKey("issued_statements.statement_number"),
        nullable=False,
    ),
    Column("line_no", Integer, nullable=False),
    _text("period"),
    _text("statement_id"),
    _text("statement_kind"),
    _text("payer_id"),
    _maybe("customer_id"),
    _text("contract_id"),
    _maybe("plan_id"),
    Column("plan_version", Integer),
    _text("book_version"),
    _text("charge_code"),
    _text("charge_model"),
    _text("classification"),
    _maybe("site_id"),
    _maybe("region"),
    _maybe("band"),
    _maybe("description"),
    Column("quantity", ExactDecimal, nullable=False),
    _text("unit"),
    Column("unit_price", ExactDecimal, nullable=False),
    Column("amount", ExactDecimal, nullable=False),
    _text("currency"),
    _text("tax_code"),
    Column("tax_rate_percent", ExactDecimal, nullable=False),
    Column("tax_amount", ExactDecimal, nullable=False),
    Column("estimated_quantity", ExactDecimal),
    # A line is billed once: this is the last guard against issuing it on two statements.
    Column("line_key", Text, nullable=False, unique=True),
    _maybe("adjusts_period"),
    _maybe("cause"),
    UniqueConstraint("statement_number", "line_no"),
)
issued_inputs: Final = _fact(
    # What a contract's month was rated from when a statement took account of it: digests of the
    # rows of the book and of what had landed. A later difference is told by them to its cause.
    "issued_inputs",
    Column(
        "statement_number",
        Text,
        ForeignKey("issued_statements.statement_number"),
        nullable=False,
    ),
    _text("contract_id"),
    _text("period"),
    _text("book_digest"),
    _text("readings_digest"),
    UniqueConstraint("statement_number", "contract_id", "period"),
)
series_advances: Final = _fact(
    # Numbers up to series_no are taken (found in Xero after a restore): the next is the one after.
    "series_advances",
    _text("series"),
    Column("series_no", Integer, nullable=False),
    _text("reason"),
    Index(None, "series"),
)
intents: Final = _fact(
    "intents",
    Column("intent_id", Text, nullable=False, unique=True),
    _text("kind"),
    _text("subject"),
    _text("idempotency_key"),
    Column("body", JsonText, nullable=False),
    Index(None, "kind", "subject"),
)
outcomes: Final = _fact(
    "outcomes",
    Column("intent_id", Text, ForeignKey("intents.intent_id"), nullable=False),
    _text("status"),
    _maybe("external_id"),
    Column("answer", JsonText),
    _maybe("message"),
    _one_of("status", "ok", "failed", "unknown"),
    Index(None, "intent_id"),
)
documents: Final = _fact(
    "documents",
    _text("statement_number"),
    _text("document_type"),
    _maybe("xero_id"),
    _maybe("status"),
    _text("publish_state"),
    _maybe("problem"),
    Column("total", ExactDecimal),
    Column("amount_due", ExactDecimal),
    Column("amount_paid", ExactDecimal),
    Column("amount_credited", ExactDecimal),
    _maybe("currency"),
    Column("date", CalendarDate),
    Column("due_date", CalendarDate),
    _maybe("online_url"),
    Column("updated_at", Instant),
    Column("raw", JsonText),
    Index(None, "statement_number"),
)
payments: Final = _fact(
    "payments",
    _text("payment_id"),
    _text("statement_number"),
    Column("amount", ExactDecimal, nullable=False),
    _text("currency"),
    Column("paid_on", CalendarDate, nullable=False),
    _text("status"),
    _maybe("reference"),
    Column("raw", JsonText),
    Index(None, "payment_id"),
    Index(None, "statement_number"),
)
payer_credits: Final = _fact(
    # Money of a payer that lies in the accounts without an invoice: overpaid, or paid in advance.
    "payer_credits",
    _text("credit_id"),
    _text("kind"),
    _text("payer_id"),
    _text("currency"),
    Column("date", CalendarDate, nullable=False),
    Column("total", ExactDecimal, nullable=False),
    Column("remaining", ExactDecimal, nullable=False),
    _text("status"),
    Column("raw", JsonText),
    _one_of("kind", "overpayment", "prepayment"),
    Index(None, "credit_id"),
    Index(None, "payer_id"),
)
poll_cursors: Final = _fact(
    "poll_cursors",
    _text("name"),
    Column("cursor_at", Instant, nullable=False),
    Index(None, "name"),
)
reminders: Final = _fact(
    "reminders",
    _text("statement_number"),
    _text("stage"),
    _text("payer_id"),
    _text("policy_id"),
    _maybe("message_id"),
    UniqueConstraint("statement_number", "stage"),
)
deliveries: Final = _fact(
    "deliveries",
    _text("message_id"),
    _text("channel"),
    _text("recipient"),
    _maybe("subject"),
    _text("status"),
    _maybe("location"),
    Column("answer", JsonText),
    Index(None, "message_id"),
)
holds: Final = _fact(
    "holds",
    _text("scope"),
    _text("subject"),
    Column("active", Boolean, nullable=False),
    _text("reason"),
    _text("by"),
    _one_of("scope", "payer", "statement"),
    Index(None, "scope", "subject"),
)
promises: Final = _fact(
    "promises",
    _text("payer_id"),
    Column("until_date", CalendarDate, nullable=False),
    _text("by"),
    _text("reason"),
    Index(None, "payer_id"),
)
disputes: Final = _fact(
    "disputes",
    _text("subject"),
    _text("state"),
    _text("by"),
    _text("reason"),
    _one_of("state", "open", "resolved"),
    Index(None, "subject"),
)
charge_disputes: Final = _fact(
    # Of a statement line (subject: line_key) or a charge event (event_id). Upheld: it is not owed;
    # rejected: it is.
    "charge_disputes",
    _text("scope"),
    _text("subject"),
    _text("state"),
    _text("by"),
    _text("reason"),
    _one_of("scope", "line", "event"),
    _one_of("state", "open", "upheld", "rejected"),
    Index(None, "scope", "subject"),
)
exception_actions: Final = _fact(
    "exception_actions",
    _text("exception_id"),
    _text("action"),
    _text("by"),
    _text("reason"),
    _one_of("action", "ack", "resolve"),
    Index(None, "exception_id"),
)

restores: Final = _fact(
    # An older copy took the ledger's place: what was done after the copy was made is not in it.
    "restores",
    _text("source"),
    Column("copy_facts", Integer, nullable=False),
    _text("copy_head"),
    Column("replaced_facts", Integer),
    _maybe("replaced_head"),
    _maybe("kept_aside"),
)
reconciliations: Final = _fact(
    # What came of comparing a restored ledger with the world. `restore_id`: the restore up to which
    # this holds, 0 if none. `heads`: heads of the chain, known elsewhere, that this ledger lost.
    "reconciliations",
    Column("restore_id", Integer, nullable=False),
    Column("complete", Boolean, nullable=False),
    _text("xero"),
    Column("heads", JsonText, nullable=False),
    Column("findings", JsonText, nullable=False),
    _one_of("xero", "compared", "never_used", "not_compared"),
)
lost_statements: Final = _fact(
    # Issued once, and not in the ledger any more: the newest row says whether it may go out again.
    "lost_statements",
    _text("statement_id"),
    _text("statement_number"),
    _text("period"),
    _text("payer_id"),
    Column("total", ExactDecimal, nullable=False),
    _text("currency"),
    _text("state"),
    _text("by"),
    _text("reason"),
    _one_of("state", "lost", "issue_again"),
    Index(None, "statement_id"),
)

bank_statements: Final = _fact(
    # Spans of our bank accounts between two balances, as files of the bank told them.
    "bank_statements",
    Column("statement_key", Text, nullable=False, unique=True),
    _text("account"),
    _text("currency"),
    _maybe("reference"),
    Column("opened_on", CalendarDate),
    Column("closed_on", CalendarDate),
    Column("opening_balance", ExactDecimal),
    Column("closing_balance", ExactDecimal),
    Column("line_count", Integer, nullable=False),
    _text("form"),
    _text("file_name"),
    _text("file_digest"),
    _maybe("place"),
)
bank_lines: Final = _fact(
    # What the bank saw on our accounts; money in is positive.
    "bank_lines",
    Column("line_id", Text, nullable=False, unique=True),
    _text("account"),
    _text("currency"),
    Column("booked_on", CalendarDate, nullable=False),
    Column("value_on", CalendarDate),
    Column("amount", ExactDecimal, nullable=False),
    _maybe("counterparty_name"),
    _maybe("counterparty_account"),
    _maybe("remittance"),
    _maybe("end_to_end_id"),
    _maybe("bank_reference"),
    Column("reversal", Boolean, nullable=False),
    _text("form"),
    _text("file_name"),
    _maybe("place"),
    Column("raw", JsonText),
    Index(None, "account", "currency", "booked_on"),
)
bank_sightings: Final = _fact(
    # The first time that a format told of a line, with the digest of what it says besides.
    "bank_sightings",
    _text("line_id"),
    _text("form"),
    _text("details"),
    Column("ordinal", Integer, nullable=False),
    _text("file_name"),
    _text("file_digest"),
    _maybe("place"),
    UniqueConstraint("line_id", "form"),
)
bank_matches: Final = _fact(
    # What of a bank line is for which statement. Confirmed by a person; explained by a payment that
    # Xero shows; rejected or released by a person. The newest row of a line and statement counts.
    "bank_matches",
    _text("line_id"),
    _text("statement_number"),
    Column("amount", ExactDecimal, nullable=False),
    _text("currency"),
    _text("state"),
    _maybe("payment_id"),
    _text("line_words"),
    _text("by"),
    _text("reason"),
    _one_of("state", "confirmed", "explained", "rejected", "released"),
    Index(None, "line_id"),
    Index(None, "statement_number"),
)
bank_payments: Final = _fact(
    # Payments that were made in Xero of confirmed matches.
    "bank_payments",
    Column("payment_id", Text, nullable=False, unique=True),
    Column("match_id", Integer, nullable=False, unique=True),
    _text("line_id"),
    _text("statement_number"),
)
bank_dismissals: Final = _fact(
    # Lines that have nothing to do with any statement.
    "bank_dismissals",
    _text("line_id"),
    Column("dismissed", Boolean, nullable=False),
    _text("by"),
    _text("reason"),
    Index(None, "line_id"),
)
suspensions: Final = _fact(
    # A payer's machines are to be paused, because of these statements (a list of numbers).
    "suspensions",
    Column("suspension_id", Text, nullable=False, unique=True),
    _text("payer_id"),
    _text("policy_id"),
    _text("stage"),
    Column("statement_numbers", JsonText, nullable=False),
    Column("machines", Integer, nullable=False),
    _text("by"),
    _text("reason"),
    Index(None, "payer_id"),
)
suspended_machines: Final = _fact(
    # The machines of a suspension, with the meters (a list) that are switched there.
    "suspended_machines",
    Column("suspension_id", Text, ForeignKey("suspensions.suspension_id"), nullable=False),
    _text("machine_id"),
    _text("contract_id"),
    _text("site_id"),
    Column("meters", JsonText, nullable=False),
    UniqueConstraint("suspension_id", "machine_id", "site_id"),
)
suspension_approvals: Final = _fact(
    # A person lets a suspension go on that may not without; it holds for that plan alone.
    "suspension_approvals",
    _text("payer_id"),
    _text("plan_digest"),
    Column("machines", Integer, nullable=False),
    _text("by"),
    _text("reason"),
    Index(None, "payer_id"),
)
resumptions: Final = _fact(
    # A suspension is over: what it paused is to run again.
    "resumptions",
    Column(
        "suspension_id",
        Text,
        ForeignKey("suspensions.suspension_id"),
        nullable=False,
        unique=True,
    ),
    _text("payer_id"),
    _text("by"),
    _text("reason"),
)
machine_states: Final = _fact(
    # What was seen of a machine of a suspension, when it changed. `off`: every meter is. Released:
    # it is the payer's no more when the suspension ends, and is left as it is.
    "machine_states",
    Column("suspension_id", Text, ForeignKey("suspensions.suspension_id"), nullable=False),
    _text("machine_id"),
    _text("site_id"),
    _text("wanted"),
    _text("state"),
    Column("switched", Boolean, nullable=False),
    _maybe("detail"),
    _one_of("wanted", "off", "on"),
    _one_of("state", "off", "on", "unknown", "released"),
    Index(None, "suspension_id"),
)

webhook_endpoints: Final = _fact(
    # What became of systems that are told what happens: `known` from here on, `gone` from the book,
    # `disabled` (the address in `url` said 410), `enabled` again by a person; `settled`: nobody
    # waits any more for what was given up before.
    "webhook_endpoints",
    _text("endpoint_id"),
    _text("state"),
    _text("url"),
    _text("by"),
    _text("reason"),
    _one_of("state", "known", "gone", "disabled", "enabled", "settled"),
    Index(None, "endpoint_id"),
)
webhook_events: Final = _fact(
    # What happened, as others are told it. `event_id` follows from what it is about, so that an
    # event is here once; `payload` is what is sent, letter for letter.
    "webhook_events",
    Column("event_id", Text, nullable=False, unique=True),
    _text("type"),
    _text("subject"),
    _maybe("payer_id"),
    Column("customer_ids", JsonText, nullable=False),
    Column("payload", JsonText, nullable=False),
    Column("occurred_at", Instant, nullable=False),
    Index(None, "type", "subject"),
    Index(None, "occurred_at"),
)
webhook_deliveries: Final = _fact(
    # Events that are owed to an endpoint. `round` counts from 1; each replay is a round of its own.
    "webhook_deliveries",
    _text("event_id"),
    _text("endpoint_id"),
    Column("round", Integer, nullable=False),
    UniqueConstraint("event_id", "endpoint_id", "round"),
)
webhook_attempts: Final = _fact(
    # What came of sending: `failed` is tried again from `next_at` on; `given_up` was the last try.
    # `pause_until`: the endpoint asked to be left alone so long.
    "webhook_attempts",
    Column("delivery_id", Integer, nullable=False),
    _text("endpoint_id"),
    Column("attempt", Integer, nullable=False),
    _text("status"),
    Column("http_status", Integer),
    _maybe("answer"),
    Column("next_at", Instant),
    Column("pause_until", Instant),
    _one_of("status", "delivered", "failed", "given_up", "gone"),
    UniqueConstraint("delivery_id", "attempt"),
    Index(None, "endpoint_id"),
)
webhook_scans: Final = _fact(
    # How far events were made: of facts up to `seq` of the chain, and of marts built at `built_at`.
    # Deliveries up to `settled_to` are delivered or given up.
    "webhook_scans",
    Column("seq", RowId, nullable=False),
    Column("built_at", Instant),
    Column("settled_to", RowId, nullable=False),
)

FACT_TABLES: Final[tuple[Table, ...]] = tuple(metadata.tables.values())

chain: Final = Table(
    # One row a fact, in the order of writing; each hash covers the one before it.
    "chain",
    metadata,
    Column("seq", RowId, primary_key=True, autoincrement=False),
    _text("table_name"),
    Column("row_id", RowId, nullable=False),
    _text("row_hash"),
    _text("prev_hash"),
    _text("hash"),
    UniqueConstraint("table_name", "row_id"),
    sqlite_autoincrement=True,
)

_views: Final = MetaData()


def _view(name: str, base: Table) -> Table:
    return Table(name, _views, *(Column(column.name, column.type) for column in base.columns))


# The newest observation of each document, by statement number.
current_documents: Final = _view("current_documents", documents)
# The newest word on each payment, by payment_id (a reversed one is here too, with its status).
current_payments: Final = _view("current_payments", payments)
# The newest word on each overpayment and prepayment, used up or voided ones too.
current_payer_credits: Final = _view("current_payer_credits", payer_credits)
# The newest hold by scope and subject, if it is active.
active_holds: Final = _view("active_holds", holds)
# The newest promise of each payer; whether its date has passed is for the reader to say.
current_promises: Final = _view("current_promises", promises)
# The newest word on each disputed subject, if the dispute is open.
open_disputes: Final = _view("open_disputes", disputes)
# The newest word on each disputed line and event.
current_charge_disputes: Final = _view("current_charge_disputes", charge_disputes)
# The newest action on each exception.
current_exception_actions: Final = _view("current_exception_actions", exception_actions)
# The newest word on what of a bank line is for which statement, and on each line that is nobody's.
current_bank_matches: Final = _view("current_bank_matches", bank_matches)
current_bank_dismissals: Final = _view("current_bank_dismissals", bank_dismissals)
# What was seen last of each machine of a suspension.
current_machine_states: Final = _view("current_machine_states", machine_states)
# The newest attempt of each delivery.
current_webhook_attempts: Final = _view("current_webhook_attempts", webhook_attempts)
# The newest cursor of each poll.
current_poll_cursors: Final = _view("current_poll_cursors", poll_cursors)
# Intents whose outcome is not known: none written, or only `unknown` ones.
open_intents: Final = _view("open_intents", intents)

VIEWS: Final[tuple[Table, ...]] = tuple(_views.tables.values())
