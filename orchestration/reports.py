"""How a domain report travels: as JSON in a materialization's metadata, with its words for people.

The terminal prints what Dagster recorded, so both show the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import dagster as dg


class Report(Protocol):
    """What close, issue, publish, payments and reminders answer with."""

    @property
    def needs_person(self) -> bool: ...

    def as_dict(self) -> Mapping[str, Any]: ...

    def describe(self) -> Iterable[str]: ...


def materialized(report: Report, **metadata: Any) -> dg.MaterializeResult[None]:
    """A materialization that carries the report."""
    words = list(report.describe())
    return dg.MaterializeResult(
        metadata={
            "summary": dg.MetadataValue.md("\n".join(f"- {line}" for line in words) or "nothing"),
            "needs_person": report.needs_person,
            "report": dg.MetadataValue.json(
                {**report.as_dict(), "words": words, "needs_person": report.needs_person}
            ),
            **metadata,
        }
    )
