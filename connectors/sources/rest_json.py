"""Paged JSON over HTTP: the interface most metering software offers.

The configuration names the endpoints, how the window is put into a request, how pages follow each
other and which field of an item is what. Pages are read one at a time and handed on, so memory does
not grow with the answer. No site's habits are built in.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
import string
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

import httpx
from pydantic import Field, field_validator, model_validator

from connectors.base import Batch, ConfigModel, Machine, PowerState, SourceContext, Window
from connectors.errors import SourceAnswerError, SourceRefused
from connectors.http import Answer, HttpClient, HttpConfig
from connectors.rows import EventMap, PriceMap, ReadingMap, RowMapper, get_path
from connectors.sources.rest_json_power import PowerBlock, RestPower
from connectors.tables import CHARGE_EVENTS, INDEX_PRICES, READINGS

KIND: Final = "rest_json"


# --- configuration -------------------------------------------------------------------------------


class NoPaging(ConfigModel):
    """One answer has everything."""

    type: Literal["none"] = "none"


class CursorPaging(ConfigModel):
    """Each answer holds a cursor that fetches the next; without one it was the last."""

    type: Literal["cursor"]
    parameter: str = "cursor"
    """Query parameter that takes the cursor."""
    next: str
    """Path of the cursor in the answer, such as `paging.next`."""


class PagePaging(ConfigModel):
    """Pages have numbers; the first empty one, or the last by the answer's own count, ends."""

    type: Literal["page"]
    parameter: str = "page"
    first: int = 1
    total_pages: str | None = None
    """Path of the number of pages in the answer, if it says so."""


class OffsetPaging(ConfigModel):
    """Requests say how many items to pass over; the first empty answer ends."""

    type: Literal["offset"]
    parameter: str = "offset"


class LinkHeaderPaging(ConfigModel):
    """The `Link` header (RFC 8288) names the next page."""

    type: Literal["link_header"]


class NextLinkPaging(ConfigModel):
    """The answer holds the address of the next page."""

    type: Literal["next_link"]
    next: str
    """Path of the address in the answer, such as `next` or `links.next.href`."""


Paging = Annotated[
    NoPaging | CursorPaging | PagePaging | OffsetPaging | LinkHeaderPaging | NextLinkPaging,
    Field(discriminator="type"),
]


class WindowFormat(ConfigModel):
    """How instants are written into a request."""

    format: str = "iso"
    """`iso` (2026-05-01T00:00:00Z), `epoch_s`, `epoch_ms`, `date` (whole local days that cover the
    window; `{end}` is the day after the last, `{last}` the last), or a strftime pattern."""
    timezone: str = "UTC"
    """Zone in which the site wants its times and dates: an IANA name, or `site`."""

    @field_validator("timezone")
    @classmethod
    def _known(cls, timezone: str) -> str:
        if timezone != "site" and timezone not in available_timezones():
            raise ValueError("expected an IANA name such as Europe/Oslo, or site")
        return timezone

    @field_validator("format")
    @classmethod
    def _writable(cls, format_: str) -> str:
        if format_ not in ("iso", "epoch_s", "epoch_ms", "date") and "%" not in format_:
            raise ValueError("expected iso, epoch_s, epoch_ms, date or a strftime pattern")
        return format_


class Each(ConfigModel):
    """An endpoint that is asked once for each of several things, `{each}` in path or parameters."""

    values: list[str] = Field(default_factory=list)
    """The things, listed here."""
    path: str | None = None
    """Or where the site lists them."""
    items: str = "[]"
    field: str | None = None
    """Path in each listed item of what goes into `{each}`."""

    @model_validator(mode="after")
    def _one_origin(self) -> Each:
        if bool(self.values) == (self.path is not None):
            raise ValueError("give either values, or path and field")
        if (self.path is None) != (self.field is None):
            raise ValueError("path and field go together")
        return self


