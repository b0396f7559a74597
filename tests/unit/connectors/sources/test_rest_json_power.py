"""Switching through a JSON interface: orders name a state and a machine, and may be sent twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from connectors.base import PowerControl, SourceSpec
from connectors.errors import ConfigError, SourceAnswerError, SourceRefused, SourceUnavailable
from connectors.registry import check_source, power_hosts
from connectors.sources.rest_json import Config, RestJson
from tests.unit.connectors.sources.test_rest_json import MAP, site

POWER: dict[str, Any] = {
    "request": {"method": "PUT", "path": "v1/meters/{meter_id}/power"},
    "power_on": {"body": {"state": "on"}},
    "power_off": {"body": {"state": "off", "reason": "meter {meter_id} {as it is}"}},
    "state": {
        "path": "v1/meters/{meter_id}/power",
        "field": "power.state",
        "on_values": ["on", True],
        "off_values": ["off", 0],
    },
}


class Dcim:
    """A site with one machine."""

    def __init__(self) -> None:
        self.state: Any = "on"
        self.orders: list[tuple[str, str, Any]] = []
        self.answers: list[Callable[[httpx.Request], httpx.Response]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method != "GET":
            body = json.loads(request.content)
            self.orders.append((request.method, request.url.raw_path.decode(), body))
            self.state = body.get("state", self.state)
        if self.answers:
            return self.answers.pop(0)(request)
        return httpx.Response(200, json={"power": {"state": self.state}})


@pytest.fixture
def dcim() -> Dcim:
    return Dcim()


def control(dcim: Dcim, **changes: Any) -> RestJson:
    return site(dcim, power=POWER | changes)


def test_it_is_power_control_where_the_configuration_has_it(dcim: Dcim) -> None:
    with_power = control(dcim)
    assert isinstance(with_power, PowerControl)
    assert with_power.capabilities() == {"power"}
    readings = [{"path": "r", "items": "[]", "map": MAP}]
    without = site(dcim, readings=readings)
    assert without.capabilities() == {"readings"}
    with pytest.raises(SourceRefused, match="has no power"):
        without.power("m1", "off")


@pytest.mark.parametrize(
    ("shown", "expected"),
    [("on", "on"), (True, "on"), ("off", "off"), (0, "off"), ("ON", "unknown"), (None, "unknown"),
     ("switching", "unknown"), (1, "unknown"), (False, "unknown")],
)  # fmt: skip
def test_only_listed_values_are_states(dcim: Dcim, shown: Any, expected: str) -> None:
    dcim.state = shown
    assert control(dcim).power_state("m1") == expected


def test_an_order_names_machine_and_state_and_is_sent_once(dcim: Dcim) -> None:
    switch = control(dcim)
    switch.power("rack 1/m1", "off")
    switch.power("rack 1/m1", "off")
    assert dcim.orders == [
        (
            "PUT",
            "/api/v1/meters/rack%201%2Fm1/power",
            {"state": "off", "reason": "meter rack 1/m1 {as it is}"},
        )
    ]
    switch.power("rack 1/m1", "on")
    assert dcim.orders[1][2] == {"state": "on"}


def test_an_order_whose_answer_is_lost_is_the_same_order_again(dcim: Dcim) -> None:
    def lost(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("no answer")

    shown = httpx.Response(200, json={"power": {"state": "on"}})
    dcim.answers = [lambda _: shown, lost]
    control(dcim).power("m1", "off")
    assert [order[2]["state"] for order in dcim.orders] == ["off", "off"]
    assert dcim.state == "off"


def test_words_of_a_pattern_in_paths_params_and_bodies() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(f"{request.method} {request.url.raw_path.decode()}")
        return httpx.Response(200, json={"on": not seen[1:]})

    seen: list[str] = []
    switch = site(
        answer,
        power={
            "pattern": r"(?P<pdu>[a-z]+)/(?P<outlet>\d+)",
            "request": {"method": "GET", "path": "pdu/{pdu}"},
            "power_on": {"params": {"outlet": "{outlet}", "turn": "on"}},
            "power_off": {"params": {"outlet": "{outlet}", "turn": "off"}},
            "state": {"path": "pdu/{pdu}/{outlet}", "field": "on", "on_values": [True],
                      "off_values": [False]},
        },
    )  # fmt: skip
    switch.power("row/7", "off")
    assert switch.power_state("row/7") == "off"
    assert seen == [
        "GET /api/pdu/row/7",
        "GET /api/pdu/row?outlet=7&turn=off",
        "GET /api/pdu/row/7",
    ]
    with pytest.raises(SourceRefused, match="which machine meter row-7 is"):
        switch.power("row-7", "off")


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (httpx.Response(401), SourceRefused),
        (httpx.Response(404, text="no such meter"), SourceRefused),
        (httpx.Response(503), SourceUnavailable),
        (httpx.Response(200, text="<html>"), SourceAnswerError),
        (httpx.Response(200, json={"state": "on"}), SourceAnswerError),
        (httpx.Response(200, json=[]), SourceAnswerError),
    ],
)
def test_answers_that_are_none(dcim: Dcim, response: httpx.Response, error: Any) -> None:
    dcim.answers = [lambda _: response] * 2
    with pytest.raises(error):
        control(dcim).power("m1", "off")
    assert dcim.orders == []


def test_a_meter_cannot_climb_out_of_its_path(dcim: Dcim) -> None:
    with pytest.raises(SourceRefused, match="is no step of the path"):
        control(dcim).power("..", "off")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"request": {"path": "power"}, "power_on": {"body": {"state": "on"}}},
         "power_on does not say which machine"),
        ({"power_off": POWER["power_on"]}, "power_on and power_off send the same request"),
        ({"power_on": {}, "power_off": {}}, "power_on and power_off send the same request"),
        ({"state": POWER["state"] | {"path": "power"}}, "state does not say which machine"),
        ({"state": POWER["state"] | {"off_values": ["on"]}}, "'on' means both on and off"),
        ({"state": POWER["state"] | {"off_values": ["true"]}}, "'true' means both on and off"),
        ({"state": POWER["state"] | {"path": "{meter}"}}, "{meter} stands for nothing"),
        ({"pattern": "("}, "is not a regular expression"),
        ({"request": {"method": "DELETE", "path": "{meter_id}"}}, "'PUT', 'POST'"),
    ],
)  # fmt: skip
def test_an_order_that_names_no_machine_or_no_state_is_a_fault(
    changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        Config.model_validate({"url": "https://x", "power": POWER | changes})
    assert told in str(caught.value)


def test_the_sites_own_power_and_an_entry_for_power_alone() -> None:
    config = {
        "url": "https://dcim.example",
        "auth": {"type": "oauth2", "token_url": "https://login.example/token"},
        "proxy": "http://proxy:3128",
        "power": POWER,
    }
    secrets = {"client_id": "SITE_ID", "client_secret": "SITE_SECRET"}
    hosts = ("https://dcim.example", "https://login.example/token", "http://proxy:3128")
    own = SourceSpec(
        "rest_json",
        config | {"readings": [{"path": "r", "map": MAP}]},
        secrets,
    )
    assert check_source(own) == []
    assert power_hosts(own, {}) == hosts
    alone = SourceSpec("rest_json", config, secrets)
    assert check_source(SourceSpec("", power=alone)) == []
    assert power_hosts(SourceSpec("", power=alone), {}) == hosts
    assert check_source(alone) == [
        ("config", "only power", "reads nothing; put it under power: of the site")
    ]
    reads = SourceSpec("rest_json", {"url": "https://x", "readings": [{"path": "r", "map": MAP}]})
    assert check_source(SourceSpec("", power=reads)) == [
        ("power.config.power", "empty", "is required to switch machines")
    ]
    with pytest.raises(ConfigError, match=r"power\.config\.url"):
        power_hosts(SourceSpec("", power=SourceSpec("rest_json", config | {"url": "x"})), {})
