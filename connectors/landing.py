"""The landing zone: where every connector's answer is written down, once.

``land`` fetches a window from one connector and writes what is new or changed as one immutable
batch of Parquet files; ``land_site`` does so for everything a site of the book offers; ``scan``
lists and checks what lies there. The form of a landed file is in ``connectors.tables``.

What a batch holds. Rows are compared, by their key, with the row that counts today (the one fetched
last). Rows that say the same are not written again, so fetching an unchanged window writes nothing.
Rows that are new or say something else make the batch, and nothing but them; the older rows stay
where they are, for audit. A row that the source no longer gives is not taken back: whether it was
wrong is for a person to say, in ``reading_edits.csv``. A row that lay too far in the future when it
was fetched, and no longer does, is written again, for it counts only now.

Each file appears whole or not at all, and each stands for itself: after a kill, landing the same
window again writes the files that are still missing. A fetch that fails half-way writes nothing.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import logging
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import duckdb
import polars as pl
import pyarrow as pa

from connectors.base import (
    Batch,
    ChargeEventsSource,
    Clock,
    IndexPricesSource,
    ReadingsSource,
    Rejected,
    SourceSpec,
    Window,
)
from connectors.errors import ConnectorError
from connectors.files import working_folder, write_atomically
from connectors.manifest import (
    LandedFile,
    Manifest,
    Refused,
    check_files,
    list_key,
    list_partition,
    scan,
)
from connectors.merges import beside_others
from connectors.parquet import write_rows
from connectors.registry import build_connector
from connectors.rows import FRAME_SCHEMAS
from connectors.tables import CHARGE_EVENTS, INDEX_PRICES, READINGS, TABLES, Table
from connectors.zones import Folder, as_zone

__all__ = [
    "LandedFile",
    "LandingResult",
    "Manifest",
    "Refused",
    "SiteLanding",
    "land",
    "land_all",
    "land_site",
    "offered",
    "scan",
]

logger = logging.getLogger("connectors.landing")

_DAY_US: Final = 86_400_000_000
# Readings further ahead than this of their fetch are impossible (rule 0a of metering).
_AHEAD_US: Final = 3_600_000_000
# Controls and ends of lines that JSON lets stand as they are.
_NOT_FOR_EYES: Final = re.compile("[\x7f-\x9f\u2028\u2029]")
# Beyond this the spool works on disk.
_MEMORY: Final = "1GB"


@dataclass(frozen=True, kw_only=True)
class LandingResult:
    """What became of one fetch of one table.

    ``rows_fetched`` counts every record the site gave and is the sum of the others: landed,
    rejected (set aside for a person), unchanged (landed before), duplicate (said twice the same,
    or replaced by a later file of the same fetch), outside (not in the window) and skipped (not
    meant, by configuration). ``batches`` has the id of the batch, if one was written; ``files``
    are its files, and ``names`` what a person finds them under.
    """

    site_id: str
    table: str
    window: Window
    rows_fetched: int
    rows_landed: int
    rows_rejected: int
    rows_unchanged: int
    rows_duplicate: int
    rows_outside: int
    rows_skipped: int
    batches: tuple[str, ...]
    files: tuple[Path, ...]
    rejected_file: Path | None
    names: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        plain = asdict(self)
        plain["window"] = str(self.window)
        plain["batches"] = list(self.batches)
        plain["files"] = list(plain.pop("names") or map(str, self.files))
        plain["rejected_file"] = str(self.rejected_file) if self.rejected_file else None
        return plain

    def describe(self) -> str:
        """Return it as a sentence."""
        return (
            f"{self.site_id} {self.table} {self.window}: {self.rows_fetched} fetched, "
            f"{self.rows_landed} landed, {self.rows_unchanged} unchanged, "
            f"{self.rows_rejected} rejected"
            + (f" (see {self.rejected_file})" if self.rejected_file else "")
        )


@dataclass(frozen=True, kw_only=True)
class SiteLanding:
    """What became of one window of one site: a result per table it offers."""

    site_id: str
    window: Window
    results: tuple[LandingResult, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        return {
            "site_id": self.site_id,
            "window": str(self.window),
            "results": [result.as_dict() for result in self.results],
        }

    def describe(self) -> str:
        """Return it as a line per table."""
        return "\n".join(result.describe() for result in self.results)


def land(
    connector: object,
    *,
    site_id: str,
    window: Window,
    landing_dir: Path | Folder,
    rejected_dir: Path,
    clock: Clock,
    table: str = READINGS.name,
) -> LandingResult:
    """Fetch one table's window and write what is new or changed.

    Raises ``ConnectorError`` if the site cannot be read, and then has written nothing;
    ``StoreError`` if the landing zone is at a store that cannot be reached.
    """
    spec = TABLES[table]
    batches = _fetch(connector, spec, window)
    started = time.monotonic()
    zone = as_zone(landing_dir)
    with (
        working_folder(zone.folder) as room,
        duckdb.connect(str(room / "spool.duckdb")) as connection,
    ):
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"SET memory_limit = '{_MEMORY}'")
        spool = _Spool(connection, spec, site_id=site_id, room=room)
        spool.fill(batches)
        # Not while files are being merged: a row whose file has just gone would be landed again.
        with beside_others(zone):
            result = _write(
                spool,
                site_id=site_id,
                window=window,
                zone=zone,
                rejected_dir=rejected_dir.resolve(),
                now=clock().astimezone(dt.UTC),
                room=room,
            )
    logger.info(
        "site=%s table=%s window=%s fetched=%d landed=%d rejected=%d unchanged=%d ms=%d",
        site_id,
        table,
        window,
        result.rows_fetched,
        result.rows_landed,
        result.rows_rejected,
        result.rows_unchanged,
        round((time.monotonic() - started) * 1000),
    )
    return result


def land_all(
    connector: object,
    *,
    site_id: str,
    window: Window,
    landing_dir: Path | Folder,
    rejected_dir: Path,
    clock: Clock,
    tables: Sequence[str] | None = None,
) -> SiteLanding:
    """Land every table the connector offers (or those named) for the window.

    If one cannot be read the others are still landed; then the first ``ConnectorError`` is raised.
    """
    results: list[LandingResult] = []
    failures: list[ConnectorError] = []
    for table in TABLES.values():
        if table.name not in (tables or offered(connector)):
            continue
        try:
            results.append(
                land(
                    connector,
                    site_id=site_id,
                    window=window,
                    landing_dir=landing_dir,
                    rejected_dir=rejected_dir,
                    clock=clock,
                    table=table.name,
                )
            )
        except ConnectorError as error:
            logger.warning("site=%s table=%s failed: %s", site_id, table.name, error)
            failures.append(error)
    if failures:
        raise failures[0]
    return SiteLanding(site_id=site_id, window=window, results=tuple(results))


def land_site(
    site_id: str,
    timezone: str,
    spec: SourceSpec,
    *,
    window: Window,
    landing_dir: Path | Folder,
    rejected_dir: Path,
    env: Mapping[str, str],
    clock: Clock,
    data_dir: Path | None = None,
    tables: Sequence[str] | None = None,
) -> SiteLanding:
    """Build a site's connector as the book says and land everything it offers for the window.

    ``env`` holds the secrets the book names; ``data_dir`` is what relative folders of file sources
    are below. Raises ``ConnectorError``; what was landed until then stays, and is not landed twice.
    """
    connector = build_connector(site_id, timezone, spec, env=env, clock=clock, data_dir=data_dir)
    try:
        return land_all(
            connector,
            site_id=site_id,
            window=window,
            landing_dir=landing_dir,
            rejected_dir=rejected_dir,
            clock=clock,
            tables=tables,
        )
    finally:
        connector.close()


def offered(connector: object) -> frozenset[str]:
    """Return the tables a connector can fill, as configured for its site."""
    able = {
        READINGS.name: isinstance(connector, ReadingsSource),
        CHARGE_EVENTS.name: isinstance(connector, ChargeEventsSource),
        INDEX_PRICES.name: isinstance(connector, IndexPricesSource),
    }
    tables = frozenset(name for name, can in able.items() if can)
    capabilities = getattr(connector, "capabilities", None)
    return tables & capabilities() if capabilities is not None else tables


def _fetch(connector: object, table: Table, window: Window) -> Iterable[Batch]:
    if table is READINGS and isinstance(connector, ReadingsSource):
        return connector.readings(window)
    if table is CHARGE_EVENTS and isinstance(connector, ChargeEventsSource):
        return connector.charge_events(window)
    if table is INDEX_PRICES and isinstance(connector, IndexPricesSource):
        return connector.index_prices(window)
    raise TypeError(f"{type(connector).__name__} does not give {table.name}")


# --- the spool -----------------------------------------------------------------------------------


class _Spool:
    """Everything one fetch gave, on disk, so that memory does not grow with the answer."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, table: Table, *, site_id: str, room: Path
    ) -> None:
        self.connection = connection
        self.table = table
        self.columns = tuple(FRAME_SCHEMAS[table.name])
        self.rejected = _RejectedRows(room / "rejected.jsonl", table=table, site_id=site_id)
        self.fetched = 0
        self.skipped = 0
        types = _duckdb_types(table)
        columns = ", ".join(f"{column} {types[column]}" for column in self.columns)
        connection.execute(
            f"CREATE TABLE spool (seq BIGINT, origin_no INTEGER, take_last BOOLEAN, {columns})"
        )
        connection.execute("CREATE TABLE origins (origin_no INTEGER, origin VARCHAR)")

    def fill(self, batches: Iterable[Batch]) -> None:
        """Take in all batches of the answer."""
        origins: dict[str, int] = {}
        expected = dict(FRAME_SCHEMAS[self.table.name])
        for batch in batches:
            if dict(batch.frame.schema) != expected:
                raise TypeError(
                    f"a connector gave columns {dict(batch.frame.schema)} for {self.table.name}; "
                    f"expected {expected}"
                )
            if batch.origin not in origins:
                origins[batch.origin] = len(origins)
                self.connection.execute(
                    "INSERT INTO origins VALUES (?, ?)", [origins[batch.origin], batch.origin]
                )
            self._insert(batch, origins[batch.origin])
            for row in batch.rejected:
                self.rejected.add(row)
            self.fetched += batch.frame.height + len(batch.rejected) + batch.skipped
            self.skipped += batch.skipped

    def _insert(self, batch: Batch, origin_no: int) -> None:
        if batch.frame.is_empty():
            return
        first = self.fetched
        rows = batch.frame.select(
            pl.int_range(first, first + pl.len(), dtype=pl.Int64).alias("seq"),
            pl.lit(origin_no, pl.Int32).alias("origin_no"),
            pl.lit(batch.repeated == "last").alias("take_last"),
            *self.columns,
        ).to_arrow()
        self.connection.register("arrived", rows)
        self.connection.execute("INSERT INTO spool SELECT * FROM arrived")
        self.connection.unregister("arrived")

    def count(self, condition: str = "true", **values: object) -> int:
        """Count rows of the spool."""
        found = self.connection.execute(
            f"SELECT count(*) FROM spool WHERE {condition}", values
        ).fetchall()
        return int(found[0][0])


