"""Which machines of the stand-ins are switched off, since when, and every order that was given.

Kept in a file of the state folder, so that a machine that was paused is still off when the
stand-ins start again. Times are those of the sites' clock.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

State = Literal["on", "off"]


@dataclass(frozen=True, slots=True)
class Order:
    """An order as a site took it; `at` is what the site's clock said."""

    site_id: str
    meter_id: str
    state: State
    at: datetime


class PowerBoard:
    """The switches of all sites; machines are on until somebody orders otherwise."""

    def __init__(self, now: Callable[[], datetime], path: Path | None = None) -> None:
        self._now = now
        self._path = path
        self._orders: list[Order] = []
        if path is not None and path.is_file():
            self._orders = [
                Order(**{**order, "at": datetime.fromisoformat(order["at"])})
                for order in json.loads(path.read_text(encoding="utf-8"))
            ]

    @property
    def orders(self) -> tuple[Order, ...]:
        """All orders, oldest first."""
        return tuple(self._orders)

    def order(self, site_id: str, meter_id: str, state: State) -> None:
        """Switch a machine now."""
        self._orders.append(Order(site_id, meter_id, state, self._now()))
        if self._path is not None:
            temporary = self._path.with_suffix(".part")
            content = [{**asdict(order), "at": order.at.isoformat()} for order in self._orders]
            temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
            temporary.replace(self._path)

    def state(self, site_id: str, meter_id: str, at: datetime | None = None) -> State:
        """The state of a machine at a time, by default now."""
        moment = at or self._now()
        found: State = "on"
        for order in self._orders:
            if (order.site_id, order.meter_id) == (site_id, meter_id) and order.at <= moment:
                found = order.state
        return found

    def switched(self, site_id: str) -> frozenset[str]:
        """The meters of a site that somebody ever switched."""
        return frozenset(order.meter_id for order in self._orders if order.site_id == site_id)
