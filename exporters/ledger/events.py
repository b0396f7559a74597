"""Facts of the ledger as events of statements: which statements a fact is about, and what it says
in a sentence. Here the sentences are made, once, for `m2c story` and the mart statement_history
alike; nothing is judged and nothing left out.

A fact about a payer (a hold, a promise) is told of the statements that were issued to the payer and
not paid by then, and of those issued while it held. What is told of a fact depends only on facts
before it, so that events are added to what was told and nothing told changes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Column, Select, Table, func, select

from exporters.ledger import tables
from exporters.ledger.store import Reader
from exporters.ledger.words import money
from exporters.line_keys import original_key

Row = dict[str, Any]
POWER: Final = "power"
"""Intents of switching a machine's meter; their subject is suspension/site/meter."""
_AT_ONCE: Final = 500  # bound parameters in one query
_MANY: Final = 4000  # from here on reading a table whole is faster than asking for rows


@dataclass(frozen=True)
class StoryEvent:
    """One fact told of one statement (or, where statement_id is None, of one exception).

    `seq` is its place in the hash chain; `table` and `row_id` say where it stands in the ledger;
    `fact` holds all of it. At most one of statement_id and exception_id is None.
    """

    seq: int
    at: datetime
    who: str
    kind: str
    words: str
    table: str
    row_id: int
    statement_id: str | None
    statement_number: str | None
    exception_id: str | None
    fact: Row


@dataclass(frozen=True)
class Fact:
    """A row of a fact table with its place in the hash chain."""

    seq: int
    table: str
    row: Row


@dataclass(frozen=True)
class _Issued:
    """What is known of an issued statement without its facts."""

    row_id: int
    seq: int
    statement_id: str
    number: str
    payer_id: str


def tell(reader: Reader, facts: Sequence[Fact]) -> list[StoryEvent]:
    """The events of some facts, in the order of the chain. A fact may be told of several
    statements, or of none."""
    return list(_Teller(reader, facts).events())


def events_of(reader: Reader, statement: str) -> list[StoryEvent]:
    """All events of a statement, named by id or number, in the order of the chain."""
    issued = tables.issued_statements
    named = reader.first(
        select(issued).where(
            (issued.c.statement_number == statement) | (issued.c.statement_id == statement)
        )
    )
    statement_id = named["statement_id"] if named else statement
    told = tell(reader, list(_candidates(reader, statement_id, named)))
    return [event for event in told if event.statement_id == statement_id]


