"""dbt runs as a child process, and is not loaded into Dagster's."""

from __future__ import annotations

from dagster_dbt import DbtCliResource

from orchestration.dbt import dbt_resource


def test_no_adapter_is_made_in_dagsters_process() -> None:
    # The method is dagster-dbt's own: should a version name it differently, this one has to follow.
    assert callable(DbtCliResource._initialize_dbt_core_adapter)
    assert dbt_resource()._initialize_dbt_core_adapter(["build"]) is None
