"""Xero: issued statements go there exactly once, and what happens to them there comes back.

`publish` shows or carries out the plan of a period, `poll_payments` reads back; both take a
`XeroConfig`. `sandbox` is a local Xero for demo and tests.
"""

from exporters.xero.client import XeroClient
from exporters.xero.config import XeroConfig
from exporters.xero.errors import XeroConfigError, XeroError
from exporters.xero.payments import document_states, poll_payments
from exporters.xero.publisher import publish
from exporters.xero.report import DocumentState, PaymentsReport, PlanLine, PublishReport

__all__ = [
    "DocumentState",
    "PaymentsReport",
    "PlanLine",
    "PublishReport",
    "XeroClient",
    "XeroConfig",
    "XeroConfigError",
    "XeroError",
    "document_states",
    "poll_payments",
    "publish",
    "reminders_enabled",
]


def reminders_enabled(client: XeroClient) -> bool:
    """Whether the organisation sends Xero's own invoice reminders."""
    return any(bool(setting.get("Enabled")) for setting in client.settings("InvoiceReminders"))
