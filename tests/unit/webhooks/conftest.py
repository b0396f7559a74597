"""A story in a ledger on each database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.webhooks.world import Story, story_at


@pytest.fixture
def story(ledger_url: str) -> Iterator[Story]:
    made = story_at(ledger_url)
    yield made
    made.ledger.close()
