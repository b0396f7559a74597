"""Wires the stages together: the only package that knows Dagster, dbt's command line and the
process environment."""
