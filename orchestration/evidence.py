"""Evidence of a statement from a data dir: which book it was rated by, and where that is found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from connectors.book import Book as LoadedBook
from connectors.book import compile_book, load_book
from exporters.statements.evidence import Book, Evidence, evidence
from orchestration.bookdiff import book_of_version
from orchestration.ledger import open_ledger
from orchestration.settings import DataDir, code_version
from orchestration.stores import landed_files


def evidence_of(data_dir: DataDir, statement: str, *, out: Path | None) -> Evidence:
    """Write the evidence of a statement.

    The book is the working copy if it is the one that rated the statement, else the one of the
    commit that holds it, and the working copy where there is none. Raises EvidenceError, BookError,
    MartsError.
    """
    ledger = open_ledger(data_dir, acting_as="evidence") if data_dir.has_ledger() else nullcontext()
    with TemporaryDirectory(prefix="m2c-evidence-") as scratch, ledger as opened:

        def books(version: str | None) -> Iterator[Book]:
            now = load_book(data_dir.book)
            if version is not None and now.version != version:
                found = book_of_version(data_dir.book, version)
                if found is not None:
                    book, commit = found
                    yield _compiled(book, Path(scratch), f"as commit {commit[:12]} holds it")
            yield _compiled(now, Path(scratch), "as it is now")

        return evidence(
            data_dir.marts,
            opened,
            statement,
            data_dir=data_dir.root,
            landed=landed_files(data_dir),
            books=books,
            out=out,
            code_version=code_version(),
        )


def _compiled(book: LoadedBook, scratch: Path, words: str) -> Book:
    tables = scratch / book.version
    compile_book(book, tables)
    return Book(tables=tables, version=book.version, words=words)
