"""The manifest: one listing a build of every landed file, and the check that each may be used.

``scan`` walks the landing zone, checks what is new or changed since the last manifest and writes
the manifest that the warehouse reads its explicit paths from. A file that breaks a rule is refused
whole, by name, with the reason; nothing of it is used and nothing else suffers. Files whose size
and modification time stand as they did are not opened again. Not here: writing landed files.

What a verdict depends on is only what lies in the folder, never the order in which it arrived:
the files of one partition and day (of one site, for charge events, whose identity is not bound
to a day) are judged together, again whenever one of them comes, changes or goes.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import hashlib
import io
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from connectors.files import write_atomically
from connectors.merges import beside_others, sweep_if_alone
from connectors.objects import StoreError
from connectors.tables import TABLES, Table
from connectors.zones import Entry, Folder, as_zone

# Part of every manifest: one made by other rules is not trusted, and all files are read again.
RULES_VERSION: Final = "2"

MANIFEST_SCHEMA: Final = pa.schema(
    [
        ("path", pa.string()),
        ("partition_key", pa.string()),
        ("date", pa.date32()),
        ("size", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("sha256", pa.string()),
        ("rows", pa.int64()),
        # Of the rows as a multiset, as decimal text of an unsigned 64-bit number: the digest of
        # several files is their sum modulo 2^64, however the rows are spread over them. Null for
        # a refused file. Values of different versions of DuckDB do not compare.
        ("rows_digest", pa.string()),
        ("refused", pa.bool_()),
        ("reason", pa.string()),
        # Where it lies at an object store; then `path` is where its copy is read.
        ("url", pa.string()),
    ]
)

# Files that hold data someone meant to land, but not in the form that is read.
_FOREIGN_DATA: Final = (
    *(".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".xlsx", ".xml"),
    *(".pq", ".parq", ".arrow", ".feather", ".gz", ".xz", ".zip", ".zst"),
)
_UNREADABLE: Final = "cannot be read: "
_CHUNK_FILES: Final = 2000
_CHUNK_BYTES: Final = 256 * 1024 * 1024
_CHUNK_ROWS: Final = 4_000_000
# Beyond this the check works on disk.
_MEMORY: Final = "768MB"
_DIGEST_RANGE: Final = 2**64


@dataclass(frozen=True, kw_only=True)
class LandedFile:
    """One file of the landing zone as the manifest lists it."""

    table: str
    path: Path
    partition_key: str | None
    date: dt.date | None
    size: int
    mtime_ns: int
    sha256: str
    rows: int
    rows_digest: str | None = None
    reason: str | None = None
    url: str | None = None

    @property
    def refused(self) -> bool:
        """Whether the file broke a rule and is not used."""
        return self.reason is not None

    @property
    def name(self) -> str:
        """What a person finds the file under."""
        return self.url or str(self.path)


def sum_of_digests(files: Iterable[LandedFile]) -> str:
    """Return the digest of all rows of several good files."""
    return str(sum(int(file.rows_digest or 0) for file in files) % _DIGEST_RANGE)


@dataclass(frozen=True)
class Refused:
    """A file that is not used, and why."""

    path: Path
    reason: str
    url: str | None = None

    @property
    def name(self) -> str:
        """What a person finds the file under."""
        return self.url or str(self.path)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What lies in the landing zone, and what changed since the manifest before."""

    new: tuple[Path, ...]
    changed: tuple[Path, ...]
    removed: tuple[Path, ...]
    refused: tuple[Refused, ...]
    files: tuple[LandedFile, ...]

    def as_dict(self) -> dict[str, object]:
        """Return the counts, and the refused files in full, ready for JSON."""
        return {
            "files": len(self.files),
            "new": len(self.new),
            "changed": len(self.changed),
            "removed": len(self.removed),
            "refused": [{"path": r.name, "reason": r.reason} for r in self.refused],
        }


