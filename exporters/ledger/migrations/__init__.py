"""The ledger's schema, step by step (Alembic). A step that has been released never changes; they
travel inside the package and need no alembic.ini."""
