"""What sending events reports, and how things stand: plain results with words for people and JSON
for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

from exporters.ledger.types import jsonable

_NAMED: Final = 5
_WHEN: Final = "%Y-%m-%d %H:%M:%S"


@dataclass(kw_only=True)
class EndpointReport:
    """One endpoint. waiting: owed to it, by type; next_at: when the earliest of them is due, None
    if at once; last_*: the newest attempt. blocked: why nothing is sent to it, for which a person
    is needed; problem: what else somebody has to look at; note: why nothing is sent as long as the
    book says so. Of this run: delivered, failed, gave_up (deliveries) and hung_up (whether it
    answered 410)."""

    endpoint_id: str
    url: str
    waiting: dict[str, int] = field(default_factory=dict)
    next_at: datetime | None = None
    delivered: int = 0
    failed: int = 0
    gave_up: int = 0
    hung_up: bool = False
    delivered_ever: int = 0
    given_up: list[dict[str, Any]] = field(default_factory=list)
    last_at: datetime | None = None
    last_status: str | None = None
    last_answer: str | None = None
    blocked: str | None = None
    problem: str | None = None
    note: str | None = None

    @property
    def needs_person(self) -> bool:
        """Whether somebody has to look at it."""
        return bool(self.blocked or self.problem or self.given_up)

    def describe(self) -> list[str]:
        """The endpoint in words."""
        waiting = sum(self.waiting.values())
        parts = []
        if self.delivered:
            parts.append(f"{self.delivered} delivered")
        if self.failed:
            parts.append(f"{self.failed} failed, tried again later")
        if waiting:
            due = f" (next at {self.next_at:{_WHEN}} UTC)" if self.next_at else ""
            parts.append(f"{waiting} waiting{due}: {counted(self.waiting)}")
        if self.delivered_ever and not self.delivered:
            parts.append(f"{self.delivered_ever} delivered so far")
        lines = [f"{self.endpoint_id} ({self.url}): {'; '.join(parts) or 'nothing waiting'}"]
        if self.last_at is not None and self.last_status != "delivered":
            lines.append(
                f"  last attempt {self.last_at:{_WHEN}} UTC: {self.last_status}"
                f" ({self.last_answer})"
            )
        lines += [f"  {words}" for words in (self.note, self.blocked, self.problem) if words]
        if self.given_up:
            lines.append(
                f"  {len(self.given_up)} given up; send them with m2c events replay --endpoint "
                f"{self.endpoint_id} --given-up --apply, or say m2c events settle "
                f"{self.endpoint_id} --by … --reason …"
            )
            lines += [
                f"    {row['type']} of {row['subject']} ({row['event_id']}): {row['answer']}"
                for row in self.given_up[:_NAMED]
            ]
            if len(self.given_up) > _NAMED:
                lines.append(f"    … and {len(self.given_up) - _NAMED} more")
        return lines


@dataclass(kw_only=True)
class EventsReport:
    """How all endpoints stand, after a run or now. noted: events made of new facts (by this run,
    or that a run would make). planned: nothing was sent, because nobody said so."""

    endpoints: list[EndpointReport]
    noted: int = 0
    new_endpoints: tuple[str, ...] = ()
    planned: bool = False
    cut_short: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def needs_person(self) -> bool:
        """Whether somebody has to look at an endpoint."""
        return any(one.needs_person for one in self.endpoints)

    @property
    def exit_code(self) -> int:
        """0, or 1 if a person is needed."""
        return int(self.needs_person)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        plain: dict[str, Any] = jsonable(asdict(self))
        return {**plain, "needs_person": self.needs_person}

    def news(self) -> list[str]:
        """What this run found that needs a person, in words."""
        return [
            line for one in self.endpoints if one.gave_up or one.hung_up for line in one.describe()
        ]

    def describe(self) -> list[str]:
        """All of it in words."""
        if not self.endpoints:
            return ["webhooks.yml of the book names no endpoint: nobody is told of events"]
        lines = []
        if self.noted:
            verb = "would be made" if self.planned else "made"
            lines.append(f"{self.noted} event{'s' * (self.noted != 1)} {verb} of what is new")
        for name in self.new_endpoints:
            lines.append(
                f"{name} is known from now on: it is told what happens next; m2c events replay "
                "sends what was before"
            )
        for one in self.endpoints:
            lines += one.describe()
        if self.cut_short:
            lines.append("the time of a run is over; the next goes on")
        lines += self.notes
        if self.planned and any(one.waiting for one in self.endpoints):
            lines.append("nothing was sent: --apply sends")
        return lines


def counted(types: Mapping[str, int]) -> str:
    """`3 invoice.issued, 1 invoice.paid`."""
    return ", ".join(f"{number} {kind}" for kind, number in sorted(types.items()))


def by_type(kinds: Iterable[str]) -> dict[str, int]:
    """How many there are of each type."""
    return dict(Counter(kinds))


@dataclass(frozen=True, kw_only=True)
class ReplayReport:
    """Which events are owed to an endpoint once more, or would be."""

    endpoint_id: str
    events: Sequence[Mapping[str, Any]]
    planned: bool

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        plain: dict[str, Any] = jsonable(asdict(self))
        return plain

    def describe(self) -> list[str]:
        """The replay in words."""
        found = counted(by_type(row["type"] for row in self.events)) or "no event"
        verb = "would be sent again" if self.planned else "to be sent again"
        lines = [f"{self.endpoint_id}: {found} {verb}, each under its id"]
        if self.planned and self.events:
            lines.append("nothing was sent: --apply sends")
        return lines


@dataclass(frozen=True, kw_only=True)
class TestReport:
    """What an endpoint answered to a test event."""

    __test__ = False  # no test of pytest's

    endpoint_id: str
    url: str
    event_id: str
    http_status: int | None
    words: str
    delivered: bool

    @property
    def exit_code(self) -> int:
        """0 if it was taken, else 1."""
        return int(not self.delivered)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    def describe(self) -> list[str]:
        """The answer in words."""
        verb = "took the test event" if self.delivered else "did not take the test event"
        status = f"{self.http_status} " if self.http_status is not None else ""
        answer = f"{status}{self.words}".strip()
        return [f"{self.endpoint_id} ({self.url}) {verb} {self.event_id}: {answer}"]
