"""The ledger: what was decided, approved, issued, sent, answered, paid and promised. It is the only
store that cannot be derived from anything else, so facts are only ever added. Start at `store`."""

from exporters.ledger import tables
from exporters.ledger.chain import ChainFault, ChainHead, KnownHead
from exporters.ledger.errors import AlreadyRecorded, AppendOnlyError, LedgerError
from exporters.ledger.store import Actor, Intent, Ledger, Reader, Transaction

__all__ = [
    "Actor",
    "AlreadyRecorded",
    "AppendOnlyError",
    "ChainFault",
    "ChainHead",
    "Intent",
    "KnownHead",
    "Ledger",
    "LedgerError",
    "Reader",
    "Transaction",
    "tables",
]
