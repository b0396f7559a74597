"""Marts → the world of money: close, approve and issue statements, publish them, collect what is
owed, and the ledger that remembers all of it. Reads published marts and the book's facts in them;
imports nothing of connectors."""