class Endpoint(ConfigModel):
    """One address and how its answers are taken apart."""

    path: str
    """Path below the site's `url`; may hold `{each}`."""
    params: dict[str, str] = Field(default_factory=dict)
    """Query parameters; `{start}`, `{end}`, `{last}` and `{each}` are filled in."""
    items: str = "[]"
    """Where the items are: `[]` for a list at the top, `data[]`, or `meters[].points[]` for lists
    in lists. In the mapping, `../id` is a field of the object around the list, `$each` the thing
    asked for."""
    paging: Paging = NoPaging()
    window: WindowFormat = WindowFormat()
    max_window_hours: int | None = Field(default=None, ge=1)
    """Longest window the site answers at once; longer ones are asked for in pieces."""
    each: Each | None = None
    max_pages: int = Field(default=10_000, ge=1)

    @field_validator("items")
    @classmethod
    def _a_path(cls, items: str) -> str:
        if not items.endswith("[]"):
            raise ValueError("expected a path to a list, ending in [], such as data[]")
        return items

    @model_validator(mode="after")
    def _known_words(self) -> Endpoint:
        allowed = {"start", "end", "last"} | ({"each"} if self.each else set())
        for text in (self.path, *self.params.values()):
            for _, name, _, _ in string.Formatter().parse(text):
                if name is not None and name not in allowed:
                    raise ValueError(
                        f"{{{name}}} stands for nothing here; known: {', '.join(sorted(allowed))}"
                    )
        return self


class ReadingsEndpoint(Endpoint):
    """An endpoint that gives readings."""

    map: ReadingMap


class EventsEndpoint(Endpoint):
    """An endpoint that gives charge events."""

    map: EventMap


class PricesEndpoint(Endpoint):
    """An endpoint that gives index prices."""

    map: PriceMap


class MachinesEndpoint(Endpoint):
    """An endpoint that lists devices."""

    meter_id: str
    """Path of the device's own name in an item."""
    name: str | None = None
    model: str | None = None
    serial_number: str | None = None
    active: str | None = None
    """Path of the device's state."""
    active_values: list[str] = Field(default_factory=list)
    """States that mean it is in use."""


class Config(HttpConfig):
    """A site with a JSON interface."""

    readings: list[ReadingsEndpoint] = Field(default_factory=list)
    charge_events: list[EventsEndpoint] = Field(default_factory=list)
    index_prices: list[PricesEndpoint] = Field(default_factory=list)
    machines: list[MachinesEndpoint] = Field(default_factory=list)
    power: PowerBlock | None = None
    """How machines are switched."""

    @model_validator(mode="after")
    def _something(self) -> Config:
        if self.power is None and not self.is_read():
            raise ValueError("give at least one of readings, charge_events, index_prices, machines")
        return self

    def is_read(self) -> bool:
        """Whether anything is fetched."""
        return bool(self.readings or self.charge_events or self.index_prices or self.machines)

    def power_hosts(self) -> tuple[str, ...] | None:
        """Return where orders go: the site, the issuer of its tokens, the proxy before them."""
        if self.power is None:
            return None
        return self.addresses() + (() if self.proxy is None else (self.proxy,))

    def power_target(self, meter_id: str) -> str:
        """Return what an order for a meter asks of the site."""
        if self.power is None:
            raise ValueError("there is no power")
        return self.power.target(meter_id)


# --- the connector -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Item:
    """An item of an answer and the objects around it, the innermost first."""

    value: Any
    around: tuple[Any, ...]
    each: str | None

    def __str__(self) -> str:
        return json.dumps(self.value, default=str, ensure_ascii=False)


def _get(item: _Item, path: str) -> object:
    if path == "$each":
        return item.each
    value, around = item.value, list(item.around)
    while path.startswith("../"):
        path = path.removeprefix("../")
        if not around:
            return None
        value = around.pop(0)
    return get_path(value, path) if path else value


