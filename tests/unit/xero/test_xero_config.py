"""Configuration from the environment; secrets never in a repr."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporters.xero import XeroConfig, XeroConfigError

BASE = {"M2C_XERO_CLIENT_ID": "id", "M2C_XERO_CLIENT_SECRET": "very-secret"}


def test_defaults_are_the_real_xero(tmp_path: Path) -> None:
    config = XeroConfig.from_environment(BASE, data_dir=tmp_path)
    assert config.api_url == "https://api.xero.com/api.xro/2.0"
    assert config.identity_url == "https://identity.xero.com"
    assert config.grant == "client_credentials"
    assert config.token_file == tmp_path / "secrets" / "xero_token.json"


def test_secret_is_not_shown(tmp_path: Path) -> None:
    assert "very-secret" not in repr(XeroConfig.from_environment(BASE, data_dir=tmp_path))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"M2C_XERO_CLIENT_SECRET": ""}, "M2C_XERO_CLIENT_SECRET must be set"),
        ({"M2C_XERO_GRANT": "password"}, "M2C_XERO_GRANT is 'password'"),
        ({"M2C_XERO_API_URL": "http://127.0.0.1:1"}, "must end in /api.xro/2.0"),
    ],
)
def test_faults_name_the_variable(tmp_path: Path, changes: dict[str, str], words: str) -> None:
    with pytest.raises(XeroConfigError, match=words):
        XeroConfig.from_environment(BASE | changes, data_dir=tmp_path)
