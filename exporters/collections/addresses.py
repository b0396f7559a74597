"""Which text is an e-mail address that a message can safely be sent to."""

from __future__ import annotations

import re

# Deliberately narrower than RFC 5321: no quoted local parts, no comments, no address lists, ASCII.
_ADDRESS = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
)
_LONGEST = 254


def is_address(text: str | None) -> bool:
    """Whether `text` is one plain e-mail address and nothing else."""
    return bool(text) and len(text or "") <= _LONGEST and bool(_ADDRESS.fullmatch(text or ""))


def domain_of(address: str) -> str:
    return address.rpartition("@")[2]