def _candidates(reader: Reader, statement_id: str, issued: Row | None) -> Iterator[Fact]:
    """Every fact that may be about the statement, and perhaps others."""
    by_id = (tables.close_decisions, tables.approvals, tables.issued_statements)
    wanted: dict[Table, list[Row]] = {
        table: reader.query(select(table).where(table.c.statement_id == statement_id))
        for table in by_id
    }
    intents = tables.intents
    about = intents.c.subject == statement_id
    if issued is not None:
        number, payer = issued["statement_number"], issued["payer_id"]
        about |= (intents.c.subject == number) | intents.c.subject.startswith(
            f"{number}/", autoescape=True
        )
        for table in (
            tables.documents,
            tables.payments,
            tables.bank_matches,
            tables.reminders,
        ):
            wanted[table] = reader.query(select(table).where(table.c.statement_number == number))
        messages = [row["message_id"] for row in wanted[tables.reminders] if row["message_id"]]
        about |= intents.c.idempotency_key.in_(messages)
        wanted[tables.deliveries] = reader.query(
            select(tables.deliveries).where(tables.deliveries.c.message_id.in_(messages))
        )
        wanted[tables.holds] = reader.query(
            select(tables.holds).where(tables.holds.c.subject.in_([number, payer]))
        )
        wanted[tables.promises] = reader.query(
            select(tables.promises).where(tables.promises.c.payer_id == payer)
        )
        lines = tables.issued_lines
        mine = reader.query(
            select(lines.c.line_key, lines.c.band).where(lines.c.statement_number == number)
        )
        subjects = {number} | {row["line_key"] for row in mine} | {row["band"] for row in mine}
        suspended = [
            row
            for row in reader.query(
                select(tables.suspensions).where(tables.suspensions.c.payer_id == payer)
            )
            if number in json.loads(row["statement_numbers"])
        ]
        wanted[tables.suspensions] = suspended
        ids = [row["suspension_id"] for row in suspended]
        for table in (tables.resumptions, tables.machine_states):
            wanted[table] = reader.query(select(table).where(table.c.suspension_id.in_(ids)))
        for suspension_id in ids:
            about |= intents.c.subject.startswith(f"{suspension_id}/", autoescape=True)
        for table in (tables.disputes, tables.charge_disputes):
            wanted[table] = [
                row for row in reader.query(select(table)) if row["subject"] in subjects
            ]
        wanted[tables.issued_statements] += _correcting(reader, number, subjects)
    wanted[intents] = reader.query(select(intents).where(about))
    wanted[tables.outcomes] = reader.query(
        select(tables.outcomes)
        .join(intents, intents.c.intent_id == tables.outcomes.c.intent_id)
        .where(about)
    )
    for table, rows in wanted.items():
        places = chain_places(reader, table.name, [row["id"] for row in rows])
        for row in rows:
            yield Fact(places[row["id"]], table.name, row)


def _correcting(reader: Reader, number: str, subjects: Collection[str | None]) -> list[Row]:
    """Statements issued later that carry adjustments of these lines."""
    lines, issued = tables.issued_lines, tables.issued_statements
    contracts = select(lines.c.contract_id).where(lines.c.statement_number == number)
    adjusting = reader.query(
        select(lines.c.statement_number, lines.c.line_key)
        .where(lines.c.adjusts_period.is_not(None))
        .where(lines.c.contract_id.in_(contracts))
        .where(lines.c.statement_number != number)
    )
    found = {
        row["statement_number"] for row in adjusting if original_key(row["line_key"]) in subjects
    }
    return [
        row
        for some in _some(sorted(found))
        for row in reader.query(select(issued).where(issued.c.statement_number.in_(some)))
    ]


def chain_places(reader: Reader, table: str, row_ids: Collection[int]) -> dict[int, int]:
    """Where rows of a table stand in the chain, by row id."""
    if not row_ids:
        return {}
    chain = tables.chain.c
    links = reader.query(
        select(chain.row_id, chain.seq)
        .where(chain.table_name == table)
        .where(chain.row_id.between(min(row_ids), max(row_ids)))
    )
    return {link["row_id"]: link["seq"] for link in links}


