"""How a domain report travels: as JSON in a materialization's metadata, with its words for people.

The terminal prints what Dagster recorded, so both show the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg


def materialized(
    data: Mapping[str, Any],
    *,
    words: Iterable[str],
    exit_code: int,
    checks: Sequence[dg.AssetCheckResult] = (),
) -> dg.MaterializeResult:
    """A materialization that carries a report: its data, its words, what it asks of people, and
    what the asset's checks found."""
    lines = list(words)
    return dg.MaterializeResult(
        metadata={
            "summary": dg.MetadataValue.md("\n".join(f"- {line}" for line in lines) or "nothing"),
            "exit_code": exit_code,
            "report": dg.MetadataValue.json(
                {**data, "words": lines, "exit_code": exit_code},
            ),
        },
        check_results=checks,
    )
