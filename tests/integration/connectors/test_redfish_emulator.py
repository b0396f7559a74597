"""Power control through Redfish against a real service: sushy-tools' emulator, over TLS."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bcrypt
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from connectors.base import PowerConnector, SourceSpec
from connectors.errors import SourceRefused, SourceUnavailable
from connectors.registry import build_power

EMULATOR = Path(sys.executable).with_name("sushy-emulator")
PASSWORD = "Geheim-9!"
NAMES = ("web-1", "web-2", "web-3")
# The emulator applies an order after 1 to 11 whole seconds, by lot; here after 1.
CONFIGURATION = """
import random

random.randint = lambda first, last: first
SUSHY_EMULATOR_LISTEN_IP = "127.0.0.1"
SUSHY_EMULATOR_FEATURE_SET = "minimum"
SUSHY_EMULATOR_STATE_DIR = {state!r}
SUSHY_EMULATOR_AUTH_FILE = {users!r}
SUSHY_EMULATOR_FAKE_SYSTEMS = [
    {{"uuid": uuid, "name": name, "power_state": "On", "external_notifier": False, "nics": []}}
    for name, uuid in {systems!r}.items()
]
"""
SYSTEMS = {name: f"27946b59-9e44-4fa7-8e91-0000000000{n:02}" for n, name in enumerate(NAMES)}


@dataclass(frozen=True)
class Emulator:
    url: str
    ca_file: Path

    def connect(self, password: str = PASSWORD, **config: Any) -> PowerConnector:
        config = {
            "url": self.url,
            "ca_file": str(self.ca_file),
            "auth": {"type": "basic", "username": "billing", "secret": "bmc"},
            "machines": {name: {"system": uuid} for name, uuid in SYSTEMS.items()},
            "poll_seconds": 0.2,
            "max_attempts": 2,
        } | config
        spec = SourceSpec("", power=SourceSpec("redfish", config, {"bmc": "BMC_PASSWORD"}))
        now = dt.datetime(2026, 5, 10, tzinfo=dt.UTC)
        env = {"BMC_PASSWORD": password}
        return build_power("FI-HEL1", "Europe/Helsinki", spec, env, lambda: now)


def write_certificate(folder: Path) -> None:
    """A certificate that signs itself, as BMCs come with."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bmc")])
    now = dt.datetime.now(dt.UTC)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(alternative, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "bmc.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "bmc.key").write_bytes(
        key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )  # fmt: skip


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    root = tmp_path_factory.mktemp("redfish")
    write_certificate(root)
    secret = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (root / "users").write_text(f"billing:{secret}\n")
    (root / "state").mkdir()
    (root / "emulator.conf").write_text(
        CONFIGURATION.format(
            state=str(root / "state"), users=str(root / "users"), systems=SYSTEMS
        )
    )  # fmt: skip
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (root / "log").open("w") as log:
        process = subprocess.Popen(
            [
                str(EMULATOR),
                "--fake",
                f"--config={root / 'emulator.conf'}",
                f"--port={port}",
                f"--ssl-certificate={root / 'bmc.pem'}",
                f"--ssl-key={root / 'bmc.key'}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=root,
        )
    found = Emulator(f"https://127.0.0.1:{port}", root / "bmc.pem")
    try:
        for _ in range(150):
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"{found.url}/redfish/v1/", verify=False, trust_env=False)
                break
            time.sleep(0.2)
        else:
            raise AssertionError((root / "log").read_text())
        yield found
    finally:
        process.kill()  # on SIGTERM it waits for connections that nobody closes
        process.wait(timeout=30)


def wait_for(control: PowerConnector, meter_id: str, state: str) -> None:
    until = time.monotonic() + 20
    while control.power_state(meter_id) != state:
        assert time.monotonic() < until, f"{meter_id} did not get {state}"
        time.sleep(0.2)


def test_a_graceful_shutdown_is_waited_for_and_the_way_back(emulator: Emulator) -> None:
    with contextlib.closing(emulator.connect()) as control:
        assert control.power_state("web-1") == "on"
        control.power("web-1", "off")
        assert control.power_state("web-1") == "off"
        control.power("web-1", "off")
        assert control.power_state("web-2") == "on", "another machine was switched"
        control.power("web-1", "on")
        wait_for(control, "web-1", "on")


def test_a_state_that_does_not_come_in_time_is_told_as_it_is(emulator: Emulator) -> None:
    with contextlib.closing(emulator.connect(force_off_after_seconds=None)) as control:
        control.power("web-2", "off")
        # Answered 204, and on for another second.
        assert control.power_state("web-2") == "on"
        wait_for(control, "web-2", "off")


def test_power_is_cut_at_once(emulator: Emulator) -> None:
    with contextlib.closing(emulator.connect(power_off="force")) as control:
        control.power("web-3", "off")
        wait_for(control, "web-3", "off")


def test_a_wrong_password(emulator: Emulator) -> None:
    with (
        contextlib.closing(emulator.connect(password="wrong-8")) as control,
        pytest.raises(SourceRefused, match="credentials are not accepted") as caught,
    ):
        control.power("web-1", "off")
    assert "wrong-8" not in str(caught.value)


def test_an_unknown_system(emulator: Emulator) -> None:
    machines = {"web-9": {"system": "27946b59-9e44-4fa7-8e91-000000000099"}}
    with (
        contextlib.closing(emulator.connect(machines=machines)) as control,
        pytest.raises(SourceRefused, match="answered 404"),
    ):
        control.power("web-9", "off")


def test_three_systems_are_not_guessed_between(emulator: Emulator) -> None:
    with (
        contextlib.closing(emulator.connect(machines={"web-1": emulator.url})) as control,
        pytest.raises(SourceRefused, match="lists 3 systems"),
    ):
        control.power_state("web-1")


def test_a_certificate_nobody_vouches_for_is_refused(emulator: Emulator) -> None:
    with (
        contextlib.closing(emulator.connect(ca_file=None)) as control,
        pytest.raises(SourceRefused, match="give ca_file"),
    ):
        control.power_state("web-1")


def test_nobody_there() -> None:
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{free.getsockname()[1]}"
    elsewhere = Emulator(url, Path(__file__))
    with (
        contextlib.closing(elsewhere.connect(ca_file=None)) as control,
        pytest.raises(SourceUnavailable, match="failed 2 times"),
    ):
        control.power("web-1", "off")