class _Teller:
    """Tells facts; what it looks up besides, it looks up once for all of them."""

    def __init__(self, reader: Reader, facts: Sequence[Fact]) -> None:
        self._reader = reader
        self._facts = sorted(facts, key=lambda fact: fact.seq)
        self._by_table: dict[str, list[Row]] = {}
        for fact in self._facts:
            self._by_table.setdefault(fact.table, []).append(fact.row)
        self._look_up()

    def events(self) -> Iterator[StoryEvent]:
        for fact in self._facts:
            handler = _ABOUT.get(fact.table)
            for about in handler(self, fact) if handler else ():
                yield from self._told(fact, about)

    def _told(self, fact: Fact, about: _About) -> Iterator[StoryEvent]:
        row = fact.row if about.fact is None else about.fact.row
        yield StoryEvent(
            seq=fact.seq if about.fact is None else about.fact.seq,
            at=row["at"],
            who=f"{row['actor']} ({row['os_user']}@{row['host']})",
            kind=about.kind,
            words=about.words,
            table=fact.table if about.fact is None else about.fact.table,
            row_id=row["id"],
            statement_id=about.statement_id,
            statement_number=about.number,
            exception_id=about.exception_id,
            fact=row,
        )

    # --- what is looked up ---

    def _look_up(self) -> None:
        reader = self._reader
        rows = self._by_table
        intents = {row["intent_id"]: row for row in rows.get("intents", ())}
        asked = {row["intent_id"] for row in rows.get("outcomes", ())} - intents.keys()
        known = tables.intents.c
        for row in self._select(
            (known.intent_id, known.kind, known.subject, known.idempotency_key),
            known.intent_id,
            asked,
        ):
            intents[row["intent_id"]] = row
        self.intents: Mapping[str, Row] = intents

        messages = {row["message_id"] for row in rows.get("deliveries", ())}
        messages |= {intent["idempotency_key"] for intent in intents.values()}
        reminded = tables.reminders.c
        self.reminded: dict[str, list[str]] = {}
        for row in self._select(
            (reminded.message_id, reminded.statement_number), reminded.message_id, messages
        ):
            numbers = self.reminded.setdefault(row["message_id"], [])
            if row["statement_number"] not in numbers:
                numbers.append(row["statement_number"])

        self._look_up_suspensions()
        self._look_up_lines()
        subjects = {row["subject"] for row in rows.get("charge_disputes", ())}
        self.disputed: dict[str, list[str]] = {}
        lines = tables.issued_lines.c
        for column in (lines.line_key, lines.band):
            for row in self._select((column, lines.statement_number), column, subjects):
                found = self.disputed.setdefault(row[column.name], [])
                if row["statement_number"] not in found:
                    found.append(row["statement_number"])
        self._look_up_statements(reader)

    def _look_up_suspensions(self) -> None:
        """The statements that suspensions are for, by suspension."""
        rows = self._by_table
        known = tables.suspensions.c
        wanted = {
            row["suspension_id"]
            for name in ("suspensions", "resumptions", "machine_states")
            for row in rows.get(name, ())
        } | {
            intent["subject"].split("/", 1)[0]
            for intent in self.intents.values()
            if intent["kind"] == POWER
        }
        self.suspended: dict[str, list[str]] = {
            row["suspension_id"]: json.loads(row["statement_numbers"])
            for row in self._select(
                (known.suspension_id, known.statement_numbers), known.suspension_id, wanted
            )
        }

    def _look_up_lines(self) -> None:
        """Of newly issued statements, how many lines they have and which of them adjust."""
        lines = tables.issued_lines.c
        wanted = {row["statement_number"] for row in self._by_table.get("issued_statements", ())}
        number = lines.statement_number
        self.counts: dict[str, int] = {}
        self.adjusting: dict[str, list[Row]] = {}
        count = select(number, func.count().label("lines")).group_by(number)
        for row in self._asked(count, number, wanted):
            self.counts[row["statement_number"]] = row["lines"]
        adjusting = select(number, lines.line_key, lines.amount).where(
            lines.adjusts_period.is_not(None)
        )
        for row in self._asked(adjusting.order_by(lines.id), number, wanted):
            self.adjusting.setdefault(row["statement_number"], []).append(row)

    def _look_up_statements(self, reader: Reader) -> None:
        """The statements that facts name, the others of their payers where a fact is about a payer,
        and those that adjustments are about."""
        rows = self._by_table
        about_payers = {row["payer_id"] for row in rows.get("promises", ())} | {
            row["subject"] for row in rows.get("holds", ()) if row["scope"] == "payer"
        }
        originals = {
            original_key(line["line_key"]) for lines in self.adjusting.values() for line in lines
        }
        keys = tables.issued_lines.c
        self.original: dict[str, str] = {
            row["line_key"]: row["statement_number"]
            for row in self._select(
                (keys.line_key, keys.statement_number), keys.line_key, originals
            )
        }
        numbers = {
            row["statement_number"]
            for name in ("documents", "payments", "bank_matches", "reminders", "issued_statements")
            for row in rows.get(name, ())
        }
        numbers |= {number for found in self.reminded.values() for number in found}
        numbers |= {number for found in self.disputed.values() for number in found}
        numbers |= {number for found in self.suspended.values() for number in found}
        numbers |= set(self.original.values())
        numbers |= {
            row["subject"].split("/", 1)[0]
            for row in (*self.intents.values(), *rows.get("holds", ()), *rows.get("disputes", ()))
        }
        issued = tables.issued_statements.c
        columns = (issued.id, issued.statement_id, issued.statement_number, issued.payer_id)
        found = self._select(columns, issued.statement_number, numbers)
        found += self._select(columns, issued.payer_id, about_payers)
        places = chain_places(reader, "issued_statements", [row["id"] for row in found])
        self.by_number: dict[str, _Issued] = {
            row["statement_number"]: _Issued(
                row["id"],
                places[row["id"]],
                row["statement_id"],
                row["statement_number"],
                row["payer_id"],
            )
            for row in found
        }
        self.of_payer: dict[str, list[_Issued]] = {}
        for one in sorted(self.by_number.values(), key=lambda one: one.row_id):
            self.of_payer.setdefault(one.payer_id, []).append(one)
        decided = tables.close_decisions.c
        subjects = {row["subject"] for row in self.intents.values() if "/" in row["subject"]}
        self.decided: set[str] = {
            row["statement_id"]
            for row in self._select((decided.statement_id,), decided.statement_id, subjects)
        }
        self._look_up_payers(about_payers)

    def _look_up_payers(self, about_payers: set[str]) -> None:
        """When statements of these payers were paid or not, and what held for the payers of newly
        issued ones."""
        of_them = {one.number for payer in about_payers for one in self.of_payer.get(payer, ())}
        documents = tables.documents.c
        seen = self._select(
            (documents.id, documents.statement_number, documents.amount_due),
            documents.statement_number,
            of_them,
        )
        places = chain_places(self._reader, "documents", [row["id"] for row in seen])
        self.due: dict[str, list[tuple[int, Decimal | None]]] = {}
        for row in sorted(seen, key=lambda row: int(row["id"])):
            self.due.setdefault(row["statement_number"], []).append(
                (places[row["id"]], row["amount_due"])
            )
        new = {row["payer_id"] for row in self._by_table.get("issued_statements", ())}
        self.holds = self._facts_of(tables.holds, tables.holds.c.subject, new)
        self.promises = self._facts_of(tables.promises, tables.promises.c.payer_id, new)

    def _facts_of(
        self, table: Table, column: Column[Any], keys: Collection[str]
    ) -> dict[str, list[Fact]]:
        rows = self._select(tuple(table.c), column, keys)
        places = chain_places(self._reader, table.name, [row["id"] for row in rows])
        found: dict[str, list[Fact]] = {}
        for row in sorted(rows, key=lambda row: int(row["id"])):
            found.setdefault(row[column.name], []).append(Fact(places[row["id"]], table.name, row))
        return found

    def _select(
        self, columns: Sequence[Column[Any]], key: Column[Any], keys: Collection[str | None]
    ) -> list[Row]:
        return self._asked(select(*columns), key, keys)

    def _asked(
        self, query: Select[Any], key: Column[Any], keys: Collection[str | None]
    ) -> list[Row]:
        """The rows of a query whose key is among some."""
        wanted = {one for one in keys if one is not None}
        if len(wanted) > _MANY:
            return [row for row in self._reader.query(query) if row[key.name] in wanted]
        return [
            row
            for some in _some(sorted(wanted))
            for row in self._reader.query(query.where(key.in_(some)))
        ]

    def is_open(self, one: _Issued, seq: int) -> bool:
        """Whether a statement was issued and not paid just before a place of the chain."""
        if one.seq > seq:
            return False
        seen = [due for place, due in self.due.get(one.number, ()) if place < seq]
        return not seen or seen[-1] is None or seen[-1] != 0


