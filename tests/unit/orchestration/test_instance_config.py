"""What dagster.yaml says: ours, where the storage is, and what an operator adds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from dagster import DagsterInstance
from sqlalchemy.engine import make_url

from orchestration.cli import cli
from orchestration.instance_config import as_text, compose, write
from orchestration.postgres import with_driver
from orchestration.queues import QUEUE_OF_JOB, QUEUE_TAG
from orchestration.settings import SettingsError

URL = "postgresql://dagster:s3cr%2Ft-word@db.example.com/dagster"


@pytest.fixture
def parts(tmp_path: Path) -> Any:
    """Writes an operator's parts; the environment that names them."""

    def written(text: str) -> dict[str, str]:
        path = tmp_path / "parts.yaml"
        path.write_text(text)
        return {"M2C_DAGSTER_CONFIG": str(path)}

    return written


def test_the_database_is_named_by_its_variable_and_never_written() -> None:
    text = as_text({"M2C_DAGSTER_URL": URL})
    assert "s3cr" not in text
    config = yaml.safe_load(text)
    assert config["storage"]["custom"]["config"] == {"url": {"env": "M2C_DAGSTER_URL"}}
    assert "event_log_storage" not in config


def test_without_it_the_storage_is_in_the_data_dir() -> None:
    assert "storage" not in compose({})
    assert compose({})["event_log_storage"]["class"] == "EventLog"


def test_parts_are_laid_over_ours_key_by_key(parts: Any) -> None:
    config = compose(
        parts(
            "run_monitoring: {poll_interval_seconds: 60}\n"
            "concurrency: {runs: {max_concurrent_runs: 12}}\n"
        )
    )
    assert config["run_monitoring"]["poll_interval_seconds"] == 60
    assert config["run_monitoring"]["enabled"] is True
    assert config["concurrency"]["runs"]["max_concurrent_runs"] == 12
    assert config["concurrency"]["runs"]["tag_concurrency_limits"][0]["key"] == QUEUE_TAG
    assert config["telemetry"] == {"enabled": False}


def test_an_empty_file_adds_nothing(parts: Any) -> None:
    assert compose(parts("# nothing yet\n")) == compose({})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("run_luncher: {}", "parts.yaml line 1, run_luncher: Dagster knows no such key here"),
        (
            "run_monitoring:\n  enabled: true\n  pol_interval_seconds: 5\n",
            "parts.yaml line 3, run_monitoring.pol_interval_seconds: Dagster knows no such key",
        ),
        ("run_monitoring: {enabled: maybe}", "parts.yaml line 1, run_monitoring.enabled: "),
        ("telemetry: {enabled: false}\ntelemetry: {}\n", "line 2, telemetry: this key stands here"),
        ("- a list", "parts.yaml line 1: expected keys of a dagster.yaml"),
        ("a: [", "parts.yaml line 1: is not YAML"),
        (
            "storage: {postgres: {postgres_url: 'postgresql://u:p@h/d'}}",
            "parts.yaml line 1, storage: where Dagster's storage is says M2C_DAGSTER_URL",
        ),
        (
            "run_queue: {max_concurrent_runs: 3}",
            "parts.yaml line 1, concurrency: Found config value for `['max_concurrent_runs']`",
        ),
        (
            "run_launcher: {module: dagster_docker, class: DockerRunLauncher, config: {}}",
            "run_launcher.module: dagster_docker cannot be loaded here: No module named",
        ),
        (
            "run_launcher: {module: dagster_k8s, class: K8RunLauncher, config: {}}",
            "run_launcher.class: dagster_k8s has no K8RunLauncher",
        ),
        (
            "run_launcher:\n  module: dagster_k8s\n  class: K8sRunLauncher\n  config:\n"
            "    service_account_name: m2c\n    instance_config_map: m2c\n"
            "    dagster_home: /home\n    job_immage: m2c:1\n",
            "parts.yaml line 8, run_launcher.config.job_immage: Dagster knows no such key here",
        ),
    ],
)
def test_a_fault_names_file_line_and_key(parts: Any, text: str, expected: str) -> None:
    with pytest.raises(SettingsError) as told:
        compose(parts(text))
    assert expected in str(told.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.yaml"):
        compose({"M2C_DAGSTER_CONFIG": str(tmp_path / "absent.yaml")})


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("db.example.com/dagster:hunter2", "is not a URL"),
        ("mysql://u:hunter2@h/d", "PostgreSQL only, not in mysql"),
        ("postgresql://u:hunter2@h", "names no database"),
    ],
)
def test_another_url_is_refused_without_showing_it(url: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=expected) as told:
        as_text({"M2C_DAGSTER_URL": url})
    assert "hunter2" not in str(told.value)


