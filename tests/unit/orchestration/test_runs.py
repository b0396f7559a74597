"""The Runner hands back what assets reported, and raises what they raised."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from orchestration.locks import hold
from orchestration.reports import materialized
from orchestration.runs import Runner, log_path
from orchestration.settings import DataDir, SettingsError


class _WrongError(ValueError):
    """Something an asset can raise."""


@dg.asset
def decisions() -> dg.MaterializeResult:
    sys.stdout.write("noise\n")
    return materialized({"total": "12.30"}, words=["one statement"], exit_code=1)


@dg.asset(check_specs=[dg.AssetCheckSpec("is_fresh", asset="extract")])
def extract() -> dg.MaterializeResult:
    check = dg.AssetCheckResult(
        passed=False, severity=dg.AssetCheckSeverity.WARN, metadata={"hours": 7}
    )
    return dg.MaterializeResult(check_results=[check])


@dg.asset
def broken() -> None:
    raise _WrongError("row 7 of payers.csv")


def _definitions() -> dg.Definitions:
    return dg.Definitions(
        assets=[decisions, extract, broken],
        jobs=[
            dg.define_asset_job("close", dg.AssetSelection.assets("decisions", "extract")),
            dg.define_asset_job("build", dg.AssetSelection.assets("broken")),
        ],
    )


Make = Callable[..., Runner]


@pytest.fixture
def data_dir(tmp_path: Path) -> DataDir:
    (tmp_path / "book").mkdir()
    return DataDir(tmp_path)


@pytest.fixture
def runner(data_dir: DataDir, monkeypatch: pytest.MonkeyPatch) -> Make:
    for name in ("M2C_DATA_DIR", "DAGSTER_HOME", "M2C_LOG_LEVEL"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("M2C_LOG_LEVEL", "CRITICAL")
    monkeypatch.setattr(Runner, "_definitions", _definitions())
    return lambda **options: Runner(data_dir, command="m2c test", **options)


def test_reports_come_back_by_asset(runner: Make, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = runner().run("close")
    assert outcome.reports == {
        "decisions": {"total": "12.30", "words": ["one statement"], "exit_code": 1}
    }
    [warning] = outcome.warnings
    assert (warning.asset, warning.check, warning.metadata) == (
        "extract",
        "is_fresh",
        {"hours": "7"},
    )
    assert capsys.readouterr().out == ""


def test_what_assets_print_is_kept_in_a_log(runner: Make, data_dir: DataDir) -> None:
    """Dagster takes a step's output to the log of its run; a copy reaches ours a moment later, or
    not at all if the run ends first."""
    runner().run("close")
    assert log_path(data_dir).exists()
    logs = [path for path in data_dir.root.rglob("*") if path.is_file() and "log" in str(path)]
    assert any(b"noise" in path.read_bytes() for path in logs)


def test_what_an_asset_raises_is_raised_as_it_was(runner: Make) -> None:
    with pytest.raises(_WrongError, match=r"row 7 of payers\.csv"):
        runner().run("build")


def test_runs_carry_their_process(runner: Make) -> None:
    made = runner()
    outcome = made.run("close")
    run = made.instance.get_run_by_id(outcome.run_id)
    assert run is not None
    assert run.tags["m2c/command"] == "m2c test"
    assert run.tags["m2c/pid"].isdigit()


def test_a_folder_without_a_book_is_left_as_it_was(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no folder book"):
        Runner(DataDir(tmp_path / "typo"), command="m2c build").run("build")
    assert not (tmp_path / "typo").exists()


def test_who_waits_for_another_run_is_told_so(runner: Make, data_dir: DataDir) -> None:
    told: list[str] = []
    is_held, may_go = threading.Event(), threading.Event()

    def other() -> None:
        with hold(data_dir.locks, "runs", purpose="m2c build"):
            is_held.set()
            may_go.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    is_held.wait(10)

    def note(text: str) -> None:
        told.append(text)
        may_go.set()

    runner(on_wait=note).run("close")
    thread.join()
    assert len(told) == 1
    assert "m2c build" in told[0]
