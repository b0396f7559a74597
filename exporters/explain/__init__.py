"""A statement line taken apart: the rule in words, how its number comes about, and the sites,
machines, days, readings and landed batches behind it, with sums that are compared at every level.

Read from the published marts and, for single readings, from the landed files that they name.
Nothing is rated here and no amount is made: what a level shows is what the marts hold, and where
levels differ they say so.
"""

from exporters.explain.explain import explain
from exporters.explain.model import ExplainError, Explanation, Level, UnknownLineError
from exporters.explain.page import page

__all__ = ["ExplainError", "Explanation", "Level", "UnknownLineError", "explain", "page"]