def test_the_url_keeps_what_it_says() -> None:
    driven = with_driver("postgres://u:p%40ss@h:5433/d?sslmode=verify-full")
    assert driven.startswith("postgresql+psycopg2://u:p%40ss@h:5433/d?")
    assert "sslmode=verify-full" in driven
    assert "connect_timeout=10" in driven
    assert "connect_timeout=3" in with_driver("postgresql://h/d?connect_timeout=3")
    options = make_url(with_driver("postgresql://h/d?options=-c%20search_path%3Dm2c")).query[
        "options"
    ]
    assert options == "-c search_path=m2c -c timezone=UTC"


def test_another_environment_does_not_change_where_history_is(tmp_path: Path, parts: Any) -> None:
    with_all = {"M2C_DAGSTER_URL": URL, **parts("run_monitoring: {poll_interval_seconds: 60}")}
    write(tmp_path, with_all)
    before = (tmp_path / "dagster.yaml").read_text()
    for less, lacks in (
        ({}, "M2C_DAGSTER_URL and M2C_DAGSTER_CONFIG"),
        ({"M2C_DAGSTER_URL": URL}, "M2C_DAGSTER_CONFIG"),
    ):
        with pytest.raises(SettingsError, match=f"made with {lacks}, which this environment lacks"):
            write(tmp_path, less)
    assert (tmp_path / "dagster.yaml").read_text() == before
    write(tmp_path, {"M2C_DAGSTER_URL": URL + "2", **parts("{}")})
    assert "poll_interval_seconds: 30" in (tmp_path / "dagster.yaml").read_text()


def test_one_can_begin_with_files_and_go_on_with_postgresql(tmp_path: Path) -> None:
    write(tmp_path, {})
    write(tmp_path, {"M2C_DAGSTER_URL": URL})
    assert "env: M2C_DAGSTER_URL" in (tmp_path / "dagster.yaml").read_text()


def test_the_command_shows_what_dagster_would_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("M2C_DAGSTER_URL", URL)
    monkeypatch.delenv("M2C_DAGSTER_CONFIG", raising=False)
    shown = CliRunner().invoke(cli, ["dagster-config"], standalone_mode=False)
    assert shown.output == as_text()
    made = CliRunner().invoke(
        cli, ["dagster-config", "--write", str(tmp_path / "home")], standalone_mode=False
    )
    assert made.output.strip() == str(tmp_path / "home" / "dagster.yaml")
    assert (tmp_path / "home" / "dagster.yaml").read_text() == as_text()


@pytest.mark.needs_postgres
def test_dagster_shows_its_configuration_without_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres: Any
) -> None:
    url = postgres.new_database()
    password = url.partition("://")[2].partition("@")[0].partition(":")[2]
    monkeypatch.setenv("M2C_DAGSTER_URL", url)
    write(tmp_path)
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.run_storage.get_runs_count() == 0
        assert password not in instance.info_str()
        # Handed to run workers on their command line.
        assert password not in str(instance.get_ref())
        assert "M2C_DAGSTER_URL" in str(instance.get_ref())


def test_every_job_of_a_queue_has_its_tag() -> None:
    from orchestration.defs.jobs import JOBS

    tagged = {job.name: job.tags[QUEUE_TAG] for job in JOBS if QUEUE_TAG in (job.tags or {})}
    assert tagged == QUEUE_OF_JOB
