"""Evidence of a statement: a folder from which anybody recomputes its total from the landed
readings with DuckDB alone.

The folder holds what the statement depends on as Parquet, the rules as SQL in numbered steps, a
README and a manifest of hashes. The SQL is a second, independent way to the amounts: it shares
nothing with the warehouse but the rules. Nothing is billed by it, and what it does not
recompute is said in the README.
"""

from exporters.statements.evidence.folder import Book, evidence
from exporters.statements.evidence.model import Evidence, EvidenceError

__all__ = ["Book", "Evidence", "EvidenceError", "evidence"]