def scan(landing_dir: Path | Folder, manifest_dir: Path) -> Manifest:
    """List and check the landing zone; write one manifest and one empty typed file per table.

    ``manifest_dir`` gets ``<table>.parquet`` and ``empty_<table>.parquet`` for the three tables;
    an absent landing folder is an empty one. Only files that are new or changed are opened,
    together with those they could contradict. Raises ``OSError`` if a folder cannot be read,
    ``StoreError`` if an object store cannot.
    """
    zone = as_zone(landing_dir)
    with beside_others(zone, only_if_known=True):
        manifest = _scan(zone, manifest_dir)
    sweep_if_alone(zone)
    return manifest


def _scan(zone: Folder, manifest_dir: Path) -> Manifest:
    manifest_dir.mkdir(parents=True, exist_ok=True)
    zone.refresh(*(zone.folder / name for name in TABLES))
    manifests = {name: _read_manifest(table, manifest_dir) for name, table in TABLES.items()}
    if zone.is_shared and any(manifests.values()):
        _refuse_emptiness(zone, manifest_dir)
    new: list[Path] = []
    changed: list[Path] = []
    removed: list[Path] = []
    files: list[LandedFile] = []
    for table in TABLES.values():
        before = manifests[table.name]
        listed = {file.path: file for file in _list_table(table, zone)}
        fresh = [path for path in listed if path not in before]
        touched = [
            path
            for path, file in listed.items()
            if path in before
            and (file.size, file.mtime_ns) != (before[path].size, before[path].mtime_ns)
        ]
        gone = [path for path in before if path not in listed]
        groups = {_group(table, listed[path]) for path in (*fresh, *touched)}
        groups |= {_group(table, before[path]) for path in gone}
        to_check = [file for file in listed.values() if _group(table, file) in groups]
        kept = [before[path] for path, file in listed.items() if _group(table, file) not in groups]
        unchanged = listed.keys() - set(fresh) - set(touched)
        checked = check_files(
            table,
            [
                replace(file, sha256=before[file.path].sha256) if file.path in unchanged else file
                for file in to_check
            ],
        )
        table_files = sorted((*kept, *checked), key=lambda file: str(file.path))
        _write_manifest(table, manifest_dir, table_files)
        new += sorted(fresh)
        changed += sorted(touched)
        removed += sorted(gone)
        files += table_files
    return Manifest(
        new=tuple(new),
        changed=tuple(changed),
        removed=tuple(removed),
        refused=tuple(
            Refused(file.path, file.reason, file.url) for file in files if file.reason is not None
        ),
        files=tuple(files),
    )


def _refuse_emptiness(zone: Folder, manifest_dir: Path) -> None:
    """A prefix with a slip in it is to a store a prefix with nothing below it."""
    if not any(zone.entries(zone.folder / name) for name in TABLES):
        raise StoreError(
            zone.name_of(zone.folder),
            "no landed file is there, and the last build read some: look at the address. If they "
            f"were removed on purpose, remove {manifest_dir} and run this again",
        )


def list_partition(
    table: Table, landing_dir: Path | Folder, key: str, date: dt.date
) -> list[LandedFile]:
    """List the files of one partition and day, unchecked, by name."""
    zone = as_zone(landing_dir)
    folder = zone.folder / table.name / f"{table.partition}={key}" / f"date={date.isoformat()}"
    zone.refresh(folder)
    return sorted(_list_day(table, zone, folder, key, date), key=lambda file: str(file.path))


def list_key(table: Table, landing_dir: Path | Folder, key: str) -> list[LandedFile]:
    """List the files of one partition on all its days, unchecked, by name."""
    zone = as_zone(landing_dir)
    folder = zone.folder / table.name / f"{table.partition}={key}"
    zone.refresh(folder)
    return sorted(_list_key(table, zone, folder, key), key=lambda file: str(file.path))


