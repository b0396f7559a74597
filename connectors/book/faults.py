"""What is wrong with a book, said so that the person who wrote it can mend it.

A fault names the file, the line, the column (in YAML the path of the key, with the plan, version
and charge it lies in), the value as written and what was expected. Faults are collected, never
raised one by one: the person sees all at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One violation. `row` is a line number of the file (None: the file as a whole), `subject`
    what the place is called (`plan nordic-colo, version 1, charge energy`)."""

    file: str
    row: int | None
    column: str | None
    value: str | None
    message: str
    subject: str | None = None

    def __str__(self) -> str:
        where = self.file
        if self.row is not None:
            where += f" line {self.row}"
        if self.column:
            where += f", {self.column}"
        if self.subject:
            where += f" ({self.subject})"
        said = "" if self.value is None else f" '{self.value}':"
        return f"{where}:{said} {self.message}"

    def sort_key(self) -> tuple[str, int, str, str]:
        """Order of reading: by file, line, column."""
        return (self.file, self.row or 0, self.column or "", self.message)


class BookError(ValueError):
    """The book cannot be used; `faults` holds every reason, and str() prints one a line."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults: tuple[Fault, ...] = tuple(sorted(set(faults), key=Fault.sort_key))
        super().__init__("\n".join(str(fault) for fault in self.faults))


class Findings:
    """Collects faults (they stop the load) and warnings (they are shown and change nothing)."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.warnings: list[Fault] = []

    def fault(
        self,
        file: str,
        row: int | None,
        column: str | None,
        value: object,
        message: str,
        subject: str | None = None,
    ) -> None:
        """Write down a fault; `value` None means that no single value is to blame."""
        self.faults.append(Fault(file, row, column, _shown(value), message, subject))

    def warn(
        self,
        file: str,
        row: int | None,
        column: str | None,
        value: object,
        message: str,
        subject: str | None = None,
    ) -> None:
        """Write down something a person should look at though the book may be used as it is."""
        self.warnings.append(Fault(file, row, column, _shown(value), message, subject))


def _shown(value: object) -> str | None:
    if value is None:
        return None
    text = str(value)
    return text if len(text) <= 200 else text[:197] + "..."
