"""What-if: past usage rated with another plan in a room of its own, of which nothing is left."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.book import BookError
from orchestration.settings import DataDir, SettingsError
from orchestration.whatif import Answer, Question, what_if
from tests.integration.rating.workshop import BOOK, Workshop

NOW = datetime(2026, 4, 5, 6, 0, tzinfo=UTC)
PLAN = BOOK["plans/metered.yml"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Two months: 100 and 500 kWh, an event, and January issued."""
    workshop = Workshop(tmp_path_factory.mktemp("Ann's books") / "data")
    workshop.path.mkdir()
    workshop.write_book()
    workshop.read_day("2026-01-10", "100", ingested="2026-01-11")
    workshop.read_day("2026-02-10", "500", ingested="2026-02-11")
    workshop.event("ev-1", "2026-02-15", "7.00", ingested="2026-02-20")
    workshop.build()
    workshop.issue("ACME/2026-01/all", "ACME-0001", "2026-02-05 08:00:00")
    workshop.build()
    return workshop


def ask(built: Workshop, plan: str, **question: object) -> Answer:
    """What the plan would have brought in January and February; the data dir must not change."""
    file = built.path.parent / "proposal.yml"
    file.write_text(plan, encoding="utf-8")
    before = _content(built.path)
    try:
        asked = {"first": "2026-01", "last": "2026-02"} | question
        return what_if(DataDir(built.path), Question(plan_file=file, **asked), now=NOW)  # type: ignore[arg-type]
    finally:
        assert _content(built.path) == before


def _content(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and "locks" not in path.parts
    }


def test_the_last_version_counts_for_all_months_and_moves_what_builds_on_it(
    built: Workshop,
) -> None:
    later = PLAN.split("versions:")[1].replace("version: 1", "version: 2")
    later = later.replace("2026-01", "2027-01").replace("'0.10'", "'0.12'")
    answer = ask(built, PLAN + later.removeprefix("\n"))
    assert (answer.variant.version, answer.variant.valid_from_month) == ("2", "2027-01")
    assert not answer.variant.is_new
    assert answer.contracts == ("K",)
    # January falls short of the commit of 40.00 all the same; February pays by the kWh.
    assert answer.customers == [
        {
            "customer_id": "acme",
            "currency": "EUR",
            "old": Decimal("157.00"),
            "new": Decimal("167.00"),
            "difference": Decimal("10.00"),
        }
    ]
    assert {line["line_key"]: line["difference"] for line in answer.lines} == {
        "K/2026-02/1/energy/OSL/-": Decimal("10.00"),
        "K/2026-01/1/energy/OSL/-": Decimal("2.00"),
        "K/2026-01/1/commit/-/-": Decimal("-2.00"),
    }
    assert answer.not_rated == []
    assert answer.changed_tables == ()


def test_versions_count_by_date_if_asked(built: Workshop) -> None:
    later = PLAN.split("versions:")[1].replace("version: 1", "version: 2")
    later = later.replace("2026-01", "2026-02").replace("'0.10'", "'0.12'")
    answer = ask(built, PLAN + later.removeprefix("\n"), by_date=True)
    assert [(line["line_key"], line["difference"]) for line in answer.lines] == [
        ("K/2026-02/1/energy/OSL/-", Decimal("10.00"))
    ]


def test_a_new_plan_takes_the_contracts_that_are_named(built: Workshop) -> None:
    plan = """plan_id: by-machine
currency: EUR
versions:
- version: 1
  valid_from: 2027-01
  charges:
  - {code: energy, model: graduated, per: machine,
     tiers: [{up_to: '200', rate: '0'}, {rate: '0.20'}]}
"""
    answer = ask(built, plan, contracts=("K",), first="2026-02")
    assert answer.variant.is_new
    # 300 kWh above the free ones; the event has no price on this plan and is told.
    assert [(row["old"], row["new"]) for row in answer.customers] == [
        (Decimal("87.00"), Decimal("60.00"))
    ]
    (words,) = answer.not_rated
    assert "ev-1" in words


def test_what_cannot_be_asked_is_said_in_words(built: Workshop) -> None:
    with pytest.raises(SettingsError, match="no contract is on plan other"):
        ask(built, PLAN.replace("plan_id: metered", "plan_id: other"))
    with pytest.raises(SettingsError, match="there is no contract NOBODY"):
        ask(built, PLAN, contracts=("NOBODY",))
    with pytest.raises(SettingsError, match="with readings: K"):
        ask(built, PLAN, first="2025-01", last="2025-02")
    with pytest.raises(BookError, match="expected a plan"):
        ask(built, "- just\n- a list\n")
    with pytest.raises(BookError, match="versions: expected a list of versions"):
        ask(built, "plan_id: metered\n")
    with pytest.raises(BookError, match=r"plans/metered.yml.*rate.*-0.10"):
        ask(built, PLAN.replace("'0.10'", "'-0.10'"))
