"""The seller's logo: the file beside seller.yml that its `logo` names, if it is a picture that both
paper and page can show."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

MOST_BYTES = 512 * 1024
_KINDS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"<svg": "image/svg+xml",
    b"<?xml": "image/svg+xml",
}


class LogoError(ValueError):
    """The logo that seller.yml names is not there or cannot be shown."""


@dataclass(frozen=True)
class Logo:
    """A picture and its media type."""

    content: bytes
    media_type: str

    @cached_property
    def data_url(self) -> str:
        """The picture inside a page, which fetches nothing."""
        return f"data:{self.media_type};base64,{b64encode(self.content).decode('ascii')}"

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def read_logo(book_dir: Path, name: str) -> Logo:
    """The logo `name` of the book; raises LogoError for anything else than a PNG, JPEG or SVG of at
    most half a megabyte beside seller.yml."""
    expected = f"seller.yml, logo {name!r}: expected a PNG, JPEG or SVG file beside it"
    if Path(name).name != name or "\\" in name:
        raise LogoError(expected)
    try:
        content = (book_dir / name).read_bytes()
    except OSError as error:
        raise LogoError(f"{expected} ({error.strerror})") from error
    if len(content) > MOST_BYTES:
        raise LogoError(f"{expected} of at most {MOST_BYTES // 1024} KiB, it has {len(content):,}")
    start = content.lstrip()
    for magic, media_type in _KINDS.items():
        if start.startswith(magic):
            return Logo(content, media_type)
    raise LogoError(expected)
