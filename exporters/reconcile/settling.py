"""What a step of reconciling found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Settlement:
    """`facts`: what the ledger lacks, as (table, values). `words`: the same for people. `open`:
    what keeps acting refused."""

    words: tuple[str, ...] = ()
    facts: tuple[tuple[str, dict[str, Any]], ...] = ()
    open: tuple[str, ...] = ()
