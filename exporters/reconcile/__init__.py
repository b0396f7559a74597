"""Reconciling a restored ledger with what is known elsewhere of the time that it lost, and refusing
to act until that is done. `gate` is asked by whatever acts; `reconcile` does the work."""
