"""Months that a close asks for stay in the marts; a book that changed is rated before issuing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import dagster as dg
import duckdb
import pytest

from connectors.book import load_book
from orchestration import steps, warehouse
from orchestration.defs.warehouse.assets import (
    PARTITION_TAG,
    PERIOD_TAG,
    SAME_PERIODS_TAG,
    build_context,
)
from orchestration.resources import DataDirResource
from orchestration.runs import Runner, RunOutcome
from orchestration.settings import DataDir
from orchestration.terminal import Terminal


def asked_for_after(data_dir: DataDir, tags: dict[str, str]) -> str | None:
    warehouse.refresh_ledger_extract(data_dir)
    resources = {"data_dir": DataDirResource(root=str(data_dir.root))}
    assert dg.materialize([build_context], resources=resources, tags=tags).success
    return warehouse.period_asked_for(data_dir)


def test_a_month_closed_stays_rated_until_the_next_build(billed_data_dir: DataDir) -> None:
    assert asked_for_after(billed_data_dir, {SAME_PERIODS_TAG: "yes"}) is None
    assert asked_for_after(billed_data_dir, {PARTITION_TAG: "2026-02"}) == "2026-02"
    assert asked_for_after(billed_data_dir, {SAME_PERIODS_TAG: "yes"}) == "2026-02"
    assert asked_for_after(billed_data_dir, {PERIOD_TAG: "2026-03"}) == "2026-03"
    assert asked_for_after(billed_data_dir, {}) is None


def test_bringing_marts_up_to_date_keeps_their_months(definitions: dg.Definitions) -> None:
    assert SAME_PERIODS_TAG in definitions.resolve_job_def("refresh").tags
    for job in ("build", "close"):
        assert SAME_PERIODS_TAG not in definitions.resolve_job_def(job).tags


@dataclass
class _Runner:
    """Notes what is run; every job reports the same."""

    ran: list[tuple[str, Any]] = field(default_factory=list)

    def run(self, job: str, *, tags: Any = None, **_: Any) -> RunOutcome:
        self.ran.append((job, tags))
        return RunOutcome(run_id="1", reports={"issued_statements": {}}, warnings=())


@pytest.mark.parametrize("is_current", [True, False])
def test_issuing_reads_the_book_as_it_is(
    billed_data_dir: DataDir, monkeypatch: pytest.MonkeyPatch, is_current: bool
) -> None:
    version = load_book(billed_data_dir.book).version if is_current else "b-0000000000000000"
    billed_data_dir.marts.parent.mkdir(exist_ok=True)
    billed_data_dir.marts.unlink(missing_ok=True)
    with duckdb.connect(billed_data_dir.marts) as connection:
        connection.execute(f"create table build_info as select '{version}' as book_version")
    monkeypatch.setattr(steps, "_extend_partitions", lambda *_: None)
    app = steps.App(billed_data_dir, Terminal(as_json=True), "m2c issue")
    runner = _Runner()
    app.__dict__["runner"] = cast("Runner", runner)
    steps.issue_period(app, "2026-05")
    builds = [] if is_current else [("build", {PERIOD_TAG: "2026-05"})]
    assert runner.ran == [*builds, ("issue", None), ("refresh", None), ("reports", None)]
