"""Render the reports of a period's statements: issued ones under their number, others as previews.

What has been rendered from the same content is left alone. Files appear whole or not at all; a run
that is killed leaves finished files, and the next run does the rest.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporters.marts import open_marts
from exporters.statements import files
from exporters.statements.document import build
from exporters.statements.facts import StatementFacts, read_facts, read_names
from exporters.statements.html import to_html
from exporters.statements.pdf import to_pdf
from exporters.statements.xlsx import to_xlsx

FORMATS = ("pdf", "html", "xlsx")
MOST_WORKERS = 4


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


def render_statements(
    marts_path: Path,
    period: str,
    out_dir: Path,
    *,
    only: Collection[str] | None = None,
    formats: Sequence[str] = FORMATS,
) -> list[RenderedStatement]:
    """Render the statements of `period` (`YYYY-MM`) into `out_dir`.

    only: statement ids or numbers; None = all of the period, and previews of statements that are
    gone disappear. formats: of `pdf`, `html` and `xlsx`. Raises MartsError if the marts cannot be
    read, ValueError for a format there is none of, OSError if a file cannot be written.
    """
    if strange := sorted(set(formats) - set(FORMATS)):
        raise ValueError(f"no format {', '.join(strange)}; there are {', '.join(FORMATS)}")
    with open_marts(marts_path) as marts:
        names = read_names(marts, period)
        facts = read_facts(marts, period, only=only)
    stems = files.stems_for(names)
    out_dir.mkdir(parents=True, exist_ok=True)
    with _index_of(out_dir) as index:
        rendered = []
        # Setting a PDF leaves Python to the others, so threads share the processors well.
        with ThreadPoolExecutor(max_workers=min(MOST_WORKERS, os.cpu_count() or 1)) as workers:
            jobs = [
                workers.submit(
                    _render,
                    one,
                    stem=stems[one.statement_id],
                    out_dir=out_dir,
                    formats=formats,
                    known=index.get(stems[one.statement_id]),
                )
                for one in facts
            ]
            try:
                for job, one in zip(jobs, facts, strict=True):
                    finished, entry = job.result()
                    index[stems[one.statement_id]] = entry
                    rendered.append(finished)
            except BaseException:
                workers.shutdown(cancel_futures=True)
                raise
        _remove_outdated(out_dir, index, stems, all_of_period=only is None)
    return rendered


@contextmanager
def _index_of(out_dir: Path) -> Iterator[dict[str, files.Rendered]]:
    index = files.read_index(out_dir)
    try:
        yield index
    finally:
        files.write_index(out_dir, index)


def _render(
    facts: StatementFacts,
    *,
    stem: str,
    out_dir: Path,
    formats: Sequence[str],
    known: files.Rendered | None,
) -> tuple[RenderedStatement, files.Rendered]:
    document = build(facts)
    fingerprints = dict(known.fingerprints) if known else {}
    raw = [facts.lines, facts.usage_machine_days] if "xlsx" in formats else []
    made_from = {
        "pdf": files.fingerprint(document),
        "html": files.fingerprint(document),
        "xlsx": files.fingerprint(document, *raw),
    }
    paths: dict[str, Path] = {}
    changed: list[str] = []
    for kind in formats:
        path = out_dir / f"{stem}.{kind}"
        paths[kind] = path
        if fingerprints.get(kind) == made_from[kind] and path.is_file():
            continue
        files.write_atomically(path, _content(kind, facts, document))
        fingerprints[kind] = made_from[kind]
        changed.append(kind)
    rendered = RenderedStatement(
        statement_id=facts.statement_id,
        statement_number=facts.head["statement_number"],
        payer_id=facts.head["payer_id"],
        paths=paths,
        changed=tuple(changed),
    )
    entry = files.Rendered(statement_id=facts.statement_id, fingerprints=fingerprints)
    return rendered, entry


def _content(kind: str, facts: StatementFacts, document: dict[str, Any]) -> bytes:
    if kind == "pdf":
        return to_pdf(document)
    if kind == "html":
        return to_html(document)
    return to_xlsx(facts, document["words"], title=document["title"])


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
