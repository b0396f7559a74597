"""The shape all connectors share: the window they are asked for and what they give back.

A connector is a small class for one protocol. It implements only what its site offers, each
capability being a protocol of its own here. What talks to the network (retries, limits, logs) is
in ``connectors.http``; how a record becomes a row is in ``connectors.rows``; where rows end up is
in ``connectors.landing``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, SecretStr

if TYPE_CHECKING:
    import polars as pl  # a third of a second at every start, for whoever only wants the book

Clock = Callable[[], dt.datetime]


@dataclass(frozen=True, order=True)
class Window:
    """A half-open span of time, ``start <= t < end``, both aware and in UTC."""

    start: dt.datetime
    end: dt.datetime

    def __post_init__(self) -> None:
        for name, instant in (("start", self.start), ("end", self.end)):
            if instant.utcoffset() is None:
                raise ValueError(
                    f"{name} of a window needs a UTC offset, got {instant.isoformat()}"
                )
            object.__setattr__(self, name, instant.astimezone(dt.UTC))
        if self.end <= self.start:
            raise ValueError(
                f"a window ends after it starts, got {self.start.isoformat()} to "
                f"{self.end.isoformat()}"
            )

    @classmethod
    def of_days(cls, first: dt.date, end: dt.date) -> Window:
        """Return the UTC days from ``first`` up to but not including ``end``."""
        return cls(
            dt.datetime.combine(first, dt.time(), dt.UTC),
            dt.datetime.combine(end, dt.time(), dt.UTC),
        )

    def with_lookback(self, days: int) -> Window:
        """Return the window begun ``days`` earlier, to catch what came late."""
        return Window(self.start - dt.timedelta(days=days), self.end)

    def pieces(self, length: dt.timedelta) -> Iterator[Window]:
        """Cut into consecutive windows of at most ``length``."""
        if length <= dt.timedelta(0):
            raise ValueError(f"a window is cut into pieces longer than nothing, got {length}")
        start = self.start
        while start < self.end:
            end = min(start + length, self.end)
            yield Window(start, end)
            start = end

    def contains(self, instant: dt.datetime) -> bool:
        """Whether the instant lies in the window; its end does not."""
        return self.start <= instant < self.end

    def __str__(self) -> str:
        return f"{self.start.isoformat()}/{self.end.isoformat()}"


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """A row that could not be read, with what a person needs to find and correct it."""

    reason: str
    origin: str
    row: int | None = None
    meter: str | None = None
    field: str | None = None
    value: str | None = None
    raw: str | None = None


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Some rows of one answer, bounded in number.

    ``frame`` has the columns of the landing table but ``batch_id`` and ``ingested_at``, which
    landing adds. ``origin`` names the answer the rows came in (a file, a query): where two rows of
    one origin claim the same key with different values, ``repeated`` says what becomes of them
    (``reject`` both, or keep the ``last``); a later origin replaces an earlier one without
    question, as a file that was sent again does. ``skipped`` counts records the configuration says
    to pass over.
    """

    frame: pl.DataFrame
    origin: str
    rejected: tuple[Rejected, ...] = ()
    skipped: int = 0
    repeated: Literal["reject", "last"] = "reject"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A device as its site lists it, to be compared with the book."""

    meter_id: str
    name: str | None = None
    model: str | None = None
    serial_number: str | None = None
    is_active: bool | None = None


PowerState = Literal["on", "off", "unknown"]


@runtime_checkable
class ReadingsSource(Protocol):
    """A site that gives meter readings."""

    def readings(self, window: Window) -> Iterator[Batch]:
        """Yield all readings with ``interval_start`` in the window; more is allowed."""
        ...


@runtime_checkable
class ChargeEventsSource(Protocol):
    """A site that reports work done and goods used."""

    def charge_events(self, window: Window) -> Iterator[Batch]:
        """Yield all events with ``occurred_at`` in the window; more is allowed."""
        ...


@runtime_checkable
class IndexPricesSource(Protocol):
    """A site that publishes hourly prices."""

    def index_prices(self, window: Window) -> Iterator[Batch]:
        """Yield all prices with ``hour_start`` in the window; more is allowed."""
        ...


@runtime_checkable
class MachinesSource(Protocol):
    """A site that lists its devices."""

    def machines(self) -> Iterator[Machine]:
        """Yield every device the site knows."""
        ...


@runtime_checkable
class PowerControl(Protocol):
    """A site whose machines can be switched."""

    def power(self, meter_id: str, state: Literal["on", "off"]) -> None:
        """Ask for the state; returns when the site took the order, not when it is carried out."""
        ...

    def power_state(self, meter_id: str) -> PowerState:
        """Return the state the site reports now."""
        ...


@runtime_checkable
class PowerConnector(PowerControl, Protocol):
    """What ``connectors.registry.build_power`` builds: power control with connections to let go.

    Several threads use one at once, never two for meters of one lane.
    """

    def power_lane(self, meter_id: str) -> str:
        """Return the address that orders for a meter go to; it takes one at a time.

        The site stands for a meter that leads nowhere.
        """
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


@runtime_checkable
class Connector(Protocol):
    """Anything the registry builds; what it can do is found by the protocols above."""

    def capabilities(self) -> frozenset[str]:
        """Return which of readings, charge_events, index_prices, machines, power it offers."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