def check_files(
    table: Table,
    files: Sequence[LandedFile],
    connection: duckdb.DuckDBPyConnection | None = None,
) -> list[LandedFile]:
    """Give each file its verdict: rows, hash, digest of its rows, or the reason it is refused.

    Files whose verdicts hang together must be given together (see the module). A file that
    vanishes meanwhile is left out, as if it had never been listed. ``connection`` is used if
    given; its time zone must be UTC.
    """
    verdicts: list[LandedFile] = []
    readable: list[LandedFile] = []
    for file in files:
        try:
            opened = _check_footer(table, file)
        except FileNotFoundError:
            continue
        (verdicts if opened.refused else readable).append(opened)
    if not readable:
        return verdicts
    with contextlib.ExitStack() as stack:
        if connection is None:
            spill = stack.enter_context(tempfile.TemporaryDirectory(prefix="m2c-check-"))
            connection = stack.enter_context(duckdb.connect())
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(f"SET memory_limit = '{_MEMORY}'")
            connection.execute("SET temp_directory = $spill", {"spill": spill})
        for chunk in _chunks(table, readable):
            verdicts += _check_rows(connection, table, chunk)
    return verdicts


# --- listing -------------------------------------------------------------------------------------


def _list_table(table: Table, zone: Folder) -> Iterator[LandedFile]:
    prefix = f"{table.partition}="
    for entry in zone.entries(zone.folder / table.name):
        if not entry.is_dir:
            yield from _misplaced(table, entry)
        elif entry.name.startswith(prefix) and len(entry.name) > len(prefix):
            yield from _list_key(table, zone, entry.path, entry.name.removeprefix(prefix))
        else:
            yield from _misplaced_below(table, zone, entry.path)


def _list_key(table: Table, zone: Folder, folder: Path, key: str) -> Iterator[LandedFile]:
    for entry in zone.entries(folder):
        if not entry.is_dir:
            yield from _misplaced(table, entry)
            continue
        date = _date_of(entry.name)
        if date is None:
            yield from _misplaced_below(table, zone, entry.path)
        else:
            yield from _list_day(table, zone, entry.path, key, date)


def _list_day(
    table: Table, zone: Folder, folder: Path, key: str, date: dt.date
) -> Iterator[LandedFile]:
    for entry in zone.entries(folder):
        if entry.is_dir:
            yield from _misplaced_below(table, zone, entry.path)
        elif entry.name.endswith(".parquet"):
            yield from _listed(table, entry, key=key, date=date)
        else:
            yield from _misplaced(table, entry)


def _date_of(name: str) -> dt.date | None:
    text = name.removeprefix("date=")
    if text == name or len(text) != len("2026-01-01"):
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        return None


def _listed(
    table: Table,
    entry: Entry,
    *,
    key: str | None = None,
    date: dt.date | None = None,
    reason: str | None = None,
) -> Iterator[LandedFile]:
    yield LandedFile(
        table=table.name,
        path=entry.path,
        partition_key=key,
        date=date,
        size=entry.size,
        mtime_ns=entry.mtime_ns,
        sha256="",
        rows=0,
        reason=reason,
        url=entry.url,
    )


def _misplaced(table: Table, entry: Entry) -> Iterator[LandedFile]:
    """List a file that holds data but is not read, so that nobody believes it is billed."""
    layout = f"{table.name}/{table.partition}=<id>/date=<YYYY-MM-DD>/<batch_id>.parquet"
    if entry.name.endswith(".parquet"):
        yield from _listed(
            table, entry, reason=f"the file is in the wrong place; expected {layout}"
        )
    elif entry.name.lower().endswith(_FOREIGN_DATA):
        yield from _listed(table, entry, reason=f"not a Parquet file; expected {layout}")
    elif entry.name.lower().endswith(".parquet"):
        yield from _listed(table, entry, reason=f"its name must end in .parquet; expected {layout}")


def _misplaced_below(table: Table, zone: Folder, folder: Path) -> Iterator[LandedFile]:
    for entry in zone.entries(folder):
        if entry.is_dir:
            yield from _misplaced_below(table, zone, entry.path)
        else:
            yield from _misplaced(table, entry)


