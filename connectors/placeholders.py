"""`${NAME}` and `${NAME:-default}` in a source's configuration: values of the environment.

So that one book serves a rehearsal, a second data centre of the same software and the real site.
Secrets have a mechanism of their own and do not belong here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

PLACEHOLDER: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def expand(value: Any, env: Mapping[str, str]) -> Any:
    """The value with every placeholder replaced; one without a value stays as it is."""
    if isinstance(value, Mapping):
        return {key: expand(entry, env) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [expand(entry, env) for entry in value]
    if isinstance(value, str):
        return PLACEHOLDER.sub(lambda match: _value(match, env), value)
    return value


def unset(value: Any, env: Mapping[str, str]) -> Iterator[str]:
    """The names of variables that a placeholder needs and the environment has not."""
    if isinstance(value, Mapping):
        for entry in value.values():
            yield from unset(entry, env)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from unset(entry, env)
    elif isinstance(value, str):
        for match in PLACEHOLDER.finditer(value):
            if not env.get(match[1]) and match[2] is None:
                yield match[1]


def _value(match: re.Match[str], env: Mapping[str, str]) -> str:
    return env.get(match[1]) or (match[0] if match[2] is None else match[2])
