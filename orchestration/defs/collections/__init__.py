"""From overdue invoices to reminders."""
