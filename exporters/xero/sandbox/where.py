"""The part of Xero's `where` language that exporters use: `A=="x"` joined by AND or OR.

Anything else is refused rather than half understood.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from exporters.xero.sandbox.errors import bad_request
from exporters.xero.sandbox.wire import Json

_TERM = re.compile(
    r'^\s*(?P<path>[A-Za-z.]+)\s*==\s*(?:Guid\("(?P<guid>[^"]*)"\)|"(?P<text>[^"]*)"|(?P<flag>true|false))\s*$'
)


def parse_where(text: str) -> Callable[[Json], bool]:
    """A predicate over answered objects. Raises the 400 of Xero for what it cannot read."""
    every = re.split(r"\s+AND\s+|\s*&&\s*", text)
    if len(every) > 1:
        terms = [_term(part) for part in every]
        return lambda body: all(term(body) for term in terms)
    either = [_term(part) for part in re.split(r"\s+OR\s+|\s*\|\|\s*", text)]
    return lambda body: any(term(body) for term in either)


def _term(text: str) -> Callable[[Json], bool]:
    found = _TERM.match(text)
    if found is None:
        raise bad_request(f"The where clause is not understood: {text}", kind="QueryParseException")
    path = found["path"].split(".")
    wanted: Any = found["guid"] or found["text"] or ""
    if found["flag"] is not None:
        wanted = found["flag"] == "true"

    def holds(body: Json) -> bool:
        value: Any = body
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        if value is None:
            value = ""
        if found["guid"] is not None:
            return str(value).lower() == str(wanted).lower()
        return bool(value == wanted)

    return holds
