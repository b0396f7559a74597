"""Power control through SNMP against a real agent: snmpsim with outlets that can be switched."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.base import PowerConnector, SourceSpec
from connectors.errors import SourceAnswerError, SourceRefused, SourceUnavailable
from connectors.registry import build_power
from connectors.sources.snmp import PROFILES

RESPONDER = Path(sys.executable).with_name("snmpsim-command-responder")
WRITE, READ = "outlets-rw", "outlets-ro"
AUTH_KEY, PRIV_KEY = "auth-passphrase", "priv-passphrase"
INDEXES = {1: "3", 2: "1.3", 3: "1.1.3"}
CUSTOM = "1.3.6.1.4.1.99999.7.1"

# An outlet takes its command at one object and shows its state at another, as PDUs do. Commands
# are written down, so that a test can count them.
AGENT = """
from pysnmp.proto import rfc1902
from pysnmp.smi import error

LOG = {log!r}


def init(**context):
    moduleContext["states"] = {{}}


def variate(oid, tag, value, **context):
    if context["nextFlag"] or not context["exactMatch"]:
        return context["origOid"], tag, context["errorStatus"]
    role, key, on, off = value.split(",")
    states = moduleContext["states"]
    if context["setFlag"]:
        if role != "command":
            raise error.NotWritableError(name=oid, idx=0)
        given = int(context["origValue"])
        if given not in (int(on), int(off)):
            raise error.WrongValueError(name=oid, idx=0)
        if key.startswith("busy"):
            raise error.ResourceUnavailableError(name=oid, idx=0)
        with open(LOG, "a") as log:
            log.write(f"{{oid}} {{given}}\\n")
        # A switch that hangs takes orders and does nothing; where on and off are objects of
        # their own their value is a delay.
        if not key.startswith("stuck"):
            states[key] = role_on(key, oid) if on == off else given == int(on)
        return oid, tag, context["origValue"]
    if key.startswith("between"):
        return oid, tag, rfc1902.Integer32(99)
    return oid, tag, rfc1902.Integer32(int(on) if states.get(key, True) else int(off))


def role_on(key, oid):
    return str(oid).startswith({eaton_on!r})


def shutdown(**context):
    pass
