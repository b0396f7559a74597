"""Care of the data dir: backups."""
