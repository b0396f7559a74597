"""Statement reports: PDF, web page and workbook per statement, and the review sheet of a close."""

from exporters.statements.logo import LogoError
from exporters.statements.render import RenderedStatement, render_statements
from exporters.statements.review import RenderedReview, render_review, waiting_statements

__all__ = [
    "LogoError",
    "RenderedReview",
    "RenderedStatement",
    "render_review",
    "render_statements",
    "waiting_statements",
]
