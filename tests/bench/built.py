"""One build of a data dir, and what it was built from."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import duckdb
import measure

_M2C = Path(sys.executable).parent / "m2c"


def build(data_dir: Path, settings: Mapping[str, str] | None = None) -> measure.Measured:
    """Run `m2c build --json` with settings of the environment. Raises SystemExit if it fails."""
    built = measure.run([_M2C, "--data-dir", data_dir, "build", "--json"], settings)
    if built.exit_code not in (0, 1):
        raise SystemExit(f"m2c build failed on {data_dir}:\n{built.output}\n{built.errors}")
    return built


def landed_readings(data_dir: Path) -> tuple[int, int]:
    """Return the rows and bytes of the landed readings."""
    files = list((data_dir / "landing" / "readings").rglob("*.parquet"))
    with duckdb.connect() as connection:
        found = connection.execute(
            "select sum(num_rows)::bigint from parquet_file_metadata($files)",
            {"files": [str(path) for path in files]},
        ).fetchone()
    return (found[0] if found else 0), sum(path.stat().st_size for path in files)
