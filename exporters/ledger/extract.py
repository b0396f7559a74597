"""The ledger as the warehouse reads it: one typed Parquet file a subject, written after each
change. Every file is always there (without rows while there is no ledger), each is replaced by a
rename, and a file that would say the same is left untouched, so that whoever goes by its time sees
no change. What a file says already is not read from the ledger again (see `grown`).

Facts: issued_statements, issued_lines, issued_inputs, approvals, reminders, deliveries,
exception_actions, bank_lines, bank_payments, suspensions, suspended_machines, machine_states,
resumptions (all rows). Current state: documents (newest per
statement_number), payments (newest per payment_id), payer_credits (newest per credit_id),
bank_matches (newest per line_id and statement_number), bank_dismissals (newest per line_id), holds
(newest per scope and subject, inactive ones too), promises (newest per payer), disputes (newest per
subject, resolved ones too), charge_disputes (newest per scope and subject). ledger_head: one row
with the end of the hash chain. story_events: what `events` tells of every fact; only facts that are
new are told, the others stand in the file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Select, Table, func, select

from exporters.ledger import storyfile, tables
from exporters.ledger.engine import parse_url, sqlite_path
from exporters.ledger.errors import LedgerError
from exporters.ledger.grown import grown, known_facts, stamped
from exporters.ledger.store import Actor, Ledger, Reader

TEXT: Final = pa.string()
MONEY: Final = pa.decimal128(18, 2)
QUANTITY: Final = pa.decimal128(18, 6)
PRICE: Final = pa.decimal128(38, 9)
PERCENT: Final = pa.decimal128(9, 4)
INSTANT: Final = pa.timestamp("us", tz="UTC")
DATE: Final = pa.date32()
INT: Final = pa.int32()
BOOL: Final = pa.bool_()


@dataclass(frozen=True)
class Read:
    """Rows of a fact table: all of them, or of each subject the newest."""

    table: Table
    subject: tuple[str, ...] = ()

    def since(self, row_id: int) -> Select[Any]:
        """The rows among those after `row_id`, in the order of writing."""
        table = self.table
        found = select(table).where(table.c.id > row_id).order_by(table.c.id)
        if not self.subject:
            return found
        newest = select(func.max(table.c.id)).where(table.c.id > row_id)
        newest = newest.group_by(*(table.c[name] for name in self.subject))
        return found.where(table.c.id.in_(newest))


@dataclass(frozen=True)
class Extract:
    """One file: what it reads, and its columns by name as (type, the ledger's column)."""

    name: str
    read: Read
    columns: dict[str, tuple[pa.DataType, str]]

    @property
    def schema(self) -> pa.Schema:
        """The columns of the file."""
        return pa.schema([(name, kind) for name, (kind, _) in self.columns.items()])


def _all_of(table: Table) -> Read:
    return Read(table)


def _newest_of(table: Table, *subject: str) -> Read:
    return Read(table, subject)


def _columns(**types: pa.DataType) -> dict[str, tuple[pa.DataType, str]]:
    return {name: (kind, name) for name, kind in types.items()}


def _at(name: str) -> dict[str, tuple[pa.DataType, str]]:
    return {name: (INSTANT, "at")}


SAID_BY: Final = {"said_by": (TEXT, "by")}  # `by` is a word of SQL

EXTRACTS: Final = (
    Extract(
        "issued_statements",
        _all_of(tables.issued_statements),
        _columns(
            statement_id=TEXT,
            statement_number=TEXT,
            series=TEXT,
            series_no=INT,
            period=TEXT,
            statement_kind=TEXT,
            payer_id=TEXT,
            seller_id=TEXT,
            currency=TEXT,
            net=MONEY,
            tax=MONEY,
            total=MONEY,
            content_hash=TEXT,
            book_version=TEXT,
            code_version=TEXT,
            issue_date=DATE,
            due_date=DATE,
        )
        | _at("issued_at"),
    ),
    Extract(
        "issued_lines",
        _all_of(tables.issued_lines),
        _columns(
            statement_number=TEXT,
            line_no=INT,
            period=TEXT,
            statement_id=TEXT,
            statement_kind=TEXT,
            payer_id=TEXT,
            customer_id=TEXT,
            contract_id=TEXT,
            plan_id=TEXT,
            plan_version=INT,
            book_version=TEXT,
            charge_code=TEXT,
            charge_model=TEXT,
            classification=TEXT,
            site_id=TEXT,
            region=TEXT,
            band=TEXT,
            description=TEXT,
            quantity=QUANTITY,
            unit=TEXT,
            unit_price=PRICE,
            amount=MONEY,
            currency=TEXT,
            tax_code=TEXT,
            tax_rate_percent=PERCENT,
            tax_amount=MONEY,
            estimated_quantity=QUANTITY,
            line_key=TEXT,
            adjusts_period=TEXT,
            cause=TEXT,
        )
        | _at("issued_at"),
    ),
    Extract(
        "issued_inputs",
        _all_of(tables.issued_inputs),
        _columns(
            statement_number=TEXT,
            contract_id=TEXT,
            period=TEXT,
            book_digest=TEXT,
            readings_digest=TEXT,
        ),
    ),
    Extract(
        "approvals",
        _all_of(tables.approvals),
        _columns(
            statement_id=TEXT,
            period=TEXT,
            content_hash=TEXT,
            automatic=BOOL,
            approved_by=TEXT,
            reason=TEXT,
        )
        | _at("approved_at"),
    ),
    Extract(
        "documents",
        _newest_of(tables.documents, "statement_number"),
        _columns(
            statement_number=TEXT,
            document_type=TEXT,
            xero_id=TEXT,
            status=TEXT,
            publish_state=TEXT,
            problem=TEXT,
            total=MONEY,
            amount_due=MONEY,
            amount_paid=MONEY,
            amount_credited=MONEY,
            currency=TEXT,
            date=DATE,
            due_date=DATE,
            online_url=TEXT,
            updated_at=INSTANT,
        )
        | _at("observed_at"),
    ),
    Extract(
        "payments",
        _newest_of(tables.payments, "payment_id"),
        _columns(
            payment_id=TEXT,
            statement_number=TEXT,
            amount=MONEY,
            currency=TEXT,
            paid_on=DATE,
            status=TEXT,
            reference=TEXT,
        )
        | _at("observed_at"),
    ),
    Extract(
        "payer_credits",
        _newest_of(tables.payer_credits, "credit_id"),
        _columns(
            credit_id=TEXT,
            kind=TEXT,
            payer_id=TEXT,
            currency=TEXT,
            date=DATE,
            total=MONEY,
            remaining=MONEY,
            status=TEXT,
        )
        | _at("observed_at"),
    ),
    Extract(
        "bank_lines",
        _all_of(tables.bank_lines),
        _columns(
            line_id=TEXT,
            account=TEXT,
            currency=TEXT,
            booked_on=DATE,
            value_on=DATE,
            amount=MONEY,
            counterparty_name=TEXT,
            counterparty_account=TEXT,
            remittance=TEXT,
            end_to_end_id=TEXT,
            bank_reference=TEXT,
            reversal=BOOL,
            form=TEXT,
            file_name=TEXT,
            place=TEXT,
        )
        | _at("imported_at"),
    ),
    Extract(
        "bank_matches",
        _newest_of(tables.bank_matches, "line_id", "statement_number"),
        _columns(
            line_id=TEXT,
            statement_number=TEXT,
            amount=MONEY,
            currency=TEXT,
            state=TEXT,
            payment_id=TEXT,
            reason=TEXT,
        )
        | {"match_id": (pa.int64(), "id")}
        | SAID_BY
        | _at("recorded_at"),
    ),
    Extract(
        "bank_dismissals",
        _newest_of(tables.bank_dismissals, "line_id"),
        _columns(line_id=TEXT, dismissed=BOOL, reason=TEXT) | SAID_BY | _at("recorded_at"),
    ),
    Extract(
        "bank_payments",
        _all_of(tables.bank_payments),
        _columns(payment_id=TEXT, match_id=INT, line_id=TEXT, statement_number=TEXT)
        | _at("posted_at"),
    ),
    Extract(
        "reminders",
        _all_of(tables.reminders),
        _columns(statement_number=TEXT, stage=TEXT, payer_id=TEXT, policy_id=TEXT, message_id=TEXT)
        | _at("recorded_at"),
    ),
    Extract(
        "suspensions",
        _all_of(tables.suspensions),
        _columns(
            suspension_id=TEXT,
            payer_id=TEXT,
            policy_id=TEXT,
            stage=TEXT,
            statement_numbers=TEXT,
            machines=INT,
            reason=TEXT,
        )
        | SAID_BY
        | _at("suspended_at"),
    ),
    Extract(
        "suspended_machines",
        _all_of(tables.suspended_machines),
        _columns(suspension_id=TEXT, machine_id=TEXT, contract_id=TEXT, site_id=TEXT, meters=TEXT)
        | _at("recorded_at"),
    ),
    Extract(
        "machine_states",
        _all_of(tables.machine_states),
        _columns(
            suspension_id=TEXT,
            machine_id=TEXT,
            site_id=TEXT,
            wanted=TEXT,
            state=TEXT,
            switched=BOOL,
            detail=TEXT,
        )
        | {"state_no": (pa.int64(), "id")}
        | _at("seen_at"),
    ),
    Extract(
        "resumptions",
        _all_of(tables.resumptions),
        _columns(suspension_id=TEXT, payer_id=TEXT, reason=TEXT) | SAID_BY | _at("resumed_at"),
    ),
    Extract(
        "deliveries",
        _all_of(tables.deliveries),
        _columns(
            message_id=TEXT,
            channel=TEXT,
            recipient=TEXT,
            subject=TEXT,
            status=TEXT,
            location=TEXT,
        )
        | _at("recorded_at"),
    ),
    Extract(
        "exception_actions",
        _all_of(tables.exception_actions),
        _columns(exception_id=TEXT, action=TEXT, by=TEXT, reason=TEXT) | _at("recorded_at"),
    ),
    Extract(
        "holds",
        _newest_of(tables.holds, "scope", "subject"),
        _columns(scope=TEXT, subject=TEXT, active=BOOL, reason=TEXT, by=TEXT) | _at("recorded_at"),
    ),
    Extract(
        "promises",
        _newest_of(tables.promises, "payer_id"),
        _columns(payer_id=TEXT, until_date=DATE, by=TEXT, reason=TEXT) | _at("recorded_at"),
    ),
    Extract(
        "charge_disputes",
        _newest_of(tables.charge_disputes, "scope", "subject"),
        _columns(scope=TEXT, subject=TEXT, state=TEXT, reason=TEXT) | SAID_BY | _at("recorded_at"),
    ),
    Extract(
        "disputes",
        _newest_of(tables.disputes, "subject"),
        _columns(subject=TEXT, state=TEXT, reason=TEXT) | SAID_BY | _at("recorded_at"),
    ),
)
HEAD_SCHEMA: Final = pa.schema([("head_hash", TEXT), ("facts", pa.int64())])


def write_extract(ledger_url: str | None, out_dir: Path) -> list[Path]:
    """Write all files of the extract into `out_dir`; returns those that changed.

    ledger_url None, or a SQLite file that is not there (it is not made): files without rows. A
    ledger of an older version is migrated first. All files show one and the same state of the
    ledger."""
    out_dir.mkdir(parents=True, exist_ok=True)
    file = sqlite_path(parse_url(ledger_url)) if ledger_url else None
    if ledger_url is None or (file is not None and not file.exists()):
        written = {extract.name: _table(extract, []) for extract in EXTRACTS}
        written["ledger_head"] = HEAD_SCHEMA.empty_table()
        written[storyfile.NAME] = storyfile.SCHEMA.empty_table()
    else:
        with (
            Ledger.open(ledger_url, clock=_now, actor=Actor.current("extract")) as ledger,
            ledger.snapshot() as reader,
        ):
            written = _read_all(reader, out_dir)
    changed = [_replace(table, out_dir / f"{name}.parquet") for name, table in written.items()]
    return [path for path in changed if path is not None]


def _now() -> datetime:
    return datetime.now(UTC)  # names the copy of a migrated ledger; no fact is written here


def _read_all(reader: Reader, out_dir: Path) -> dict[str, pa.Table]:
    """The files that say something new."""
    head = reader.head()
    read = {}
    for extract in EXTRACTS:
        table = _read(reader, extract, out_dir / f"{extract.name}.parquet")
        if table is not None:
            read[extract.name] = stamped(table, head)
    story = storyfile.story_table(reader, out_dir / f"{storyfile.NAME}.parquet")
    if story is not None:
        read[storyfile.NAME] = story
    read["ledger_head"] = pa.table(
        {"head_hash": [head.hash], "facts": [head.facts]}, schema=HEAD_SCHEMA
    )
    return read


def _read(reader: Reader, extract: Extract, path: Path) -> pa.Table | None:
    """The file's rows, read from the file as far as it goes; None if nothing is new."""
    known = known_facts(reader, path, extract.schema)
    if known is None:
        return _table(extract, reader.query(extract.read.since(0)))
    fact = extract.read.table
    last = reader.scalar(
        select(func.max(tables.chain.c.row_id))
        .where(tables.chain.c.table_name == fact.name)
        .where(tables.chain.c.seq <= known)
    )
    rows = reader.query(extract.read.since(last or 0))
    return grown(path, _table(extract, rows), extract.read.subject) if rows else None


def _table(extract: Extract, rows: list[dict[str, Any]]) -> pa.Table:
    arrays = [
        pa.array([_fit(row[source], kind, extract.name, source) for row in rows], type=kind)
        for kind, source in extract.columns.values()
    ]
    return pa.Table.from_arrays(arrays, schema=extract.schema)


def _fit(value: Any, kind: pa.DataType, table: str, column: str) -> Any:
    """The value at the column's scale: zeros may come or go, digits may not."""
    if not isinstance(value, Decimal):
        return value
    fitted = value.quantize(Decimal(1).scaleb(-kind.scale))
    if fitted != value:
        raise LedgerError(
            f"ledger {table}.{column} holds {value}, more than {kind.scale} decimals; "
            "the marts could not show it exactly"
        )
    return fitted


def _replace(table: pa.Table, path: Path) -> Path | None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        pq.write_table(table, partial)
        if path.exists() and path.read_bytes() == partial.read_bytes():
            return None
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path