"""


def records() -> str:
    lines = []

    def outlet(
        name: str, command: str, state: str, values: tuple[int, int], states: tuple[int, int]
    ) -> None:
        lines.append(f"{command}|2:outlet|command,{name},{values[0]},{values[1]}")
        lines.append(f"{state}|2:outlet|state,{name},{states[0]},{states[1]}")

    for name, profile in PROFILES.items():
        index = INDEXES[profile.parts]
        numbers = {state: value for value, state in profile.states.items()}
        on, off = numbers["on"], numbers["off"]
        outlet(
            name,
            f"{profile.on.oid}.{index}",
            f"{profile.state}.{index}",
            (profile.on.value, profile.off.value),
            (on, off),
        )
        if profile.off.oid != profile.on.oid:
            lines.append(f"{profile.off.oid}.{index}|2:outlet|command,{name},0,0")
    for number, name in enumerate(("custom", "stuck", "busy", "between"), start=1):
        outlet(name, f"{CUSTOM}.1.{number}", f"{CUSTOM}.2.{number}", (5, 6), (50, 60))
    lines.append(f"{CUSTOM}.2.9|4|a text")

    def order(line: str) -> list[int]:
        return [int(part) for part in line.split("|")[0].split(".")]

    return "".join(f"{line}\n" for line in sorted(lines, key=order))


class Agent:
    def __init__(self, port: int, log: Path) -> None:
        self.port = port
        self._log = log

    def orders(self) -> list[str]:
        return self._log.read_text().splitlines()

    def connect(self, *, community: str = WRITE, env: Any = None, **config: Any) -> PowerConnector:
        config = {
            "host": "127.0.0.1",
            "port": self.port,
            "outlet": "{outlet}",
            "pattern": r"pdu/(?P<outlet>[\d.]+)",
            "auth": {"version": "2c", "community": "community"},
            "timeout_seconds": 0.5,
            "retries": 1,
        } | config
        secrets = {"community": "PDU_COMMUNITY"}
        if config["auth"]["version"] == "3":
            secrets = {"auth": "PDU_AUTH", "priv": "PDU_PRIV"}
        if "read_community" in config["auth"]:
            secrets["reading"] = "PDU_READING"
        env = {
            "PDU_COMMUNITY": community,
            "PDU_READING": READ,
            "PDU_AUTH": AUTH_KEY,
            "PDU_PRIV": PRIV_KEY,
        } | (env or {})
        spec = SourceSpec("", power=SourceSpec("snmp", config, secrets))
        now = dt.datetime(2026, 5, 10, tzinfo=dt.UTC)
        return build_power("FI-HEL1", "Europe/Helsinki", spec, env, lambda: now)

    def custom(self, **config: Any) -> PowerConnector:
        return self.connect(
            profile="custom",
            custom={
                "power_on": {"oid": f".{CUSTOM}.1", "value": 5},
                "power_off": {"oid": f"{CUSTOM}.1", "value": 6},
                "state": f"{CUSTOM}.2",
                "state_on": [50],
                "state_off": [60, 61],
            },
            **config,
        )


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    root = tmp_path_factory.mktemp("snmp")
    for folder in ("data", "modules", "cache"):
        (root / folder).mkdir()
    log = root / "orders"
    log.touch()
    (root / "modules" / "outlet.py").write_text(
        AGENT.format(log=str(log), eaton_on=PROFILES["eaton_epdu"].on.oid)
    )
    (root / "data" / f"{WRITE}.snmprec").write_text(records())
    # Whoever has this community sees all objects, and none of them can be written.
    (root / "data" / f"{READ}.snmprec").write_text(records().replace("|command,", "|state,"))
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        str(RESPONDER),
        f"--cache-dir={root / 'cache'}",
        f"--variation-modules-dir={root / 'modules'}",
        "--v3-engine-id=auto",
        "--v3-user=billing",
        "--v3-auth-proto=SHA256",
        f"--v3-auth-key={AUTH_KEY}",
        "--v3-priv-proto=AES128",
        f"--v3-priv-key={PRIV_KEY}",
        f"--data-dir={root / 'data'}",
        f"--agent-udpv4-endpoint=127.0.0.1:{port}",
    ]
    if os.geteuid() == 0:
        # It wants to be told as whom it runs; as anybody else it could not read this Python, which
        # may well lie in a home directory.
        command[1:1] = ["--process-user=root", "--process-group=root"]
    with (root / "log").open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=root)
    found = Agent(port, log)
    try:
        with contextlib.closing(found.custom(timeout_seconds=0.2, retries=0)) as control:
            until = time.monotonic() + 60
            while True:
                try:
                    assert control.power_state("pdu/1") == "on"
                    break
                except SourceUnavailable:
                    told = (root / "log").read_text()
                    assert process.poll() is None, told
                    assert time.monotonic() < until, told
        yield found
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_each_line_of_pdus_is_switched_and_read_back(agent: Agent, profile: str) -> None:
    known = PROFILES[profile]
    meter_id = f"pdu/{INDEXES[known.parts]}"
    before = len(agent.orders())
    with contextlib.closing(agent.connect(profile=profile)) as control:
        assert control.power_state(meter_id) == "on"
        control.power(meter_id, "on")
        control.power(meter_id, "off")
        assert control.power_state(meter_id) == "off"
        control.power(meter_id, "off")
        control.power(meter_id, "on")
        assert control.power_state(meter_id) == "on"
    index = INDEXES[known.parts]
    assert agent.orders()[before:] == [
        f"{known.off.oid}.{index} {known.off.value}",
        f"{known.on.oid}.{index} {known.on.value}",
    ], "an outlet that is in the state is not ordered into it"


def test_an_outlets_label_and_a_list_lead_to_its_index(agent: Agent) -> None:
    listed = {"psu-A": {"host": "127.0.0.1", "outlet": 3}}
    with contextlib.closing(
        agent.connect(profile="raritan_pdu2", outlets=listed, outlet=None, pattern=None)
    ) as control:
        assert control.power_state("psu-A") == "on"
        with pytest.raises(SourceRefused, match="meter psu-B is: it is not listed"):
            control.power("psu-B", "off")
    with contextlib.closing(agent.connect(profile="raritan_pdu2")) as control:
        assert control.power_state("pdu/03") == "on"


def test_objects_of_ones_own(agent: Agent) -> None:
    with contextlib.closing(agent.custom()) as control:
        control.power("pdu/1", "off")
        assert control.power_state("pdu/1") == "off"
        control.power("pdu/1", "on")
        assert control.power_state("pdu/1") == "on"


def test_a_state_that_never_comes_is_told_as_it_is(agent: Agent) -> None:
    with contextlib.closing(agent.custom()) as control:
        control.power("pdu/2", "off")
        assert control.power_state("pdu/2") == "on"


def test_a_number_that_is_in_no_list_is_unknown(agent: Agent) -> None:
    with contextlib.closing(agent.custom()) as control:
        assert control.power_state("pdu/4") == "unknown"


def test_an_outlet_that_is_not_there(agent: Agent) -> None:
    with (
        contextlib.closing(agent.custom()) as control,
        pytest.raises(SourceRefused, match=r"outlet 77 of 127\.0\.0\.1 is not there"),
    ):
        control.power("pdu/77", "off")


def test_a_busy_pdu_may_take_it_later(agent: Agent) -> None:
    with (
        contextlib.closing(agent.custom()) as control,
        pytest.raises(SourceUnavailable, match="the PDU says resourceUnavailable"),
    ):
        control.power("pdu/3", "off")


def test_a_text_for_a_state_is_no_answer(agent: Agent) -> None:
    with (
        contextlib.closing(agent.custom()) as control,
        pytest.raises(SourceAnswerError, match="shows a text as its state"),
    ):
        control.power_state("pdu/9")


def test_a_wrong_community_is_silence_and_the_message_says_so(agent: Agent) -> None:
    with (
        contextlib.closing(agent.custom(community="guess-1")) as control,
        pytest.raises(SourceUnavailable) as caught,
    ):
        control.power("pdu/1", "off")
    told = str(caught.value)
    assert "did not answer a question in 2 tries of 0.5 s; check the community too" in told
    assert "guess-1" not in told


def test_a_wrong_community_for_writing_is_told_apart(agent: Agent) -> None:
    auth = {"version": "2c", "community": "community", "read_community": "reading"}
    with (
        contextlib.closing(agent.custom(community="guess-1", auth=auth)) as control,
        pytest.raises(SourceUnavailable, match="it did answer a question before"),
    ):
        control.power("pdu/1", "off")


def test_a_community_that_may_only_read_is_refused(agent: Agent) -> None:
    before = agent.orders()
    with (
        contextlib.closing(agent.custom(community=READ)) as control,
        pytest.raises(SourceRefused, match="may this community or user write"),
    ):
        control.power("pdu/1", "off")
    assert agent.orders() == before


USER = {"version": "3", "username": "billing", "auth_secret": "auth", "priv_secret": "priv",
        "context": WRITE}  # fmt: skip


def test_version_3_with_encryption(agent: Agent) -> None:
    with contextlib.closing(agent.custom(auth=USER)) as control:
        control.power("pdu/1", "off")
        assert control.power_state("pdu/1") == "off"
        control.power("pdu/1", "on")


@pytest.mark.parametrize(
    ("change", "env", "error"),
    [
        ({"username": "nobody"}, {}, SourceRefused),
        ({}, {"PDU_AUTH": "another-passphrase"}, SourceRefused),
        ({"auth_protocol": "SHA"}, {}, SourceRefused),
        ({}, {"PDU_PRIV": "another-passphrase"}, (SourceRefused, SourceUnavailable)),
    ],
    ids=["user", "passphrase", "protocol", "encryption"],
)
def test_version_3_refuses_who_it_does_not_know(
    agent: Agent, change: Any, env: dict[str, str], error: Any
) -> None:
    with (
        contextlib.closing(agent.custom(auth=USER | change, env=env)) as control,
        pytest.raises(error) as caught,
    ):
        control.power("pdu/1", "off")
    assert "passphrase" in str(caught.value)
    assert "another-passphrase" not in str(caught.value)


def test_nobody_there() -> None:
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as free:
        free.bind(("127.0.0.1", 0))
        nobody = Agent(free.getsockname()[1], Path(__file__))
        with (
            contextlib.closing(nobody.custom(timeout_seconds=0.1)) as control,
            pytest.raises(SourceUnavailable, match="did not answer a question in 2 tries"),
        ):
            control.power("pdu/1", "off")


def test_a_name_that_nobody_knows(agent: Agent) -> None:
    with (
        contextlib.closing(agent.custom(host="pdu.invalid")) as control,
        pytest.raises(SourceUnavailable, match=r"pdu\.invalid cannot be asked"),
    ):
        control.power("pdu/1", "off")
