"""Mail that came back: what a report says (`reading`), which of our messages it is about
(`matching`), where reports lie (`sources`, `mailbox`), and noting it in the ledger (`run`)."""

from exporters.collections.bounces.mailbox import MailboxError, MailboxSettings
from exporters.collections.bounces.report import BouncesReport
from exporters.collections.bounces.run import take_bounces

__all__ = ["BouncesReport", "MailboxError", "MailboxSettings", "take_bounces"]
