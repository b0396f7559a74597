"""Which engine a run is on, and what it says where Spark cannot start."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestration import engines
from orchestration.engines import Engine, engine_from_env, require_installed
from orchestration.settings import SettingsError


@pytest.mark.parametrize(
    ("env", "engine"),
    [
        ({}, Engine.DUCKDB),
        ({"M2C_ENGINE": ""}, Engine.DUCKDB),
        ({"M2C_ENGINE": "duckdb"}, Engine.DUCKDB),
        ({"M2C_ENGINE": "spark"}, Engine.SPARK),
    ],
)
def test_engine_of_an_environment(env: dict[str, str], engine: Engine) -> None:
    assert engine_from_env(env) is engine


def test_another_engine_is_named_with_those_there_are() -> None:
    with pytest.raises(SettingsError, match=r"M2C_ENGINE='flink' is no engine; .* duckdb, spark"):
        engine_from_env({"M2C_ENGINE": "flink"})


def test_duckdb_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda _: None)
    require_installed(Engine.DUCKDB, {})


def test_without_the_extra_the_command_that_installs_it_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"pip install 'meter-to-cash\[spark\]'"):
        require_installed(Engine.SPARK, {})


@pytest.mark.parametrize("variable", ["PATH", "JAVA_HOME"])
def test_without_java_its_package_is_named(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda _: object())
    with pytest.raises(SettingsError, match="apt-get install default-jre-headless"):
        require_installed(Engine.SPARK, {variable: str(tmp_path)})


def test_java_is_found_at_its_home_or_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda _: object())
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.touch(mode=0o755)
    require_installed(Engine.SPARK, {"JAVA_HOME": str(tmp_path), "PATH": os.defpath})
    require_installed(Engine.SPARK, {"PATH": str(java.parent)})


def test_a_server_needs_no_java_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda _: object())
    require_installed(Engine.SPARK, {"PATH": str(tmp_path), "SPARK_REMOTE": "sc://spark:15002"})