class RestJson:
    """Connector for one site with a JSON interface."""

    def __init__(self, config: Config, context: SourceContext, client: HttpClient) -> None:
        self._config = config
        self._context = context
        self._client = client
        self._power = (
            None
            if config.power is None
            else RestPower(config.power, client, site_id=context.site_id)
        )

    def capabilities(self) -> frozenset[str]:
        """Return what the configuration names endpoints for."""
        names = ("readings", "charge_events", "index_prices", "machines", "power")
        return frozenset(name for name in names if getattr(self._config, name))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def power_lane(self, meter_id: str) -> str:  # noqa: ARG002 - all meters have one
        """Return the site's address."""
        return urlsplit(self._config.url).netloc.lower()

    def power(self, meter_id: str, state: Literal["on", "off"]) -> None:
        """Ask for the state, unless the site shows it already."""
        self._switch().power(meter_id, state)

    def power_state(self, meter_id: str) -> PowerState:
        """Return the state the site reports now."""
        return self._switch().power_state(meter_id)

    def _switch(self) -> RestPower:
        if self._power is None:
            raise SourceRefused(self._context.site_id, "its configuration has no power")
        return self._power

    def readings(self, window: Window) -> Iterator[Batch]:
        """Yield the readings of the window, page by page."""
        return self._batches(self._config.readings, READINGS.name, window)

    def charge_events(self, window: Window) -> Iterator[Batch]:
        """Yield the charge events of the window, page by page."""
        return self._batches(self._config.charge_events, CHARGE_EVENTS.name, window)

    def index_prices(self, window: Window) -> Iterator[Batch]:
        """Yield the index prices of the window, page by page."""
        return self._batches(self._config.index_prices, INDEX_PRICES.name, window)

    def machines(self) -> Iterator[Machine]:
        """Yield the devices the site lists."""
        for endpoint in self._config.machines:
            for item in self._items(endpoint, None):
                meter_id = _get(item, endpoint.meter_id)
                if meter_id is None:
                    raise SourceAnswerError(
                        self._context.site_id,
                        f"{endpoint.path} lists a device without {endpoint.meter_id}: {item}"[:500],
                    )
                state = _text(item, endpoint.active)
                yield Machine(
                    meter_id=str(meter_id),
                    name=_text(item, endpoint.name),
                    model=_text(item, endpoint.model),
                    serial_number=_text(item, endpoint.serial_number),
                    is_active=None if state is None else state in endpoint.active_values,
                )

    def _batches(
        self,
        endpoints: list[ReadingsEndpoint] | list[EventsEndpoint] | list[PricesEndpoint],
        table: str,
        window: Window,
    ) -> Iterator[Batch]:
        for endpoint in endpoints:
            mapper = RowMapper(
                endpoint.map,
                site_id=self._context.site_id,
                site_timezone=self._context.timezone,
                source=KIND,
                get=_get,
            )
            # One origin for all of a site's answers: they are given at one time, so none of two
            # that contradict each other is the newer one.
            builder = mapper.builder(f"{self._config.url} {table}")
            for piece in self._pieces(endpoint, window):
                for number, item in enumerate(self._items(endpoint, piece)):
                    mapper.map_into(builder, item, row=number + 1, origin=endpoint.path)
                    if builder.full():
                        yield builder.take()
            yield from builder.rest()

    def _pieces(self, endpoint: Endpoint, window: Window) -> Iterator[Window]:
        if endpoint.max_window_hours is None:
            yield window
        else:
            yield from window.pieces(dt.timedelta(hours=endpoint.max_window_hours))

    def _items(self, endpoint: Endpoint, window: Window | None) -> Iterator[_Item]:
        words = {} if window is None else self._window_words(endpoint.window, window)
        if endpoint.each is None:
            yield from self._asked(endpoint, words, None)
            return
        for each in self._each(endpoint.each):
            yield from self._asked(endpoint, words | {"each": each}, each)

    def _each(self, each: Each) -> Iterator[str]:
        if each.path is None or each.field is None:
            yield from each.values
            return
        body, _ = self._client.get_json(each.path)
        for item in self._taken_apart(body, each.items, each.path, None):
            value = _get(item, each.field)
            if value is None:
                raise SourceAnswerError(
                    self._context.site_id, f"{each.path} lists an item without {each.field}: {item}"
                )
            yield str(value)

    def _window_words(self, form: WindowFormat, window: Window) -> dict[str, str]:
        name = self._context.timezone if form.timezone == "site" else form.timezone
        zone = ZoneInfo(name)
        if form.format == "date":
            first = window.start.astimezone(zone).date()
            last = (window.end - dt.timedelta(microseconds=1)).astimezone(zone).date()
            after = last + dt.timedelta(days=1)
            return {
                "start": first.isoformat(),
                "end": after.isoformat(),
                "last": last.isoformat(),
            }

        def write(instant: dt.datetime) -> str:
            match form.format:
                case "iso":
                    text = instant.astimezone(zone).isoformat()
                    return text.removesuffix("+00:00") + "Z" if name == "UTC" else text
                case "epoch_s":
                    return str(int(instant.timestamp()))
                case "epoch_ms":
                    return str(int(instant.timestamp()) * 1000 + instant.microsecond // 1000)
                case pattern:
                    return instant.astimezone(zone).strftime(pattern)

        return {
            "start": write(window.start),
            "end": write(window.end),
            "last": write(window.end - dt.timedelta(seconds=1)),
        }

    def _asked(
        self, endpoint: Endpoint, words: Mapping[str, str], each: str | None
    ) -> Iterator[_Item]:
        quoted = {name: urllib.parse.quote(word, safe="") for name, word in words.items()}
        address = _filled(endpoint.path, quoted)
        params = {name: _filled(text, words) for name, text in endpoint.params.items()}
        for body in self._pages(endpoint, address, params):
            yield from self._taken_apart(body, endpoint.items, endpoint.path, each)

    def _pages(self, endpoint: Endpoint, address: str, params: Mapping[str, str]) -> Iterator[Any]:
        paging = endpoint.paging
        seen: set[str] = set()
        before = ""
        query = dict(params)
        passed = 0
        if isinstance(paging, PagePaging):
            query[paging.parameter] = str(paging.first)
        for number in range(endpoint.max_pages):
            body, answer = self._client.get_json(address, params=query)
            count = sum(1 for _ in self._taken_apart(body, endpoint.items, endpoint.path, None))
            if isinstance(paging, (PagePaging, OffsetPaging)):
                digest = hashlib.sha256(answer.content).hexdigest()
                if count and digest == before:
                    raise SourceAnswerError(
                        self._context.site_id,
                        f"{endpoint.path} answers the same page again for "
                        f"{paging.parameter}={query[paging.parameter]}; is that its parameter?",
                    )
                before = digest
            yield body
            following: str | None
            match paging:
                case NoPaging():
                    return
                case PagePaging():
                    if count == 0 or self._was_last(paging, body, number):
                        return
                    following = str(paging.first + number + 1)
                    query[paging.parameter] = following
                case OffsetPaging():
                    passed += count
                    if count == 0:
                        return
                    following = str(passed)
                    query[paging.parameter] = following
                case CursorPaging():
                    following = _cursor(get_path(body, paging.next))
                    if following is None:
                        return
                    query[paging.parameter] = following
                case LinkHeaderPaging():
                    following = _next_link(answer)
                    if following is None:
                        return
                    address, query = self._client.link(following, of=answer.url), {}
                case NextLinkPaging():
                    following = _cursor(get_path(body, paging.next))
                    if following is None:
                        return
                    address, query = self._client.link(following, of=answer.url), {}
            if following in seen:
                raise SourceAnswerError(
                    self._context.site_id,
                    f"{endpoint.path} leads in a circle after {number + 1} pages",
                )
            seen.add(following)
        raise SourceAnswerError(
            self._context.site_id,
            f"{endpoint.path} has more than {endpoint.max_pages} pages; ask for larger ones or "
            "raise max_pages",
        )

    def _was_last(self, paging: PagePaging, body: Any, number: int) -> bool:
        if paging.total_pages is None:
            return False
        total = get_path(body, paging.total_pages)
        if isinstance(total, bool) or not isinstance(total, int):
            raise SourceAnswerError(
                self._context.site_id,
                f"{paging.total_pages} of the answer is {total!r}; expected the number of pages",
            )
        return number + 1 >= total

    def _taken_apart(self, body: Any, items: str, path: str, each: str | None) -> Iterator[_Item]:
        """Yield the items of an answer; ``a[].b[]`` is every b of every a."""
        steps = [step.strip(".") for step in items.split("[]")[:-1]]
        level = [_Item(body, (), each)]
        for step in steps:
            level = [inner for outer in level for inner in self._listed(outer, step, path)]
        yield from level

    def _listed(self, outer: _Item, step: str, path: str) -> Iterator[_Item]:
        where = step or "the answer"
        found = get_path(outer.value, step) if step else outer.value
        if found is None and step and _has(outer.value, step):
            return
        if not isinstance(found, list):
            raise SourceAnswerError(
                self._context.site_id,
                f"{path}: {where} is no list but {_kind_of(found)}; "
                "the configuration's items says there is one",
            )
        for value in found:
            yield _Item(value, (outer.value, *outer.around), outer.each)


def _has(value: Any, path: str) -> bool:
    """Whether a path leads somewhere, if only to null: an empty list in some dialects."""
    *steps, last = path.split(".")
    parent = get_path(value, ".".join(steps)) if steps else value
    return isinstance(parent, Mapping) and last in parent


def _kind_of(value: object) -> str:
    return "missing" if value is None else f"{type(value).__name__}"


def _filled(text: str, words: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: words.get(match[1], match[0]), text)


def _text(item: _Item, path: str | None) -> str | None:
    value = None if path is None else _get(item, path)
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)


def _cursor(value: object) -> str | None:
    return None if value is None or value is False or value == "" else str(value)


def _next_link(answer: Answer) -> str | None:
    links = httpx.Response(200, headers=answer.headers).links
    return links.get("next", {}).get("url")


def build(config: Config, context: SourceContext) -> RestJson:
    """Build the connector of one site."""
    client = HttpClient(
        config, site_id=context.site_id, secrets=context.secrets, clock=context.clock
    )
    return RestJson(config, context, client)
