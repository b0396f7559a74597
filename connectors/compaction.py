"""Merging the small files of days that are over, so that a build opens few files and not thousands.

All good files of one table, partition and day become one. Nothing that is said changes: every row
stays, with its own batch_id and ingested_at, superseded ones too, and the merged file is only put
in place once it was checked like any landed file and its rows add up to those of the originals.
Refused files are not touched, and neither are files with columns of their own, which a merge would
lose. A process killed at any point leaves the landing zone complete (``connectors.merges``). Not
here: which days are over; the caller says.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import itertools
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Final

import duckdb
import pyarrow.parquet as pq

from connectors.files import fill_atomically, working_folder
from connectors.manifest import (
    LandedFile,
    Manifest,
    Refused,
    check_files,
    sum_of_digests,
)
from connectors.merges import alone, replace_files
from connectors.parquet import write_rows
from connectors.tables import TABLES, Table
from connectors.zones import Folder, as_zone

logger = logging.getLogger("connectors.compaction")

# Beyond this a day is sorted on disk.
_MEMORY: Final = "768MB"
_MARK: Final = ".merged-"


@dataclass(frozen=True, kw_only=True)
class MergedDay:
    """One day of one partition whose files were merged, or would be (then without ``merged``)."""

    table: str
    partition_key: str
    date: dt.date
    originals: tuple[Path, ...]
    rows: int
    bytes_before: int
    bytes_after: int | None = None
    merged: Path | None = None
    merged_name: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        return {
            "table": self.table,
            "partition_key": self.partition_key,
            "date": self.date.isoformat(),
            "files": len(self.originals),
            "merged": self.merged_name,
            "rows": self.rows,
            "bytes_before": self.bytes_before,
            "bytes_after": self.bytes_after,
        }


@dataclass(frozen=True)
class Left:
    """A file that was not merged though its day was, or a day's folder, and why."""

    path: Path
    reason: str
    url: str | None = None

    @property
    def name(self) -> str:
        """What a person finds the file or folder under."""
        return self.url or str(self.path)


