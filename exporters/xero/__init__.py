"""Xero: issued statements go there exactly once, and what happens to them there comes back.

`publish` shows or carries out the plan of a period, `poll_payments` reads back; both take a
`XeroConfig`. `sandbox` is a local Xero for demo and tests.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from exporters.xero.client import XeroClient
from exporters.xero.config import XeroConfig, is_configured
from exporters.xero.errors import XeroConfigError, XeroError
from exporters.xero.payments import document_states, organisations, poll_payments
from exporters.xero.preflight import reminders_enabled
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
    "is_configured",
    "poll_payments",
    "publish",
    "reminders_enabled",
    "reminders_switched_on",
]


def reminders_switched_on(
    config: XeroConfig, *, marts_path: Path, clock: Callable[[], datetime]
) -> bool:
    """Whether any organisation of ours sends Xero's own reminders; payers must not be chased twice.

    Raises XeroError if that cannot be learnt.
    """
    for tenant in organisations(config, marts_path):
        with XeroClient(config.for_tenant(tenant), clock=clock) as client:
            if reminders_enabled(client):
                return True
    return False
