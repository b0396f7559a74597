"""What the book says about a source: faults told by field, secrets never."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from connectors.base import Connector, ReadingsSource, SourceSpec
from connectors.errors import ConfigError
from connectors.registry import KINDS, build_connector, check_source

MAP = {
    "meter_id": "m",
    "metric": {"fixed": "energy"},
    "kind": {"fixed": "register"},
    "unit": {"fixed": "kWh"},
    "value": "v",
    "start": "t",
}
SPECS = {
    "rest_json": SourceSpec(
        "rest_json",
        {
            "url": "https://x",
            "auth": {"type": "bearer", "secret": "token"},
            "readings": [{"path": "r", "map": MAP}],
        },
        {"token": "SITE_TOKEN"},
    ),
    "prometheus": SourceSpec(
        "prometheus",
        {
            "url": "https://x",
            "auth": {"type": "basic", "username": "u", "secret": "token"},
            "readings": [
                {
                    "series": "a",
                    "meter_id": "{b}",
                    "metric": "energy",
                    "kind": "register",
                    "unit": "J",
                }
            ],
        },
        {"token": "SITE_TOKEN"},
    ),
    "files": SourceSpec(
        "files",
        {
            "folder": "memory://x",
            "secret_options": {"password": "token"},
            "readings": [{"pattern": "*", "format": {"type": "csv"}, "map": MAP}],
        },
        {"token": "SITE_TOKEN"},
    ),
    "sql": SourceSpec(
        "sql",
        {
            "host": "db",
            "database": "d",
            "user": "u",
            "password": "token",
            "readings": [{"query": "select %(start)s, %(end)s", "map": MAP}],
        },
        {"token": "SITE_TOKEN"},
    ),
}


def clock() -> dt.datetime:
    return dt.datetime(2026, 5, 10, tzinfo=dt.UTC)


def changed(kind: str, **config: Any) -> SourceSpec:
    spec = SPECS[kind]
    return SourceSpec(kind, {**spec.config, **config}, spec.secrets)


def test_all_kinds_are_tried_here() -> None:
    assert set(SPECS) == set(KINDS)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_good_source_has_no_faults_and_is_built(kind: str) -> None:
    assert check_source(SPECS[kind]) == []
    connector = (
        build_connector("NO-OSL1", "Europe/Oslo", SPECS[kind], {"SITE_TOKEN": "hunter2"}, clock)
        if kind != "files"
        else build_connector(
            "NO-OSL1",
            "Europe/Oslo",
            SourceSpec("files", {**SPECS[kind].config, "secret_options": {}}),
            {},
            clock,
        )
    )
    assert isinstance(connector, Connector)
    assert isinstance(connector, ReadingsSource)
    assert connector.capabilities() == {"readings"}
    assert "hunter2" not in repr(connector) + repr(vars(connector))
    connector.close()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_unknown_key_is_a_fault(kind: str) -> None:
    faults = check_source(changed(kind, lookback=3))
    assert faults == [("config.lookback", "3", "is not a key of this configuration")]


def test_unknown_kind() -> None:
    assert check_source(SourceSpec("modbus")) == [
        ("kind", "'modbus'", "expected one of files, prometheus, rest_json, sql")
    ]


def test_all_faults_at_once_in_the_words_of_the_book() -> None:
    config = {
        "folder": "x",
        "readings": [
            {
                "pattern": "*",
                "format": {"type": "csv", "delim": ";"},
                "map": MAP | {"start": {"field": "t", "timezone": "Mars"}},
            },
            {"pattern": "*", "format": {"type": "green_button"}},
        ],
    }
    assert check_source(SourceSpec("files", config)) == [
        ("config.readings.0.format.delim", "';'", "is not a key of this configuration"),
        (
            "config.readings.0.map.start.timezone",
            "'Mars'",
            "expected an IANA name such as Europe/Oslo, or site",
        ),
        ("config.readings.1.format.meter_id", "(not shown)", "is required"),
    ]


def test_secret_names_must_be_there_and_used() -> None:
    spec = SourceSpec("rest_json", SPECS["rest_json"].config, {"tokn": "SITE_TOKEN"})
    assert check_source(spec) == [
        ("config.auth.secret", "'token'", "names no secret; add it under secrets: token"),
        ("secrets.tokn", "SITE_TOKEN", "is not used by the config"),
    ]


@pytest.mark.parametrize("pasted", ["hunter2", "p4ss-word!", "", "site_token"])
def test_secret_pasted_into_the_book_is_refused_and_not_repeated(pasted: str) -> None:
    spec = SourceSpec("rest_json", SPECS["rest_json"].config, {"token": pasted})
    (fault,) = check_source(spec)
    assert fault[0] == "secrets.token"
    assert "never the secret itself" in fault[2]
    assert fault[1] == "(not shown)"


def test_secret_pasted_into_the_config_is_not_repeated() -> None:
    auth = {"type": "bearer", "secret": "token", "password": "hunter2"}
    faults = check_source(changed("rest_json", auth=auth, api_key="hunter2"))
    assert len(faults) == 2
    assert "hunter2" not in str(faults)


def test_missing_variable_names_itself() -> None:
    with pytest.raises(ConfigError) as caught:
        build_connector("NO-OSL1", "Europe/Oslo", SPECS["sql"], {"SITE_TOKEN": ""}, clock)
    assert str(caught.value) == (
        "site NO-OSL1: secrets.token is SITE_TOKEN: is not set in the environment; "
        "it holds the secret"
    )


def test_unknown_timezone() -> None:
    with pytest.raises(ConfigError, match="timezone is 'Oslo'"):
        build_connector("NO-OSL1", "Oslo", SPECS["sql"], {"SITE_TOKEN": "x"}, clock)


def test_values_of_the_environment_are_put_in_when_the_site_is_read() -> None:
    source = changed("sql", host="${DB_HOST:-127.0.0.1}", port="${DB_PORT}")
    with pytest.raises(ConfigError, match=r"\$\{DB_PORT\}: is not set in the environment"):
        build_connector("X", "UTC", source, {"SITE_TOKEN": "x"}, clock)
    env = {"SITE_TOKEN": "x", "DB_PORT": "5433"}
    assert build_connector("X", "UTC", source, env, clock).capabilities() == {"readings"}


def test_secret_that_is_no_name_at_all() -> None:
    spec = SourceSpec("sql", SPECS["sql"].config, {"token": 7})  # type: ignore[dict-item]
    with pytest.raises(ConfigError, match="never the secret itself"):
        build_connector("X", "UTC", spec, {}, clock)
