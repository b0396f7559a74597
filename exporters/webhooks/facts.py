"""What the catalogue looks up in the ledger to tell of a fact, each thing once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, or_, select

from exporters.ledger import Reader, tables

Row = Mapping[str, Any]
OPENED: Final = "exception.opened"
RESOLVED: Final = "exception.resolved"


class Facts:
    """Looks things up in one state of the ledger, and remembers which exceptions were told in this
    run, which the ledger does not know yet."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._statements: dict[str, Row | None] = {}
        self._told: dict[str, Row | None] = {}
        self._all_told = False

    def statement(self, number: str) -> Row | None:
        """An issued statement, with the customers that its lines are of (`customer_ids`)."""
        if number not in self._statements:
            issued, lines = tables.issued_statements, tables.issued_lines
            row = self._reader.first(select(issued).where(issued.c.statement_number == number))
            if row is not None:
                found = self._reader.query(
                    select(lines.c.customer_id)
                    .where(lines.c.statement_number == number)
                    .where(lines.c.customer_id.is_not(None))
                    .distinct()
                )
                row["customer_ids"] = tuple(sorted(line["customer_id"] for line in found))
            self._statements[number] = row
        return self._statements[number]

    def statement_with(self, subject: str) -> Row | None:
        """The issued statement that has a line of this key, or of this charge event."""
        line = self._line(subject)
        return None if line is None else self.statement(line["statement_number"])

    def customers_of(self, subject: str) -> tuple[str, ...] | None:
        """The customer of an issued line or charge event; None if it is not issued."""
        line = self._line(subject)
        if line is None:
            return None
        return (line["customer_id"],) if line["customer_id"] else ()

    def _line(self, subject: str) -> Row | None:
        lines = tables.issued_lines
        return self._reader.first(
            select(lines.c.statement_number, lines.c.customer_id)
            .where(or_(lines.c.line_key == subject, lines.c.band == subject))
            .order_by(lines.c.id)
        )

    def document_before(self, row: Row) -> Row | None:
        """The observation of the same document before this one."""
        table = tables.documents
        return self._reader.first(
            select(table)
            .where(table.c.statement_number == row["statement_number"])
            .where(table.c.id < row["id"])
            .order_by(table.c.id.desc())
        )

    def document_at(self, number: str, at: datetime) -> Row | None:
        """The newest observation of a document up to an instant."""
        table = tables.documents
        return self._reader.first(
            select(table)
            .where(table.c.statement_number == number)
            .where(table.c.at <= at)
            .order_by(table.c.id.desc())
        )

    def suspension(self, suspension_id: str) -> Row | None:
        """A suspension of machines."""
        table = tables.suspensions
        return self._reader.first(select(table).where(table.c.suspension_id == suspension_id))

    def suspended_machines(self, suspension_id: str) -> list[dict[str, Any]]:
        """The machines of a suspension."""
        table = tables.suspended_machines
        return self._reader.query(
            select(table).where(table.c.suspension_id == suspension_id).order_by(table.c.id)
        )

    def customers_of_contracts(self, contract_ids: Collection[str]) -> tuple[str, ...]:
        """The customers that these contracts were billed for."""
        lines = tables.issued_lines
        found = self._reader.query(
            select(lines.c.customer_id)
            .where(lines.c.contract_id.in_(contract_ids))
            .where(lines.c.customer_id.is_not(None))
            .distinct()
        )
        return tuple(sorted(row["customer_id"] for row in found))

    def open_exception(self, exception_id: str) -> Row | None:
        """The event that told of an exception (payload, payer_id, customer_ids, subject), if none
        told that it is over since."""
        if exception_id not in self._told and not self._all_told:
            events = tables.webhook_events
            newest = self._reader.first(
                select(events)
                .where(events.c.type.in_((OPENED, RESOLVED)))
                .where(events.c.subject == exception_id)
                .order_by(events.c.id.desc())
            )
            is_open = newest is not None and newest["type"] == OPENED
            self._told[exception_id] = newest if is_open else None
        return self._told.get(exception_id)

    def open_exceptions(self) -> dict[str, Row]:
        """All of them by exception_id, read in one go."""
        events = tables.webhook_events
        newest = (
            select(func.max(events.c.id))
            .where(events.c.type.in_((OPENED, RESOLVED)))
            .group_by(events.c.subject)
        )
        for row in self._reader.query(select(events).where(events.c.id.in_(newest))):
            self._told.setdefault(row["subject"], row if row["type"] == OPENED else None)
        self._all_told = True
        return {name: told for name, told in self._told.items() if told is not None}

    def note_exception(self, exception_id: str, opened: Row | None) -> None:
        """What is told of an exception from now on."""
        self._told[exception_id] = opened

    def is_settled_by_hand(self, exception_id: str) -> bool:
        """Whether a person's newest word on an exception is that it is resolved; the marts may not
        show it yet."""
        current = tables.current_exception_actions
        action = self._reader.scalar(
            select(current.c.action).where(current.c.exception_id == exception_id)
        )
        return bool(action == "resolve")
