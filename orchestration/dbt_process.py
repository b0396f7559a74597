"""`m2c-dbt`: dbt as a child process that holds the writer's lock of its data dir and never
outlives who started it.

An orphaned dbt would go on writing the warehouse file under the feet of the next run.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path

from orchestration.engines import Engine, engine_from_env
from orchestration.locks import hold
from orchestration.processes import die_with_parent
from orchestration.settings import DataDir


def main() -> None:
    if sys.argv[1:] == ["--version"]:
        # Asked by dagster-dbt before every run; dbt's own answer looks up the newest release on
        # the network.
        sys.stdout.write(f"Core:\n  - installed: {version('dbt-core')}\n")
        return
    die_with_parent()
    data_dir = Path(os.environ["M2C_DATA_DIR"])
    with hold(data_dir / "locks", "dbt", purpose="dbt " + " ".join(sys.argv[1:3])):
        engine = _option("--target") or engine_from_env()
        if engine == Engine.SPARK and "parse" not in sys.argv:
            _run_on_spark(DataDir(data_dir))
        else:
            from dbt.cli.main import cli

            cli()


def _run_on_spark(data_dir: DataDir) -> None:
    """Run dbt in a session of Spark and leave the marts where those of DuckDB's publish macro lie.

    Marts are published complete or not at all: any failure of the run leaves none behind.
    """
    from dbt.cli.main import dbtRunner

    from orchestration.spark import lend, open_session, publish_marts

    try:
        with open_session(data_dir.root) as session:
            lend(session)
            done = dbtRunner().invoke(sys.argv[1:])
            if done.success and {"build", "run"} & set(sys.argv[1:]):
                target = Path(_option("--target-path") or os.environ["DBT_TARGET_PATH"])
                publish_marts(session, target / "manifest.json", data_dir.next_marts)
    except RuntimeError as error:
        _tell(str(error))
        sys.exit(1)
    if done.exception is not None:
        _tell(str(done.exception))
    sys.exit(0 if done.success else 1)


def _tell(error: str) -> None:
    """Say what went wrong as dbt would: a line of its log where that is read by a program."""
    if os.environ.get("DBT_LOG_FORMAT") == "json":
        info = {"name": "SparkFailed", "level": "error", "msg": error}
        sys.stdout.write(json.dumps({"info": info, "data": {}}) + "\n")
    else:
        sys.stderr.write(f"{error}\n")


def _option(name: str) -> str | None:
    arguments = sys.argv[1:]
    return arguments[arguments.index(name) + 1] if name in arguments else None


if __name__ == "__main__":
    main()
