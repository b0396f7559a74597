"""What is told of an evidence folder that was written: plain values for a terminal or JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from exporters.ledger.types import jsonable
from exporters.ledger.words import money

Row = Mapping[str, Any]


class EvidenceError(ValueError):
    """No evidence can be made of what was asked for; the words say why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the folder's SQL says of itself: the last query of its last step."""

    stated_total: Decimal
    recomputed_total: Decimal
    lines: int
    lines_not_equal: int
    files_not_as_written: int
    facts_not_as_in_the_ledger: int
    all_equal: bool
    differing: tuple[Row, ...] = ()
    """The lines that are not equal."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """An evidence folder, and what came out when its SQL was run on it.

    `landed_until` is the instant up to which landed rows count (None: all of them), `left_out` how
    many rows of its meters landed later; `notes` are what a person should know.
    """

    folder: Path
    statement_id: str
    statement_number: str | None
    currency: str
    verdict: Verdict
    readings: int
    files: int
    bytes: int
    book_version: str
    landed_until: Any
    left_out: int
    notes: Sequence[str]

    @property
    def agrees(self) -> bool:
        """Whether everything that the folder recomputes is what is stated."""
        return self.verdict.all_equal

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, decimals and instants as strings."""
        plain: dict[str, Any] = jsonable(
            asdict(self) | {"folder": str(self.folder), "agrees": self.agrees}
        )
        return plain

    def describe(self) -> list[str]:
        """The folder in words: where it is and what it says."""
        said = self.verdict
        equal = "equal" if said.stated_total == said.recomputed_total else "NOT EQUAL"
        lines = [
            f"{self.statement_number or self.statement_id}: recomputed "
            f"{money(said.recomputed_total, self.currency)} from {self.readings:,} landed readings,"
            f" stated {money(said.stated_total, self.currency)}: {equal}",
            f"{said.lines - said.lines_not_equal} of {said.lines} lines equal",
        ]
        lines += [
            f"  NOT EQUAL: {row['line_key']}: recomputed {_shown(row['recomputed_amount'])}, "
            f"stated {_shown(row['stated_amount'])}"
            for row in said.differing[:_LINES_TOLD]
        ]
        if len(said.differing) > _LINES_TOLD:
            lines.append(f"  … and {len(said.differing) - _LINES_TOLD} more")
        if said.facts_not_as_in_the_ledger:
            lines.append(
                f"  {said.facts_not_as_in_the_ledger} facts are not as the ledger chained them"
            )
        return [
            *lines,
            *self.notes,
            f"{self.folder} ({self.files} files, {self.bytes:,} bytes); README.md says how to run",
        ]


_LINES_TOLD = 10


def _shown(amount: Decimal | None) -> str:
    return "nothing" if amount is None else f"{amount:,f}"
