"""Orders to BMCs: what is sent after which look, sessions, and what BMCs answer when unwell."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from connectors.base import PowerControl, SourceContext, SourceSpec
from connectors.errors import SourceAnswerError, SourceRefused, SourceUnavailable
from connectors.registry import check_source, power_hosts
from connectors.sources.redfish import Config, Redfish

PASSWORD = "Geheim-9!"
SESSION = {"type": "session", "username": "billing", "secret": "bmc"}
BASIC = SESSION | {"type": "basic"}
EVERY_KIND = ["On", "ForceOff", "GracefulShutdown", "ForceRestart", "PushPowerButton"]


class Bmc:
    """A BMC with one system, in memory; time passes only when the connector waits."""

    def __init__(self) -> None:
        self.state = "On"
        self.allowed: list[str] | None = EVERY_KIND
        self.has_action_info = False
        self.systems = ["1"]
        self.shutdown_seconds: float | None = 6
        self.now = 0.0
        self.off_at: float | None = None
        self.resets: list[str] = []
        self.log: list[str] = []
        self.tokens: set[str] = set()
        self.opened = 0
        self.faults: list[httpx.Response | Exception] = []
        self.reset_faults: list[httpx.Response | Exception] = []
        self.hosts: list[str] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def monotonic(self) -> float:
        return self.now

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.log.append(f"{request.method} {path}")
        self.hosts.append(request.url.host)
        if self.faults:
            return self.fault(self.faults)
        if path == "/redfish/v1/":
            links = {"Sessions": {"@odata.id": "/redfish/v1/SessionService/Sessions"}}
            return httpx.Response(
                200, json={"Systems": {"@odata.id": "/redfish/v1/Systems"}, "Links": links}
            )
        if request.method == "POST" and path.endswith("/Sessions"):
            return self.log_in(json.loads(request.content))
        if not self.is_known(request):
            return httpx.Response(401, json={"error": {"code": "Base.1.12.NoValidSession"}})
        if path.startswith("/redfish/v1/SessionService/Sessions/"):
            self.tokens.discard(path.rsplit("/", 1)[1])
            return httpx.Response(204)
        if path == "/redfish/v1/Systems":
            members = [{"@odata.id": f"/redfish/v1/Systems/{name}"} for name in self.systems]
            return httpx.Response(200, json={"Members": members})
        name = path.removeprefix("/redfish/v1/Systems/").split("/")[0]
        if name not in self.systems:
            return httpx.Response(404, json={"error": {"code": "Base.1.12.ResourceMissingAtURI"}})
        if path.endswith("ResetActionInfo"):
            parameters = [{"Name": "ResetType", "AllowableValues": self.allowed}]
            return httpx.Response(200, json={"Parameters": parameters})
        if path.endswith("ComputerSystem.Reset"):
            return self.reset(json.loads(request.content)["ResetType"])
        return httpx.Response(200, json=self.system(name))

    def fault(self, faults: list[httpx.Response | Exception]) -> httpx.Response:
        found = faults.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def log_in(self, body: dict[str, str]) -> httpx.Response:
        if body != {"UserName": "billing", "Password": PASSWORD}:
            return httpx.Response(401, json={"error": {"code": "Base.1.12.InvalidUser"}})
        self.opened += 1
        token = f"token-{self.opened}"
        self.tokens.add(token)
        where = f"/redfish/v1/SessionService/Sessions/{token}"
        return httpx.Response(201, headers={"X-Auth-Token": token, "Location": where}, json={})

    def is_known(self, request: httpx.Request) -> bool:
        if "Authorization" in request.headers:
            pair = base64.b64encode(f"billing:{PASSWORD}".encode()).decode()
            return request.headers["Authorization"] == f"Basic {pair}"
        return request.headers.get("X-Auth-Token") in self.tokens

    def system(self, name: str) -> dict[str, Any]:
        if self.off_at is not None and self.now >= self.off_at:
            self.state, self.off_at = "Off", None
        action: dict[str, Any] = {
            "target": f"/redfish/v1/Systems/{name}/Actions/ComputerSystem.Reset"
        }
        if self.has_action_info:
            action["@Redfish.ActionInfo"] = f"/redfish/v1/Systems/{name}/ResetActionInfo"
        elif self.allowed is not None:
            action["ResetType@Redfish.AllowableValues"] = self.allowed
        return {"PowerState": self.state, "Actions": {"#ComputerSystem.Reset": action}}

    def reset(self, kind: str) -> httpx.Response:
        if self.reset_faults:
            return self.fault(self.reset_faults)
        self.resets.append(kind)
        if kind == "GracefulShutdown":
            # As in the field: 204, and still on for a while.
            if self.shutdown_seconds is not None:
                self.off_at = self.now + self.shutdown_seconds
        else:
            self.state, self.off_at = ("Off" if kind == "ForceOff" else "On"), None
        return httpx.Response(204)


@pytest.fixture
def bmc() -> Bmc:
    return Bmc()


Connect = Callable[..., Redfish]


@pytest.fixture
def connect(bmc: Bmc) -> Iterator[Connect]:
    made: list[Redfish] = []

    def connected(password: str = PASSWORD, **config: Any) -> Redfish:
        config = {
            "url": "https://bmc-{meter_id}.example",
            "auth": SESSION,
            "requests_per_second": 1000,
        } | config
        context = SourceContext(
            site_id="FI-HEL1",
            timezone="Europe/Helsinki",
            secrets={"bmc": SecretStr(password)},
            clock=lambda: dt.datetime(2026, 5, 10, tzinfo=dt.UTC),
        )
        control = Redfish(
            Config.model_validate(config),
            context,
            transport=httpx.MockTransport(bmc),
            sleep=bmc.sleep,
            monotonic=bmc.monotonic,
        )
        made.append(control)
        return control

    yield connected
    for control in made:
        control.close()
    assert not bmc.tokens, "a session was left open"


def test_it_is_power_control(connect: Connect) -> None:
    assert isinstance(connect(), PowerControl)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("On", "on"),
        ("Off", "off"),
        ("PoweringOn", "unknown"),
        ("PoweringOff", "unknown"),
        ("Paused", "unknown"),
        (None, "unknown"),
    ],
)
def test_only_what_is_on_or_off_is_called_so(
    bmc: Bmc, connect: Connect, state: str, expected: str
) -> None:
    bmc.state = state
    assert connect().power_state("m1") == expected
    assert set(bmc.hosts) == {"bmc-m1.example"}


def test_off_is_asked_of_the_operating_system_and_waited_for(bmc: Bmc, connect: Connect) -> None:
    control = connect()
    control.power("m1", "off")
    assert bmc.resets == ["GracefulShutdown"]
    assert control.power_state("m1") == "off"


def test_power_is_cut_when_the_operating_system_does_not_end(bmc: Bmc, connect: Connect) -> None:
    bmc.shutdown_seconds = None
    connect(force_off_after_seconds=30, poll_seconds=7).power("m1", "off")
    assert bmc.resets == ["GracefulShutdown", "ForceOff"]
    assert bmc.now >= 30
    assert bmc.state == "Off"


def test_without_a_limit_power_is_never_cut(bmc: Bmc, connect: Connect) -> None:
    bmc.shutdown_seconds = None
    control = connect(force_off_after_seconds=None)
    control.power("m1", "off")
    assert bmc.resets == ["GracefulShutdown"]
    assert control.power_state("m1") == "on"
    bmc.allowed = ["On", "ForceOff"]
    with pytest.raises(SourceRefused, match="takes no GracefulShutdown, only On, ForceOff"):
        control.power("m1", "off")


def test_off_at_once_where_the_book_says_so(bmc: Bmc, connect: Connect) -> None:
    connect(power_off="force").power("m1", "off")
    assert bmc.resets == ["ForceOff"]
    assert bmc.now == 0


def test_on(bmc: Bmc, connect: Connect) -> None:
    bmc.state = "Off"
    connect().power("m1", "on")
    assert bmc.resets == ["On"]


@pytest.mark.parametrize(("state", "wanted"), [("On", "on"), ("Off", "off"), ("PoweringOn", "on")])
def test_what_is_there_already_is_not_ordered(
    bmc: Bmc, connect: Connect, state: str, wanted: Any
) -> None:
    bmc.state = state
    connect().power("m1", wanted)
    assert bmc.resets == []


def test_a_shutdown_under_way_is_not_asked_for_again(bmc: Bmc, connect: Connect) -> None:
    bmc.state, bmc.off_at = "PoweringOff", 20
    connect().power("m1", "off")
    assert bmc.resets == []
    assert bmc.state == "Off"


@pytest.mark.parametrize("has_action_info", [False, True])
def test_what_a_bmc_does_not_take_is_not_sent(
    bmc: Bmc, connect: Connect, has_action_info: bool
) -> None:
    bmc.has_action_info = has_action_info
    bmc.allowed = ["ForceOn", "ForceOff"]
    control = connect()
    control.power("m1", "off")
    control.power("m1", "on")
    assert bmc.resets == ["ForceOff", "ForceOn"]
    # A button would switch on what is off.
    bmc.allowed = ["PushPowerButton", "ForceRestart"]
    with pytest.raises(SourceRefused, match="only PushPowerButton, ForceRestart"):
        control.power("m1", "off")


def test_without_a_list_the_usual_kinds_are_tried(bmc: Bmc, connect: Connect) -> None:
    bmc.allowed = None
    connect().power("m1", "off")
    assert bmc.resets == ["GracefulShutdown"]


def test_an_order_that_somebody_else_carried_out_is_no_fault(bmc: Bmc, connect: Connect) -> None:
    def refuse(_: str) -> httpx.Response:
        bmc.state = "Off"
        return httpx.Response(409, json={"error": {"message": "Server is already powered OFF."}})

    bmc.reset = refuse  # type: ignore[method-assign]
    connect(power_off="force").power("m1", "off")


def test_a_refusal_is_told_in_the_bmcs_words(bmc: Bmc, connect: Connect) -> None:
    bmc.reset_faults = [httpx.Response(400, json={"error": {"message": f"no {PASSWORD} here"}})]
    with pytest.raises(SourceRefused, match=r"Reset answered 400: .*no \*\*\* here"):
        connect(power_off="force").power("m1", "off")


def test_once_a_shutdown_was_taken_no_error_says_it_was_not(bmc: Bmc, connect: Connect) -> None:
    bmc.shutdown_seconds = None
    bmc.allowed = ["On", "GracefulShutdown"]
    control = connect(force_off_after_seconds=5)
    with pytest.raises(
        SourceUnavailable, match=r"GracefulShutdown was taken, but then: .* ForceOff"
    ):
        control.power("m1", "off")
    assert bmc.resets == ["GracefulShutdown"]


def test_a_lost_answer_to_an_order_is_looked_after(bmc: Bmc, connect: Connect) -> None:
    def lost(kind: str) -> httpx.Response:
        bmc.resets.append(kind)
        bmc.state = "Off"
        raise httpx.ReadTimeout("no answer")

    bmc.reset = lost  # type: ignore[method-assign]
    connect(power_off="force", max_attempts=2).power("m1", "off")
    assert bmc.resets == ["ForceOff", "ForceOff"]


def test_busy_then_fine(bmc: Bmc, connect: Connect) -> None:
    bmc.faults = [httpx.Response(503, headers={"Retry-After": "4"}), httpx.Response(500)]
    bmc.reset_faults = [httpx.Response(503), httpx.ReadTimeout("no answer")]
    control = connect(power_off="force")
    control.power("m1", "off")
    assert bmc.resets == ["ForceOff"]
    assert bmc.now >= 4


@pytest.mark.parametrize(
    "fault", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.Response(503)]
)
def test_a_bmc_that_does_not_answer_may_later(
    bmc: Bmc, connect: Connect, fault: httpx.Response | Exception
) -> None:
    control = connect(max_attempts=3)
    bmc.faults = [fault] * 3
    with pytest.raises(SourceUnavailable):
        control.power_state("m1")
    assert control.power_state("m1") == "on"


def test_a_wrong_password_is_refused_once_and_not_told(bmc: Bmc, connect: Connect) -> None:
    with pytest.raises(SourceRefused, match="credentials are not accepted") as caught:
        connect(password="wrong-8").power_state("m1")
    assert "wrong-8" not in str(caught.value)
    assert bmc.log.count("POST /redfish/v1/SessionService/Sessions") == 1


@pytest.mark.parametrize("content", [b"<html>busy</html>", b"[]", b""])
def test_an_answer_that_is_none(bmc: Bmc, connect: Connect, content: bytes) -> None:
    control = connect(auth=BASIC, system="1")
    bmc.faults = [httpx.Response(200, content=content)]
    with pytest.raises(SourceAnswerError):
        control.power_state("m1")


def test_one_session_serves_all_orders_and_a_new_one_when_it_ends(
    bmc: Bmc, connect: Connect
) -> None:
    control = connect()
    control.power("m1", "off")
    control.power_state("m1")
    assert bmc.opened == 1
    bmc.tokens.clear()
    assert control.power_state("m1") == "off"
    assert bmc.opened == 2
    control.close()
    assert bmc.log[-1] == "DELETE /redfish/v1/SessionService/Sessions/token-2"


def test_a_session_that_cannot_be_ended_is_no_fault(bmc: Bmc, connect: Connect) -> None:
    control = connect()
    control.power_state("m1")
    bmc.faults = [httpx.Response(503)]
    control.close()
    bmc.tokens.clear()
    assert not bmc.faults, "tried once"


@pytest.mark.parametrize("inside", ["https://10.0.0.9", None])
def test_a_session_is_ended_though_its_address_is_of_the_inside(
    bmc: Bmc, connect: Connect, inside: str | None
) -> None:
    def log_in(_: dict[str, str]) -> httpx.Response:
        bmc.tokens.add("t")
        where = "/redfish/v1/SessionService/Sessions/t"
        headers = {"X-Auth-Token": "t"} | ({"Location": inside + where} if inside else {})
        return httpx.Response(201, headers=headers, json={"@odata.id": where})

    bmc.log_in = log_in  # type: ignore[method-assign]
    control = connect()
    control.power_state("m1")
    control.close()
    assert bmc.tokens == set()


def test_a_root_that_wants_credentials_is_no_obstacle(bmc: Bmc, connect: Connect) -> None:
    bmc.faults = [httpx.Response(401, text="who is it?")]
    assert connect(system="1").power_state("m1") == "on"


def test_basic_opens_no_session(bmc: Bmc, connect: Connect) -> None:
    connect(auth=BASIC).power_state("m1")
    assert bmc.opened == 0


def test_several_systems_are_not_guessed_between(bmc: Bmc, connect: Connect) -> None:
    bmc.systems = ["node1", "node2"]
    with pytest.raises(SourceRefused, match=r"lists 2 systems \(node1, node2\)"):
        connect().power_state("m1")
    connect(system="node2").power("m1", "off")
    assert f"POST /redfish/v1/Systems/node2/Actions/ComputerSystem.Reset" in bmc.log  # noqa: F541
    assert connect(system="/redfish/v1/Systems/node1").power_state("m1") == "off"


def test_an_unknown_system_is_refused(connect: Connect) -> None:
    with pytest.raises(SourceRefused, match="Systems/7 answered 404"):
        connect(system="7").power("m1", "off")


def test_a_link_to_another_host_is_not_followed(bmc: Bmc, connect: Connect) -> None:
    bmc.systems = ["1"]
    action = {"target": "https://elsewhere.example/reset"}
    bmc.system = lambda _: {  # type: ignore[method-assign]
        "PowerState": "On", "Actions": {"#ComputerSystem.Reset": action}
    }  # fmt: skip
    with pytest.raises(SourceRefused, match="credentials are not sent there"):
        connect(power_off="force").power("m1", "off")


def test_groups_of_a_pattern_lead_to_bmc_and_system(bmc: Bmc, connect: Connect) -> None:
    bmc.systems = ["node2"]
    control = connect(
        pattern=r"(?P<chassis>[a-z0-9]+)/(?P<node>node\d)/psu[12]",
        url="https://{chassis}.bmc.example/redfish/v1/",
        system="{node}",
        machines={
            "old/1": {"url": "https://old.example", "system": "node2"},
            "odd/1": "https://odd.example",
        },
    )
    for meter_id in ("c07/node2/psu1", "c07/node2/psu2", "old/1", "odd/1"):
        assert control.power_state(meter_id) == "on"
    assert set(bmc.hosts) == {"c07.bmc.example", "old.example", "odd.example"}
    with pytest.raises(SourceRefused, match="does not say which machine meter c07/node2 is"):
        control.power_state("c07/node2")


@pytest.mark.parametrize("meter_id", ["evil.example/x", "a@evil", "a:1", "", "-a", "ä"])
def test_a_meters_name_leads_to_no_other_host(bmc: Bmc, connect: Connect, meter_id: str) -> None:
    with pytest.raises(SourceRefused, match="is no name of a host"):
        connect().power_state(meter_id)
    assert bmc.log == []


def test_a_meters_name_stays_one_step_of_a_path(connect: Connect) -> None:
    with pytest.raises(SourceRefused, match=r"/redfish/v1/Systems/\.\.%2FManagers answered 404"):
        connect(url="https://bmc.example", system="{meter_id}").power("../Managers", "off")
    with pytest.raises(SourceRefused, match="is no step of the path"):
        connect(url="https://bmc.example", system="{meter_id}").power("..", "off")


def test_a_meter_that_nothing_names_is_refused(connect: Connect) -> None:
    control = connect(url="https://bmc.example", machines={"m1": {"system": "1"}})
    assert control.power_state("m1") == "on"
    with pytest.raises(SourceRefused, match="meter m2 is: it is not listed under machines"):
        control.power("m2", "off")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"url": "https://bmc.example"}, "nothing says which machine a meter is"),
        ({"url": None, "system": "{meter_id}"}, "url is missing"),
        ({"url": "https://{rack}.example"}, "{rack} stands for nothing here; known: meter_id"),
        ({"url": "https://{meter_id!r}.example"}, "stands for nothing here"),
        ({"url": "bmc-{meter_id}"}, "expected an address"),
        ({"url": "https://u:p@{meter_id}"}, "must not hold user name or password"),
        ({"url": "http://{meter_id}.example"}, "is not encrypted"),
        ({"url": None, "machines": {"m1": {"system": "1"}}}, "m1 has no url"),
        ({"machines": {"m1": "http://bmc.example"}}, "http://bmc.example is not encrypted"),
        ({"pattern": "("}, "is not a regular expression"),
        ({"url": "https://b.example", "machines": {"m": "https://c"}, "pattern": "(?P<a>.)"},
         "the groups of pattern stand neither"),
        ({"auth": {"type": "bearer", "secret": "bmc"}}, "'none', 'basic', 'session'"),
    ],
)  # fmt: skip
def test_a_configuration_that_would_switch_the_wrong_machine_is_a_fault(
    changes: dict[str, Any], told: str
) -> None:
    config = {"url": "https://bmc-{meter_id}.example", "auth": SESSION} | changes
    with pytest.raises(ValidationError) as caught:
        Config.model_validate(config)
    assert told in str(caught.value)


def test_faults_and_hosts_by_the_registry() -> None:
    config = {
        "url": "https://bmc-{meter_id}.example",
        "machines": {"m1": "https://127.0.0.1:8443"},
        "proxy": "http://proxy:3128",
        "auth": SESSION,
    }
    power = SourceSpec("redfish", config, {"bmc": "BMC_PASSWORD"})
    assert check_source(SourceSpec("", power=power)) == []
    assert power_hosts(SourceSpec("", power=power), {}) == (
        "https://bmc-{meter_id}.example",
        "https://127.0.0.1:8443",
        "http://proxy:3128",
    )
    unnamed = SourceSpec("redfish", config | {"machines": {"m1": {"ulr": "x"}}})
    assert [fault[0] for fault in check_source(SourceSpec("", power=unnamed))] == [
        "power.config.machines.m1.ulr"
    ]
    unnamed = SourceSpec("redfish", config)
    assert check_source(SourceSpec("", power=unnamed)) == [
        ("power.config.auth.secret", "'bmc'", "names no secret; add it under secrets: bmc")
    ]