class _RejectedRows:
    """Rejected rows of one fetch, written as they come and hashed, in a form people can read."""

    def __init__(self, path: Path, *, table: Table, site_id: str) -> None:
        self._path = path
        self._whose = {"table": table.name, "site_id": site_id}
        self._folder = Path(table.name) / f"site_id={site_id}"
        self._hash = hashlib.sha256()
        self.count = 0

    def add(self, row: Rejected) -> None:
        line = json.dumps(self._whose | asdict(row), ensure_ascii=False)
        # Whoever reads line by line, or prints a line, must not be led astray by what a site sent.
        line = _NOT_FOR_EYES.sub(lambda found: f"\\u{ord(found[0]):04x}", line) + "\n"
        # A cut-off file can hold half a character; what is not text is shown as an escape.
        content = line.encode("utf-8", errors="backslashreplace")
        with self._path.open("ab") as stream:
            stream.write(content)
        self._hash.update(content)
        self.count += 1

    def publish(self, rejected_dir: Path) -> Path | None:
        """Put the rows where people look for them.

        The name is made from the content: a file that stays faulty is not set aside again every
        night.
        """
        if self.count == 0:
            return None
        name = f"{self._hash.hexdigest()[:16]}.jsonl"
        path = rejected_dir / self._folder / name
        if not path.exists():
            write_atomically(path, self._path.read_bytes())
        return path


