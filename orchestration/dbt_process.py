"""`m2c-dbt`: dbt as a child process that holds the writer's lock of its data dir and never
outlives who started it.

An orphaned dbt would go on writing the warehouse file under the feet of the next run.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from pathlib import Path

from orchestration.locks import hold
from orchestration.processes import die_with_parent


def main() -> None:
    if sys.argv[1:] == ["--version"]:
        # Asked by dagster-dbt before every run; dbt's own answer looks up the newest release on
        # the network.
        sys.stdout.write(f"Core:\n  - installed: {version('dbt-core')}\n")
        return
    die_with_parent()
    data_dir = Path(os.environ["M2C_DATA_DIR"])
    with hold(data_dir / "locks", "dbt", purpose="dbt " + " ".join(sys.argv[1:3])):
        from dbt.cli.main import cli

        cli()


if __name__ == "__main__":
    main()
