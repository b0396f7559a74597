"""Secrets, signatures and addresses of endpoints."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from exporters.webhooks.endpoints import EndpointError
from exporters.webhooks.sending import is_public
from exporters.webhooks.signing import signed
from tests.unit.webhooks.world import ENV, OTHER_SECRET, SECRET, endpoint


def test_a_request_is_signed_with_the_new_and_the_old_secret() -> None:
    rotating = endpoint(secrets=("HOOK_NEW", "HOOK"))
    headers = signed("evt_1", '{"type":"å"}', keys=rotating.keys(ENV), at=datetime.now(UTC))
    for secret in (SECRET, OTHER_SECRET):
        assert Webhook(secret).verify('{"type":"å"}'.encode(), headers) == {"type": "å"}
    for changed in ({"webhook-id": "evt_2"}, {"webhook-timestamp": "1"}):
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify('{"type":"å"}', {**headers, **changed})
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify('{"type":"a"}', headers)
    stranger = "whsec_" + base64.b64encode(b"x" * 32).decode()
    with pytest.raises(WebhookVerificationError):
        Webhook(stranger).verify('{"type":"å"}', headers)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "HOOK is not set"),
        ("", "HOOK is not set"),
        (SECRET.removeprefix("whsec_"), "no secret by the convention"),
        ("whsec_" + base64.b64encode(b"short").decode(), "no secret by the convention"),
        ("whsec_" + base64.b64encode(b"x" * 65).decode(), "no secret by the convention"),
        ("whsec_not base64!", "no secret by the convention"),
    ],
)
def test_a_secret_that_is_none_is_refused_and_never_shown(value: str | None, words: str) -> None:
    env = {} if value is None else {"HOOK": value}
    with pytest.raises(EndpointError, match=words) as refused:
        endpoint().keys(env)
    assert "openssl rand -base64 32" in str(refused.value)
    assert not value or value not in str(refused.value)


def test_events_that_never_happen_are_found() -> None:
    asked = endpoint(events=("invoice.*", "invoice.payed", "machine.*", "invoices.*", "*"))
    assert asked.unknown_events() == ["invoice.payed", "invoices.*"]


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
        *("0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "::", "fd00::1", "fe80::1%eth0"),
        *("::ffff:10.0.0.1", "::ffff:127.0.0.1", "ff02::1"),
    ],
)
def test_addresses_inside(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:8.8.8.8"])
def test_addresses_of_the_internet(address: str) -> None:
    assert is_public(address)
