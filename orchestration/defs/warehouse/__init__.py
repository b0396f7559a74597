"""From landed batches, book and ledger to published marts."""
