"""Recorded real readings, served again: the demo on what machines really reported.

Three recordings (a research site's servers on the day of a power-down, the raw logs of five of
them, a utility's feed of a house) become a book and four sites that the product's own connectors
read: files of three formats, and a Prometheus. Here belong the choice of what may be billed at
all, the book derived from it, and the serving; the recordings themselves are not changed.
"""

from connectors.sandbox.replay.book import DerivedBook, derive_book
from connectors.sandbox.replay.serve import Replay

__all__ = ["DerivedBook", "Replay", "derive_book"]