def _group(table: Table, file: LandedFile) -> tuple[str | None, dt.date | None]:
    return (file.partition_key, file.date if table.instant in table.key else None)


# --- one file ------------------------------------------------------------------------------------


def _check_footer(table: Table, file: LandedFile) -> LandedFile:
    if file.sha256 == "":
        file = replace(file, sha256=_sha256(file.path))
    if file.refused:
        return file
    try:
        with pq.ParquetFile(file.path) as parquet:
            found = _parquet_types(parquet.schema)
            rows = parquet.metadata.num_rows
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        return replace(file, reason=f"not a readable Parquet file: {_first_line(error)}")
    expected = _expected_types(table.name)
    missing = [column for column in expected if column not in found]
    if missing:
        return replace(file, reason=f"columns missing: {', '.join(missing)}")
    for column, type_ in expected.items():
        if found[column] != type_:
            return replace(
                file,
                reason=f"column {column} has type {found[column]}; expected {type_}",
            )
    return replace(file, rows=rows)


def _parquet_types(schema: pq.ParquetSchema) -> dict[str, str]:
    """Return each column's type in Parquet's words, whoever wrote it and in which version."""
    types = {}
    for column in (schema.column(i) for i in range(len(schema.names))):
        logical = str(column.logical_type)
        # How an old writer marked the type is no part of the type.
        logical = re.sub(r", is_from_converted_type=.*\)", ")", logical)
        types[column.path] = logical if logical != "None" else column.physical_type
    return types


@functools.cache
def _expected_types(name: str) -> Mapping[str, str]:
    """Return the Parquet type of each column, taken from a file written as connectors write it."""
    sink = io.BytesIO()
    pq.write_table(TABLES[name].schema.empty_table(), sink)
    return _parquet_types(pq.ParquetFile(io.BytesIO(sink.getvalue())).schema)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


# --- rows ----------------------------------------------------------------------------------------


def _chunks(table: Table, files: Iterable[LandedFile]) -> Iterator[list[LandedFile]]:
    """Cut into pieces that memory holds, never through a group."""
    groups: dict[tuple[str | None, dt.date | None], list[LandedFile]] = defaultdict(list)
    for file in files:
        groups[_group(table, file)].append(file)
    chunk: list[LandedFile] = []
    size = rows = 0
    for group in groups.values():
        group_size = sum(file.size for file in group)
        group_rows = sum(file.rows for file in group)
        if chunk and (
            len(chunk) + len(group) > _CHUNK_FILES
            or size + group_size > _CHUNK_BYTES
            or rows + group_rows > _CHUNK_ROWS
        ):
            yield chunk
            chunk, size, rows = [], 0, 0
        chunk += group
        size += group_size
        rows += group_rows
    if chunk:
        yield chunk


def _check_rows(
    connection: duckdb.DuckDBPyConnection, table: Table, files: Sequence[LandedFile]
) -> list[LandedFile]:
    """Give verdicts on files whose footers are good.

    All are screened at once, which is cheap and says only whether anything is wrong. Rows are
    looked at one by one, to say which and why, only in files that the screening found fault with.
    """
    try:
        digests, faulty = _screen(connection, table, files)
        reasons = _row_faults(connection, table, faulty) if faulty else {}
        good = [file for file in files if file.path not in reasons]
        if good and not _keys_differ(connection, table, files):
            reasons |= _repeated_keys(connection, table, good)
    except duckdb.Error as error:
        if len(files) == 1:
            return _unscreened(connection, table, files[0], error)
        readable = []
        unreadable = []
        for file in files:
            for verdict in _check_rows(connection, table, [file]):
                if verdict.reason is not None and verdict.reason.startswith(_UNREADABLE):
                    unreadable.append(verdict)
                else:
                    readable.append(file)
        if len(readable) == len(files):
            raise
        return [*unreadable, *(_check_rows(connection, table, readable) if readable else [])]
    return [
        replace(file, reason=reasons[file.path])
        if file.path in reasons
        else replace(file, rows_digest=digests.get(file.path, "0"))
        for file in files
    ]


