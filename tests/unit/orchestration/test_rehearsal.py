"""With the clock replaced, nothing but loopback is acted on."""

from __future__ import annotations

import pytest

from orchestration.rehearsal import refuse_outside_loopback, refuse_outside_mailbox
from orchestration.settings import SettingsError

NOW = {"M2C_NOW": "2026-11-04T06:15:00Z"}
LOCAL = {
    "M2C_XERO_API_URL": "http://127.0.0.1:8790/api.xro/2.0",
    "M2C_XERO_IDENTITY_URL": "http://localhost:8790",
}


def test_without_a_replaced_clock_nothing_is_refused() -> None:
    refuse_outside_loopback({"M2C_XERO_API_URL": "https://api.xero.com/api.xro/2.0"})
    refuse_outside_loopback({})


def test_loopback_may_be_acted_on() -> None:
    refuse_outside_loopback({**NOW, **LOCAL})
    refuse_outside_loopback({**NOW, **LOCAL, "M2C_SMTP_URL": "smtp://[::1]:25"})


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("M2C_XERO_API_URL", "https://api.xero.com/api.xro/2.0"),
        ("M2C_XERO_API_URL", "http://127.0.0.1.example.com/api.xro/2.0"),
        ("M2C_XERO_API_URL", "http://127.0.0.1@api.xero.com/api.xro/2.0"),
        ("M2C_XERO_IDENTITY_URL", "https://identity.xero.com"),
        ("M2C_SMTP_URL", "smtp://mail.example.com:587"),
    ],
)
def test_any_other_host_is_refused_by_name(name: str, url: str) -> None:
    with pytest.raises(SettingsError, match=f"M2C_NOW is set.*{name}"):
        refuse_outside_loopback({**NOW, **LOCAL, name: url})


@pytest.mark.parametrize("name", sorted(LOCAL))
def test_an_address_left_out_means_the_real_xero(name: str) -> None:
    env = {**NOW, **LOCAL}
    del env[name]
    with pytest.raises(SettingsError, match="the real one"):
        refuse_outside_loopback(env)


def test_no_mail_is_marked_in_a_mailbox_elsewhere() -> None:
    elsewhere = {"M2C_BOUNCES_IMAP_URL": "imaps://me@mail.example.com/INBOX"}
    refuse_outside_mailbox(elsewhere)
    refuse_outside_mailbox(NOW)
    refuse_outside_mailbox({**NOW, "M2C_BOUNCES_IMAP_URL": "imap://me@127.0.0.1:1143/INBOX"})
    with pytest.raises(SettingsError, match=r"M2C_BOUNCES_IMAP_URL points at mail\.example\.com"):
        refuse_outside_mailbox({**NOW, **elsewhere})
