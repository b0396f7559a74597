"""The statement as a web page: one self-contained file (no scripts, nothing fetched), printable."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from exporters.statements.logo import Logo
from exporters.statements.qr import link_code

_TEMPLATES = Path(__file__).parent / "templates"


def to_html(document: Mapping[str, Any], logo: Logo | None = None) -> bytes:
    """The page of a document from `document.build`."""
    return render(
        "statement.html",
        doc=document,
        logo=logo.data_url if logo else None,
        qr=link_code(document),
    )


def render(template: str, **context: object) -> bytes:
    """A template of this package, everything put into it escaped."""
    return _environment().get_template(template).render(**context).encode("utf-8")


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
