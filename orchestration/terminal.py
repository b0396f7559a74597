"""What people see in a terminal: answers on stdout, progress and errors on stderr, meaning in the
exit code."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table
from rich.text import Text

_UNFOLDED = 240

# What a terminal obeys instead of showing it: control characters of both sets but line feed and
# tab, and what turns the direction of the text around it; and half characters, which no output
# takes.
_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)

DONE = 0
NEEDS_PERSON = 1
WRONG_USE = 2
FAILURE = 3


class Terminal:
    """Prints for people, or one JSON document for programs."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._out = Console(highlight=False, soft_wrap=True, emoji=False)
        if not self._out.is_terminal:
            self._out.width = _UNFOLDED  # a file or pipe has no edge to fold at
        self._err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)

    @contextmanager
    def step(self, label: str) -> Iterator[None]:
        """Show that something that takes time has begun, and how long it took."""
        started = time.monotonic()
        live = self._err.is_terminal
        if live:
            self._err.print(f"  … {shown(label)}", end="\r", markup=False)
        try:
            yield
        except BaseException:
            self._err.print(f"  ✗ {shown(label)}", markup=False)
            raise
        self._err.print(f"  ✓ {shown(label)} ({time.monotonic() - started:.1f} s)", markup=False)

    def note(self, text: str) -> None:
        """Something worth saying that is no part of the answer."""
        self._err.print(f"  {shown(text)}", markup=False)

    def lines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._out.print(shown(line), markup=False)

    def heading(self, text: str) -> None:
        self._out.print(f"\n{shown(text)}", style="bold", markup=False)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table; columns whose values are all numbers or dates of one width align to the
        right."""
        table = Table(box=None, pad_edge=False, header_style="dim")
        for index, column in enumerate(columns):
            numeric = bool(rows) and all(_is_number(row[index]) for row in rows)
            table.add_column(
                Text(shown(column)), justify="right" if numeric else "left", overflow="fold"
            )
        for row in rows:
            # As text, not as a string, in which rich would look for markup.
            table.add_row(*(Text("" if cell is None else shown(cell)) for cell in row))
        self._out.print(table)

    def json(self, data: object) -> None:
        text = json.dumps(data, indent=2, default=str, ensure_ascii=False)
        sys.stdout.write(_OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")

    def error(self, text: str) -> None:
        self._err.print(shown(text), style="red", markup=False)


def shown(text: object) -> str:
    """`text` with what a terminal would obey written out, as \\x1b or \\u202e: names, notes and
    payloads come from outside."""
    return _OBEYED.sub(_written_out, str(text))


def _written_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _is_number(cell: object) -> bool:
    text = "" if cell is None else str(cell).replace(",", "").replace(" ", "")
    return not text or text.lstrip("-").replace(".", "", 1).isdigit()
