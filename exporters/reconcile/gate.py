"""Asked before anything is sent: whether the ledger is the newest there ever was, as far as it, the
published marts and the kept ones tell."""

from __future__ import annotations

from pathlib import Path

from exporters.ledger import Ledger, restored
from exporters.reconcile.kept import heads_in_marts


def why_not_reconciled(ledger: Ledger, marts_path: Path) -> str | None:
    """Why nothing may be sent, in words; None if all may."""
    known = heads_in_marts(marts_path)
    with ledger.snapshot() as reader:
        return restored.why_not_reconciled(reader, known)


def require_reconciled(ledger: Ledger, marts_path: Path) -> None:
    """Raise NotReconciledError, saying why, unless the ledger may be acted on."""
    known = heads_in_marts(marts_path)
    with ledger.snapshot() as reader:
        restored.require_reconciled(reader, known)