def _duckdb_types(table: Table) -> dict[str, str]:
    types = {}
    for column in table.schema:
        if pa.types.is_decimal(column.type):
            types[column.name] = f"DECIMAL({column.type.precision}, {column.type.scale})"
        elif pa.types.is_timestamp(column.type):
            types[column.name] = "TIMESTAMPTZ"
        else:
            types[column.name] = "VARCHAR"
    return types


# --- from the spool to files ---------------------------------------------------------------------


def _write(
    spool: _Spool,
    *,
    site_id: str,
    window: Window,
    zone: Folder,
    rejected_dir: Path,
    now: dt.datetime,
    room: Path,
) -> LandingResult:
    outside = _drop_outside(spool, window)
    _reject_faulty(spool, site_id=site_id, now=now)
    duplicates = _settle_repeated(spool)
    unchanged = 0
    pieces: list[_Piece] = []
    landed = _LandedPaths(spool, zone)
    for key, date in _partitions(spool):
        same, piece = _changed_rows(
            spool, key=key, date=date, paths=landed.paths(key, date), now=now
        )
        unchanged += same
        if piece is not None:
            pieces.append(piece)
    batch_id = _batch_id(spool.table, site_id, window, now, pieces)
    # Set aside first: a kill between the two then loses nothing a person should see.
    rejected_file = spool.rejected.publish(rejected_dir)
    files = tuple(
        _write_piece(spool, piece, batch_id=batch_id, zone=zone, room=room) for piece in pieces
    )
    return LandingResult(
        site_id=site_id,
        table=spool.table.name,
        window=window,
        rows_fetched=spool.fetched,
        rows_landed=sum(piece.rows for piece in pieces),
        rows_rejected=spool.rejected.count,
        rows_unchanged=unchanged,
        rows_duplicate=duplicates,
        rows_outside=outside,
        rows_skipped=spool.skipped,
        batches=(batch_id,) if files else (),
        files=files,
        names=tuple(zone.name_of(path) for path in files),
        rejected_file=rejected_file,
    )


