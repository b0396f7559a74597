"""Dagster definitions by area, in the order in which data flows."""
