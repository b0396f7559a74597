"""What another version of the program makes of months that are issued: the difference between what
was issued and what the new version rates from the same input, told before its first build is
published."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from exporters.ledger.types import jsonable
from exporters.ledger.words import money
from exporters.marts import MartsError, open_marts

SHOWN: Final = 10

_DIFFERENCES: Final = """
    select l.line_key, l.description, l.amount, coalesce(l.tax_amount, 0) as tax, l.currency
    from adjustments a
    join statement_lines l on l.line_key = a.line_key
    join statements s on s.statement_id = l.statement_id
    where a.cause = 'code' and s.state != 'issued'
    order by abs(l.amount) desc, l.line_key
"""


@dataclass(frozen=True)
class Difference:
    """One line of an issued month that the new version rates differently, before tax and tax."""

    line_key: str
    description: str
    amount: Decimal
    tax: Decimal
    currency: str


@dataclass(frozen=True)
class NewVersion:
    """The first build of a version, and what it would ask for over issued months."""

    version: str
    before: str
    issued_lines: int
    differences: tuple[Difference, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, decimals as strings."""
        plain: dict[str, Any] = jsonable(asdict(self))
        return plain

    def describe(self) -> list[str]:
        """The differences in words, the largest first; nothing where nothing was issued."""
        if not self.issued_lines:
            return []
        head = f"first build of version {self.version}, after {self.before}: "
        count = len(self.differences)
        if not count:
            return [head + f"all {self.issued_lines:,} issued lines are rated as they were issued"]
        totals: dict[str, Decimal] = {}
        for found in self.differences:
            totals[found.currency] = totals.get(found.currency, Decimal(0)) + found.amount
        sums = ", ".join(money(total, currency) for currency, total in sorted(totals.items()))
        more = count - SHOWN
        return [
            head + f"{count} of {self.issued_lines:,} issued lines are rated differently from the "
            f"same input, {sums} before tax; statements with these adjustments wait for approval",
            *(
                f"  {found.line_key}: {money(found.amount, found.currency)}, {found.description}"
                for found in self.differences[:SHOWN]
            ),
            *([f"  and {more} more"] if more > 0 else []),
        ]


def first_build_of_version(marts: Path, published: Path) -> NewVersion | None:
    """What a build that is about to replace the published marts changes over issued months; None
    if the same version built those, or there are none."""
    try:
        with open_marts(published) as old:
            before = str(old.build_info()["code_version"])
    except MartsError:
        return None  # nothing is published yet, or by a version that cannot be asked
    with open_marts(marts) as new:
        version = str(new.build_info()["code_version"])
        if version == before:
            return None
        (issued,) = new.rows(
            "select count(*) as lines from statement_lines l join statements s "
            "on s.statement_id = l.statement_id where s.state = 'issued'"
        )
        rows = new.rows(_DIFFERENCES)
    return NewVersion(version, before, issued["lines"], tuple(Difference(**row) for row in rows))