def _unscreened(
    connection: duckdb.DuckDBPyConnection, table: Table, file: LandedFile, error: duckdb.Error
) -> list[LandedFile]:
    """Say what is wrong with a file that could not be screened, if it still exists."""
    if not file.path.exists():
        return []
    # Arithmetic on an instant that is none fails; the rule that is broken first says it better.
    with contextlib.suppress(duckdb.Error):
        for reason in _row_faults(connection, table, [file]).values():
            return [replace(file, reason=reason)]
    return [replace(file, reason=_UNREADABLE + _first_line(error))]


def _listed_table(files: Sequence[LandedFile]) -> pa.Table:
    days = [(file.date - _EPOCH).days if file.date else None for file in files]
    return pa.table(
        {
            "filename": pa.array([str(file.path) for file in files], pa.string()),
            "folder_key": pa.array([file.partition_key for file in files], pa.string()),
            "folder_day": pa.array(days, pa.int64()),
        }
    )


_ROWS: Final = (
    "read_parquet($paths, filename = true, file_row_number = true, hive_partitioning = false, "
    "union_by_name = false)"
)
_EPOCH: Final = dt.date(1970, 1, 1)
_DAY_US: Final = 86_400_000_000


def _day_of(instant: str) -> str:
    """Return SQL for the UTC day of an instant, counted from 1970.

    The arithmetic is on microseconds: a date of a timestamp depends on the session's time zone.
    """
    us = f"epoch_us({instant})"
    return f"(({us} - ({us} % {_DAY_US} + {_DAY_US}) % {_DAY_US}) // {_DAY_US})"


def _screen(
    connection: duckdb.DuckDBPyConnection, table: Table, files: Sequence[LandedFile]
) -> tuple[dict[Path, str], list[LandedFile]]:
    """Return the digest of each file's rows, and the files in which some row breaks a rule.

    Rules about texts are asked once for all rows that have the same texts, of which a file has
    about as many as meters.
    """
    texts = ", ".join(table.texts)
    in_rows = " OR ".join(
        f"coalesce(bool_or({rule.broken}), false)" for rule in table.rules_of_rows()
    )
    in_texts = " OR ".join(f"coalesce({rule.broken}, false)" for rule in table.rules_of_texts())
    connection.register("listed", _listed_table(files))
    try:
        found = connection.execute(
            f"""
            WITH g AS (
                SELECT
                    filename, {texts},
                    sum(hash({", ".join(table.columns)})) AS digest,
                    min({table.instant}) AS first_instant,
                    max({table.instant}) AS last_instant,
                    {in_rows} AS rows_broken
                FROM {_ROWS}
                GROUP BY filename, {texts}
            )
            SELECT
                g.filename,
                CAST(sum(g.digest) % {_DIGEST_RANGE} AS VARCHAR),
                bool_or(CASE
                    WHEN g.rows_broken OR {in_texts} THEN true
                    ELSE g.{table.partition} <> f.folder_key
                        OR {_day_of("g.first_instant")} <> f.folder_day
                        OR {_day_of("g.last_instant")} <> f.folder_day
                END)
            FROM g JOIN listed AS f ON f.filename = g.filename
            GROUP BY g.filename
            """,
            {"paths": [str(file.path) for file in files]},
        ).fetchall()
    finally:
        connection.unregister("listed")
    broken = {Path(filename) for filename, _, is_broken in found if is_broken}
    return (
        {Path(filename): digest for filename, digest, _ in found},
        [file for file in files if file.path in broken],
    )


def _keys_differ(
    connection: duckdb.DuckDBPyConnection, table: Table, files: Sequence[LandedFile]
) -> bool:
    """Tell whether no key stands twice in a batch, for certain: as many hashes as rows."""
    identity = ", ".join(_identity(table))
    found = connection.execute(
        f"SELECT count(*), count(DISTINCT hash({identity})) FROM {_ROWS}",
        {"paths": [str(file.path) for file in files]},
    ).fetchall()
    rows, keys = found[0]
    return bool(rows == keys)