def _drop_outside(spool: _Spool, window: Window) -> int:
    outside = f"{spool.table.instant} < $start OR {spool.table.instant} >= $end"
    values = {"start": window.start, "end": window.end}
    number = spool.count(outside, **values)
    spool.connection.execute(f"DELETE FROM spool WHERE {outside}", values)
    return number


def _reject_faulty(spool: _Spool, *, site_id: str, now: dt.datetime) -> None:
    """Set aside rows that break a rule of the table, or claim to be of another site."""
    table = spool.table
    elsewhere = len(table.rules)
    fault = table.fault_expression().removesuffix(" END")
    if table.partition == "site_id":
        fault += f" WHEN site_id <> $site_id THEN {elsewhere}"
    fault += " END"
    shown = ", ".join(f"CAST({column} AS VARCHAR)" for column in spool.columns)
    faulty = spool.connection.execute(
        f"""
        WITH checked AS (
            SELECT *, {fault} AS fault
            FROM (
                SELECT s.*, o.origin, 'x' AS batch_id, $now::TIMESTAMPTZ AS ingested_at,
                    $site_id AS asked_of
                FROM spool AS s JOIN origins AS o USING (origin_no)
            )
        )
        SELECT seq, origin, fault, {shown} FROM checked WHERE fault IS NOT NULL ORDER BY seq
        """,
        {"site_id": site_id, "now": now},
    )
    bad: list[int] = []
    while found := faulty.fetchmany(10_000):
        for seq, origin, number, *values in found:
            row = dict(zip(spool.columns, values, strict=True))
            if number == elsewhere:
                field, expected = "site_id", f"expected {site_id}"
            else:
                field, expected = table.rules[number].field, table.rules[number].expected
            spool.rejected.add(
                Rejected(
                    reason=expected,
                    origin=origin,
                    meter=row[table.subject],
                    field=field,
                    value=row.get(field),
                    raw=json.dumps(row, ensure_ascii=False),
                ),
            )
            bad.append(seq)
    _delete(spool, bad)


def _delete(spool: _Spool, seqs: Sequence[int]) -> None:
    if seqs:
        spool.connection.register("unwanted", pa.table({"seq": pa.array(seqs, pa.int64())}))
        spool.connection.execute("DELETE FROM spool WHERE seq IN (SELECT seq FROM unwanted)")
        spool.connection.unregister("unwanted")


