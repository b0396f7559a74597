"""The story of a statement: everything the ledger knows about it, in the order in which it was
written down. Here facts become sentences; nothing is judged and nothing left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Table, and_, or_, select

from exporters.ledger import tables
from exporters.ledger.actions import ActionError
from exporters.ledger.store import Ledger, Reader
from exporters.ledger.types import jsonable
from exporters.ledger.words import money

Row = dict[str, Any]


@dataclass(frozen=True)
class StoryEvent:
    """One fact. `table` and `row_id` say where it stands in the ledger; `fact` holds all of it."""

    at: datetime
    table: str
    row_id: int
    who: str
    words: str
    fact: Row

    def describe(self) -> str:
        """The fact in one line."""
        return f"{self.at:%Y-%m-%d %H:%M:%S} UTC  {self.words}  [{self.who}]"


@dataclass(frozen=True)
class Story:
    """All facts about a statement, oldest first. statement_number is None while it is not
    issued."""

    statement_id: str
    statement_number: str | None
    events: tuple[StoryEvent, ...]

    @property
    def needs_person(self) -> bool:
        """Never: a story asks for nothing."""
        return False

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, decimals and instants as strings."""
        plain: dict[str, Any] = jsonable(asdict(self))
        return plain

    def describe(self) -> list[str]:
        """The story, a line an event."""
        number = f" ({self.statement_number})" if self.statement_number else ""
        return [f"{self.statement_id}{number}", *(f"  {event.describe()}" for event in self.events)]


def story(ledger: Ledger, statement: str) -> Story:
    """The story of a statement named by statement_id or number.

    Raises ActionError if the ledger knows nothing of it.
    """
    with ledger.snapshot() as reader:
        issued = reader.first(
            select(tables.issued_statements).where(
                or_(
                    tables.issued_statements.c.statement_number == statement,
                    tables.issued_statements.c.statement_id == statement,
                )
            )
        )
        statement_id = issued["statement_id"] if issued else statement
        number = issued["statement_number"] if issued else None
        events = [
            *_before_issue(reader, statement_id),
            *(_events(tables.issued_statements, [issued]) if issued else ()),
            *_effects(reader, statement_id, number),
            *(_after_issue(reader, number, issued["payer_id"]) if number and issued else ()),
        ]
        order = _chain_order(reader, events)
    if not events:
        raise ActionError(
            f"the ledger knows nothing of {statement!r}: see m2c close for statements"
        )
    ordered = sorted(events, key=lambda event: order[event.table, event.row_id])
    return Story(statement_id=statement_id, statement_number=number, events=tuple(ordered))


def _before_issue(reader: Reader, statement_id: str) -> Iterator[StoryEvent]:
    for table in (tables.close_decisions, tables.approvals):
        yield from _events(
            table, reader.query(select(table).where(table.c.statement_id == statement_id))
        )


def _effects(reader: Reader, statement_id: str, number: str | None) -> Iterator[StoryEvent]:
    """Intents whose subject is the statement, or something of it (`<number>/…`), and outcomes."""
    subject = tables.intents.c.subject
    mine = [subject == statement_id]
    if number:
        mine += [subject == number, subject.startswith(f"{number}/", autoescape=True)]
    intents = reader.query(select(tables.intents).where(or_(*mine)))
    yield from _events(tables.intents, intents)
    kinds = {row["intent_id"]: row["kind"] for row in intents}
    outcomes = reader.query(
        select(tables.outcomes)
        .join(tables.intents, tables.intents.c.intent_id == tables.outcomes.c.intent_id)
        .where(or_(*mine))
    )
    yield from _events(
        tables.outcomes, [row | {"kind": kinds[row["intent_id"]]} for row in outcomes]
    )


def _after_issue(reader: Reader, number: str, payer_id: str) -> Iterator[StoryEvent]:
    for table in (tables.documents, tables.payments, tables.reminders):
        yield from _events(
            table, reader.query(select(table).where(table.c.statement_number == number))
        )
    messages = (
        select(tables.reminders.c.message_id)
        .where(tables.reminders.c.statement_number == number)
        .where(tables.reminders.c.message_id.is_not(None))
    )
    deliveries = tables.deliveries
    yield from _events(
        deliveries,
        reader.query(select(deliveries).where(deliveries.c.message_id.in_(messages))),
    )
    holds = tables.holds.c
    about = or_(
        and_(holds.scope == "statement", holds.subject == number),
        and_(holds.scope == "payer", holds.subject == payer_id),
    )
    yield from _events(tables.holds, reader.query(select(tables.holds).where(about)))
    yield from _events(
        tables.promises,
        reader.query(select(tables.promises).where(tables.promises.c.payer_id == payer_id)),
    )
    yield from _events(
        tables.disputes,
        reader.query(select(tables.disputes).where(tables.disputes.c.subject == number)),
    )
    lines = select(tables.issued_lines.c.line_key).where(
        tables.issued_lines.c.statement_number == number
    )
    charges = tables.charge_disputes
    yield from _events(
        charges,
        reader.query(
            select(charges).where(charges.c.scope == "line").where(charges.c.subject.in_(lines))
        ),
    )


