"""The story of a statement: everything that is known of it, in order: the facts of the ledger, told
by `events`, and what only the warehouse knows (which landed batches it is made of, exceptions that
were settled), told by the mart statement_history. Nothing is judged and nothing left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from exporters.ledger.actions import ActionError
from exporters.ledger.events import StoryEvent, events_of
from exporters.ledger.store import Ledger
from exporters.ledger.types import jsonable
from exporters.ledger.words import money
from exporters.marts import Marts, Row

OF_THE_WAREHOUSE: Final = ("readings", "late_readings", "exception")
"""Kinds of statement_history that the mart alone tells."""
_WHEN: Final = "%Y-%m-%d %H:%M:%S"


@dataclass(frozen=True)
class Told:
    """One event of a story. `fact` is all of the ledger's fact, payloads too; empty for what the
    warehouse tells."""

    at: datetime
    who: str
    kind: str
    words: str
    source_table: str
    source_row_id: int | None
    fact: dict[str, Any]

    def describe(self) -> str:
        """The event in one line."""
        return f"{self.at:{_WHEN}} UTC  {self.words}  [{self.who}]"


@dataclass(frozen=True)
class Story:
    """A statement and its events, oldest first. statement_number is None while it is not issued;
    `rules` are the sentences that its lines were priced by, `head` the statement as the marts have
    it (empty without marts)."""

    statement_id: str
    statement_number: str | None
    head: dict[str, Any]
    rules: tuple[dict[str, Any], ...]
    events: tuple[Told, ...]

    @property
    def needs_person(self) -> bool:
        """Never: a story asks for nothing."""
        return False

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, decimals and instants as strings."""
        plain: dict[str, Any] = jsonable(asdict(self))
        return plain

    def describe(self) -> list[str]:
        """The story: what the statement is, its rules in words, then a line an event."""
        number = f" ({self.statement_number})" if self.statement_number else ""
        lines = [f"{self.statement_id}{number}"]
        if self.head:
            of_payer = f"{self.head['payer_id']}, {self.head['period']}"
            total = money(self.head["total"], self.head["currency"])
            lines[0] += f": {of_payer}, {total}, {self.head['state']}"
        if self.rules:
            lines += ["", "Priced by"]
            lines += [
                f"  {rule['plan_id']}, version {rule['version']}: {rule['words']}"
                for rule in self.rules
            ]
            lines += ["", "What happened"]
        if not self.events:
            lines.append("  nothing yet")
        return [*lines, *(f"  {event.describe()}" for event in self.events)]


def story(ledger: Ledger, statement: str, marts: Marts | None = None) -> Story:
    """The story of a statement named by statement_id or number.

    Without marts the story is that of the ledger alone. Raises ActionError if nothing is known of
    the statement.
    """
    head = None if marts is None else _head(marts, statement)
    with ledger.snapshot() as reader:
        told = events_of(reader, head["statement_id"] if head else statement)
    named = [event.statement_id for event in told if event.statement_id is not None]
    statement_id = str(head["statement_id"]) if head else next(iter(named), statement)
    numbers = {event.statement_number for event in told if event.statement_number}
    found = [] if marts is None else _of_warehouse(marts, statement_id)
    if head is None and not told:
        raise ActionError(f"nothing is known of {statement!r}: see m2c statements")
    return Story(
        statement_id=statement_id,
        statement_number=min(numbers, default=None),
        head=head or {},
        rules=() if marts is None else tuple(_rules(marts, statement_id)),
        events=tuple(in_order(told, found)),
    )


def in_order(told: Sequence[StoryEvent], found: Sequence[Row]) -> list[Told]:
    """Facts in the order in which they were written down, whatever the clock did meanwhile, and
    what the warehouse tells among them, by its time."""
    placed: list[tuple[datetime, int, str, str, Told]] = []
    latest: datetime | None = None
    for event in sorted(told, key=lambda event: event.seq):
        latest = event.at if latest is None else max(latest, event.at)
        one = Told(
            at=event.at,
            who=event.who,
            kind=event.kind,
            words=event.words,
            source_table=event.table,
            source_row_id=event.row_id,
            fact=event.fact,
        )
        placed.append((latest, event.seq, event.kind, event.words, one))
    for row in found:
        one = Told(
            at=row["happened_at"],
            who=row["who"],
            kind=row["kind"],
            words=row["words"],
            source_table=row["source_table"],
            source_row_id=row["source_row_id"],
            fact={},
        )
        placed.append((row["happened_at"], 0, row["kind"], row["words"], one))
    return [one for *_, one in sorted(placed, key=lambda place: place[:4])]


def _head(marts: Marts, statement: str) -> dict[str, Any] | None:
    found = marts.rows(
        "select statement_id, statement_number, payer_id, period, currency, total, state "
        "from statements where statement_id = $1 or statement_number = $1",
        [statement],
    )
    return found[0] if found else None


def _rules(marts: Marts, statement_id: str) -> list[Row]:
    """The sentences of the charges that its lines are of, as today's book has them."""
    return marts.rows(
        """
        select distinct charges.plan_id, charges.version, charges.code, charges.words
        from statement_lines as lines
        inner join charges
            on lines.plan_id = charges.plan_id and lines.plan_version = charges.version
                and lines.charge_code = charges.code
        where lines.statement_id = $1
        order by charges.plan_id, charges.version, charges.code
        """,
        [statement_id],
    )


def _of_warehouse(marts: Marts, statement_id: str) -> list[Row]:
    return marts.rows(
        "select happened_at, who, kind, words, source_table, source_row_id from statement_history "
        "where statement_id = $1 and list_contains($2, kind) order by event_no",
        [statement_id, list(OF_THE_WAREHOUSE)],
    )
