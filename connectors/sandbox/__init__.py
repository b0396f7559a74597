"""Local stand-ins for four data centres, for the demo and for tests.

Each site speaks the protocol it would speak in the field, on loopback: a paged JSON interface
behind OAuth2, the Prometheus HTTP interface, a folder that receives CSV drops, and a PostgreSQL
table. Readings are pure functions of (seed, site, meter, time) for whatever placements the book
has, so a test can compute what ought to have arrived. Here belong the servers, the loads, and the
faults they show; nothing here is used to bill a real site, and nothing here reads the landing zone.
"""

from connectors.sandbox.child import SandboxError
from connectors.sandbox.client import Sandbox

__all__ = ["Sandbox", "SandboxError"]
