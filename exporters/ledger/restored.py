"""Whether a ledger was put back to an older copy and what was sent since is not known to it. Then
nothing may be sent, reminded or numbered until `m2c reconcile` has compared it with the world: the
same invoice could go out twice. How it compares is not decided here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import select

from exporters.ledger import tables
from exporters.ledger.chain import KnownHead
from exporters.ledger.errors import NotReconciledError
from exporters.ledger.store import Reader, Transaction

RECONCILE = "run m2c reconcile"


def open_restore(reader: Reader) -> dict[str, Any] | None:
    """The newest restore that no complete reconciliation covers, None if there is none."""
    restores, done = tables.restores, tables.reconciliations
    newest = reader.first(select(restores).order_by(restores.c.id.desc()))
    if newest is None:
        return None
    covered = reader.scalar(
        select(done.c.restore_id)
        .where(done.c.complete, done.c.restore_id >= newest["id"])
        .order_by(done.c.id.desc())
    )
    return newest if covered is None else None


def accounted_heads(reader: Reader) -> frozenset[str]:
    """Heads that this ledger lost, and that a complete reconciliation knew of."""
    done = tables.reconciliations
    return frozenset(
        head
        for row in reader.query(select(done.c.heads).where(done.c.complete))
        for head in json.loads(row["heads"])
    )


def lost_heads(reader: Reader, known: Iterable[KnownHead]) -> tuple[KnownHead, ...]:
    """Those of the heads known elsewhere that the ledger does not hold and nobody accounted for."""
    missing = [head for head in known if not reader.holds(head.hash)]
    if not missing:
        return ()
    accounted = accounted_heads(reader)
    return tuple(head for head in missing if head.hash not in accounted)


def note_replaced(tx: Transaction, lost: Sequence[KnownHead], *, found_by: str) -> bool:
    """Write down that the ledger is not the newest there ever was, found by a head that it lost;
    whether that was new. It may have been put back by hand, which leaves no other trace."""
    known = open_restore(tx)
    if not lost or (known is not None and known["replaced_head"] == lost[-1].hash):
        return False
    head = tx.head()
    tx.record(
        tables.restores,
        source=f"found by {found_by}: {lost[-1].source} knows a newer ledger, or another",
        copy_facts=head.facts,
        copy_head=head.hash,
        replaced_head=lost[-1].hash,
    )
    return True


def lost_statement(reader: Reader, statement_id: str) -> dict[str, Any] | None:
    """The statement as it was issued once, if a restore lost that and nobody said that it may be
    issued again."""
    table = tables.lost_statements
    newest = reader.first(
        select(table).where(table.c.statement_id == statement_id).order_by(table.c.id.desc())
    )
    return newest if newest is not None and newest["state"] == "lost" else None


def why_not_reconciled(reader: Reader, known: Iterable[KnownHead] = ()) -> str | None:
    """Why nothing may be sent from this ledger, in words; None if all may. `known` are heads that
    were seen elsewhere (published marts)."""
    restore = open_restore(reader)
    if restore is not None:
        return (
            f"the ledger was put back to an older copy on {restore['at']:%Y-%m-%d %H:%M} UTC "
            f"({restore['source']}) and was not reconciled since. What was sent after that copy "
            f"was made is not in it and could go out twice: {RECONCILE} first"
        )
    lost = lost_heads(reader, known)
    if lost:
        return (
            f"{lost[0].source} says that the ledger's head was {lost[0].hash[:12]}… once, which "
            "this ledger never had: it is another ledger or an older copy, and what was sent since "
            f"could go out twice. Put the right one back, or {RECONCILE} first"
        )
    return None


def require_reconciled(reader: Reader, known: Iterable[KnownHead] = ()) -> None:
    """Raise NotReconciledError, saying why, unless the ledger may be acted on."""
    why = why_not_reconciled(reader, known)
    if why is not None:
        raise NotReconciledError(why)
