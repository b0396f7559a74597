"""What suspension talks about. Values only; the rules are in `planning`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from exporters.suspension.switchboard import Power

SUSPENDED, RESUMING, OVER = "suspended", "resuming", "over"
AUTOMATIC = "automatic"
"""Who suspends and resumes where no person does."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine at a site with the meters that are switched there."""

    machine_id: str
    contract_id: str
    site_id: str
    meters: tuple[str, ...]
    never_suspend: bool = False

    @property
    def place(self) -> tuple[str, str]:
        return self.machine_id, self.site_id


@dataclass(frozen=True, kw_only=True)
class Paused:
    """A machine of a suspension in the ledger. `ordered`: a command to pause it was on its way, so
    it is ours to resume. `wanted`, `state`: what was seen last, None if nothing yet."""

    machine: Machine
    ordered: bool = False
    wanted: Power | None = None
    state: str | None = None

    def is_done(self, wanted: Power) -> bool:
        """Whether nothing is left to be done to have it so."""
        if self.state == "released":
            return True
        if wanted == "on" and not self.ordered:
            return True
        return self.wanted == wanted and self.state == wanted


@dataclass(frozen=True, kw_only=True)
class Suspension:
    """A suspension in the ledger. `resumed` says why it is over, None while it is not."""

    suspension_id: str
    payer_id: str
    statement_numbers: tuple[str, ...]
    since: datetime
    machines: tuple[Paused, ...]
    resumed: str | None = None

    @property
    def state(self) -> str:
        """`suspended`, `resuming` (some machine does not run yet) or `over`."""
        if self.resumed is None:
            return SUSPENDED
        return OVER if all(m.is_done("on") for m in self.machines) else RESUMING

    @property
    def wanted(self) -> Power:
        return "off" if self.resumed is None else "on"

    @property
    def unfinished(self) -> tuple[Paused, ...]:
        return tuple(m for m in self.machines if not m.is_done(self.wanted))


@dataclass(frozen=True, kw_only=True)
class PlannedSuspension:
    """A payer whose machines are due to be paused.

    `machines` are those to be paused, `spared` those that never are, `paused` those that an earlier
    suspension has paused. `waits`: why a person must let it go on first, None if it may."""

    payer_id: str
    policy_id: str
    stage: str
    statement_numbers: tuple[str, ...]
    days_overdue: int
    owed: Mapping[str, Decimal]
    """by currency"""
    machines: tuple[Machine, ...]
    spared: tuple[Machine, ...] = ()
    paused: tuple[Machine, ...] = ()
    waits: str | None = None
    approved_by: str | None = None

    @property
    def reason(self) -> str:
        due = " and ".join(f"{amount:.2f} {currency}" for currency, amount in self.owed.items())
        numbers = ", ".join(self.statement_numbers)
        return f"{due} of {numbers}, {self.days_overdue} days overdue ({self.policy_id})"

    @property
    def digest(self) -> str:
        """What an approval is for: these statements and these machines."""
        return digest_of(self.payer_id, self.statement_numbers, self.machines)


def digest_of(payer_id: str, numbers: Sequence[str], machines: Sequence[Machine]) -> str:
    parts = [payer_id, *sorted(numbers), "machines", *sorted("\t".join(m.place) for m in machines)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
