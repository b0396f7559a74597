"""The clock of ledgers that several processes write to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest


@pytest.fixture
def utc_clock() -> Callable[[], datetime]:
    return lambda: datetime.now(UTC)
