"""What a run over returned mail found, for machines (`as_dict`) and people (`describe`)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from exporters.collections.bounces.matching import Outcome


@dataclass(frozen=True, kw_only=True)
class Found:
    """One mail: `recipients` are those whose mail came back according to it, and is new."""

    name: str
    outcome: Outcome
    words: str
    recipients: tuple[str, ...] = ()


@dataclass(kw_only=True)
class BouncesReport:
    """`applied` is False for a dry run, in which nothing is noted, moved or marked."""

    now: datetime
    applied: bool
    mails: list[Found] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """what could not be read, in words"""
    passed_over: int = 0
    """mails of a mailbox that are no reports and stay as they are"""

    @property
    def recipients(self) -> tuple[str, ...]:
        """Whose mail was newly found to have come back."""
        return tuple(dict.fromkeys(r for found in self.mails for r in found.recipients))

    @property
    def exit_code(self) -> int:
        """3 where mail could not be read, 1 where somebody must look or correct an address."""
        if self.problems:
            return 3
        return int(bool(self.recipients) or any(f.outcome is Outcome.LEFT for f in self.mails))

    def as_dict(self) -> dict[str, object]:
        return {
            "now": self.now.isoformat(),
            "applied": self.applied,
            "bounced": list(self.recipients),
            "mails": [
                {
                    "name": found.name,
                    "outcome": str(found.outcome),
                    "words": found.words,
                    "recipients": list(found.recipients),
                }
                for found in self.mails
            ],
            "passed_over": self.passed_over,
            "problems": list(self.problems),
        }

    def describe(self) -> list[str]:
        """The report in words, one finding a line."""
        labels = {
            Outcome.BOUNCED: "Came back" if self.applied else "Would note",
            Outcome.KNOWN: "Known",
            Outcome.HARMLESS: "Nothing to note",
            Outcome.LEFT: "Left for a person",
        }
        lines = [f"Cannot be read: {problem}" for problem in self.problems]
        for found in self.mails:
            lines.append(f"{labels[found.outcome]}: {found.name}: {found.words}")
            if found.outcome is Outcome.LEFT and found.recipients:
                lines.append(f"  of it noted: mail to {', '.join(found.recipients)} came back")
        if self.recipients:
            lines.append(
                f"Correct {', '.join(self.recipients)} (payers.csv, or dunning.yml for a copy);"
                " until then m2c remind holds back what would go there and tells who is responsible"
            )
        if self.passed_over:
            lines.append(f"{self.passed_over} unread mails are no reports and stay as they are")
        counts = Counter(found.outcome for found in self.mails)
        if not lines:
            lines = ["No mail came back."]
        elif not self.applied and counts[Outcome.BOUNCED]:
            lines.append("Nothing was noted or moved; add --apply to do so.")
        return lines
