"""What people see in a terminal: answers on stdout, progress and errors on stderr, meaning in the
exit code."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table

_UNFOLDED = 240

DONE = 0
NEEDS_PERSON = 1
WRONG_USE = 2
FAILURE = 3


class Terminal:
    """Prints for people, or one JSON document for programs."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._out = Console(highlight=False, soft_wrap=True)
        if not self._out.is_terminal:
            self._out.width = _UNFOLDED  # a file or pipe has no edge to fold at
        self._err = Console(stderr=True, highlight=False, soft_wrap=True)

    @contextmanager
    def step(self, label: str) -> Iterator[None]:
        """Show that something that takes time has begun, and how long it took."""
        started = time.monotonic()
        live = self._err.is_terminal
        if live:
            self._err.print(f"  … {label}", end="\r", markup=False)
        try:
            yield
        except BaseException:
            self._err.print(f"  ✗ {label}", markup=False)
            raise
        self._err.print(f"  ✓ {label} ({time.monotonic() - started:.1f} s)", markup=False)

    def note(self, text: str) -> None:
        """Something worth saying that is no part of the answer."""
        self._err.print(f"  {text}", markup=False)

    def lines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._out.print(line, markup=False)

    def heading(self, text: str) -> None:
        self._out.print(f"\n{text}", style="bold", markup=False)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table; columns whose values are all numbers or dates of one width align to the
        right."""
        table = Table(box=None, pad_edge=False, header_style="dim")
        for index, column in enumerate(columns):
            numeric = bool(rows) and all(_is_number(row[index]) for row in rows)
            table.add_column(column, justify="right" if numeric else "left", overflow="fold")
        for row in rows:
            table.add_row(*("" if cell is None else _plain(cell) for cell in row))
        self._out.print(table)

    def json(self, data: object) -> None:
        sys.stdout.write(json.dumps(data, indent=2, default=str, ensure_ascii=False) + "\n")

    def error(self, text: str) -> None:
        self._err.print(text, style="red", markup=False)


def _is_number(cell: object) -> bool:
    text = "" if cell is None else str(cell).replace(",", "").replace(" ", "")
    return not text or text.lstrip("-").replace(".", "", 1).isdigit()


def _plain(cell: Any) -> str:
    # A customer's text must not be read as markup.
    return str(cell).replace("[", r"\[")
