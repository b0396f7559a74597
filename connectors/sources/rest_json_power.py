"""Switching machines through a site's JSON interface: the `power` block of `rest_json`.

A request per state, and where the state is read. A request is sent again when its answer is lost,
so it must ask for a state: of two requests that say "switch over" the second would undo the first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from pydantic import Field, field_validator, model_validator

from connectors.base import ConfigModel, PowerState
from connectors.errors import SourceAnswerError, SourceRefused
from connectors.http import HttpClient
from connectors.meters import (
    check_template,
    checked_pattern,
    filled_path,
    taken_apart,
    words_of,
)
from connectors.rows import get_path

_WORD: Final = re.compile(r"\{(\w+)\}")


class Request(ConfigModel):
    """How orders are sent."""

    method: Literal["PUT", "POST", "PATCH", "GET"] = "PUT"
    path: str
    """Path below the site's `url`, such as `v1/meters/{meter_id}/power`."""


class Order(ConfigModel):
    """What an order says, for one state."""

    path: str | None = None
    """Another path than that of `request`, where the state is part of it."""
    params: dict[str, str] = Field(default_factory=dict)
    """Query parameters."""
    body: Any = None
    """JSON that is sent; words in braces are filled in in all its texts."""


class State(ConfigModel):
    """Where a machine's state is read."""

    path: str
    params: dict[str, str] = Field(default_factory=dict)
    field: str
    """Path of the state in the answer, such as `outlet.state`."""
    on_values: list[str | bool | int] = Field(min_length=1)
    """Values that mean on; any that is in neither list is an unknown state."""
    off_values: list[str | bool | int] = Field(min_length=1)

    @model_validator(mode="after")
    def _told_apart(self) -> State:
        both = set(map(_as_text, self.on_values)) & set(map(_as_text, self.off_values))
        if both:
            raise ValueError(f"{min(both)!r} means both on and off")
        return self


class PowerBlock(ConfigModel):
    """How machines are switched. `{meter_id}` and the named groups of `pattern` are filled in."""

    request: Request
    power_on: Order = Order()
    """Asks for on, however often it is sent."""
    power_off: Order = Order()
    """Asks for off, however often it is sent."""
    state: State
    pattern: str | None = None
    """Regular expression for whole names of meters whose named groups are words too."""

    @field_validator("pattern")
    @classmethod
    def _a_pattern(cls, pattern: str | None) -> str | None:
        return checked_pattern(pattern)

    @model_validator(mode="after")
    def _one_machine_a_meter(self) -> PowerBlock:
        words = words_of(self.pattern)
        if self._sent(self.power_on) == self._sent(self.power_off):
            raise ValueError(
                "power_on and power_off send the same request, which would switch over whatever "
                "the state is; an order must say which state is meant"
            )
        for name, order in (("power_on", self.power_on), ("power_off", self.power_off)):
            if not self._used(self.path_of(order), order.params, order.body, words):
                raise ValueError(
                    f"{name} does not say which machine: write a word such as {{meter_id}} into "
                    "path, params or body"
                )
        if not self._used(self.state.path, self.state.params, None, words):
            raise ValueError(
                "state does not say which machine: write a word such as {meter_id} into path or "
                "params"
            )
        return self

    def path_of(self, order: Order) -> str:
        """Return the path an order goes to."""
        return self.request.path if order.path is None else order.path

    def words_for(self, meter_id: str) -> Mapping[str, str]:
        """Return the words of a meter; raises ``ValueError`` if the pattern does not fit it."""
        words = taken_apart(meter_id, self.pattern)
        if words is None:
            raise ValueError(f"the pattern {self.pattern} does not fit it")
        return words

    def target(self, meter_id: str) -> str:
        """Return what an order for off asks of the site; raises ``ValueError``."""
        words, order = self.words_for(meter_id), self.power_off
        params, body = _filled_params(order.params, words), _filled(order.body, words)
        asked = " ".join(json.dumps(part, sort_keys=True) for part in (params, body) if part)
        return f"{filled_path(self.path_of(order), words)} {asked}".rstrip()

    def _sent(self, order: Order) -> tuple[Any, ...]:
        return self.path_of(order), order.params, order.body

    def _used(
        self, path: str, params: Mapping[str, str], body: Any, words: frozenset[str]
    ) -> frozenset[str]:
        used = check_template(path, words)
        for text in params.values():
            used |= check_template(text, words)
        # Braces in a body may be the site's own; only known words are filled in there.
        return used | {
            name for text in _texts(body) for name in _WORD.findall(text) if name in words
        }


class RestPower:
    """Orders and states over one site's client."""

    def __init__(self, block: PowerBlock, client: HttpClient, *, site_id: str) -> None:
        self._block = block
        self._client = client
        self._site_id = site_id

    def power(self, meter_id: str, state: Literal["on", "off"]) -> None:
        """Send the order, unless the site shows the state already."""
        if self.power_state(meter_id) == state:
            return
        words = self._words(meter_id)
        order = self._block.power_on if state == "on" else self._block.power_off
        self._client.order(
            self._block.request.method,
            self._path(meter_id, self._block.path_of(order), words),
            params=_filled_params(order.params, words),
            body=_filled(order.body, words),
        )

    def power_state(self, meter_id: str) -> PowerState:
        """Read the state; a value that is in no list, and none at all, is ``unknown``."""
        words, state = self._words(meter_id), self._block.state
        path = self._path(meter_id, state.path, words)
        body, _ = self._client.get_json(path, params=_filled_params(state.params, words))
        *steps, last = state.field.split(".")
        parent = get_path(body, ".".join(steps)) if steps else body
        if get_path(parent, last) is None and not (isinstance(parent, Mapping) and last in parent):
            raise SourceAnswerError(
                self._site_id, f"{path} answers without {state.field}, the state of {meter_id}"
            )
        found = _as_text(get_path(parent, last))
        if found in map(_as_text, state.on_values):
            return "on"
        return "off" if found in map(_as_text, state.off_values) else "unknown"

    def _words(self, meter_id: str) -> Mapping[str, str]:
        try:
            return self._block.words_for(meter_id)
        except ValueError as error:
            raise self._unknown(meter_id, error) from None

    def _path(self, meter_id: str, template: str, words: Mapping[str, str]) -> str:
        try:
            return filled_path(template, words)
        except ValueError as error:
            raise self._unknown(meter_id, error) from None

    def _unknown(self, meter_id: str, error: ValueError) -> SourceRefused:
        return SourceRefused(
            self._site_id, f"power does not say which machine meter {meter_id} is: {error}"
        )


def _texts(body: Any) -> Iterator[str]:
    if isinstance(body, str):
        yield body
    elif isinstance(body, Mapping):
        for value in body.values():
            yield from _texts(value)
    elif isinstance(body, list | tuple):
        for value in body:
            yield from _texts(value)


def _filled(body: Any, words: Mapping[str, str]) -> Any:
    if isinstance(body, str):
        return _WORD.sub(lambda match: words.get(match[1], match[0]), body)
    if isinstance(body, Mapping):
        return {key: _filled(value, words) for key, value in body.items()}
    if isinstance(body, list | tuple):
        return [_filled(value, words) for value in body]
    return body


def _filled_params(params: Mapping[str, str], words: Mapping[str, str]) -> dict[str, str]:
    return {name: text.format(**words) for name, text in params.items()}


def _as_text(value: object) -> str:
    """Return a value as JSON writes it, without the quotes of a text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
