"""Reconciling: what is known elsewhere of the time that a restored ledger lost is compared with it,
step by step, and written down as facts; then acting is allowed again.

A step looks first (at files, at Xero: outside any transaction), then says what the ledger lacks.
What is read from published marts and the outbox is `marts` and `outbox`; reading Xero is a step
that the caller gives (`exporters.xero.reading_back`); without a connection to Xero there is none,
and `XeroNotCompared` lets nothing be sent from a ledger that ever used it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from sqlalchemy import or_, select

from exporters.ledger import KnownHead, Ledger, Reader, Transaction, restored, tables
from exporters.ledger.actions import ActionError, who_and_why
from exporters.ledger.copies import in_words
from exporters.ledger.types import jsonable
from exporters.reconcile.kept import all_marts, heads_in_marts, keep_marts
from exporters.reconcile.marts import MartsStep
from exporters.reconcile.outbox import OutboxStep
from exporters.reconcile.settling import Settlement

COMPARED: Final = "compared"
NEVER_USED: Final = "never_used"
NOT_COMPARED: Final = "not_compared"


class Step(Protocol):
    """One thing that a restored ledger is compared with."""

    name: str

    def look(self) -> None:
        """Read what is outside; takes its time, makes outside calls, changes nothing."""

    def settle(self, reader: Reader) -> Settlement:
        """What the ledger, as `reader` sees it, lacks of what was seen; quick."""


class XeroStep(Step, Protocol):
    """The step that reads Xero: `state` is `compared`, `never_used` or `not_compared` once it has
    settled."""

    state: str


class XeroNotCompared:
    """In the place of a step that reads Xero. A ledger that never used Xero needs none."""

    name = "Xero"

    def __init__(self, marts_path: Path) -> None:
        self._marts = MartsStep(marts_path)
        self.state = NOT_COMPARED

    def look(self) -> None:
        self._marts.look()

    def settle(self, reader: Reader) -> Settlement:
        if not (_used_xero(reader) or self._marts.saw_xero):
            self.state = NEVER_USED
            return Settlement(words=("this ledger never published anything to Xero",))
        self.state = NOT_COMPARED
        return Settlement(
            open=(
                "Xero was not compared: this ledger has published to it, and no connection is set. "
                "--apply stays refused: set M2C_XERO_CLIENT_ID and the other M2C_XERO_ variables, "
                "or put the newest ledger back (m2c ledger restore)",
            )
        )


def _used_xero(reader: Reader) -> bool:
    intents, documents = tables.intents, tables.documents
    published = reader.first(
        select(intents.c.id).where(intents.c.kind.startswith("xero.", autoescape=True))
    )
    return published is not None or reader.first(select(documents.c.id)) is not None


@dataclass(frozen=True, kw_only=True)
class Reconciliation:
    """What came of it. `restored`: what was put back, in words, None if nothing was. `complete`:
    acting is allowed. `recorded`: facts written (to be written, in a dry run), by table. `open`:
    what is in the way; `to_settle`: what a person should look at, though it is not."""

    restored: str | None
    complete: bool
    dry_run: bool
    xero: str
    steps: tuple[tuple[str, Settlement], ...] = ()
    recorded: dict[str, int] = field(default_factory=dict)
    open: tuple[str, ...] = ()
    to_settle: tuple[str, ...] = ()

    @property
    def needs_person(self) -> bool:
        """Whether something is in the way, or should be looked at."""
        return bool(self.open or self.to_settle) or not self.complete

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        plain: dict[str, Any] = jsonable(
            {
                **asdict(self),
                "steps": [{"step": name, **asdict(found)} for name, found in self.steps],
            }
        )
        for step in plain["steps"]:
            step["facts"] = len(step["facts"])
        return plain | {"needs_person": self.needs_person}

    def describe(self) -> list[str]:
        """The run in words."""
        if self.restored is None and not self.open:
            return ["nothing was put back to an older copy: there is nothing to reconcile"]
        lines = [self.restored or "the ledger"]
        for name, found in self.steps:
            said = found.words or (() if found.open else ("nothing is missing",))
            lines += [f"  {name}: {words}" for words in said]
        if self.recorded:
            told = ", ".join(f"{count} of {name}" for name, count in self.recorded.items())
            lines.append(f"{'would write' if self.dry_run else 'wrote'} to the ledger: {told}")
        lines += [f"in the way: {words}" for words in self.open]
        lines += [f"for a person: {words}" for words in self.to_settle]
        if self.complete:
            done = "reconciled: --apply may be used"
            lines.append("would be reconciled" if self.dry_run else done)
        else:
            lines.append("not reconciled: --apply stays refused")
        return lines


def reconcile(
    ledger: Ledger,
    marts_path: Path,
    *,
    outbox_dir: Path,
    known_heads: Iterable[KnownHead] = (),
    xero: XeroStep | None = None,
    dry_run: bool = False,
) -> Reconciliation:
    """Compare a restored ledger with what is known elsewhere, and write down what it lacks.

    marts_path: the published marts, beside which older ones may be kept. known_heads: heads from
    elsewhere (backups). Safe to run any number of times; a dry run writes nothing. Raises
    LedgerError.
    """
    heads = (*heads_in_marts(marts_path), *known_heads)
    with ledger.snapshot() as reader:
        restore = restored.open_restore(reader)
        lost = restored.lost_heads(reader, heads)
        faults = reader.verify()
    xero_step: XeroStep = xero or XeroNotCompared(marts_path)
    if faults:
        return Reconciliation(
            restored=_restored_words(restore, lost),
            complete=False,
            dry_run=dry_run,
            xero=NOT_COMPARED,
            open=(f"the ledger itself does not verify: {in_words(faults)}",),
        )
    if restore is None and not lost:
        return Reconciliation(restored=None, complete=True, dry_run=dry_run, xero=NEVER_USED)
    if not dry_run:
        keep_marts(marts_path)
    steps: list[Step] = [
        MartsStep(marts_path),
        OutboxStep(outbox_dir, all_marts(marts_path)),
        xero_step,
    ]
    for step in steps:
        step.look()
    opened: AbstractContextManager[Reader] = ledger.snapshot() if dry_run else ledger.transaction()
    with opened as state:
        if restore is None and isinstance(state, Transaction):
            restored.note_replaced(state, lost, found_by="m2c reconcile")
            restore = restored.open_restore(state)
        settled, recorded = _settle(steps, state)
        in_the_way = tuple(words for _, found in settled for words in found.open)
        outcome = Reconciliation(
            restored=_restored_words(restore, lost),
            complete=not in_the_way,
            dry_run=dry_run,
            xero=xero_step.state,
            steps=settled,
            recorded=recorded,
            open=in_the_way,
            to_settle=_lost_in_words(state),
        )
        if isinstance(state, Transaction):
            _record(state, outcome, restore, lost)
    return outcome


def _settle(
    steps: Sequence[Step], state: Reader
) -> tuple[tuple[tuple[str, Settlement], ...], dict[str, int]]:
    settled: list[tuple[str, Settlement]] = []
    recorded: dict[str, int] = {}
    for step in steps:
        found = step.settle(state)
        settled.append((step.name, found))
        for table, values in found.facts:
            recorded[table] = recorded.get(table, 0) + 1
            if isinstance(state, Transaction):
                state.record(table, **values)
    return tuple(settled), recorded


def _record(
    tx: Transaction,
    outcome: Reconciliation,
    restore: dict[str, Any] | None,
    lost: Sequence[KnownHead],
) -> None:
    heads = {head.hash for head in lost}
    if restore is not None and restore["replaced_head"]:
        heads.add(restore["replaced_head"])
    row = {
        "restore_id": 0 if restore is None else restore["id"],
        "complete": outcome.complete,
        "xero": outcome.xero,
        "heads": sorted(heads),
        "findings": outcome.describe(),
    }
    table = tables.reconciliations
    last = tx.first(select(table).order_by(table.c.id.desc()))
    same = ("restore_id", "complete", "xero")
    asked_again = last is not None and all(last[name] == row[name] for name in same)
    if outcome.complete or outcome.recorded or not asked_again:
        tx.record(table, **row)


def _restored_words(restore: dict[str, Any] | None, lost: Sequence[KnownHead]) -> str | None:
    if restore is not None:
        beyond = restore["replaced_facts"]
        more = f", in the place of one of {beyond} facts" if beyond is not None else ""
        return (
            f"put back on {restore['at']:%Y-%m-%d %H:%M} UTC: a copy of {restore['copy_facts']} "
            f"facts ({restore['source']}){more}"
        )
    if lost:
        return f"an older copy, or another ledger, than {lost[0].source} knows"
    return None


def _lost_in_words(reader: Reader) -> tuple[str, ...]:
    return tuple(
        f"{row['statement_id']} was issued as {row['statement_number']} "
        f"({row['currency']} {row['total']}), and the ledger has lost it. It is not issued again "
        f"unless you say so: m2c reconcile --issue-again {row['statement_id']} --by … --reason …"
        for row in _newest_lost(reader)
        if row["state"] == "lost"
    )


def _newest_lost(reader: Reader) -> list[dict[str, Any]]:
    table = tables.lost_statements
    newest = {row["statement_id"]: row for row in reader.query(select(table).order_by(table.c.id))}
    return [newest[name] for name in sorted(newest)]


def issue_again(ledger: Ledger, statement: str, *, by: str, reason: str) -> dict[str, Any]:
    """Let a statement go out under a new number whose issue a restore lost; it may be named by id
    or by the number that it had. Returns what was recorded.

    Raises ActionError if no such statement is lost, or for an empty name or reason.
    """
    by, reason = who_and_why(by, reason)
    table = tables.lost_statements
    with ledger.transaction() as tx:
        row = tx.first(
            select(table)
            .where(or_(table.c.statement_id == statement, table.c.statement_number == statement))
            .order_by(table.c.id.desc())
        )
        if row is None:
            raise ActionError(f"no lost statement {statement!r}; m2c reconcile names them")
        copied = ("statement_id", "statement_number", "period", "payer_id", "total", "currency")
        values = {name: row[name] for name in copied} | {
            "state": "issue_again",
            "by": by,
            "reason": reason,
        }
        if row["state"] != "issue_again":
            tx.record(table, **values)
    return values
