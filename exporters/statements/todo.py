"""What a person does next about a month, the most urgent first: in words, with the commands to type
as they stand. Nothing is decided here."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from exporters.close.completeness import IncompleteSite
from exporters.statements.formats import first_day, last_day
from exporters.statements.review_facts import (
    APPROVED,
    BLOCKED,
    ISSUED,
    RUNNING,
    UNCLOSED,
    WAITING,
    ReviewFacts,
    Row,
)
from exporters.statements.text import one_line

_WHO = '--by "YOUR NAME" --reason "WHY"'


@dataclass(frozen=True)
class Step:
    """Something to do. urgency: `stop` (nothing goes out before it), `wait` (a person decides) or
    `go` (nothing stands in the way)."""

    urgency: str
    what: str
    commands: Sequence[str] = ()


def next_steps(facts: ReviewFacts) -> list[Step]:
    """The steps of a month from where it stands."""
    period = facts.period
    blocked, waiting = facts.standing_at(BLOCKED), facts.standing_at(WAITING)
    running, approved = facts.standing_at(RUNNING), facts.standing_at(APPROVED)
    issued = facts.standing_at(ISSUED)
    steps: list[Step] = []
    if blocked:
        steps.append(
            Step(
                "stop",
                f"{_count(blocked, 'statement')} blocked: mend what is named below (the data or "
                "the book), then close again. The others go out without waiting.",
                (f"m2c exceptions --period {period}", f"m2c close {period}"),
            )
        )
    if facts.book_lacks:
        steps.append(
            Step(
                "stop",
                f"The book lacks {_count(facts.book_lacks, 'thing')} that an invoice needs "
                "(below): fill in, then check it.",
                ("m2c book check",),
            )
        )
    if facts.incomplete:
        steps.append(
            Step(
                "wait",
                f"{_count(facts.incomplete, 'site')} with missing readings: read again what the "
                "site may still have, then close again.",
                (*(land_command(site, period) for site in facts.incomplete), f"m2c close {period}"),
            )
        )
    if waiting:
        steps.append(
            Step(
                "wait",
                f"{_count(waiting, 'statement')} waiting for an approval: look at the preview, "
                "then approve; the commands stand beside each below.",
                (approve_command(waiting[0]),),
            )
        )
    unclosed = facts.standing_at(UNCLOSED)
    if unclosed:
        steps.append(
            Step(
                "wait",
                f"{_count(unclosed, 'statement')} within the rules: the close approves.",
                (f"m2c close {period}",),
            )
        )
    warnings = [
        row for row in facts.exceptions if row["status"] == "open" and row["severity"] == "warning"
    ]
    if warnings and not blocked and len(issued) < len(facts.statements):
        steps.append(
            Step(
                "go",
                f"{_count(warnings, 'warning')} open, which hold nothing back: read them below "
                "before you issue, and acknowledge what is known.",
                (f"m2c exceptions --period {period}",),
            )
        )
    if running:
        steps.append(
            Step(
                "go",
                f"The month is still running for {_count(running, 'statement')}; close it when it "
                "is over. A dry run shows any day how it would come out.",
                (f"m2c close {period} --dry-run",),
            )
        )
    if approved:
        steps.append(
            Step(
                "go",
                f"{_count(approved, 'statement')} approved and ready: issue freezes them under "
                "their numbers; what waits can follow later.",
                (f"m2c issue {period}",),
            )
        )
    if issued and len(issued) == len(facts.statements):
        steps.append(
            Step(
                "go",
                "Everything is issued. Publishing shows its plan first and acts with --apply; what "
                "is in Xero already stays as it is.",
                (f"m2c publish {period}", f"m2c publish {period} --apply"),
            )
        )
    return steps


def approve_command(row: Row) -> str:
    return f"m2c approve {shlex.quote(one_line(row['statement_id']))} {_WHO}"


def lines_command(row: Row) -> str:
    return f"m2c statements {shlex.quote(one_line(row['statement_id']))}"


def exception_command(row: Row) -> str:
    return f"m2c exception ack {shlex.quote(one_line(row['exception_id']))} {_WHO}"


def land_command(site: IncompleteSite, period: str) -> str:
    """Reads again the days without anything, the whole month if none is quite empty."""
    days = site.unmeasured_days
    first, last = (days[0], days[-1]) if days else (first_day(period), last_day(period))
    return f"m2c land --site {shlex.quote(one_line(site.site_id))} --from {first} --to {last}"


def _count(things: Sequence[object], noun: str) -> str:
    return f"1 {noun}" if len(things) == 1 else f"{len(things):,} {noun}s"