@dataclass(frozen=True)
class _About:
    """What a fact is told of. `fact` replaces the fact where another one is told for it."""

    kind: str
    words: str
    statement_id: str | None
    number: str | None
    exception_id: str | None = None
    fact: Fact | None = None


def _some(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), _AT_ONCE):
        yield keys[start : start + _AT_ONCE]


# --- what facts are about ---


def _named(kind: str) -> Callable[[_Teller, Fact], Iterator[_About]]:
    """Facts that name statement_id and come before there is a number."""

    def about(_: _Teller, fact: Fact) -> Iterator[_About]:
        yield _About(kind, WORDS[fact.table](fact.row), fact.row["statement_id"], None)

    return about


def _numbered(kind: str) -> Callable[[_Teller, Fact], Iterator[_About]]:
    """Facts that name a statement number."""

    def about(teller: _Teller, fact: Fact) -> Iterator[_About]:
        yield from _of_numbers(teller, [fact.row["statement_number"]], kind, fact)

    return about


def _of_numbers(
    teller: _Teller, numbers: Iterable[str], kind: str, fact: Fact, row: Row | None = None
) -> Iterator[_About]:
    words = WORDS[fact.table](row or fact.row)
    for number in numbers:
        one = teller.by_number.get(number)
        if one is not None:
            yield _About(kind, words, one.statement_id, one.number)


