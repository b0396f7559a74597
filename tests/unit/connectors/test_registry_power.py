"""Which way a site's machines are switched, what is wrong with it, and where orders would go."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from connectors.base import PowerControl, SourceSpec
from connectors.errors import ConfigError
from connectors.registry import (
    KINDS,
    POWER_KINDS,
    build_power,
    check_source,
    power_hosts,
)
from connectors.sources.command_file import CommandFile
from tests.unit.connectors.test_registry import SPECS, changed

BY_HAND = SourceSpec("command_file", {"folder": "by-hand"})


def clock() -> dt.datetime:
    return dt.datetime(2026, 5, 10, tzinfo=dt.UTC)


def built(spec: SourceSpec | None, tmp_path: Path, env: dict[str, str] | None = None) -> object:
    control = build_power("NO-OSL1", "Europe/Oslo", spec, env or {}, clock, data_dir=tmp_path)
    assert isinstance(control, PowerControl)
    control.close()
    return control


def with_power(power: SourceSpec) -> SourceSpec:
    return SourceSpec("sql", SPECS["sql"].config, SPECS["sql"].secrets, power)


@pytest.mark.parametrize("spec", [None, SPECS["sql"], SPECS["prometheus"]])
def test_where_the_book_says_nothing_people_are_asked(
    tmp_path: Path, spec: SourceSpec | None
) -> None:
    # No secret of how the site is read is needed to ask people.
    control = built(spec, tmp_path)
    assert isinstance(control, CommandFile)
    control.power("m1", "off")
    assert (tmp_path / "power" / "NO-OSL1" / "orders.csv").is_file()
    assert power_hosts(spec, {}) == ()


@pytest.mark.parametrize("spec", [with_power(BY_HAND), SourceSpec("", power=BY_HAND)])
def test_an_entry_for_power_comes_first(tmp_path: Path, spec: SourceSpec) -> None:
    assert check_source(spec) == []
    control = built(spec, tmp_path)
    assert isinstance(control, CommandFile)
    control.power("m1", "off")
    assert (tmp_path / "by-hand" / "orders.csv").is_file()


def test_a_site_that_is_only_switched_is_not_read() -> None:
    assert not SourceSpec("", power=BY_HAND).is_read
    assert with_power(BY_HAND).is_read


def test_faults_of_both_ways_are_told_at_once_with_their_places() -> None:
    power = SourceSpec("command_file", {"foldr": "x"}, {"token": "SITE_TOKEN"})
    spec = SourceSpec("sql", {**SPECS["sql"].config, "hots": "db"}, SPECS["sql"].secrets, power)
    assert check_source(spec) == [
        ("config.hots", "'db'", "is not a key of this configuration"),
        ("power.config.foldr", "'x'", "is not a key of this configuration"),
    ]


@pytest.mark.parametrize("kind", sorted(set(KINDS) - set(POWER_KINDS)))
def test_a_kind_that_cannot_switch_is_a_fault(tmp_path: Path, kind: str) -> None:
    spec = with_power(SPECS[kind])
    (fault,) = check_source(spec)
    assert fault[:2] == ("power.kind", repr(kind))
    assert fault[2] == f"expected one of {', '.join(sorted(POWER_KINDS))}"
    with pytest.raises(ConfigError, match=r"power\.kind"):
        built(spec, tmp_path)
    with pytest.raises(ConfigError, match=r"power\.kind"):
        power_hosts(spec, {})


def test_neither_way_is_a_fault(tmp_path: Path) -> None:
    assert [fault[0] for fault in check_source(SourceSpec(""))] == ["kind"]
    with pytest.raises(ConfigError, match="kind is empty"):
        built(SourceSpec(""), tmp_path)


def test_a_faulty_source_is_not_taken_for_one_without_power(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.hots"):
        built(changed("sql", hots="x"), tmp_path)


def test_placeholders_of_power_are_filled_and_missing_ones_told(tmp_path: Path) -> None:
    spec = with_power(SourceSpec("command_file", {"folder": "${POWER_DIR}"}))
    with pytest.raises(ConfigError, match=r"power\.config is \$\{POWER_DIR\}: is not set"):
        built(spec, tmp_path)
    control = built(spec, tmp_path, {"POWER_DIR": str(tmp_path / "there")})
    assert isinstance(control, CommandFile)
    control.power("m1", "off")
    assert (tmp_path / "there" / "orders.csv").is_file()
