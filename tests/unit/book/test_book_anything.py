"""Whatever stands in a file, a book loads or is refused with faults; nothing else happens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.book import Book, BookError, compile_book, load_book

if TYPE_CHECKING:
    from tests.unit.book.conftest import BookFiles

PIECES = [
    *("", " ", ",", ";", '"', "'", "\n", "\r", "\x00", "é", "0", "-1", "1e9", "0.08", "1" * 40),
    *("2026-01-01", "0001-01-01", "9999-12-31", "9999-12-31T23:59:59-14:00", "2026-13-01"),
    *("[", "]", "{", "}", ": ", "- ", "&a ", "*a", "<<: ", "!!set ", "~", "null", "true", "# "),
    *("energy", "m1", "K-1", "NO-OSL1", "ACME", "all-models", "UTC", "JPY", "..", "/", "|", "${A}"),
]


@contextmanager
def kept(folder: Path) -> Iterator[None]:
    """Puts every file back as it was."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    try:
        yield
    finally:
        for path, content in before.items():
            path.write_bytes(content)


def loaded(folder: Path) -> Book | BookError:
    """The book, or why it is none."""
    try:
        return load_book(folder)
    except BookError as error:
        return error


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_any_change_of_a_file_loads_or_is_told_in_faults(
    book_files: BookFiles, data: st.DataObject
) -> None:
    names = sorted(
        str(path.relative_to(book_files.folder))
        for path in book_files.folder.rglob("*")
        if path.is_file()
    )
    with kept(book_files.folder):
        for _ in range(data.draw(st.integers(1, 3), label="changes")):
            path = book_files.folder / data.draw(st.sampled_from(names), label="file")
            text = path.read_bytes().decode()
            start = data.draw(st.integers(0, len(text)), label="from")
            length = data.draw(st.integers(0, 12), label="taken out")
            piece = "".join(
                data.draw(st.lists(st.sampled_from(PIECES), max_size=3), label="put in")
            )
            path.write_bytes((text[:start] + piece + text[start + length :]).encode())
        book = loaded(book_files.folder)
        if isinstance(book, BookError):
            assert book.faults
            assert str(book)
            return
        with TemporaryDirectory() as folder:
            compile_book(book, Path(folder))


@pytest.mark.parametrize("text", ["", "{}", "[]", "5", "text", "[[]]", "{a: {b: [c]}}", "- - -"])
def test_any_shape_of_yaml_loads_or_is_told_in_faults(book_files: BookFiles, text: str) -> None:
    for path in list(book_files.folder.rglob("*.yml")):
        with kept(book_files.folder):
            path.write_text(text)
            book = loaded(book_files.folder)
            if isinstance(book, BookError):
                assert path.name in str(book)