@dataclass(frozen=True, kw_only=True)
class Compaction:
    """What became of the days before ``before`` (a UTC day)."""

    before: dt.date
    dry_run: bool
    days: tuple[MergedDay, ...]
    left: tuple[Left, ...]
    refused: tuple[Refused, ...]

    @property
    def files_before(self) -> int:
        """How many files the days had."""
        return sum(len(day.originals) for day in self.days)

    @property
    def bytes_before(self) -> int:
        """How large they were."""
        return sum(day.bytes_before for day in self.days)

    @property
    def bytes_after(self) -> int | None:
        """How large their merged files are; unknown beforehand."""
        if self.dry_run:
            return None
        return sum(day.bytes_after or 0 for day in self.days)

    @property
    def needs_person(self) -> bool:
        """Whether some file was refused or left."""
        return bool(self.left or self.refused)

    def as_dict(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        return {
            "before": self.before.isoformat(),
            "dry_run": self.dry_run,
            "days_merged": len(self.days),
            "files_before": self.files_before,
            "files_after": len(self.days),
            "bytes_before": self.bytes_before,
            "bytes_after": self.bytes_after,
            "days": [day.as_dict() for day in self.days],
            "left": [{"path": left.name, "reason": left.reason} for left in self.left],
            "refused": [{"path": r.name, "reason": r.reason} for r in self.refused],
        }

    def describe(self) -> list[str]:
        """Return it as lines: a total per partition, the sum, and what needs a look."""
        lines = []
        for (table, key), found in itertools.groupby(
            self.days, key=lambda day: (day.table, day.partition_key)
        ):
            days = list(found)
            lines.append(
                f"{table} {key}: {_count(len(days), 'day')} ({days[0].date} to {days[-1].date}), "
                f"{sum(len(day.originals) for day in days)} files"
            )
        if not self.days:
            lines.append(f"nothing to merge before {self.before}")
        elif self.bytes_after is None:
            lines.append(
                f"would merge {_count(len(self.days), 'day')}: {self.files_before} files of "
                f"{_size(self.bytes_before)} to {len(self.days)}"
            )
        else:
            lines.append(
                f"merged {_count(len(self.days), 'day')}: {self.files_before} files of "
                f"{_size(self.bytes_before)} to {len(self.days)} of {_size(self.bytes_after)}"
            )
        lines += [f"left as it is: {left.name}: {left.reason}" for left in self.left]
        return lines


def compact(
    landing_dir: Path | Folder, found: Manifest, *, before: dt.date, dry_run: bool = False
) -> Compaction:
    """Merge the good files of each table, partition and UTC day before ``before`` into one.

    ``found`` is what ``scan`` just said of this landing zone; files that came since are left for
    the next time. With ``dry_run`` nothing is written. Works day by day in bounded memory. Raises
    ``OSError``, ``StoreError`` or ``duckdb.Error``; days merged until then stay merged.
    """
    zone = as_zone(landing_dir)
    days: list[MergedDay] = []
    left: list[Left] = []
    for group in _days(found, before):
        mergeable, apart = _without_own_columns(group)
        left += apart
        if len(mergeable) < 2:
            continue
        plan = _planned(mergeable)
        outcome = plan if dry_run else _merge(zone, mergeable, plan)
        if isinstance(outcome, Left):
            left.append(outcome)
        else:
            days.append(outcome)
    return Compaction(
        before=before,
        dry_run=dry_run,
        days=tuple(days),
        left=tuple(left),
        refused=found.refused,
    )


def _days(found: Manifest, before: dt.date) -> Iterator[list[LandedFile]]:
    """Give the good files of each day that is over and has several, by name."""

    def day(file: LandedFile) -> tuple[str, str, dt.date]:
        return (file.table, file.partition_key or "", file.date or dt.date.max)

    good = sorted(
        (f for f in found.files if not f.refused and f.date is not None and f.date < before),
        key=lambda file: (day(file), str(file.path)),
    )
    for _, files in itertools.groupby(good, key=day):
        group = list(files)
        if len(group) > 1:
            yield group


def _without_own_columns(
    group: Sequence[LandedFile],
) -> tuple[list[LandedFile], list[Left]]:
    known = set(TABLES[group[0].table].columns)
    mergeable, apart = [], []
    for file in group:
        try:
            more = [name for name in pq.read_schema(file.path).names if name not in known]
        except FileNotFoundError:
            continue
        if more:
            apart.append(
                Left(
                    file.path,
                    f"it has columns that a merge would lose: {', '.join(more)}",
                    file.url,
                )
            )
        else:
            mergeable.append(file)
    return mergeable, apart


def _planned(group: Sequence[LandedFile]) -> MergedDay:
    first = group[0]
    if first.partition_key is None or first.date is None:
        raise ValueError(f"{first.path} lies in no day's folder and cannot be merged")
    return MergedDay(
        table=first.table,
        partition_key=first.partition_key,
        date=first.date,
        originals=tuple(file.path for file in group),
        rows=sum(file.rows for file in group),
        bytes_before=sum(file.size for file in group),
    )


def _merge(zone: Folder, group: Sequence[LandedFile], plan: MergedDay) -> MergedDay | Left:
    table = TABLES[plan.table]
    folder = group[0].path.parent
    with alone(zone), working_folder(zone.folder) as room:
        zone.refresh(folder, while_merging=True)
        if not all(zone.stat(file.path) == (file.size, file.mtime_ns) for file in group):
            return Left(folder, "its files changed meanwhile; run this again", zone.name_of(folder))
        whole = room / "merged.parquet"
        fill_atomically(whole, functools.partial(_fill, table, group, room))
        refusal = _refusal(table, group, whole, plan)
        if refusal is not None:
            return Left(folder, refusal, zone.name_of(folder))
        target = _target(zone, group, whole)
        size = whole.stat().st_size
        replace_files(zone, whole, target, [(file.path, file.sha256) for file in group])
    logger.info(
        "table=%s key=%s date=%s files=%d rows=%d bytes_before=%d bytes_after=%d",
        plan.table,
        plan.partition_key,
        plan.date,
        len(group),
        plan.rows,
        plan.bytes_before,
        size,
    )
    return replace(plan, merged=target, merged_name=zone.name_of(target), bytes_after=size)


def _fill(table: Table, group: Sequence[LandedFile], room: Path, stream: BinaryIO) -> None:
    order = ", ".join((*table.key, "batch_id"))
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"SET memory_limit = '{_MEMORY}'")
        connection.execute("SET temp_directory = $room", {"room": str(room)})
        rows = connection.sql(
            f"""
            SELECT {", ".join(table.columns)}
            FROM read_parquet($paths, hive_partitioning = false, union_by_name = false)
            ORDER BY {order}
            """,
            params={"paths": [str(file.path) for file in group]},
        )
        write_rows(stream, table.schema, rows.to_arrow_reader(100_000))


def _refusal(table: Table, group: Sequence[LandedFile], whole: Path, plan: MergedDay) -> str | None:
    """Say why the merged file may not stand for its originals, if it may not."""
    status = whole.stat()
    (checked,) = check_files(
        table,
        [
            LandedFile(
                table=table.name,
                path=whole,
                partition_key=plan.partition_key,
                date=plan.date,
                size=status.st_size,
                mtime_ns=status.st_mtime_ns,
                sha256="",
                rows=0,
            )
        ],
    )
    if checked.refused:
        # Each file by itself is good: two of them say the same rows.
        return f"the same rows stand in several of its files (merged: {checked.reason})"
    if (checked.rows, checked.rows_digest) != (plan.rows, sum_of_digests(group)):
        raise RuntimeError(
            f"merging {plan.table} {plan.partition_key} {plan.date} gave {checked.rows} rows of "
            f"digest {checked.rows_digest}; its files have {plan.rows} of {sum_of_digests(group)}. "
            "Nothing was changed; please report this"
        )
    return None


def _target(zone: Folder, group: Sequence[LandedFile], whole: Path) -> Path:
    """Name the merged file after the first original, and so that it sorts before all of them.

    Of two files that contradict each other the later by name is refused: what was refused beside
    the originals must stay refused beside the merged file.
    """
    first = group[0].path
    with whole.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()[:12]
    plain = re.sub(rf"{re.escape(_MARK)}[0-9a-f]{{12}}$", "", first.stem)
    for stem in (plain, first.stem):
        target = first.with_name(f"{stem}{_MARK}{digest}.parquet")
        if target.name < first.name and zone.stat(target) is None:
            return target
    raise FileExistsError(f"{zone.name_of(target)} exists; move it away and run this again")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
