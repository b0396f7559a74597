"""Collections: reminders by mail, stage by stage, as the book's dunning policies say."""

from exporters.collections.remind import remind
from exporters.collections.report import RemindReport, SentMessage
from exporters.collections.transport import is_loopback

__all__ = ["RemindReport", "SentMessage", "is_loopback", "remind"]