def _identity(table: Table) -> tuple[str, ...]:
    return tuple(dict.fromkeys((table.partition, *table.key, "batch_id")))


def _row_faults(
    connection: duckdb.DuckDBPyConnection, table: Table, files: Sequence[LandedFile]
) -> dict[Path, str]:
    """Return the first fault of each file that has one."""
    misfiled = len(table.rules)
    misdated = misfiled + 1
    fault = table.fault_expression().removesuffix(" END") + (
        f" WHEN r.{table.partition} <> f.folder_key THEN {misfiled}"
        f" WHEN {_day_of(table.instant)} <> f.folder_day THEN {misdated} END"
    )
    # Columns by name: a file may have others besides.
    own = ", ".join(f"r.{column}" for column in table.columns)
    columns = ", ".join(f"CAST(r.{column} AS VARCHAR) AS {column}" for column in table.columns)
    connection.register("listed", _listed_table(files))
    paths = [str(file.path) for file in files]
    faulty = connection.execute(
        f"""
        WITH checked AS (
            SELECT {own}, r.filename, r.file_row_number, f.folder_key, {fault} AS fault
            FROM {_ROWS} AS r JOIN listed AS f ON f.filename = r.filename
        ), worst AS (
            SELECT filename, min(file_row_number) AS file_row_number, count(*) AS faulty
            FROM checked WHERE fault IS NOT NULL GROUP BY filename
        )
        SELECT w.filename, w.file_row_number, w.faulty, r.fault, r.folder_key, {columns}
        FROM worst AS w JOIN checked AS r USING (filename, file_row_number)
        """,
        {"paths": paths},
    ).fetchall()
    connection.unregister("listed")
    reasons: dict[Path, str] = {}
    for filename, row_number, count, number, folder_key, *values in faulty:
        row = dict(zip(table.columns, values, strict=True))
        if number == misfiled:
            field, expected = table.partition, f"the folder says {folder_key}"
        elif number == misdated:
            field = table.instant
            expected = "its UTC date is not that of the folder"
        else:
            field, expected = table.rules[number].field, table.rules[number].expected
        more = f" ({count} rows of the file break a rule)" if count > 1 else ""
        reasons[Path(filename)] = (
            f"row {row_number + 1}{_subject(table, row)}: {field} is {_shown(row[field])}; "
            f"{expected}{more}"
        )
    return reasons


def _subject(table: Table, row: Mapping[str, object]) -> str:
    subject = row[table.subject]
    if subject is None:
        return ""
    return f", {table.subject.removesuffix('_id')} {_shown(subject)}"


def _shown(value: object) -> str:
    return "empty" if value is None else repr(value)


