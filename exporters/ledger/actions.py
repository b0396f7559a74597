"""What people tell the ledger about money that is owed, and about exceptions: holds, promises,
acknowledgements. Disputes are in `exporters.disputes`. Each is a fact with who and why. Statements
may be named by number or by statement_id and are kept by number; saying again what holds already
writes nothing."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import date
from difflib import get_close_matches
from typing import Any, Final

from sqlalchemy import Table, or_, select

from exporters.ledger import tables
from exporters.ledger.errors import LedgerError
from exporters.ledger.store import Ledger, Reader, Transaction
from exporters.ledger.types import jsonable

PAYER: Final = "payer"
STATEMENT: Final = "statement"


class ActionError(LedgerError):
    """Wrong use: an unknown subject, an empty name or reason, nothing there to release."""


@dataclass(frozen=True)
class ActionReport:
    """What was said and whether it was new (`recorded`)."""

    action: str
    subject: str
    by: str
    reason: str
    recorded: bool

    @property
    def needs_person(self) -> bool:
        """Never: somebody was here just now."""
        return False

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        plain: dict[str, Any] = jsonable(asdict(self))
        return plain

    def describe(self) -> list[str]:
        """The action in words."""
        already = "" if self.recorded else " (was so already)"
        return [f"{self.subject}: {self.action}{already}, by {self.by}: {self.reason}"]


def hold(
    ledger: Ledger,
    *,
    scope: str,
    subject: str,
    by: str,
    reason: str,
    known_payers: Collection[str] | None = None,
) -> ActionReport:
    """Stop reminders for a payer or a statement until released.

    scope: `payer` (subject is a payer_id) or `statement` (number or statement_id of an issued one).
    known_payers: payer_ids of the book; without them any payer_id is taken.
    """
    return _set_hold(ledger, True, scope, subject, by, reason, known_payers)


def release(
    ledger: Ledger,
    *,
    scope: str,
    subject: str,
    by: str,
    reason: str,
    known_payers: Collection[str] | None = None,
) -> ActionReport:
    """End a hold. Raises ActionError if there never was one."""
    return _set_hold(ledger, False, scope, subject, by, reason, known_payers)


def promise(
    ledger: Ledger,
    *,
    payer_id: str,
    until: date,
    by: str,
    reason: str,
    today: date,
    known_payers: Collection[str] | None = None,
) -> ActionReport:
    """A payer promised to pay by a date; the newest promise counts. Raises ActionError for a date
    before `today`."""
    by, reason = who_and_why(by, reason)
    _known_payer(payer_id, known_payers)
    if until < today:
        raise ActionError(f"{payer_id} cannot promise to pay by {until}: that is before {today}")
    with ledger.transaction() as tx:
        last = newest(tx, tables.promises, payer_id=payer_id)
        recorded = last is None or (last["until_date"], last["reason"]) != (until, reason)
        if recorded:
            tx.record(tables.promises, payer_id=payer_id, until_date=until, by=by, reason=reason)
    return ActionReport(f"promises to pay by {until}", payer_id, by, reason, recorded)


def acknowledge_exception(
    ledger: Ledger,
    *,
    exception_id: str,
    by: str,
    reason: str,
    known: Collection[str] | None = None,
) -> ActionReport:
    """Somebody has seen an exception of the queue and answers for it; it goes on blocking if it
    blocks. known: exception_ids of the marts; without them any id is taken."""
    return _act_on_exception(ledger, "ack", exception_id, by, reason, known)


def resolve_exception(
    ledger: Ledger,
    *,
    exception_id: str,
    by: str,
    reason: str,
    known: Collection[str] | None = None,
) -> ActionReport:
    """Somebody declares an exception settled."""
    return _act_on_exception(ledger, "resolve", exception_id, by, reason, known)


def issued_statement(reader: Reader, named: str) -> dict[str, Any] | None:
    """The issued statement of a number or statement_id, None if there is none."""
    table = tables.issued_statements
    return reader.first(
        select(table).where(or_(table.c.statement_number == named, table.c.statement_id == named))
    )


def find_statement(reader: Reader, named: str) -> dict[str, Any]:
    """The issued statement of a number or statement_id. Raises ActionError naming near ones."""
    found = issued_statement(reader, named)
    if found is not None:
        return found
    table = tables.issued_statements
    known = [
        name
        for row in reader.query(select(table.c.statement_number, table.c.statement_id))
        for name in row.values()
    ]
    raise ActionError(f"no issued statement {named!r}{near(named, known)}")


def _set_hold(
    ledger: Ledger,
    active: bool,
    scope: str,
    subject: str,
    by: str,
    reason: str,
    known_payers: Collection[str] | None,
) -> ActionReport:
    by, reason = who_and_why(by, reason)
    if scope not in {PAYER, STATEMENT}:
        raise ActionError(f"a hold is on a payer or a statement, not on a {scope!r}")
    if scope == PAYER:
        _known_payer(subject, known_payers)
    with ledger.transaction() as tx:
        if scope == STATEMENT:
            subject = find_statement(tx, subject)["statement_number"]
        last = newest(tx, tables.holds, scope=scope, subject=subject)
        if last is None and not active:
            raise ActionError(f"there is no hold on {scope} {subject} to release")
        recorded = last is None or last["active"] != active
        if recorded:
            tx.record(
                tables.holds, scope=scope, subject=subject, active=active, reason=reason, by=by
            )
    return ActionReport("held" if active else "released", subject, by, reason, recorded)


def _act_on_exception(
    ledger: Ledger,
    action: str,
    exception_id: str,
    by: str,
    reason: str,
    known: Collection[str] | None,
) -> ActionReport:
    by, reason = who_and_why(by, reason)
    if not exception_id.strip() or (known is not None and exception_id not in known):
        raise ActionError(f"no exception {exception_id!r}{near(exception_id, known or ())}")
    with ledger.transaction() as tx:
        last = newest(tx, tables.exception_actions, exception_id=exception_id)
        recorded = last is None or (last["action"], last["reason"]) != (action, reason)
        if recorded:
            tx.record(
                tables.exception_actions,
                exception_id=exception_id,
                action=action,
                by=by,
                reason=reason,
            )
    words = "acknowledged" if action == "ack" else "resolved"
    return ActionReport(words, exception_id, by, reason, recorded)


def newest(tx: Transaction, table: Table, **subject: str) -> dict[str, Any] | None:
    """The newest fact about a subject, given by its columns."""
    matches = (table.c[name] == value for name, value in subject.items())
    return tx.first(select(table).where(*matches).order_by(table.c.id.desc()))


def who_and_why(by: str, reason: str) -> tuple[str, str]:
    """Name and reason without the space around them; ActionError if one is empty."""
    if not by.strip() or not reason.strip():
        raise ActionError("say who (--by) and why (--reason)")
    return by.strip(), reason.strip()


def _known_payer(payer_id: str, known: Collection[str] | None) -> None:
    if not payer_id.strip() or (known is not None and payer_id not in known):
        raise ActionError(f"no payer {payer_id!r}{near(payer_id, known or ())}")


def near(named: str, known: Collection[str]) -> str:
    """The end of an error about an unknown name: those that are nearly it."""
    found = get_close_matches(named, list(known), n=3)
    return f"; did you mean {', '.join(found)}?" if found else ""