def _about_issue(teller: _Teller, fact: Fact) -> Iterator[_About]:
    row = fact.row
    statement_id, number = row["statement_id"], row["statement_number"]
    count, adjusting = teller.counts.get(number, 0), teller.adjusting.get(number, ())
    for held in _in_force(teller, fact):
        kind = _PAYER_KINDS[held.table]
        yield _About(kind, WORDS[held.table](held.row), statement_id, number, fact=held)
    yield _About("issued", _issued(row, count), statement_id, number)
    corrected: dict[str, list[Row]] = {}
    for line in adjusting:
        original = teller.original.get(original_key(line["line_key"]))
        if original is not None and original in teller.by_number:
            corrected.setdefault(original, []).append(line)
    for original, lines in corrected.items():
        one = teller.by_number[original]
        amount = money(sum((line["amount"] for line in lines), Decimal(0)), row["currency"])
        told = f"{len(lines)} line{'s' * (len(lines) != 1)}, {amount} before tax"
        yield _About("adjusts", f"adjusts {original}: {told}", statement_id, number)
        yield _About("adjusted", f"corrected by {number}: {told}", one.statement_id, one.number)


def _in_force(teller: _Teller, fact: Fact) -> Iterator[Fact]:
    """What holds for the payer of a statement when it is issued: a hold, a promise."""
    payer = fact.row["payer_id"]
    holds = [
        one
        for one in teller.holds.get(payer, ())
        if one.seq < fact.seq and one.row["scope"] == "payer"
    ]
    if holds and holds[-1].row["active"]:
        yield holds[-1]
    promises = [one for one in teller.promises.get(payer, ()) if one.seq < fact.seq]
    if promises and promises[-1].row["until_date"] >= fact.row["issue_date"]:
        yield promises[-1]


def _about_intent(teller: _Teller, fact: Fact) -> Iterator[_About]:
    yield from _of_intent(teller, fact, fact.row, "request")


def _about_outcome(teller: _Teller, fact: Fact) -> Iterator[_About]:
    intent = teller.intents.get(fact.row["intent_id"])
    if intent is not None:
        yield from _of_intent(teller, fact, intent, "answer")


