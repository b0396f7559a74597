"""Which device of a site a meter is: words of the meter's name put into addresses.

A site's outlets or machines are named by their meters in some regular way, and rarely all of them:
a configuration gives a template such as ``bmc-{meter_id}.example`` or a pattern with named groups,
and a list for the rest. What does not match is refused, never guessed: a wrong guess would switch
somebody else's machine.
"""

from __future__ import annotations

import re
import string
import urllib.parse
from collections.abc import Mapping
from typing import Final

METER_ID: Final = "meter_id"

_HOST_WORD: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")


def words_of(pattern: str | None) -> frozenset[str]:
    """Return the words that templates may use: ``meter_id`` and the groups of the pattern."""
    return frozenset({METER_ID} | (set(re.compile(pattern).groupindex) if pattern else set()))


def checked_pattern(pattern: str | None) -> str | None:
    """Return the pattern; raises ``ValueError`` if it is none. For validators."""
    if pattern is not None:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"is not a regular expression: {error}") from None
    return pattern


def check_template(template: str, words: frozenset[str]) -> frozenset[str]:
    """Return the words that a template uses; raises ``ValueError`` on one that stands for nothing.

    For validators.
    """
    used = set()
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"{template!r}: {error}") from None
    for _, name, form, conversion in parts:
        if name is None:
            continue
        if name not in words or form or conversion:
            raise ValueError(
                f"{{{name}}} stands for nothing here; known: {', '.join(sorted(words))}"
            )
        used.add(name)
    return frozenset(used)


def taken_apart(meter_id: str, pattern: str | None) -> Mapping[str, str] | None:
    """Return the words of a meter; None if the pattern does not match the whole of its name."""
    if pattern is None:
        return {METER_ID: meter_id}
    match = re.fullmatch(pattern, meter_id)
    if match is None or None in match.groupdict().values():
        return None
    return {METER_ID: meter_id, **match.groupdict()}


def filled_host(template: str, words: Mapping[str, str]) -> str:
    """Fill a host's name; raises ``ValueError`` on a word that could lead to another host."""
    for _, name, _, _ in string.Formatter().parse(template):
        if name is not None and not _HOST_WORD.fullmatch(words[name]):
            raise ValueError(f"{words[name]!r} is no name of a host for {template}")
    return template.format(**words)


def filled_path(template: str, words: Mapping[str, str]) -> str:
    """Fill a path, each word one step of it; raises ``ValueError`` on one that is none."""
    for _, name, _, _ in string.Formatter().parse(template):
        if name is not None and words[name] in (".", ".."):
            raise ValueError(f"{words[name]!r} is no step of the path {template}")
    quoted = {name: urllib.parse.quote(word, safe="") for name, word in words.items()}
    return template.format(**quoted)
