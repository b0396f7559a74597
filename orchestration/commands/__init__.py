"""Groups of commands of `m2c`, a module an area; the rest are in `orchestration.cli`."""
