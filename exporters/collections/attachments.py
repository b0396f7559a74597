"""The statements that a reminder carries as PDF: which files, under which names, and how much of
them a mail can take.

The files are those that were rendered when the statements were issued, found as for Xero. What is
not there is left out and named; a reminder never waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from exporters.collections.model import Receivable
from exporters.statements.files import RenderedFolder
from exporters.statements.text import file_stem

MOST_MAIL_BYTES = 10_000_000
"""What a mail may weigh as it travels. Mail servers of customers refuse more than 10 to 25 MB."""
_LETTER_BYTES = 200_000  # the text and HTML parts and headers, generously
_PDF = b"%PDF-"


@dataclass(frozen=True, kw_only=True)
class Attachment:
    """A PDF file as it is attached; `name` is safe on any system."""

    statement_number: str
    name: str
    content: bytes


@dataclass(frozen=True, kw_only=True)
class Attachments:
    """`files` go with the mail; `too_large` are the numbers of those that would make it too large,
    in which case none goes; `missing` says in words which are not there, and why."""

    files: tuple[Attachment, ...] = ()
    too_large: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def as_links(self) -> Attachments:
        """The same without the files, for a mail server that does not take them."""
        return Attachments(
            too_large=self.too_large + tuple(f.statement_number for f in self.files),
            missing=self.missing,
        )


NONE = Attachments()


def statements_of(
    receivables: Iterable[Receivable], reports_dir: Path, *, most_bytes: int | None = None
) -> Attachments:
    """The PDFs of some invoices, in their order.

    reports_dir: the data dir's reports, a folder a period. most_bytes: what the mail server takes,
    if it said so; never more than `MOST_MAIL_BYTES`.
    """
    files: list[Attachment] = []
    missing: list[str] = []
    folders: dict[str, RenderedFolder] = {}
    for receivable in receivables:
        number, period = receivable.statement_number, receivable.period
        folder = folders.get(period) or RenderedFolder(reports_dir / period)
        folders[period] = folder
        found = folder.files(number, receivable.statement_id, suffixes=("pdf",))
        if not found:
            missing.append(f"{number}: no PDF in {reports_dir / period}")
            continue
        try:
            content = found[0].read_bytes()
        except OSError as error:
            missing.append(f"{number}: {found[0]} cannot be read ({error.strerror})")
            continue
        if not content.startswith(_PDF):
            missing.append(f"{number}: {found[0]} is no PDF")
            continue
        files.append(
            Attachment(statement_number=number, name=f"{file_stem(number)}.pdf", content=content)
        )
    attachments = Attachments(files=tuple(files), missing=tuple(missing))
    weight = sum(_encoded(len(file.content)) for file in files) + _LETTER_BYTES
    if files and weight > min(MOST_MAIL_BYTES, most_bytes or MOST_MAIL_BYTES):
        return attachments.as_links()
    return attachments


def _encoded(size: int) -> int:
    """Bytes of base64 in lines of 76 characters."""
    characters = -(-size // 3) * 4
    return characters + -(-characters // 76) * 2
