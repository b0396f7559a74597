"""The switches of the stand-ins: what is off since when, and that they remember it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from connectors.sandbox.power import PowerBoard

NOW = datetime(2026, 10, 8, tzinfo=UTC)


def test_states_have_a_history_that_outlives_the_process(tmp_path: Path) -> None:
    now = NOW
    board = PowerBoard(lambda: now, tmp_path / "power.json")
    assert board.state("A", "m1") == "on"
    board.order("A", "m1", "off")
    now += timedelta(days=1)
    board.order("A", "m1", "on")
    again = PowerBoard(lambda: now, tmp_path / "power.json")
    assert again.orders == board.orders
    assert again.state("A", "m1") == "on"
    assert again.state("A", "m1", NOW) == "off"
    assert again.state("A", "m1", NOW - timedelta(seconds=1)) == "on"
    assert again.state("B", "m1", NOW) == "on"
    assert again.switched("A") == {"m1"}
    assert again.switched("B") == frozenset()
