"""dbt's side of the asset graph: the parsed project and how its nodes become assets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtCliResource

from orchestration.dbt_runs import dbt_executable
from orchestration.settings import DBT_PROJECT

OWNERS = {
    "landing": ["team:data-engineering"],
    "book": ["team:finance"],
    "ledger": ["team:finance"],
    "staging": ["team:data-engineering"],
    "metering": ["team:data-engineering"],
    "rating": ["team:finance"],
    "billing": ["team:finance"],
    "marts": ["team:analytics"],
    "close": ["team:finance"],
    "invoicing": ["team:finance"],
    "collections": ["team:finance"],
}

# Months and contract terms come before metering, which cuts usage at their bounds.
_BEFORE_METERING = ("int_billing__periods", "int_billing__segments")

# The upstream asset of each dbt source; all tables of one source are written by one asset.
_SOURCE_ASSETS = {
    "book": "book",
    "manifest": "landed_batches",
    "ledger": "ledger_extract",
    "context": "build_context",
}


class Translator(DagsterDbtTranslator):
    """Groups by area of the project, and one upstream asset for all tables of a dbt source."""

    def __init__(self) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_duplicate_source_asset_keys=True))

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        if dbt_resource_props["resource_type"] == "source":
            return dg.AssetKey(_SOURCE_ASSETS[dbt_resource_props["source_name"]])
        return dg.AssetKey(dbt_resource_props["name"])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        layer, *area = dbt_resource_props["fqn"][1:-1] or ["staging"]
        if layer == "intermediate" and dbt_resource_props["name"] not in _BEFORE_METERING:
            return str(area[0])
        return "marts" if layer == "marts" else "staging"

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
        return OWNERS[self.get_group_name(dbt_resource_props)]

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        return str(dbt_resource_props["description"])


class DbtProcess(DbtCliResource):
    """dbt as a child process and nothing of dbt in this one."""

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> Any:  # noqa: ARG002 - its signature
        """None: dagster-dbt would load dbt here too before every run, which takes seconds, to read
        metadata from the warehouse; and only dbt opens that."""
        return None


def dbt_resource() -> DbtProcess:
    return DbtProcess(
        project_dir=str(DBT_PROJECT),
        profiles_dir=str(DBT_PROJECT),
        dbt_executable=str(dbt_executable()),
    )
