"""Render the reports of a period's statements: issued ones under their number, others as previews.

What has been rendered from the same content is left alone. Files appear whole or not at all; a run
that is killed leaves finished files, and the next run does the rest. Many statements are shared
out to processes, each of which reads its own from the marts; if the marts are replaced meanwhile,
all is read again from the new ones.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporters.marts import MartsError, open_marts
from exporters.statements import files
from exporters.statements.document import build
from exporters.statements.facts import StatementFacts, read_facts, read_names
from exporters.statements.html import to_html
from exporters.statements.logo import Logo, LogoError, read_logo
from exporters.statements.pdf import to_pdf
from exporters.statements.xlsx import to_xlsx

FORMATS = ("pdf", "html", "xlsx")
MOST_WORKERS = 4
_AT_ONCE = 24
"""Statements read together: enough to spread what the queries cost, little enough for memory."""
_WORTH_A_PROCESS = 24
_MOST_ATTEMPTS = 3


@dataclass(frozen=True, kw_only=True)
class RenderedStatement:
    """The files of one statement, by format. `changed`: the formats written by this run; the others
    were there already, made from the same content."""

    statement_id: str
    statement_number: str | None
    payer_id: str
    paths: Mapping[str, Path]
    changed: tuple[str, ...]

    @property
    def is_preview(self) -> bool:
        return self.statement_number is None

    def as_dict(self) -> dict[str, object]:
        return {
            "statement_id": self.statement_id,
            "statement_number": self.statement_number,
            "payer_id": self.payer_id,
            "preview": self.is_preview,
            "paths": {kind: str(path) for kind, path in self.paths.items()},
            "changed": list(self.changed),
        }


@dataclass(frozen=True, kw_only=True)
class _Batch:
    """Statements for one process, and all that it needs to know to render them."""

    marts_path: Path
    marts_are: tuple[int, int]
    period: str
    stems: Mapping[str, str]
    """of the statements to render, by statement_id"""
    out_dir: Path
    formats: Sequence[str]
    known: Mapping[str, files.Rendered]
    """by stem"""
    book_dir: Path | None


_Result = tuple[RenderedStatement, files.Rendered]


class _ReplacedError(Exception):
    """The marts were replaced while they were read."""


def render_statements(
    marts_path: Path,
    period: str,
    out_dir: Path,
    *,
    only: Collection[str] | None = None,
    formats: Sequence[str] = FORMATS,
    book_dir: Path | None = None,
    workers: int | None = None,
) -> list[RenderedStatement]:
    """Render the statements of `period` (`YYYY-MM`) into `out_dir`, in order of statement_id.

    only: statement ids or numbers; None = all of the period, and previews of statements that are
    gone disappear. formats: of `pdf`, `html` and `xlsx`. book_dir: where the logo lies that the
    seller names; without it there is none. workers: processes, None = as many as there are
    processors, if there is enough for them to do.

    Raises MartsError if the marts cannot be read, ValueError for a format there is none of,
    LogoError for a logo that cannot be shown, OSError if a file cannot be written.
    """
    if strange := sorted(set(formats) - set(FORMATS)):
        raise ValueError(f"no format {', '.join(strange)}; there are {', '.join(FORMATS)}")
    for _ in range(_MOST_ATTEMPTS):
        try:
            return _render_all(marts_path, period, out_dir, only, tuple(formats), book_dir, workers)
        except _ReplacedError:
            continue
    raise MartsError(f"the marts at {marts_path} were replaced again and again: try once more")


def _render_all(
    marts_path: Path,
    period: str,
    out_dir: Path,
    only: Collection[str] | None,
    formats: Sequence[str],
    book_dir: Path | None,
    workers: int | None,
) -> list[RenderedStatement]:
    with open_marts(marts_path) as marts:
        marts_are = _identity(marts_path)
        names = read_names(marts, period)
    stems = files.stems_for(names)
    wanted = [
        statement_id
        for statement_id, number in names
        if only is None or statement_id in only or number in only
    ]
    out_dir.mkdir(parents=True, exist_ok=True)
    with _index_of(out_dir) as index:
        batches = [
            _Batch(
                marts_path=marts_path,
                marts_are=marts_are,
                period=period,
                stems={one: stems[one] for one in part},
                out_dir=out_dir,
                formats=formats,
                known={stems[one]: index[stems[one]] for one in part if stems[one] in index},
                book_dir=book_dir,
            )
            for part in _parts(wanted, _AT_ONCE)
        ]
        rendered = []
        for results in _shared_out(batches, _processes(len(wanted), workers)):
            for finished, entry in results:
                index[stems[finished.statement_id]] = entry
                rendered.append(finished)
        _remove_outdated(out_dir, index, stems, all_of_period=only is None)
    return sorted(rendered, key=lambda one: one.statement_id)


def _processes(statements: int, workers: int | None) -> int:
    if multiprocessing.current_process().daemon:
        return 1  # such a process may not have children
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    wanted = workers or min(MOST_WORKERS, available or 1)
    return max(1, min(wanted, statements // _WORTH_A_PROCESS))


def _shared_out(batches: Sequence[_Batch], processes: int) -> Iterator[list[_Result]]:
    if processes == 1:
        yield from map(_render_batch, batches)
        return
    # A fresh interpreter each: DuckDB and typst have threads, which a fork would tear apart.
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=processes, mp_context=fresh) as pool:
        jobs: list[Future[list[_Result]]] = [pool.submit(_render_batch, b) for b in batches]
        try:
            for job in as_completed(jobs):
                yield job.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _render_batch(batch: _Batch) -> list[_Result]:
    """What one process does. Raises _ReplacedError if the marts are not those meant any more."""
    with open_marts(batch.marts_path) as marts:
        if _identity(batch.marts_path) != batch.marts_are:
            raise _ReplacedError
        facts = read_facts(marts, batch.period, list(batch.stems))
    logos: dict[str, Logo] = {}
    return [_render(one, batch, _logo(one, batch.book_dir, logos)) for one in facts]


def _logo(facts: StatementFacts, book_dir: Path | None, logos: dict[str, Logo]) -> Logo | None:
    name = facts.head["seller_logo"]
    if not name or book_dir is None:
        return None
    if name not in logos:
        logos[name] = read_logo(book_dir, name)
    return logos[name]


def _render(facts: StatementFacts, batch: _Batch, logo: Logo | None) -> _Result:
    stem = batch.stems[facts.statement_id]
    known = batch.known.get(stem)
    document = build(facts)
    fingerprints = dict(known.fingerprints) if known else {}
    shown = files.fingerprint(document, logo.digest if logo else None)
    made_from = {"pdf": shown, "html": shown}
    if "xlsx" in batch.formats:
        made_from["xlsx"] = files.fingerprint(shown, facts.lines, facts.usage_machine_days)
    paths: dict[str, Path] = {}
    changed: list[str] = []
    for kind in batch.formats:
        path = batch.out_dir / f"{stem}.{kind}"
        paths[kind] = path
        if fingerprints.get(kind) == made_from[kind] and path.is_file():
            continue
        files.write_atomically(path, _content(kind, facts, document, logo))
        fingerprints[kind] = made_from[kind]
        changed.append(kind)
    rendered = RenderedStatement(
        statement_id=facts.statement_id,
        statement_number=facts.head["statement_number"],
        payer_id=facts.head["payer_id"],
        paths=paths,
        changed=tuple(changed),
    )
    return rendered, files.Rendered(statement_id=facts.statement_id, fingerprints=fingerprints)


def _content(
    kind: str, facts: StatementFacts, document: dict[str, Any], logo: Logo | None
) -> bytes:
    if kind == "xlsx":
        return to_xlsx(facts, document)
    if kind == "html":
        return to_html(document, logo)
    try:
        return to_pdf(document, logo)
    except RuntimeError as error:
        if logo is None:
            # Typst's own errors do not survive the way out of a process.
            raise RuntimeError(f"{facts.statement_id}: {error}") from error
        raise LogoError(
            f"seller.yml, logo {facts.head['seller_logo']!r}: cannot be shown: {error}"
        ) from error


def _identity(path: Path) -> tuple[int, int]:
    """Tells a file from the one that replaces it under the same name."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns


def _parts(names: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    return (names[start : start + size] for start in range(0, len(names), size))


@contextmanager
def _index_of(out_dir: Path) -> Iterator[dict[str, files.Rendered]]:
    index = files.read_index(out_dir)
    try:
        yield index
    finally:
        files.write_index(out_dir, index)


def _remove_outdated(
    out_dir: Path,
    index: dict[str, files.Rendered],
    stems: Mapping[str, str],
    *,
    all_of_period: bool,
) -> None:
    """Previews of statements that are issued or gone by now; issued documents always stay."""
    for stem, entry in list(index.items()):
        current = stems.get(entry.statement_id)
        gone = current is None and all_of_period
        if stem.startswith("preview-") and (gone or (current is not None and current != stem)):
            for kind in FORMATS:
                (out_dir / f"{stem}.{kind}").unlink(missing_ok=True)
            del index[stem]
