"""Paths, periods and the replaced clock."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestration.settings import (
    DataDir,
    SettingsError,
    clock_from_env,
    parse_day,
    parse_period,
)


def test_clock_is_fixed_at_the_instant_given() -> None:
    clock = clock_from_env({"M2C_NOW": "2026-11-04T08:15:00+02:00"})
    assert clock() == datetime(2026, 11, 4, 6, 15, tzinfo=UTC)
    assert clock() == clock()


def test_clock_without_an_override_is_the_systems() -> None:
    before = datetime.now(UTC)
    assert before <= clock_from_env({})() <= datetime.now(UTC)


@pytest.mark.parametrize("text", ["tomorrow", "2026-11-04", "2026-11-04T06:00:00"])
def test_clock_refuses_what_is_no_instant(text: str) -> None:
    with pytest.raises(SettingsError, match="M2C_NOW"):
        clock_from_env({"M2C_NOW": text})


@pytest.mark.parametrize("text", ["2026-13", "2026-1", "26-01", "2026-10-01", ""])
def test_period_is_a_month(text: str) -> None:
    with pytest.raises(SettingsError, match="month"):
        parse_period(text)


def test_day_is_a_day() -> None:
    with pytest.raises(SettingsError, match="2026-10-31"):
        parse_day("2026-10-32")


def test_data_dir_comes_from_the_environment(tmp_path: Path) -> None:
    assert DataDir.from_env({"M2C_DATA_DIR": str(tmp_path)}).book == tmp_path / "book"