def _events(table: Table, rows: list[Row]) -> Iterator[StoryEvent]:
    for row in rows:
        yield StoryEvent(
            at=row["at"],
            table=table.name,
            row_id=row["id"],
            who=f"{row['actor']} ({row['os_user']}@{row['host']})",
            words=WORDS[table.name](row),
            fact=row,
        )


def _chain_order(reader: Reader, events: list[StoryEvent]) -> dict[tuple[str, int], int]:
    """Facts in the order of the chain: two of the same instant, too, stand as they were written."""
    ids: dict[str, list[int]] = {}
    for event in events:
        ids.setdefault(event.table, []).append(event.row_id)
    chain = tables.chain.c
    order: dict[tuple[str, int], int] = {}
    for name, wanted in ids.items():
        links = reader.query(
            select(chain.row_id, chain.seq)
            .where(chain.table_name == name)
            .where(chain.row_id.between(min(wanted), max(wanted)))
        )
        order |= {(name, link["row_id"]): link["seq"] for link in links}
    return order


def _money(row: Row, name: str) -> str:
    if row[name] is None or row["currency"] is None:
        return "?" if row[name] is None else str(row[name])
    return money(row[name], row["currency"])


def _decided(row: Row) -> str:
    words = {
        "auto": "may pass automatically",
        "needs_approval": "needs approval",
        "blocked": "is blocked",
    }[row["decision"]]
    why = f": {row['reason']}" if row["reason"] else ""
    return f"closed at {_money(row, 'total')}, {words}{why} (lines {row['content_hash'][:12]})"


def _approved(row: Row) -> str:
    kind = "approved automatically" if row["automatic"] else f"approved by {row['approved_by']}"
    return f"{kind}: {row['reason']} (lines {row['content_hash'][:12]})"


def _issued(row: Row) -> str:
    return (
        f"issued as {row['statement_number']}, {_money(row, 'total')}, dated {row['issue_date']}, "
        f"due {row['due_date']} (book {row['book_version']}, code {row['code_version']}, "
        f"lines {row['content_hash'][:12]})"
    )


def _intended(row: Row) -> str:
    return f"about to do: {row['kind']} for {row['subject']}"


def _came_out(row: Row) -> str:
    words = {"ok": "done", "failed": "failed", "unknown": "outcome unknown"}[row["status"]]
    external = f" ({row['external_id']})" if row["external_id"] else ""
    message = f": {row['message']}" if row["message"] else ""
    return f"{words}: {row['kind']}{external}{message}"


def _observed(row: Row) -> str:
    status = f" {row['status']}" if row["status"] else ""
    problem = f"; {row['problem']}" if row["problem"] else ""
    due = f", due {_money(row, 'amount_due')}" if row["amount_due"] is not None else ""
    return f"seen in Xero: {row['document_type']}{status}, {row['publish_state']}{due}{problem}"


def _paid(row: Row) -> str:
    return f"payment of {_money(row, 'amount')} on {row['paid_on']} is {row['status']}"


def _reminded(row: Row) -> str:
    return f"reminder {row['stage']} of policy {row['policy_id']}"


def _delivered(row: Row) -> str:
    return f"message to {row['recipient']} by {row['channel']}: {row['status']}"


def _held(row: Row) -> str:
    state = "held" if row["active"] else "hold released"
    return f"{row['scope']} {row['subject']} {state} by {row['by']}: {row['reason']}"


def _promised(row: Row) -> str:
    return (
        f"{row['payer_id']} promises to pay by {row['until_date']} ({row['by']}: {row['reason']})"
    )


def _disputed(row: Row) -> str:
    state = "disputed" if row["state"] == "open" else "dispute resolved"
    return f"{state} by {row['by']}: {row['reason']}"


def _charge_disputed(row: Row) -> str:
    state = "disputed" if row["state"] == "open" else f"dispute {row['state']}"
    return f"{row['scope']} {row['subject']}: {state} by {row['by']}: {row['reason']}"


WORDS: Final[dict[str, Callable[[Row], str]]] = {
    "close_decisions": _decided,
    "approvals": _approved,
    "issued_statements": _issued,
    "intents": _intended,
    "outcomes": _came_out,
    "documents": _observed,
    "payments": _paid,
    "reminders": _reminded,
    "deliveries": _delivered,
    "holds": _held,
    "promises": _promised,
    "disputes": _disputed,
    "charge_disputes": _charge_disputed,
}
