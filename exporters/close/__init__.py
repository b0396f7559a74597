"""The life of a period: close (decide), approve, issue. Start at `decide`, `approve`, `issue`."""

from exporters.close.approve import ApprovalReport, approve
from exporters.close.completeness import IncompleteSite, incomplete_sites, poorly_measured
from exporters.close.decide import CloseReport, Decision, decide
from exporters.close.errors import CloseError, RefusedError
from exporters.close.issue import IssueReport, Outcome, issue, statement_number

__all__ = [
    "ApprovalReport",
    "CloseError",
    "CloseReport",
    "Decision",
    "IncompleteSite",
    "IssueReport",
    "Outcome",
    "RefusedError",
    "approve",
    "decide",
    "incomplete_sites",
    "issue",
    "poorly_measured",
    "statement_number",
]