def _repeated_keys(
    connection: duckdb.DuckDBPyConnection, table: Table, files: Sequence[LandedFile]
) -> dict[Path, str]:
    """Refuse files that repeat a key of a batch: twice in one file, or otherwise in two files.

    Of two files that say different things under one batch, the first by name is kept: the rule
    needs nothing but the folder. Two files that say the same are harmless, and a merge of small
    files that was cut short leaves exactly that.
    """
    identity = _identity(table)
    keys = ", ".join(identity)
    said = ", ".join(f"r.{column}" for column in table.columns if column not in identity)
    own = ", ".join(table.columns)
    same = " AND ".join(f"r.{column} IS NOT DISTINCT FROM d.{column}" for column in identity)
    repeated = connection.execute(
        f"""
        WITH suspects AS (
            SELECT hash({keys}) AS key_hash FROM {_ROWS} GROUP BY ALL HAVING count(*) > 1
        ),
        r AS (
            SELECT {own}, filename, file_row_number FROM {_ROWS}
            WHERE hash({keys}) IN (SELECT key_hash FROM suspects)
        ),
        d AS (SELECT {keys} FROM r GROUP BY {keys} HAVING count(*) > 1)
        SELECT
            r.filename,
            r.file_row_number,
            CAST(r.{table.subject} AS VARCHAR),
            CAST(r.{table.instant} AS VARCHAR),
            r.batch_id,
            dense_rank() OVER (ORDER BY {", ".join(f"r.{column}" for column in identity)}),
            hash({said})
        FROM r JOIN d ON {same}
        ORDER BY r.filename, r.file_row_number
        """,
        {"paths": [str(file.path) for file in files]},
    ).fetchall()
    reasons: dict[Path, str] = {}
    in_file: set[tuple[Path, int]] = set()
    for filename, row_number, subject, instant, batch_id, key_no, _ in repeated:
        path = Path(filename)
        if (path, key_no) in in_file and path not in reasons:
            reasons[path] = (
                f"row {row_number + 1}: {table.subject} {subject!r} at {instant} stands twice in "
                f"batch {batch_id}; a batch gives one row per key"
            )
        in_file.add((path, key_no))
    said_by: dict[int, tuple[Path, int]] = {}
    for filename, row_number, subject, instant, batch_id, key_no, content in repeated:
        path = Path(filename)
        if path in reasons:
            continue
        first, first_content = said_by.get(key_no, (path, content))
        if content != first_content:
            reasons[path] = (
                f"row {row_number + 1}: {table.subject} {subject!r} at {instant} stands in batch "
                f"{batch_id} with other values in {first.name}; a batch gives one row per key"
            )
            continue
        said_by.setdefault(key_no, (path, content))
    return reasons


# --- the manifest file ---------------------------------------------------------------------------


def _made_by() -> dict[str, str]:
    """Return what a manifest must have been made by to be trusted.

    DuckDB's hash may be another in another version, and digests with it.
    """
    return {"rules_version": RULES_VERSION, "duckdb_version": duckdb.__version__}


def _read_manifest(table: Table, manifest_dir: Path) -> dict[Path, LandedFile]:
    path = manifest_dir / f"{table.name}.parquet"
    try:
        listed = pq.read_table(path)
    except FileNotFoundError:
        return {}
    except (pa.ArrowException, OSError):
        # A manifest is only a memory of checks: without it everything is checked again.
        return {}
    metadata = listed.schema.metadata or {}
    if any(metadata.get(name.encode()) != value.encode() for name, value in _made_by().items()):
        return {}
    return {
        Path(row["path"]): LandedFile(
            table=table.name,
            path=Path(row["path"]),
            partition_key=row["partition_key"],
            date=row["date"],
            size=row["size"],
            mtime_ns=row["mtime_ns"],
            sha256=row["sha256"],
            rows=row["rows"],
            rows_digest=row["rows_digest"],
            reason=row["reason"],
            url=row.get("url"),
        )
        for row in listed.to_pylist()
    }


def _write_manifest(table: Table, manifest_dir: Path, files: Sequence[LandedFile]) -> None:
    listed = pa.Table.from_pylist(
        [
            {
                "path": str(file.path),
                "partition_key": file.partition_key,
                "date": file.date,
                "size": file.size,
                "mtime_ns": file.mtime_ns,
                "sha256": file.sha256,
                "rows": file.rows,
                "rows_digest": file.rows_digest,
                "refused": file.refused,
                "reason": file.reason,
                "url": file.url,
            }
            for file in files
        ],
        schema=MANIFEST_SCHEMA,
    ).replace_schema_metadata(_made_by())
    _write_if_changed(listed, manifest_dir / f"{table.name}.parquet")
    _write_if_changed(table.schema.empty_table(), manifest_dir / f"empty_{table.name}.parquet")


def _write_if_changed(table: pa.Table, path: Path) -> None:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    content = sink.getvalue()
    if not path.exists() or path.read_bytes() != content:
        write_atomically(path, content)
