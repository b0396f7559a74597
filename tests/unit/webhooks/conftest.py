"""A story in a ledger on each database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.webhooks.marts import make_marts
from tests.unit.webhooks.world import Story, story_at


@pytest.fixture
def story(ledger_url: str) -> Iterator[Story]:
    made = story_at(ledger_url)
    yield made
    made.ledger.close()


@pytest.fixture
def marts_file(tmp_path: Path) -> Path:
    """Marts with two endpoints, an exception and an alert that is reached."""
    return make_marts(
        tmp_path / "marts.duckdb",
        "insert into webhook_endpoints values "
        "('erp', 'https://erp.example.com/m2c', 'HOOK', null, null, null, null, true, false), "
        "('acme', 'http://127.0.0.1:9/', 'NEW|OLD', 'invoice.*|machines.suspended', 'acme|labs', "
        "null, 'On trial', false, true)",
        "insert into contracts values ('K-1', 'labs'), ('K-1', 'acme'), ('K-2', 'beta')",
        "insert into billing_exceptions(exception_id, status) values ('x-1', 'open')",
        "insert into alerts(alert_key, is_reached) values ('k', true), ('l', false)",
    )
