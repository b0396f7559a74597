"""Why closing, approving or issuing as a whole could not be done. What stops a single statement is
not an error but an answer: it stands in the report, and the other statements go on."""

from __future__ import annotations


class CloseError(Exception):
    """Wrong use: a period or statement that does not exist, an approval without a reason."""


class RefusedError(CloseError):
    """Understood and refused: the statement is issued already, or blocked."""
