"""Where the engines differ."""

from __future__ import annotations

import re

from tests.unit.warehouse.templates import PROJECT

# Names that dbt and the macros give the engine.
ASKED = re.compile(r"is_spark|target\.type|adapter\.type|adapter\s*=\s*'spark'")


def test_only_macros_of_engines_exact_numbers_and_time_ask_for_the_engine() -> None:
    asking = {
        path.relative_to(PROJECT).parts[:2]
        for folder in ("models", "macros", "tests")
        for path in (PROJECT / folder).rglob("*.sql")
        if ASKED.search(path.read_text(encoding="utf-8"))
    }
    assert asking == {("macros", "engine"), ("macros", "exact"), ("macros", "time")}
