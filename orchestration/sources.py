"""How sites are read and switched here: as the book says, or as stand-ins say that serve them."""

from __future__ import annotations

import json
import os

from connectors.book import Book
from connectors.registry import SourceSpec
from orchestration.settings import STAND_IN_SOURCES


def source_of(book: Book, site_id: str) -> SourceSpec:
    """How the site is read: as the book says, or as the stand-ins say that serve it here.

    Stand-ins differ from the book where a machine has no PostgreSQL to stand in with. How machines
    are switched is always the book's.
    """
    replaced = json.loads(os.environ.get(STAND_IN_SOURCES) or "{}")
    if site_id not in replaced:
        return book.sources[site_id]
    told = book.sources.get(site_id)
    return SourceSpec(**replaced[site_id], power=None if told is None else told.power)
