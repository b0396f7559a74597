"""Writing an evidence folder: inputs, steps, README, manifest, and the proof that it comes out.

The folder is put together beside its place and renamed, so that there is a whole one or none.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from exporters.landed import LandedFiles
from exporters.ledger import Ledger
from exporters.ledger.types import jsonable
from exporters.marts import Marts, reading
from exporters.statements.evidence.inputs import (
    Stated,
    write_contracts,
    write_money,
    write_statement,
)
from exporters.statements.evidence.landed import (
    LandedFile,
    Landing,
    write_events,
    write_index_prices,
    write_readings,
)
from exporters.statements.evidence.model import Evidence, EvidenceError
from exporters.statements.evidence.readme import readme
from exporters.statements.evidence.recompute import verdict
from exporters.statements.evidence.stated import read_stated
from exporters.statements.evidence.steps import LAST, steps_for
from exporters.statements.evidence.workshop import SQL, Workshop
from exporters.statements.text import file_stem

MANIFEST: Final = "manifest.json"
FORMAT: Final = "meter-to-cash evidence 1"


@dataclass(frozen=True, kw_only=True)
class Book:
    """A compiled book: its folder of Parquet tables, its version, and which one it is, in words."""

    tables: Path
    version: str
    words: str


def evidence(
    marts: Marts | Path,
    ledger: Ledger | None,
    statement: str,
    *,
    data_dir: Path,
    landed: LandedFiles | None = None,
    books: Callable[[str | None], Iterable[Book]],
    out: Path | None = None,
    code_version: str,
) -> Evidence:
    """Write the evidence of a statement, named by id or number, and run it.

    `data_dir` is where the landed files' paths begin, unless `landed` says how they are read.
    `books` gives, for the version that rated the statement, the books to recompute by: they are
    tried in order until one comes out equal, the first one's folder is kept if none does. `out` is
    the folder to write (`<data_dir>/evidence/<statement>` if None); an earlier evidence folder
    there is replaced.
    Raises EvidenceError, in words, if there is no such statement or `out` holds anything else;
    MartsError where marts or landed files are missing.
    """
    with reading(marts) as opened:
        stated, until = read_stated(opened, ledger, statement)
        files = _landed_files(opened)
    name = stated.statement["statement_number"] or stated.statement["statement_id"]
    target = out or data_dir / "evidence" / file_stem(name)
    _refuse_strange(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    head = None if ledger is None else ledger.head()
    kept: tuple[Evidence, Path] | None = None
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".evidence-") as scratch:
        for number, (book, limit) in enumerate(
            _attempts(books(stated.statement["book_version"]), until)
        ):
            if limit is None and until is not None and kept and not kept[0].left_out:
                continue  # nothing landed later: all rows are those up to then
            folder = Path(scratch) / str(number)
            folder.mkdir()
            landing = Landing(root=data_dir, at=landed, files=files, until=limit)
            made = _write(folder, stated, landing, book, head, code_version, target)
            if kept is None or made.agrees:
                kept = (made, folder)
            if made.agrees:
                break
        if kept is None:
            raise EvidenceError("there is no book to recompute the statement by")
        if target.exists():
            shutil.rmtree(target)
        kept[1].rename(target)
    return kept[0]


def _attempts(
    books: Iterable[Book], until: datetime | None
) -> Iterable[tuple[Book, datetime | None]]:
    for book in books:
        yield book, until
        if until is not None:
            yield book, None


def _refuse_strange(target: Path) -> None:
    """Nothing is replaced but an earlier folder of evidence."""
    if not target.exists():
        return
    if not target.is_dir():
        raise EvidenceError(f"{target} is a file; name a folder")
    manifest = target / MANIFEST
    if manifest.is_file():
        try:
            known = json.loads(manifest.read_text(encoding="utf-8")).get("format") == FORMAT
        except (ValueError, AttributeError):
            known = False
        if known:
            return
    if any(target.iterdir()):
        raise EvidenceError(
            f"{target} is not empty and holds no evidence: name another folder, or empty it"
        )


def _landed_files(marts: Marts) -> list[LandedFile]:
    return [
        LandedFile(
            table=row["landing_table"],
            key=row["site_id"] or row["index_id"],
            date=row["file_date"],
            path=row["path"],
        )
        for row in marts.rows("select * from landed_files where not refused")
    ]


def _write(
    folder: Path,
    stated: Stated,
    landing: Landing,
    book: Book,
    head: Any,
    code_version: str,
    target: Path,
) -> Evidence:
    statement = stated.statement
    with Workshop(folder, book.tables) as shop:
        write_statement(shop, stated)
        needs = write_contracts(shop, stated)
        only = stated.lines[0]["band"] if stated.is_exception else None
        write_events(shop, landing, needs, only)
        write_index_prices(shop, landing, needs)
        readings = write_readings(shop, landing, needs)
        write_money(shop, needs)
        steps = steps_for(
            needs.models,
            estimates=bool(
                needs.meters
                and shop.values(
                    "select count(*) from 'data/sites.parquet' where estimation != 'none'"
                )[0]
            ),
            has_credits=any(line["charge_model"] == "credit" for line in stated.lines),
            adjustments=any(line["adjusts_period"] is not None for line in stated.lines),
        )
        (folder / "sql").mkdir()
        for step in steps:
            shutil.copyfile(SQL / f"{step}.sql", folder / "sql" / f"{step}.sql")
        shop.run(*(step for step in steps if step not in LAST))
        notes = _notes(stated, landing, book)
        text = readme(
            statement=statement,
            lines=stated.lines,
            compared=shop.rows("select line_key, measured_percent from compared"),
            charges=shop.rows(
                "select plan_id, version, code, words from 'data/charges.parquet' "
                "order by plan_id, version, charge_no"
            ),
            steps=steps,
            estimates=_estimates(shop, steps),
            readings=readings,
            given=notes,
        )
        (folder / "README.md").write_text(text, encoding="utf-8")
        files, size = _write_manifest(folder, stated, landing, book, head, code_version)
        shop.run(*(step for step in steps if step in LAST))
        said = verdict(shop.connection)
    return Evidence(
        folder=target,
        statement_id=statement["statement_id"],
        statement_number=statement["statement_number"],
        currency=statement["currency"],
        verdict=said,
        readings=readings,
        files=files,
        bytes=size,
        book_version=book.version,
        landed_until=landing.until,
        left_out=landing.left_out,
        notes=notes,
    )


def _estimates(shop: Workshop, steps: Sequence[str]) -> Sequence[Any]:
    """What of the estimates is billed, by meter and day, and the local days that `like_day` took
    them from."""
    days = (
        """
        (
            select string_agg(distinct cast(date '1970-01-01' + cast(m.hour_no // 24 as integer)
                as varchar), ', ')
            from gap_hours as g
            inner join model_hours as m
                on g.site_id = m.site_id and g.meter_id = m.meter_id
                    and g.machine_id = m.machine_id
                    and g.hour_no - m.hour_no in (168, 336, 504, 672)
            where g.site_id = told.site_id and g.meter_id = told.meter_id
                and told.method = 'like_day'
                and g.part_start >= told.starts and g.part_end <= told.ends
        )
        """
        if "04_estimates" in steps
        else "null"
    )
    return shop.rows(
        f"""
        with told as (
            select pieces.site_id, pieces.meter_id, estimates.method,
                min(estimates.interval_start) as starts, max(estimates.interval_end) as ends,
                cast(sum(estimates.nano) as decimal(38, 0)) * 0.000000001 as kwh
            from (
                select distinct site_id, meter_id, interval_start_us from pieces
                where is_estimated
            ) as pieces
            inner join estimates
                on pieces.site_id = estimates.site_id and pieces.meter_id = estimates.meter_id
                    and pieces.interval_start_us = epoch_us(estimates.interval_start)
            group by pieces.site_id, pieces.meter_id, estimates.method,
                cast(estimates.interval_start as date)
        )

        select *, {days} as days from told order by site_id, meter_id, starts
        """
    )


def _notes(stated: Stated, landing: Landing, book: Book) -> list[str]:
    statement = stated.statement
    notes = []
    if landing.until is not None:
        words = (
            f"Readings count that had landed by {landing.until:%Y-%m-%d %H:%M:%S} UTC, when the "
            "lines that were issued were first decided about"
        )
        if landing.left_out:
            words += (
                f"; {landing.left_out:,} rows of these meters landed later: what they change is "
                "billed as an adjustment"
            )
        notes.append(words + ".")
    if statement["book_version"] and statement["book_version"] != book.version:
        notes.append(
            f"The lines were rated by book {statement['book_version']}; the rows here are those of "
            f"book {book.version}, {book.words}: the other is not at hand."
        )
    return notes


def _write_manifest(
    folder: Path,
    stated: Stated,
    landing: Landing,
    book: Book,
    head: Any,
    code_version: str,
) -> tuple[int, int]:
    listed = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        listed.append(
            {
                "path": path.relative_to(folder).as_posix(),
                "sha256": hashlib.sha256(content).hexdigest(),
                "bytes": len(content),
            }
        )
    statement = stated.statement
    names = (
        *("statement_id", "statement_number", "state", "period", "payer_id", "currency", "total"),
        *("content_hash", "issued_at", "approved_by", "approved_at"),
    )
    manifest = {
        "format": FORMAT,
        "written_at": datetime.now(UTC),
        "written_by_code": code_version,
        "statement": {name: statement[name] for name in names},
        "rated_by_book": statement["book_version"],
        "book_in_this_folder": book.version,
        "landed_until": landing.until,
        "ledger_head": None if head is None else {"facts": head.facts, "hash": head.hash},
        "ledger_facts": [
            {"seq": fact[0], "table": fact[1], "row": fact[2], "hash": fact[6]}
            for fact in stated.facts
        ],
        "files": listed,
    }
    (folder / MANIFEST).write_text(
        json.dumps(jsonable(manifest), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    return len(listed) + 1, sum(int(file["bytes"]) for file in listed)  # type: ignore[call-overload]
