"""A link as a QR code: black squares on white, as one path of an SVG. What may be a link is decided
elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import segno

_QUIET = 4
"""Light modules around the code, as ISO/IEC 18004 asks."""


@dataclass(frozen=True)
class QrCode:
    """`path` draws the dark modules in a square of `size` by `size` units, the quiet zone
    included."""

    size: int
    path: str


@lru_cache(maxsize=64)
def qr_code(text: str) -> QrCode | None:
    """The code of `text`, None if it does not fit into one (about 2,000 characters)."""
    try:
        code = segno.make_qr(text, error="m")
    except segno.DataOverflowError:
        return None
    parts = []
    for y, row in enumerate(code.matrix):
        start = None
        for x, dark in enumerate([*row, 0]):
            if dark and start is None:
                start = x
            elif not dark and start is not None:
                parts.append(f"M{start + _QUIET} {y + _QUIET}h{x - start}v1h-{x - start}z")
                start = None
    return QrCode(size=len(code.matrix) + 2 * _QUIET, path="".join(parts))


def link_code(document: Mapping[str, Any]) -> QrCode | None:
    """The code of a document's payment link, None without one."""
    payment = document["payment"]
    return qr_code(payment["link"]) if payment and payment["link"] else None