def _of_intent(teller: _Teller, fact: Fact, intent: Row, kind: str) -> Iterator[_About]:
    """An effect is of the statement that it names, with what follows behind a slash, or of those
    that a reminder of the same message is for."""
    subject = intent["subject"]
    row = fact.row | {"kind": intent["kind"], "subject": subject}
    number = subject.split("/", 1)[0]
    if number in teller.by_number:
        yield from _of_numbers(teller, [number], kind, fact, row)
    elif number in teller.suspended:
        yield from _of_numbers(teller, teller.suspended[number], kind, fact, row)
    elif intent["idempotency_key"] in teller.reminded:
        numbers = teller.reminded[intent["idempotency_key"]]
        yield from _of_numbers(teller, numbers, kind, fact, row)
    elif subject in teller.decided:
        yield _About(kind, WORDS[fact.table](row), subject, None)


def _about_delivery(teller: _Teller, fact: Fact) -> Iterator[_About]:
    numbers = teller.reminded.get(fact.row["message_id"], ())
    yield from _of_numbers(teller, numbers, "delivery", fact)


def _about_suspension(kind: str) -> Callable[[_Teller, Fact], Iterator[_About]]:
    """Of the statements that a suspension is for."""

    def about(teller: _Teller, fact: Fact) -> Iterator[_About]:
        numbers = teller.suspended.get(fact.row["suspension_id"], ())
        yield from _of_numbers(teller, numbers, kind, fact)

    return about


def _about_hold(teller: _Teller, fact: Fact) -> Iterator[_About]:
    if fact.row["scope"] == "statement":
        yield from _of_numbers(teller, [fact.row["subject"]], "hold", fact)
    else:
        yield from _of_payer(teller, fact.row["subject"], "hold", fact)


def _about_promise(teller: _Teller, fact: Fact) -> Iterator[_About]:
    yield from _of_payer(teller, fact.row["payer_id"], "promise", fact)


def _of_payer(teller: _Teller, payer: str, kind: str, fact: Fact) -> Iterator[_About]:
    numbers = [
        one.number for one in teller.of_payer.get(payer, ()) if teller.is_open(one, fact.seq)
    ]
    yield from _of_numbers(teller, numbers, kind, fact)


def _about_dispute(teller: _Teller, fact: Fact) -> Iterator[_About]:
    yield from _of_numbers(teller, [fact.row["subject"]], "dispute", fact)


def _about_charge_dispute(teller: _Teller, fact: Fact) -> Iterator[_About]:
    """A line or event is disputed of the statements that have it."""
    yield from _of_numbers(teller, teller.disputed.get(fact.row["subject"], []), "dispute", fact)


def _about_exception(_: _Teller, fact: Fact) -> Iterator[_About]:
    words = WORDS[fact.table](fact.row)
    yield _About("exception", words, None, None, exception_id=fact.row["exception_id"])


# --- what facts say ---


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


