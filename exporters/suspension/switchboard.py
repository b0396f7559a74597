"""What this package needs of the world of machines: look at a meter's outlet, and switch it.

Who knows the sites gives an object of this shape; nothing here knows a protocol.
"""

from __future__ import annotations

from typing import Literal, Protocol

Power = Literal["on", "off"]
Seen = Literal["on", "off", "unknown"]


class SwitchError(Exception):
    """A site could not be asked or ordered. `passing`: it did not answer and may later, so nobody
    knows whether it took the order; else it refused, and the order was certainly not taken."""

    def __init__(self, message: str, *, passing: bool) -> None:
        super().__init__(message)
        self.passing = passing


class Switchboard(Protocol):
    """All sites. Asked and ordered by several threads at once, each in lanes of its own."""

    def lane(self, site_id: str, meter_id: str) -> str:
        """The address that orders for a meter go to; it takes one at a time."""
        ...

    def route(self, site_id: str) -> str:
        """How the site is switched, in words: `redfish`, `command file …`."""
        ...

    def seen(self, site_id: str, meter_id: str) -> Seen:
        """The state that the site reports now. Raises SwitchError."""
        ...

    def switch(self, site_id: str, meter_id: str, state: Power) -> None:
        """Order a state; returns when the site took the order. Raises SwitchError."""
        ...
