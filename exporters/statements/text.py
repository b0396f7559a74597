"""Text of outside origin (names, notes, descriptions) made safe to show, and file names made from
identifiers. Nothing is interpreted here: markup, formulas and paths stay the characters they are;
what is taken out are characters that no reader sees but that change what he sees around them
(control characters, line breaks in one-line fields, overrides of the writing direction, spaces of
no width), and those that no file format may hold."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from urllib.parse import urlsplit

# Embeddings, overrides and isolates can reorder the text that follows them, the plain marks
# (LRM, RLM, ALM) cannot and are left where a right-to-left name has them.
_DIRECTION_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Of the invisible ones joiners stay: scripts and emoji are written with them.
_INVISIBLE = frozenset(
    "\u00ad\u034f\u180e\u200b\u2060\u2061\u2062\u2063\u2064\ufeff\ufff9\ufffa\ufffb"
)
_TAGS = range(0xE0000, 0xE0080)
_UNSAFE_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")
_LONGEST_NAME = 100


def one_line(text: str | None) -> str:
    """`text` on one line: runs of white space and control characters become one space."""
    if not text:
        return ""
    if text.isprintable() and "  " not in text and text[0] != " " and text[-1] != " ":
        return text
    shown = (
        " " if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c
        for c in text
        if not _is_hidden(c)
    )
    return " ".join("".join(shown).split())


def _is_hidden(character: str) -> bool:
    code = ord(character)
    return (
        character in _DIRECTION_CONTROLS
        or character in _INVISIBLE
        or code in _TAGS
        or code & 0xFFFE == 0xFFFE  # what Unicode reserves not to be a character, and XML refuses
        or 0xFDD0 <= code <= 0xFDEF
    )


def web_link(url: str | None) -> str | None:
    """`url` if it is an http(s) address that can be followed as it stands, else None."""
    if not url or any(unicodedata.category(c).startswith(("C", "Z")) for c in url):
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.scheme in ("https", "http") and parts.hostname else None


def file_stem(identifier: str) -> str:
    """A file name (without ending) for `identifier` that stays in its folder on any system.

    An identifier that is a good name already is kept; any other gets a part of its hash, so that
    two identifiers never share a name."""
    name = _UNSAFE_IN_NAMES.sub("_", identifier).lstrip(".-")
    if name == identifier and 0 < len(name) <= _LONGEST_NAME and not name.endswith("."):
        return name
    digest = hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{name[:_LONGEST_NAME].rstrip('.') or 'x'}-{digest}"
