"""From issued statements to invoices in Xero, and back to what was paid."""
