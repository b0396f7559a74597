"""Events that other systems are told as signed webhooks, by the Standard Webhooks convention: what
happens in the ledger and in the marts, made into events once, owed to the endpoints of the book,
and sent until each has it. What Xero tells us comes in elsewhere (`exporters.xero.webhooks`).
"""

from exporters.webhooks.catalogue import TYPES
from exporters.webhooks.delivering import Delivering, send_events, send_test, standing
from exporters.webhooks.endpoints import Endpoint, EndpointError, UnknownEndpointError
from exporters.webhooks.noting import Noted, anything_new, note_events
from exporters.webhooks.owed import owed_deliveries
from exporters.webhooks.replays import Wanted, events_to_replay, owe_again
from exporters.webhooks.report import EventsReport, ReplayReport, TestReport
from exporters.webhooks.sending import Sender
from exporters.webhooks.states import disabled_endpoints, enable, settle
from exporters.webhooks.world import World, read_world

__all__ = [
    "TYPES",
    "Delivering",
    "Endpoint",
    "EndpointError",
    "EventsReport",
    "Noted",
    "ReplayReport",
    "Sender",
    "TestReport",
    "UnknownEndpointError",
    "Wanted",
    "World",
    "anything_new",
    "disabled_endpoints",
    "enable",
    "events_to_replay",
    "note_events",
    "owe_again",
    "owed_deliveries",
    "read_world",
    "send_events",
    "send_test",
    "settle",
    "standing",
]
