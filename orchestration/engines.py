"""What the warehouse runs on: DuckDB in one process, or Apache Spark for fleets beyond one machine.

The same dbt project gives the same lines on both; an engine is a target of its profile.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from enum import StrEnum
from importlib.util import find_spec
from typing import Final

from orchestration.settings import SettingsError

VARIABLE: Final = "M2C_ENGINE"


class Engine(StrEnum):
    """The values are the targets of dbt's profile."""

    DUCKDB = "duckdb"
    SPARK = "spark"


def engine_from_env(env: Mapping[str, str] = os.environ) -> Engine:
    """The engine that `M2C_ENGINE` names, DuckDB without it.

    Raises SettingsError for any other.
    """
    text = env.get(VARIABLE) or Engine.DUCKDB
    try:
        return Engine(text)
    except ValueError as error:
        known = ", ".join(Engine)
        raise SettingsError(f"{VARIABLE}={text!r} is no engine; there are {known}") from error


def require_installed(engine: Engine, env: Mapping[str, str] = os.environ) -> None:
    """Raise SettingsError, with the command that helps, when the engine cannot start here."""
    if engine is not Engine.SPARK:
        return
    if find_spec("pyspark") is None or find_spec("dbt.adapters.spark") is None:
        raise SettingsError("Spark is not installed: pip install 'meter-to-cash[spark]'")
    if env.get("SPARK_REMOTE"):
        return
    home = env.get("JAVA_HOME")
    if shutil.which("java", path=f"{home}/bin" if home else env.get("PATH")) is None:
        where = f" at JAVA_HOME={home}" if home else ""
        raise SettingsError(
            f"Spark needs Java 17 or later, and there is none{where}: on Debian or Ubuntu, "
            "apt-get install default-jre-headless (a server named by SPARK_REMOTE needs none "
            "here)"
        )
