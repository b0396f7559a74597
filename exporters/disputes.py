"""Disputes of a statement, of one of its lines, or of a charge event: who said so and why, and how
it was decided. Here a name that somebody types becomes a fact of the ledger about the right
subject; what a dispute does to lines is in the models, to reminders in `collections`.

A line under an open dispute is not asked for: one that is not issued stays off its statement, of an
issued one nothing chases the statement, and no correction of it is billed. Upheld, it is not owed:
it goes, or what was issued of it is taken back. Rejected, it is billed as it is. A charge event
with a line of its own is disputed as that line; another one as an event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Table, select

from exporters.ledger import Ledger, Reader, Transaction, tables
from exporters.ledger.actions import (
    ActionError,
    ActionReport,
    issued_statement,
    near,
    newest,
    who_and_why,
)
from exporters.marts import Marts

LINE: Final = "line"
EVENT: Final = "event"
STATEMENT: Final = "statement"
ADJUSTMENT: Final = "adj/"


@dataclass(frozen=True)
class Subject:
    """What is disputed. scope: `statement`, `line` or `event`; name: number, line_key or
    event_id; statement_number: of the issued statement that the line is on."""

    scope: str
    name: str
    statement_number: str | None = None


def find_subject(marts: Marts, reader: Reader, named: str) -> Subject:
    """What a name means: a statement (number or statement_id), a line_key, or an event_id.

    Raises ActionError, with names that are nearly it, if it is none of these.
    """
    statement = issued_statement(reader, named)
    if statement is not None:
        return Subject(STATEMENT, statement["statement_number"], statement["statement_number"])
    line = _line(marts, reader, named) or _line_of_event(marts, reader, named)
    if line is not None:
        return line
    events = {
        row["event_id"]
        for row in marts.rows(
            "select event_id from line_events union "
            "select event_id from billing_exceptions where event_id is not null union "
            "select subject from disputes where scope = 'event'"
        )
    }
    if named in events:
        return Subject(EVENT, named)
    keys = [row["line_key"] for row in marts.rows("select line_key from statement_lines")]
    raise ActionError(
        f"no issued statement, line or charge event {named!r}"
        f"{near(named, [*keys, *sorted(events)])}"
    )


def _line(marts: Marts, reader: Reader, named: str) -> Subject | None:
    lines = tables.issued_lines
    issued = reader.first(select(lines).where(lines.c.line_key == named))
    if issued is not None:
        return Subject(LINE, named, issued["statement_number"])
    known = marts.rows(
        "select line_key from statement_lines where line_key = $1 union "
        "select subject from disputes where scope = 'line' and subject = $1",
        [named],
    )
    return Subject(LINE, named) if known else None


def _line_of_event(marts: Marts, reader: Reader, event_id: str) -> Subject | None:
    """The line that bills this event alone, the original one where it was adjusted."""
    for row in marts.rows(
        "select line_key from statement_lines where charge_model = 'pass_through' and band = $1 "
        "and adjusts_period is null union "
        "select subject from disputes where scope = 'line' and event_id = $1 order by 1",
        [event_id],
    ):
        return _line(marts, reader, row["line_key"])
    return None


def open_dispute(
    ledger: Ledger, *, marts: Marts, subject: str, by: str, reason: str
) -> ActionReport:
    """The payer disputes a statement, a line or a charge event."""
    by, reason = who_and_why(by, reason)
    with ledger.transaction() as tx:
        found = find_subject(marts, tx, subject)
        if found.scope == STATEMENT:
            recorded = _say_of_statement(tx, found.name, "open", by, reason)
        else:
            recorded = _say_of_charge(tx, found, "open", by, reason)
            if recorded and found.statement_number is not None:
                _say_of_statement(tx, found.statement_number, "open", by, _because_of(found))
    return ActionReport(f"{_called(found)} disputed", found.name, by, reason, recorded)


def resolve_dispute(
    ledger: Ledger,
    *,
    marts: Marts,
    subject: str,
    outcome: str | None,
    by: str,
    reason: str,
) -> ActionReport:
    """Decide a dispute. outcome: `upheld` or `rejected`, needed for a line or an event; a whole
    statement is only released to be chased again.

    Raises ActionError if none was opened, or for an outcome that cannot be.
    """
    by, reason = who_and_why(by, reason)
    with ledger.transaction() as tx:
        found = find_subject(marts, tx, subject)
        if found.scope == STATEMENT:
            _refuse_upheld_whole(found, outcome)
            _require_opened(newest(tx, tables.disputes, subject=found.name), found)
            recorded = _say_of_statement(tx, found.name, "resolved", by, reason)
            return ActionReport("dispute resolved", found.name, by, reason, recorded)
        if outcome is None:
            raise ActionError(
                f"say how the dispute of {found.scope} {found.name} was decided: --upheld (it is "
                "not owed) or --rejected (it is)"
            )
        if outcome == "upheld" and found.name.startswith(ADJUSTMENT):
            raise ActionError(
                f"{found.name} is the difference between what was issued and what is right now: "
                "uphold the dispute of the line it adjusts, or give a credit in credits.csv"
            )
        last = newest(tx, tables.charge_disputes, scope=found.scope, subject=found.name)
        if last is None and found.scope == LINE:
            _require_opened(last, found)
        recorded = _say_of_charge(tx, found, outcome, by, reason)
        if recorded and found.statement_number is not None:
            _release_statement(tx, found, by, reason)
    return ActionReport(f"dispute {outcome}", found.name, by, reason, recorded)


def _say_of_statement(tx: Transaction, number: str, state: str, by: str, reason: str) -> bool:
    return _say(tx, tables.disputes, {"subject": number}, state, by, reason)


def _say_of_charge(tx: Transaction, found: Subject, state: str, by: str, reason: str) -> bool:
    about = {"scope": found.scope, "subject": found.name}
    return _say(tx, tables.charge_disputes, about, state, by, reason)


def _say(
    tx: Transaction, table: Table, about: dict[str, str], state: str, by: str, reason: str
) -> bool:
    """Whether that was new: saying again what holds already writes nothing."""
    last = newest(tx, table, **about)
    new = last is None or last["state"] != state
    if new:
        tx.record(table, **about, state=state, by=by, reason=reason)
    return new


def _release_statement(tx: Transaction, found: Subject, by: str, reason: str) -> None:
    """Let the statement be chased again, unless another line of it is disputed or somebody
    disputed it as a whole."""
    number = str(found.statement_number)
    last = newest(tx, tables.disputes, subject=number)
    if last is None or last["state"] != "open" or not last["reason"].startswith(_LINE_DISPUTED):
        return
    lines, current = tables.issued_lines, tables.current_charge_disputes
    still = tx.first(
        select(lines.c.line_key)
        .join(current, current.c.subject == lines.c.line_key)
        .where(lines.c.statement_number == number)
        .where(current.c.scope == LINE)
        .where(current.c.state == "open")
    )
    if still is None:
        _say_of_statement(tx, number, "resolved", by, f"{_because_of(found)} is decided: {reason}")


_LINE_DISPUTED: Final = "line "


def _because_of(found: Subject) -> str:
    return f"{_LINE_DISPUTED}{found.name}"


def _called(found: Subject) -> str:
    return found.scope if found.scope != STATEMENT else "whole statement"


def _refuse_upheld_whole(found: Subject, outcome: str | None) -> None:
    if outcome == "upheld":
        raise ActionError(
            f"{found.name} is a whole statement: open and uphold a dispute of the lines that are "
            "not owed, by their line_key"
        )


def _require_opened(last: dict[str, Any] | None, found: Subject) -> None:
    if last is None:
        raise ActionError(f"there is no dispute about {found.scope} {found.name} to resolve")