@dataclass(frozen=True)
class SourceSpec:
    """How the book says a site is read: kind, configuration, and where its secrets are.

    ``secrets`` maps the names the configuration uses to names of environment variables; no value
    of a secret is ever in the book. ``power`` says how its machines are switched where that is
    another way than it is read; ``kind`` is empty where the site is only switched, not read.
    """

    kind: str
    config: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    power: SourceSpec | None = None

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> SourceSpec:
        """Return the spec of an entry of sources.yml that is known to be sound."""
        power = entry.get("power")
        return cls(
            entry.get("kind") or "",
            entry.get("config") or {},
            entry.get("secrets") or {},
            None if power is None else cls.of(power),
        )

    @property
    def is_read(self) -> bool:
        """Whether there is anything to fetch, or readings are filled in by hand."""
        return bool(self.kind)


@dataclass(frozen=True, kw_only=True)
class SourceContext:
    """What a source module gets to build its connector from."""

    site_id: str
    timezone: str
    secrets: Mapping[str, SecretStr]
    clock: Clock
    data_dir: Path | None = None


@dataclass(frozen=True)
class _SecretName:
    """Marks a field of a configuration that holds the name of a secret, not a secret."""


SECRET_NAME = _SecretName()


class ConfigModel(BaseModel):
    """Base of every source's configuration: unknown keys are faults, nothing changes later."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )

    def is_read(self) -> bool:
        """Whether anything is fetched with it."""
        return True

    def power_hosts(self) -> tuple[str, ...] | None:
        """Return the addresses that an order to switch would go to; None without power control.

        An empty tuple: machines are switched, but over no network.
        """
        return None

    def power_target(self, meter_id: str) -> str:
        """Return which device an order for a meter goes to; two of one name are one device.

        Raises ``ValueError`` saying why the meter leads to none.
        """
        raise ValueError(f"nothing says what switches {meter_id}")

    def secret_names(self, prefix: str = "") -> Iterator[tuple[str, str]]:
        """Yield (field, name) for every secret the configuration uses."""
        for name, info in type(self).model_fields.items():
            value = getattr(self, name)
            path = f"{prefix}{name}"
            if isinstance(value, str) and SECRET_NAME in info.metadata:
                yield path, value
            elif isinstance(value, Mapping) and SECRET_NAME in info.metadata:
                for key, secret in value.items():
                    yield f"{path}.{key}", secret
            else:
                yield from _nested_secret_names(value, path)


def _nested_secret_names(value: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, ConfigModel):
        yield from value.secret_names(f"{path}.")
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from _nested_secret_names(item, f"{path}.{number}")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _nested_secret_names(item, f"{path}.{key}")
