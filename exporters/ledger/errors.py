"""What can go wrong between a caller and the ledger."""

from __future__ import annotations


class LedgerError(Exception):
    """The ledger cannot do what was asked; the message says why and what to do."""


class AlreadyRecorded(LedgerError):  # noqa: N818 - an answer more often than a fault
    """A fact that can be there only once is there already (a number, a stage, an approval)."""


class AppendOnlyError(LedgerError):
    """Something tried to change or remove a fact."""