def _settle_repeated(spool: _Spool) -> int:
    """Leave one row per key; return how many were said twice or replaced within the fetch.

    The last origin of a key speaks for it. If it contradicts itself, either its last row is taken
    or all of them are set aside, as the batch says.
    """
    table = spool.table
    keys = ", ".join(table.key)
    content = ", ".join(table.content)
    same_key = " AND ".join(f"s.{column} IS NOT DISTINCT FROM k.{column}" for column in table.key)
    spool.connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE repeated AS
        WITH k AS (
            SELECT {keys}, max(origin_no) AS last_origin
            FROM spool GROUP BY {keys} HAVING count(*) > 1
        ), r AS (
            SELECT s.*, k.last_origin, hash({", ".join(f"s.{c}" for c in table.content)}) AS said,
                dense_rank() OVER (ORDER BY {", ".join(f"k.{c}" for c in table.key)}) AS key_no
            FROM spool AS s JOIN k ON {same_key}
        )
        SELECT seq, key_no, origin_no < last_origin AS replaced, said, take_last,
            max(seq) OVER (PARTITION BY key_no, origin_no) AS last_seq,
            min(said) OVER (PARTITION BY key_no, origin_no)
                <> max(said) OVER (PARTITION BY key_no, origin_no) AS contradicts
        FROM r
        """
    )
    shown = ", ".join(f"CAST(s.{column} AS VARCHAR)" for column in spool.columns)
    contradicting = spool.connection.execute(
        f"""
        SELECT o.origin, {shown}
        FROM repeated AS r JOIN spool AS s USING (seq) JOIN origins AS o USING (origin_no)
        WHERE r.contradicts AND NOT r.replaced AND NOT r.take_last
        ORDER BY seq
        """
    )
    rejected = 0
    while found := contradicting.fetchmany(10_000):
        for origin, *values in found:
            row = dict(zip(spool.columns, values, strict=True))
            rejected += 1
            spool.rejected.add(
                Rejected(
                    reason=f"{keys} stand more than once in this answer with different {content}; "
                    "none was landed (repeated: last would take the last)",
                    origin=origin,
                    meter=row[table.subject],
                    field=table.instant,
                    value=row[table.instant],
                    raw=json.dumps(row, ensure_ascii=False),
                ),
            )
    before = spool.count()
    spool.connection.execute(
        """
        DELETE FROM spool WHERE seq IN (
            SELECT seq FROM repeated
            WHERE replaced OR (contradicts AND NOT take_last) OR seq <> last_seq
        )
        """
    )
    return before - spool.count() - rejected


def _partitions(spool: _Spool) -> list[tuple[str, dt.date]]:
    found = spool.connection.execute(
        f"""
        SELECT DISTINCT {spool.table.partition}, {_day_of(spool.table.instant)} AS day
        FROM spool ORDER BY ALL
        """
    ).fetchall()
    return [(key, dt.date(1970, 1, 1) + dt.timedelta(days=day)) for key, day in found]


def _day_of(column: str) -> str:
    us = f"epoch_us({column})"
    return f"(({us} - ({us} % {_DAY_US} + {_DAY_US}) % {_DAY_US}) // {_DAY_US})"


class _LandedPaths:
    """Finds the good files in which a row of one folder may already be landed."""

    def __init__(self, spool: _Spool, zone: Folder) -> None:
        self._table = spool.table
        self._connection = spool.connection
        self._zone = zone
        self._known: dict[tuple[str, dt.date | None], list[str]] = {}

    def paths(self, key: str, date: dt.date) -> list[str]:
        """Return them; an event may have been landed on another day than it now says."""
        day = date if self._table.instant in self._table.key else None
        if (key, day) not in self._known:
            listed = (
                list_key(self._table, self._zone, key)
                if day is None
                else list_partition(self._table, self._zone, key, day)
            )
            checked = check_files(self._table, listed, self._connection)
            self._known[(key, day)] = [str(file.path) for file in checked if not file.refused]
        return self._known[(key, day)]


@dataclass(frozen=True, kw_only=True)
class _Piece:
    """The rows of a batch that belong into one folder."""

    key: str
    date: dt.date
    ingested_at: dt.datetime
    rows: int
    digest: str
    table_name: str


def _changed_rows(
    spool: _Spool, *, key: str, date: dt.date, paths: list[str], now: dt.datetime
) -> tuple[int, _Piece | None]:
    """Compare one folder's rows with what is landed; keep the changed ones in a table.

    Returns how many are unchanged, and the piece to write if there is any.
    """
    table, connection = spool.table, spool.connection
    name = f"piece_{key.encode().hex()}_{date:%Y%m%d}"
    day = (date - dt.date(1970, 1, 1)).days
    identity = ", ".join(dict.fromkeys((table.partition, *table.key)))
    same_key = " AND ".join(
        f"s.{column} IS NOT DISTINCT FROM l.{column}" for column in identity.split(", ")
    )
    says_the_same = " AND ".join(
        f"s.{column} IS NOT DISTINCT FROM l.{column}" for column in table.content
    )
    # A reading that was impossible when it was fetched counts only if it is fetched again later.
    counts_now = "true"
    if table is READINGS:
        ahead = "epoch_us(coalesce(l.interval_end, l.interval_start))"
        counts_now = (
            f"({ahead} <= epoch_us(l.ingested_at) + {_AHEAD_US} "
            f"OR {ahead} > epoch_us($now::TIMESTAMPTZ) + {_AHEAD_US})"
        )
    values: dict[str, object] = {"key": key, "day": day}
    landed = (
        f"SELECT {', '.join(table.columns)} FROM read_parquet($paths, hive_partitioning = false)"
        if paths
        else f"SELECT * FROM (SELECT {_nulls(table)}) WHERE false"
    )
    if paths:
        values["paths"] = paths
    if "$now" in counts_now:
        values["now"] = now
    connection.execute(
        f"""
        CREATE TEMP TABLE {name} AS
        WITH l AS (
            SELECT * FROM ({landed})
            QUALIFY row_number() OVER (
                PARTITION BY {identity} ORDER BY ingested_at DESC, batch_id DESC
            ) = 1
        )
        SELECT s.*, l.ingested_at AS replaced_at,
            coalesce({says_the_same} AND {counts_now} AND l.ingested_at IS NOT NULL, false)
                AS unchanged
        FROM spool AS s LEFT JOIN l ON {same_key}
        WHERE s.{table.partition} = $key AND {_day_of(f"s.{table.instant}")} = $day
        """,
        values,
    )
    found = connection.execute(
        f"""
        SELECT count(*) FILTER (WHERE unchanged), count(*) FILTER (WHERE NOT unchanged),
            max(epoch_us(replaced_at)) FILTER (WHERE NOT unchanged),
            CAST(bit_xor(hash({", ".join(spool.columns)})) FILTER (WHERE NOT unchanged) AS VARCHAR)
        FROM {name}
        """
    ).fetchall()
    same, changed, replaced_us, digest = found[0]
    if not changed:
        connection.execute(f"DROP TABLE {name}")
        return same, None
    ingested_at = now
    if replaced_us is not None:
        # The later fetch must win even where the clock stands still or was set back.
        replaced_at = dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=replaced_us)
        ingested_at = max(now, replaced_at + dt.timedelta(microseconds=1))
    return same, _Piece(
        key=key, date=date, ingested_at=ingested_at, rows=changed, digest=digest, table_name=name
    )


def _nulls(table: Table) -> str:
    return ", ".join(f"NULL::{type_} AS {column}" for column, type_ in _duckdb_types(table).items())


def _batch_id(
    table: Table, site_id: str, window: Window, now: dt.datetime, pieces: Sequence[_Piece]
) -> str:
    """Name a batch by when it was fetched, so that batches sort in time, and by what is in it."""
    said = [
        (piece.key, piece.date.isoformat(), piece.ingested_at.isoformat(), piece.digest)
        for piece in pieces
    ]
    digest = hashlib.sha256(json.dumps([table.name, site_id, str(window), said]).encode())
    return f"{now:%Y%m%dT%H%M%S%f}Z-{digest.hexdigest()[:12]}"


def _write_piece(spool: _Spool, piece: _Piece, *, batch_id: str, zone: Folder, room: Path) -> Path:
    table = spool.table
    folder = (
        zone.folder
        / table.name
        / f"{table.partition}={piece.key}"
        / f"date={piece.date.isoformat()}"
    )
    order = ", ".join(table.key)
    rows = spool.connection.sql(
        f"""
        SELECT * EXCLUDE (ingested_us), make_timestamptz(ingested_us) AS ingested_at FROM (
            SELECT {", ".join(spool.columns)}, $batch_id AS batch_id, $ingested_us AS ingested_us
            FROM {piece.table_name} WHERE NOT unchanged ORDER BY {order}
        )
        """,
        params={"batch_id": batch_id, "ingested_us": _epoch_us(piece.ingested_at)},
    )
    path = folder / f"{batch_id}.parquet"

    def fill(stream: BinaryIO) -> None:
        write_rows(stream, table.schema, rows.to_arrow_reader(100_000))

    zone.write(path, fill, room=room)
    return path


def _epoch_us(instant: dt.datetime) -> int:
    return (instant - dt.datetime.fromtimestamp(0, dt.UTC)) // dt.timedelta(microseconds=1)
