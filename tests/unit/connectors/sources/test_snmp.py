"""What a configuration of PDUs must say so that no order reaches another outlet."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from connectors.base import PowerControl, SourceContext, SourceSpec
from connectors.errors import ConfigError, SourceRefused
from connectors.registry import build_power, check_source, power_hosts
from connectors.sources.snmp import PROFILES, Config, Snmp

AUTH = {"version": "2c", "community": "community"}
CONFIG = {
    "host": "pdu-{rack}.example",
    "pattern": r"(?P<rack>[a-z]\d+)/(?P<outlet>[\d.]+|x)",
    "outlet": "{outlet}",
    "profile": "apc_rpdu2",
    "auth": AUTH,
}
CUSTOM = {
    "power_on": {"oid": "1.3.6.1.4.1.9.1", "value": 1},
    "power_off": {"oid": "1.3.6.1.4.1.9.1", "value": 2},
    "state": "1.3.6.1.4.1.9.2",
    "state_on": [1],
    "state_off": [2],
}


def control(**config: Any) -> Snmp:
    context = SourceContext(
        site_id="FI-HEL1",
        timezone="Europe/Helsinki",
        secrets={"community": SecretStr("private")},
        clock=lambda: dt.datetime(2026, 5, 10, tzinfo=dt.UTC),
    )
    return Snmp(Config.model_validate(CONFIG | config), context)


def test_it_is_power_control() -> None:
    snmp = control()
    assert isinstance(snmp, PowerControl)
    snmp.close()


@pytest.mark.parametrize(
    ("profile", "outlet", "index"),
    [
        ("apc_rpdu2", "12", "12"),
        ("apc_rpdu2", "07", "7"),
        ("raritan_pdu2", "12", "1.12"),
        ("raritan_pdu2", "2.12", "2.12"),
        ("servertech_sentry3", "1.1.08", "1.1.8"),
        ("servertech_sentry4", "2.1.36", "2.1.36"),
        ("eaton_epdu", "4", "0.4"),
        ("eaton_epdu", "1.4", "1.4"),
    ],
)
def test_the_index_of_an_outlet(profile: str, outlet: str, index: str) -> None:
    config = Config.model_validate(CONFIG | {"profile": profile})
    assert config.index_of(outlet) == index


def test_every_profile_tells_on_from_off() -> None:
    for name, profile in PROFILES.items():
        assert profile.on != profile.off, name
        assert sorted(profile.states.values()) == ["off", "on"], name


def test_apc_numbers_states_the_other_way_round_than_commands() -> None:
    # PowerNet-MIB: rPDU2OutletSwitchedControlCommand immediateOn(1) immediateOff(2), but
    # rPDU2OutletSwitchedStatusState off(1) on(2).
    apc = PROFILES["apc_rpdu2"]
    assert (apc.on.value, apc.off.value) == (1, 2)
    assert apc.states == {1: "off", 2: "on"}


@pytest.mark.parametrize(
    ("meter_id", "told"),
    [
        ("a1", "the pattern .* does not fit it"),
        ("a1/x", "'x' is no index of an outlet"),
        ("a1/1.2", r"the index 1\.2 has 2 numbers; apc_rpdu2 counts with 1"),
        ("a1/1.", r"'1\.' is no index"),
    ],
)
def test_a_meter_that_leads_to_no_outlet_is_refused(meter_id: str, told: str) -> None:
    with pytest.raises(SourceRefused, match=f"which outlet meter {meter_id} is: {told}"):
        control().power(meter_id, "off")


def test_a_meters_name_leads_to_no_other_host() -> None:
    snmp = control(pattern=r"(?P<rack>.+)/(?P<outlet>\d+)", host="{rack}")
    with pytest.raises(SourceRefused, match="is no name of a host"):
        snmp.power("evil:161/x/1", "off")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"outlet": "1"}, "outlet 1 is one and the same for all meters"),
        ({"outlet": None}, "nothing says which outlet a meter is"),
        ({"outlet": None, "outlets": {"m": {"outlet": 1}}}, "groups of pattern do not stand"),
        ({"host": None}, "host is missing"),
        ({"host": "{row}.example"}, "{row} stands for nothing here"),
        ({"host": "pdu.example:161"}, "without port"),
        ({"host": "snmp://pdu"}, "without port"),
        ({"pattern": "(?P<outlet>"}, "is not a regular expression"),
        ({"outlets": {"m": {"host": "pdu", "outlet": "1.1.2"}}}, "m: the index 1.1.2 has 3"),
        ({"outlets": {"m": {"host": "pdu", "outlet": "A1"}}}, "expected the index of an outlet"),
        ({"outlets": {"m": {"host": "pdu", "outlet": True}}}, "expected the index of an outlet"),
        ({"profile": "custom"}, "go together"),
        ({"custom": CUSTOM}, "go together"),
        (
            {"profile": "custom", "custom": CUSTOM | {"power_off": CUSTOM["power_on"]}},
            "the same number",
        ),
        ({"profile": "custom", "custom": CUSTOM | {"state_off": [1]}}, "1 means both on and off"),
        ({"profile": "custom", "custom": CUSTOM | {"state": "sysName"}}, "object identifier"),
        ({"profile": "geist"}, "'apc_rpdu2', 'apc_rpdu'"),
        ({"auth": AUTH | {"version": "1"}}, "'2c', '3'"),
        ({"auth": {"version": "3", "username": "u", "auth_secret": "a"}}, "give priv_secret"),
        (
            {"auth": {"version": "3", "username": "u", "auth_secret": "a",
                      "priv_protocol": "none", "priv_secret": "p"}},
            "give priv_secret",
        ),
    ],
)  # fmt: skip
def test_what_could_reach_another_outlet_is_a_fault(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Config.model_validate(CONFIG | changes)
    assert told in str(caught.value)


def test_faults_and_hosts_by_the_registry() -> None:
    outlets = {"m1": {"host": "127.0.0.1", "outlet": 1}, "m2": {"host": "::1", "outlet": 2}}
    power = SourceSpec("snmp", CONFIG | {"outlets": outlets}, {"community": "PDU_COMMUNITY"})
    assert check_source(SourceSpec("", power=power)) == []
    assert power_hosts(SourceSpec("", power=power), {}) == (
        "snmp://pdu-{rack}.example:161",
        "snmp://127.0.0.1:161",
        "snmp://[::1]:161",
    )
    outlets = {"m1": {"host": "127.0.0.1", "outlit": 1}}
    power = SourceSpec("snmp", CONFIG | {"outlets": outlets}, {"community": "PDU_COMMUNITY"})
    assert [fault[0] for fault in check_source(SourceSpec("", power=power))] == [
        "power.config.outlets.m1.outlet",
        "power.config.outlets.m1.outlit",
    ]


def test_a_pasted_community_is_not_repeated() -> None:
    power = SourceSpec("snmp", CONFIG | {"auth": AUTH | {"community": "s3cret"}})
    (fault,) = check_source(SourceSpec("", power=power))
    assert fault[0] == "power.config.auth.community"
    power = SourceSpec("snmp", CONFIG | {"auth": AUTH | {"community": {"value": "s3cret"}}})
    assert "s3cret" not in str(check_source(SourceSpec("", power=power)))


def test_a_passphrase_that_is_too_short_is_a_fault() -> None:
    auth = {"version": "3", "username": "u", "auth_secret": "a", "priv_secret": "p"}
    power = SourceSpec("snmp", CONFIG | {"auth": auth}, {"a": "PDU_AUTH", "p": "PDU_PRIV"})
    env = {"PDU_AUTH": "long enough", "PDU_PRIV": "s3cret7"}
    now = dt.datetime(2026, 5, 10, tzinfo=dt.UTC)
    with pytest.raises(ConfigError, match=r"power\.config\.auth\.priv_secret.*shorter") as caught:
        build_power("FI-HEL1", "UTC", SourceSpec("", power=power), env, lambda: now)
    assert "s3cret7" not in str(caught.value)
