"""What can go wrong between a caller and the ledger."""

from __future__ import annotations


class LedgerError(Exception):
    """The ledger cannot do what was asked; the message says why and what to do."""


class AlreadyRecorded(LedgerError):  # noqa: N818 - an answer more often than a fault
    """A fact that can be there only once is there already (a number, a stage, an approval)."""


class AppendOnlyError(LedgerError):
    """Something tried to change or remove a fact."""


class SpoiledCopyError(LedgerError):
    """A copy of a ledger is missing, altered or cut; nothing was done with it."""


class NewerFactsError(LedgerError):
    """A copy would take the place of a ledger that holds facts which the copy has not."""


class NotReconciledError(LedgerError):
    """The ledger was put back to an older copy, and what was sent since is not known to it."""


class StorageError(LedgerError):
    """The ledger's file or server cannot be written or reached: a full or read-only disk, say."""
