"""Where Xero is and as whom to talk to it, from the environment. Secrets stay out of reprs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from exporters.xero.errors import XeroConfigError

API_URL = "https://api.xero.com/api.xro/2.0"
IDENTITY_URL = "https://identity.xero.com"
SCOPES = (
    "accounting.invoices",
    "accounting.payments.read",
    "accounting.contacts",
    "accounting.settings.read",
    "accounting.attachments",
)
POSTING_SCOPES = ("accounting.payments", "accounting.banktransactions.read")
"""Asked for besides, where payments are posted."""
Grant = Literal["client_credentials", "authorization_code"]


_REQUIRED = ("M2C_XERO_CLIENT_ID", "M2C_XERO_CLIENT_SECRET")


def is_configured(environment: Mapping[str, str]) -> bool:
    """Whether the environment says as whom to talk to Xero."""
    return all(environment.get(name) for name in _REQUIRED)


@dataclass(frozen=True)
class XeroConfig:
    """One connection to Xero.

    data_dir: where locks, the token file and reports are. connect/read: seconds to wait.
    """

    data_dir: Path
    client_id: str
    client_secret: str = field(repr=False)
    tenant_id: str = ""
    api_url: str = API_URL
    identity_url: str = IDENTITY_URL
    grant: Grant = "client_credentials"
    scopes: tuple[str, ...] = SCOPES
    connect_seconds: float = 10.0
    read_seconds: float = 45.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], *, data_dir: Path) -> XeroConfig:
        """From the M2C_XERO_… variables. Raises XeroConfigError naming what is missing."""
        missing = [name for name in _REQUIRED if not environment.get(name)]
        if missing:
            raise XeroConfigError(
                f"{' and '.join(missing)} must be set: the id and secret of the Xero app"
            )
        grant = environment.get("M2C_XERO_GRANT") or "client_credentials"
        if grant not in ("client_credentials", "authorization_code"):
            raise XeroConfigError(
                f"M2C_XERO_GRANT is {grant!r}; it must be client_credentials or authorization_code"
            )
        api_url = (environment.get("M2C_XERO_API_URL") or API_URL).rstrip("/")
        if not api_url.endswith("/api.xro/2.0"):
            raise XeroConfigError(f"M2C_XERO_API_URL is {api_url!r}; it must end in /api.xro/2.0")
        return cls(
            data_dir=data_dir,
            client_id=environment["M2C_XERO_CLIENT_ID"],
            client_secret=environment["M2C_XERO_CLIENT_SECRET"],
            tenant_id=environment.get("M2C_XERO_TENANT_ID", ""),
            api_url=api_url,
            identity_url=(environment.get("M2C_XERO_IDENTITY_URL") or IDENTITY_URL).rstrip("/"),
            grant="authorization_code" if grant == "authorization_code" else "client_credentials",
        )

    def for_tenant(self, tenant_id: str) -> XeroConfig:
        """The same connection to another organisation."""
        return replace(self, tenant_id=tenant_id)

    def for_posting(self) -> XeroConfig:
        """The same connection, allowed to make payments."""
        return replace(self, scopes=(*SCOPES, *POSTING_SCOPES))

    @property
    def token_file(self) -> Path:
        """Where the rotating refresh token lives."""
        return self.data_dir / "secrets" / "xero_token.json"

    @property
    def locks_dir(self) -> Path:
        """Where locks live."""
        return self.data_dir / "locks"
