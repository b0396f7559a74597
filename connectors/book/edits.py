"""Proposing a row of reading_edits.csv: how it is written, and what the book says of it.

Here: the row as the file at hand would have it (its columns, quoting, line ends), and the book
loaded with that row in place. Not here: what the edit would do to readings, which the book does not
know, and rules of edits, which are the book's own (money) and are asked, never repeated.
"""

from __future__ import annotations

import csv
import io
import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from connectors.book.faults import BookError, Fault
from connectors.book.load import load_book
from connectors.book.rows import ReadingEditRow
from connectors.book.textfiles import keys_of, required_of
from connectors.files import write_atomically

FILE = "reading_edits.csv"
COLUMNS = keys_of(ReadingEditRow)

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True, kw_only=True)
class EditText:
    """An edit as a person wrote it: text, not yet checked, `start` and `end` being from and to."""

    site_id: str
    meter_id: str
    metric: str
    start: str
    end: str
    action: str
    quantity: str | None
    reason: str
    by: str

    def values(self) -> dict[str, str]:
        """The values by column, an absent one empty."""
        return {
            "site_id": self.site_id,
            "meter_id": self.meter_id,
            "metric": self.metric,
            "from": self.start,
            "to": self.end,
            "action": self.action,
            "quantity": self.quantity or "",
            "reason": self.reason,
            "by": self.by,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class EditProposal:
    """A sound edit that is not written yet.

    `header` and `row` are lines of the file without their ends, `line` is where the row will stand,
    `edit` what it means; `before` is the whole file now (None: there is none), `content` with the
    row. `warnings` are the book's about this row.
    """

    path: Path
    header: str
    row: str
    line: int
    edit: ReadingEditRow
    warnings: tuple[str, ...]
    before: bytes | None
    content: bytes

    def write(self) -> None:
        """Put the row into the book, all of it or nothing.

        Raises BookError if the file is no longer the one that was checked.
        """
        if _read(self.path) != self.before:
            changed = "has changed meanwhile; nothing was written, run this again"
            raise BookError([Fault(FILE, None, None, None, changed)])
        # A link stays a link, and who may read the file stays as it was.
        path = self.path.resolve()
        mode = None if self.before is None else path.stat().st_mode
        write_atomically(path, self.content)
        if mode is not None:
            path.chmod(mode)


class EditRefusedError(BookError):
    """The book is not sound with the proposed row; `line` is where the row would stand."""

    def __init__(self, faults: Iterable[Fault], *, row: str, line: int) -> None:
        super().__init__(faults)
        self.row = row
        self.line = line

    def __str__(self) -> str:
        proposed = f"{FILE} line {self.line} would be the proposed row: {self.row}"
        return "\n".join(
            ["nothing was written, because the book would not be sound:", super().__str__()]
            + ([proposed] if any(fault.file == FILE for fault in self.faults) else [])
        )


def propose_edit(book_dir: Path, text: EditText) -> EditProposal:
    """The row that adds an edit to a book, checked by loading the whole book with it.

    Nothing is written. Raises EditRefusedError, a BookError, with every fault of the book as it
    would be: those of the new row and those that were there before.
    """
    path = book_dir / FILE
    before = _read(path)
    form = _form_of(before)
    row = form.render(text.values())
    content = form.opening + row.encode() + form.closing
    line = _lines(form.opening) + 1
    if (
        text.quantity
        and "quantity" not in form.columns
        and set(required_of(ReadingEditRow)) <= {*form.columns}
    ):
        message = "the header has no such column; add it there, then run this again"
        fault = Fault(FILE, 1, "quantity", text.quantity, message)
        raise EditRefusedError([fault], row=row, line=line)
    try:
        with tempfile.TemporaryDirectory(prefix="m2c-book-") as room:
            candidate = Path(room) / "book"
            if book_dir.is_dir():
                shutil.copytree(
                    book_dir,
                    candidate,
                    ignore=shutil.ignore_patterns(".*", "~*"),
                    ignore_dangling_symlinks=True,
                )
                (candidate / FILE).unlink(missing_ok=True)
                (candidate / FILE).write_bytes(content)
                book = load_book(candidate)
            else:
                book = load_book(book_dir)
    except BookError as error:
        raise EditRefusedError(error.faults, row=row, line=line) from error
    added = max(book.reading_edits, key=lambda edit: edit.row_no)
    return EditProposal(
        path=path,
        header=form.render(dict(zip(form.columns, form.columns, strict=True))),
        row=row,
        line=added.row_no,
        edit=added.edit,
        warnings=tuple(w for w in book.warnings if w.startswith(f"{FILE} line {added.row_no},")),
        before=before,
        content=content,
    )


@dataclass(frozen=True, slots=True)
class _Form:
    """How a file writes its rows: all that stands before and after a row that is added to it."""

    columns: tuple[str, ...]
    quotes_all: bool
    opening: bytes
    closing: bytes

    def render(self, values: dict[str, str]) -> str:
        return _csv_line(
            [values.get(column, "") for column in self.columns], quotes_all=self.quotes_all
        )


def _form_of(content: bytes | None) -> _Form:
    """The form of a file, that of a new one where there is nothing to go by.

    What cannot be read is kept as it is: the loader says what is wrong with it.
    """
    text = (content or b"").decode("utf-8-sig", errors="replace")
    header, raw = _header_of(text)
    end = (m[0] if (m := _LINE_END.search(text)) else "\n").encode()
    opening = content or b""
    ends = text.endswith(("\n", "\r"))
    if text and not ends:
        opening += end
    if header is None:
        opening += _csv_line(COLUMNS).encode() + end
        return _Form(COLUMNS, quotes_all=False, opening=opening, closing=end)
    return _Form(
        tuple(header),
        quotes_all=raw == _csv_line(header, quotes_all=True),
        opening=opening,
        closing=end if ends or text == raw else b"",
    )


def _header_of(text: str) -> tuple[list[str] | None, str]:
    """The columns and the line they stand in; None if the file has no header."""
    for raw in _LINE_END.split(text):
        if not raw.strip(","):
            continue
        try:
            return next(csv.reader([raw], strict=True)), raw
        except csv.Error:
            return list(COLUMNS), raw
    return None, ""


def _csv_line(values: Sequence[str], *, quotes_all: bool = False) -> str:
    out = io.StringIO(newline="")
    # The writer quotes what holds one of its own line ends, so it must know both.
    csv.writer(
        out,
        quoting=csv.QUOTE_ALL if quotes_all else csv.QUOTE_MINIMAL,
        lineterminator="\r\n",
    ).writerow(values)
    return out.getvalue().removesuffix("\r\n")


def _lines(content: bytes) -> int:
    """How many lines a text has that ends with a line end."""
    return len(_LINE_END.findall(content.decode("utf-8-sig", errors="replace")))


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
