"""What an explanation consists of: plain values, ready to be shown or written as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from exporters.explain.figures import EXACT

Row = Mapping[str, Any]


class ExplainError(ValueError):
    """What was asked cannot be answered; the words say why and what can be asked."""


class UnknownLineError(ExplainError):
    """No line has this key. `near` are keys that may have been meant."""

    def __init__(self, line_key: str, near: Sequence[str]) -> None:
        self.line_key = line_key
        self.near = tuple(near)
        hint = "; did you mean " + ", ".join(near) if near else "; see `m2c statements STATEMENT`"
        super().__init__(f"no line {line_key!r}{hint}")


@dataclass(frozen=True, kw_only=True)
class Level:
    """One level below a line: rows, their sum, and what the sum must be.

    `columns` are the keys of `rows` that a terminal shows, in order; rows may have more.
    `sum_column` is added up to `sum`, which is compared with `expected`, `of` saying what that is.
    `agrees` is None where nothing is there to compare with.
    """

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Row]
    unit: str | None = None
    sum_column: str | None = None
    sum: Decimal | None = None
    of: str | None = None
    expected: Decimal | None = None
    agrees: bool | None = None
    notes: Sequence[str] = ()

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON: all rows, and how their sum compares."""
        return {
            "name": self.name,
            "title": self.title,
            "unit": self.unit,
            "rows": [dict(row) for row in self.rows],
            "sum_of": self.sum_column,
            "sum": self.sum,
            "expected": self.expected,
            "expected_is": self.of,
            "agrees": self.agrees,
            "notes": list(self.notes),
        }


@dataclass(frozen=True, kw_only=True)
class Check:
    """A step of the calculation done again: what it says in words, and whether it holds."""

    words: str
    agrees: bool

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"words": self.words, "agrees": self.agrees}


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """A line and everything below it.

    `line` is the statement line with its statement's number, state and issue; `rule` the charge's
    sentence with plan, version and book_version (None for credits); `how` says in words how the
    number comes about; `rated_now` is the line as the last build rates it, None where it is not
    rated any more.
    """

    line: Row
    rule: Row | None
    how: Sequence[str]
    checks: Sequence[Check]
    levels: Sequence[Level]
    rated_now: Row | None = None
    since_issue: Sequence[str] = ()
    revisions: Sequence[Row] = ()
    hints: Sequence[str] = field(default_factory=tuple)

    @property
    def agrees(self) -> bool:
        """Whether every sum and every step that can be compared holds."""
        return all(check.agrees for check in self.checks) and not any(
            level.agrees is False for level in self.levels
        )

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON, decimals as text with all their digits."""
        told: dict[str, Any] = _plain(
            {
                "line": self.line,
                "rule": self.rule,
                "how": self.how,
                "rated_now": self.rated_now,
                "since_issue": self.since_issue,
                "revisions": self.revisions,
                "checks": [check.as_dict() for check in self.checks],
                "levels": [level.as_dict() for level in self.levels],
                "agrees": self.agrees,
            }
        )
        return told


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return f"{value:f}" if isinstance(value, Decimal) else value


def compared(level_sum: Decimal, expected: Decimal | None) -> bool | None:
    """Whether a sum is what it must be, exactly; None where nothing is known of it."""
    return None if expected is None else level_sum == expected


def added(rows: Sequence[Row], column: str) -> Decimal:
    """The exact sum of a column; what is None counts as nothing."""
    total = Decimal(0)
    for row in rows:
        if row[column] is not None:
            total = EXACT.add(total, row[column])
    return total
