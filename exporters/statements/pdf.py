"""The statement as a PDF, set by typst from one template and the built document.

Only fonts that come with typst are asked for by name, nothing is downloaded, and no time of making
goes into the file: the same document gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from threading import local
from typing import Any, cast

import typst

from exporters.statements.logo import Logo
from exporters.statements.qr import link_code

_TEMPLATE = Path(__file__).parent / "templates" / "statement.typ"
_mine = local()


def to_pdf(document: Mapping[str, Any], logo: Logo | None = None) -> bytes:
    """The PDF of a document from `document.build`."""
    compiler = getattr(_mine, "compiler", None)
    if compiler is None:
        # Loading fonts costs more than setting a page: one compiler a thread.
        compiler = typst.Compiler(str(_TEMPLATE), root=str(_TEMPLATE.parent))
        _mine.compiler = compiler
    inputs = {"document": json.dumps(document, ensure_ascii=False)}
    code = link_code(document)
    if code is not None:
        inputs["qr"] = json.dumps(asdict(code))
    if logo is not None:
        inputs["logo"] = json.dumps(list(logo.content))
    made = compiler.compile(format="pdf", sys_inputs=inputs, timestamp=0)
    return cast(bytes, made)