def _issued(row: Row, lines: int | None = None) -> str:
    counted = "" if lines is None else f"{lines} line{'s' * (lines != 1)}, "
    return (
        f"issued as {row['statement_number']}, {counted}{_money(row, 'total')}, "
        f"dated {row['issue_date']}, due {row['due_date']} (book {row['book_version']}, "
        f"code {row['code_version']}, lines {row['content_hash'][:12]})"
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
    reference = f", reference {row['reference']}" if row["reference"] else ""
    return (
        f"payment of {_money(row, 'amount')} on {row['paid_on']} is {row['status']} "
        f"({row['payment_id']}{reference})"
    )


def _matched(row: Row) -> str:
    words = {
        "confirmed": "confirmed by",
        "explained": "is what Xero shows as payment",
        "rejected": "is not for it, says",
        "released": "released by",
    }[row["state"]]
    who = row["payment_id"] if row["state"] == "explained" else row["by"]
    amount = f"{_money(row, 'amount')} of " if row["amount"] else ""
    return (
        f"{amount}bank line {row['line_id']} ({row['line_words']}): {words} {who}: {row['reason']}"
    )


def _reminded(row: Row) -> str:
    return f"reminder {row['stage']} of policy {row['policy_id']}"


def _delivered(row: Row) -> str:
    if row["channel"] == "bounce":
        return f"message to {row['recipient']} came back undelivered"
    return f"message to {row['recipient']} by {row['channel']}: {row['status']}"


def _suspended(row: Row) -> str:
    return (
        f"suspension {row['suspension_id']}: {row['machines']} "
        f"machine{'s' * (row['machines'] != 1)} of {row['payer_id']} to be paused, {row['reason']} "
        f"({row['by']})"
    )


def _resumed(row: Row) -> str:
    return f"suspension {row['suspension_id']} is over: {row['reason']} ({row['by']})"


def _machine_seen(row: Row) -> str:
    detail = f": {row['detail']}" if row["detail"] else ""
    return f"machine {row['machine_id']} at {row['site_id']} is {row['state']}{detail}"


def _held(row: Row) -> str:
    state = "held" if row["active"] else "hold released"
    return f"{row['scope']} {row['subject']} {state} by {row['by']}: {row['reason']}"


def _promised(row: Row) -> str:
    return (
        f"{row['payer_id']} promises to pay by {row['until_date']} ({row['by']}: {row['reason']})"
    )


def _disputed(row: Row) -> str:
    state = "disputed" if row["state"] == "open" else "dispute resolved"
    return f"{row['subject']} {state} by {row['by']}: {row['reason']}"


def _charge_disputed(row: Row) -> str:
    state = "disputed" if row["state"] == "open" else f"dispute {row['state']}"
    return f"{row['scope']} {row['subject']}: {state} by {row['by']}: {row['reason']}"


def _settled(row: Row) -> str:
    state = {"ack": "acknowledged", "resolve": "resolved"}[row["action"]]
    return f"exception {row['exception_id']} {state} by {row['by']}: {row['reason']}"


WORDS: Final[dict[str, Callable[[Row], str]]] = {
    "close_decisions": _decided,
    "approvals": _approved,
    "issued_statements": _issued,
    "intents": _intended,
    "outcomes": _came_out,
    "documents": _observed,
    "payments": _paid,
    "bank_matches": _matched,
    "reminders": _reminded,
    "deliveries": _delivered,
    "suspensions": _suspended,
    "resumptions": _resumed,
    "machine_states": _machine_seen,
    "holds": _held,
    "promises": _promised,
    "disputes": _disputed,
    "charge_disputes": _charge_disputed,
    "exception_actions": _settled,
}
_PAYER_KINDS: Final = {"holds": "hold", "promises": "promise"}
_ABOUT: Final[dict[str, Callable[[_Teller, Fact], Iterator[_About]]]] = {
    "close_decisions": _named("closed"),
    "approvals": _named("approved"),
    "issued_statements": _about_issue,
    "intents": _about_intent,
    "outcomes": _about_outcome,
    "documents": _numbered("document"),
    "payments": _numbered("payment"),
    "bank_matches": _numbered("bank"),
    "reminders": _numbered("reminder"),
    "deliveries": _about_delivery,
    "suspensions": _about_suspension("suspended"),
    "resumptions": _about_suspension("resumed"),
    "machine_states": _about_suspension("machine"),
    "holds": _about_hold,
    "promises": _about_promise,
    "disputes": _about_dispute,
    "charge_disputes": _about_charge_dispute,
    "exception_actions": _about_exception,
}
NOT_TOLD: Final = frozenset(
    {
        *("issued_lines", "issued_inputs", "series_advances", "poll_cursors"),
        *("restores", "reconciliations", "lost_statements", "payer_credits"),
        *("bank_statements", "bank_lines", "bank_sightings", "bank_payments"),
        *("bank_dismissals", "suspended_machines", "suspension_approvals"),
        *("webhook_endpoints", "webhook_events", "webhook_deliveries", "webhook_attempts"),
        "webhook_scans",
    }
)
"""Fact tables without events of their own."""
