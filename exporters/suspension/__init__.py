"""Pausing the machines of payers who do not pay, and letting them run again."""

from exporters.suspension.approving import ApprovalError, approve_suspension
from exporters.suspension.report import SwitchReport
from exporters.suspension.run import planned_suspensions, resume, suspend
from exporters.suspension.switchboard import Switchboard, SwitchError
from exporters.suspension.telling import Post

__all__ = [
    "ApprovalError",
    "Post",
    "SwitchError",
    "SwitchReport",
    "Switchboard",
    "approve_suspension",
    "planned_suspensions",
    "resume",
    "suspend",
]
