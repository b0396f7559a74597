"""A local Xero: a stateful stand-in on loopback for demo, tests and development.

Faithful to the accounting API where the exporter relies on it; see `organisation` for the rules it
keeps and `app` for the routes it has. Nothing in here may be imported by the exporter itself.
"""

from exporters.xero.sandbox.app import LocalXero
from exporters.xero.sandbox.seed import CLIENT_ID, CLIENT_SECRET, TENANT_ID, Seed, seed_from_book
from exporters.xero.sandbox.server import (
    AdminRefusedError,
    StateInUseError,
    XeroAdmin,
    XeroSandbox,
    environment,
)

__all__ = [
    "CLIENT_ID",
    "CLIENT_SECRET",
    "TENANT_ID",
    "AdminRefusedError",
    "LocalXero",
    "Seed",
    "StateInUseError",
    "XeroAdmin",
    "XeroSandbox",
    "environment",
    "seed_from_book",
]
