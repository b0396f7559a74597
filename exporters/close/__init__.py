"""The life of a period: close (decide), approve, issue. Start at `decide`, `approve`, `issue`."""

from exporters.close.approve import ApprovalReport, approve
from exporters.close.decide import CloseReport, Decision, decide
from exporters.close.errors import CloseError, RefusedError
from exporters.close.issue import IssueReport, Outcome, issue, statement_number

__all__ = [
    "ApprovalReport",
    "CloseError",
    "CloseReport",
    "Decision",
    "IssueReport",
    "Outcome",
    "RefusedError",
    "approve",
    "decide",
    "issue",
    "statement_number",
]
