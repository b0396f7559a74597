"""The inputs of a warehouse build, written where dbt looks for them, and the swap of its output.

A build reads four things and nothing else: the compiled book, the manifest of landed batches, the
extract of the ledger, and one row of context. All are replaced atomically, so that a killed build
leaves either the old or the new.
"""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from connectors.book import Book, BookError, compile_book, load_book
from connectors.compaction import Compaction, compact
from connectors.manifest import Manifest, scan
from exporters.ledger import restored
from exporters.ledger.extract import write_extract
from exporters.reconcile.kept import heads_in_marts, keep_marts
from orchestration.ledger import open_ledger
from orchestration.locks import hold
from orchestration.settings import DataDir, SettingsError, code_version
from orchestration.stores import landing_zone

_CONTEXT_SCHEMA = pa.schema(
    [
        pa.field("now_at", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("code_version", pa.string(), nullable=False),
        pa.field("also_period", pa.string()),
        pa.field("ledger_head", pa.string()),
        pa.field("last_issued_period", pa.string()),
    ]
)


def refresh_book(data_dir: DataDir) -> Book:
    """Load and compile the book. Raises connectors.book.BookError naming every fault."""
    book = load_book(data_dir.book)
    with hold(data_dir.locks, "warehouse", purpose="compiling the book"):
        compile_book(book, data_dir.compiled_book)
    return book


def sites_read_nightly(data_dir: DataDir) -> frozenset[str]:
    """The sites of sources.yml; none while the book has faults, which `refresh_book` tells."""
    try:
        return frozenset(load_book(data_dir.book).sites_read)
    except BookError:
        return frozenset()


def refresh_manifest(data_dir: DataDir) -> Manifest:
    """List the landed batches, checking those not seen before. Raises StoreError."""
    with hold(data_dir.locks, "warehouse", purpose="listing landed batches"):
        return scan(landing_zone(data_dir), data_dir.manifest)


def compact_landing(
    data_dir: DataDir, *, now: datetime, before: date | None, dry_run: bool
) -> Compaction:
    """Merge the landed files of days that no landing reads again, or of those before `before`.

    The manifest is renewed under the same lock: what a build reads next is what is there. Raises
    BookError, and SettingsError when `before` is later than the book's `lookback_days` allow.
    """
    lookback = load_book(data_dir.book).settings.lookback_days
    over = now.astimezone(UTC).date() - timedelta(days=lookback)
    if before is not None and before > over:
        raise SettingsError(
            f"{before} is too late: the last {lookback} days (lookback_days of the book) are "
            f"landed again every night; days before {over} can be merged"
        )
    with (
        hold(data_dir.locks, "warehouse", purpose="merging landed files"),
        # An orphan of a killed run may still be reading.
        hold(data_dir.locks, "dbt", purpose="merging landed files"),
    ):
        zone = landing_zone(data_dir, to_write=not dry_run)
        done = compact(zone, scan(zone, data_dir.manifest), before=before or over, dry_run=dry_run)
        if done.days and not dry_run:
            scan(zone, data_dir.manifest)
    return done


def refresh_ledger_extract(data_dir: DataDir) -> None:
    """Write what the ledger says as the Parquet files that dbt reads."""
    with hold(data_dir.locks, "warehouse", purpose="extracting the ledger"):
        notice_replaced_ledger(data_dir)
        write_extract(
            data_dir.ledger_url if data_dir.has_ledger() else None, data_dir.ledger_extract
        )


def notice_replaced_ledger(data_dir: DataDir) -> None:
    """Keep the published marts, and say so in the ledger, if they know a head that the ledger never
    had: it was put back by hand, and this build would replace the only trace of it."""
    heads = heads_in_marts(data_dir.marts)
    if not heads:
        return
    if not data_dir.has_ledger():
        keep_marts(data_dir.marts)
        return
    with open_ledger(data_dir, acting_as="build") as ledger:
        with ledger.snapshot() as reader:
            lost = restored.lost_heads(reader, heads)
        if lost:
            keep_marts(data_dir.marts)
            with ledger.transaction() as tx:
                restored.note_replaced(tx, lost, found_by="m2c build")


def write_context(
    data_dir: DataDir, *, now: datetime, also_period: str | None, version: str | None = None
) -> None:
    """Write the row of context: the clock, the program's version, the period asked for, and how far
    the ledger is. `version` stands for the program's, unless it is not the one that runs."""
    heads = pq.read_table(data_dir.ledger_extract / "ledger_head.parquet")["head_hash"]
    issued = pq.read_table(data_dir.ledger_extract / "issued_statements.parquet")["period"]
    row = {
        "now_at": [now],
        "code_version": [version or code_version()],
        "also_period": [also_period],
        "ledger_head": [heads[0].as_py() if len(heads) else None],
        "last_issued_period": [max(issued.to_pylist(), default=None)],
    }
    data_dir.context.mkdir(parents=True, exist_ok=True)
    target = _context_of(data_dir)
    temporary = target.with_suffix(".parquet.tmp")
    pq.write_table(pa.table(row, schema=_CONTEXT_SCHEMA), temporary)
    temporary.replace(target)


def period_asked_for(data_dir: DataDir) -> str | None:
    """The period that the last build was asked for besides those that have readings, if any."""
    context = _context_of(data_dir)
    if not context.exists():
        return None
    period = pq.read_table(context)["also_period"][0].as_py()
    return None if period is None else str(period)


def prepare_next_marts(data_dir: DataDir) -> None:
    """Lay out the next published file as a copy of the present one, for a build to update.

    What a killed build left of it goes first.
    """
    for path in (data_dir.next_marts, _wal_of(data_dir.next_marts)):
        path.unlink(missing_ok=True)
    data_dir.next_marts.parent.mkdir(parents=True, exist_ok=True)
    if data_dir.marts.exists():
        shutil.copyfile(data_dir.marts, data_dir.next_marts)


def swap_marts(data_dir: DataDir) -> Path:
    """Put the marts of the build that just passed in place of the published ones.

    Readers that have the old file open go on reading it; whoever opens it next sees the new one.
    Raises FileNotFoundError when no build left one behind.
    """
    if _wal_of(data_dir.next_marts).exists():
        raise FileNotFoundError(f"{data_dir.next_marts} was not closed by the build that wrote it")
    data_dir.next_marts.replace(data_dir.marts)
    return data_dir.marts


def _context_of(data_dir: DataDir) -> Path:
    return data_dir.context / "build_context.parquet"


def _wal_of(path: Path) -> Path:
    return path.with_name(path.name + ".wal")
