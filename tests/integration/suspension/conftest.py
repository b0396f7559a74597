"""A payer with machines at three sites, invoices in a ledger, and sites that can be switched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from exporters.suspension import Post, SwitchError, SwitchReport, resume, suspend
from tests.integration.collections.conftest import MARTS, World

FLEET = """
alter table settings add column max_machines_per_run integer default 100;
create table sites(site_id varchar, name varchar);
insert into sites values ('OSL', 'Oslo 1'), ('HEL', 'Helsinki'), ('ADD', 'Addis Ababa');
create table contracts(contract_id varchar, term_no integer, payer_id varchar,
  valid_from_at timestamptz, valid_to_at timestamptz);
create table assignments(machine_id varchar, contract_id varchar, valid_from_at timestamptz,
  valid_to_at timestamptz);
create table machines(machine_id varchar, site_id varchar, meter_id varchar,
  valid_from_at timestamptz, valid_to_at timestamptz, metrics varchar, never_suspend boolean);
insert into contracts values
  ('C-NORDIC', 1, 'NORDIC', '2026-01-01', null), ('C-JKT', 1, 'JKT', '2026-01-01', null),
  ('C-OLD', 1, 'NORDIC', '2025-01-01', '2026-01-01');
insert into assignments values
  ('m1', 'C-NORDIC', '2026-01-01', null), ('m2', 'C-NORDIC', '2026-01-01', null),
  ('m3', 'C-NORDIC', '2026-01-01', null), ('m4', 'C-NORDIC', '2026-01-01', null),
  ('left', 'C-NORDIC', '2026-01-01', '2026-06-01'), ('gone', 'C-OLD', '2025-01-01', null),
  ('j1', 'C-JKT', '2026-01-01', null);
insert into machines values
  ('m1', 'OSL', 'a', '2026-01-01', null, 'energy', false),
  ('m1', 'OSL', 'b', '2026-01-01', null, 'energy', false),
  ('m1', 'OSL', 'port-1', '2026-01-01', null, 'traffic', false),
  ('m2', 'OSL', 'c', '2026-01-01', null, 'energy|traffic', false),
  ('m3', 'HEL', 'd', '2026-01-01', null, 'energy', false),
  ('m4', 'HEL', 'e', '2026-01-01', null, 'energy', true),
  ('left', 'OSL', 'f', '2026-01-01', null, 'energy', false),
  ('gone', 'OSL', 'g', '2026-01-01', null, 'energy', false),
  ('j1', 'ADD', 'h', '2026-01-01', null, 'runtime', false);
"""


@dataclass
class Board:
    """Outlets that are switched in memory. `slow`: looks that it takes until an order is carried
    out; `silent` sites do not answer, `refusing` meters refuse, `mute` sites never tell a state.
    `on_order` is called before an order is taken."""

    states: dict[tuple[str, str], str] = field(default_factory=dict)
    orders: list[tuple[str, str, str]] = field(default_factory=list)
    looked: set[tuple[str, str]] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    refusing: set[str] = field(default_factory=set)
    mute: set[str] = field(default_factory=set)
    slow: int = 0
    on_order: Callable[[str, str, str], None] = lambda *_: None
    _coming: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)

    def lane(self, site_id: str, meter_id: str) -> str:
        return f"{site_id}/{meter_id}"

    def route(self, site_id: str) -> str:
        return f"outlets of {site_id}"

    def seen(self, site_id: str, meter_id: str) -> Any:
        self._answers(site_id)
        place = (site_id, meter_id)
        self.looked.add(place)
        if place in self._coming:
            state, left = self._coming[place]
            if left == 0:
                self.states[place] = state
                del self._coming[place]
            else:
                self._coming[place] = (state, left - 1)
        return "unknown" if site_id in self.mute else self.states.get(place, "on")

    def switch(self, site_id: str, meter_id: str, state: Any) -> None:
        self._answers(site_id)
        place = (site_id, meter_id)
        assert place in self.looked, f"{place} was ordered {state} without looking"
        self.looked.discard(place)
        self.on_order(site_id, meter_id, state)
        if meter_id in self.refusing:
            raise SwitchError(f"site {site_id}: {meter_id} cannot be switched", passing=False)
        self.orders.append((site_id, meter_id, state))
        if self.slow:
            self._coming[place] = (state, self.slow)
        else:
            self.states[place] = state

    def _answers(self, site_id: str) -> None:
        if site_id in self.silent:
            raise SwitchError(f"site {site_id}: no answer", passing=True)

    def off(self) -> list[str]:
        return sorted(meter for (_, meter), state in self.states.items() if state == "off")


@dataclass
class Place(World):
    """A world with machines."""

    board: Board = field(default_factory=Board)
    verify_seconds: float = 0
    smtp_url: str | None = None

    @property
    def lock(self) -> Path:
        return self.folder / "locks" / "switching.lock"

    def suspend(self, *, apply: bool = True, poll: bool = True) -> SwitchReport:
        if poll:
            self.poll()
        return suspend(
            self.marts,
            self.ledger,
            self.board,
            clock=lambda: self.now,
            lock_path=self.lock,
            post=Post(outbox_dir=self.outbox, smtp_url=self.smtp_url),
            apply=apply,
            verify_seconds=self.verify_seconds,
        )

    def resume(self, *, apply: bool = True, poll: bool = True, **order: Any) -> SwitchReport:
        if poll:
            self.poll()
        return resume(
            self.marts,
            self.ledger,
            self.board,
            clock=lambda: self.now,
            lock_path=self.lock,
            post=Post(outbox_dir=self.outbox, smtp_url=self.smtp_url),
            apply=apply,
            verify_seconds=self.verify_seconds,
            **order,
        )

    def remind_until_suspension(self) -> None:
        """Send everything up to the final notice, and wait until its notice is over: 10 days."""
        for at in ("2026-11-13", "2026-11-20", "2026-11-30"):
            self.now = datetime.fromisoformat(f"{at}T12:00+00:00").astimezone(UTC)
            self.remind()
        self.now = datetime(2026, 12, 10, 12, tzinfo=UTC)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(folder=tmp_path)
    made.sql(MARTS + FLEET)
    yield made
    if made._ledger is not None:
        made._ledger.close()


@pytest.fixture
def due(place: Place) -> Place:
    """One invoice of NORDIC has come to the stage that suspends."""
    place.issue()
    place.remind_until_suspension()
    return place
