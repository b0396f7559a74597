"""`make bench`: the nightly build against a hand-written script over the same files.

Figures are ratios within one run, for machines are shared and noisy. The script does what anybody
would write first: day by day, latest row wins, join the assignment, sum.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
from fleet import SCALES, write_book, write_landing

_M2C = Path(sys.executable).parent / "m2c"


def by_hand(data_dir: Path) -> float:
    """Seconds of the hand-written script."""
    started = time.monotonic()
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    book = data_dir / "book"
    connection.execute(f"create table machines as from read_csv('{book}/machines.csv')")
    connection.execute(f"create table assignments as from read_csv('{book}/assignments.csv')")
    connection.execute("create table usage (contract_id text, site_id text, kwh decimal(38, 9))")
    folders = sorted((data_dir / "landing" / "readings").glob("site_id=*/date=*"))
    for folder in folders:
        connection.execute(
            f"""
            insert into usage
            with latest as (
                select meter_id, site_id, value from read_parquet('{folder}/*.parquet')
                qualify row_number() over (
                    partition by meter_id, interval_start, interval_end
                    order by ingested_at desc, batch_id desc
                ) = 1
            )
            select contract_id, latest.site_id, sum(value) * 0.001::decimal(4, 3)
            from latest join machines using (site_id, meter_id) join assignments using (machine_id)
            group by all
            """
        )
    connection.execute("select contract_id, site_id, sum(kwh) from usage group by all").fetchall()
    connection.close()
    return time.monotonic() - started


def ours(data_dir: Path) -> float:
    """Seconds of one `m2c build` as a process."""
    started = time.monotonic()
    subprocess.run(
        [str(_M2C), "--data-dir", str(data_dir), "build"],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--scale", choices=sorted(SCALES), default="small")
    fleet = SCALES[parser.parse_args().scale]
    data_dir = Path(tempfile.mkdtemp(prefix="m2c-bench-"))
    try:
        write_book(fleet, data_dir / "book")
        write_landing(fleet, data_dir / "landing")
        hand = by_hand(data_dir)
        first, again = ours(data_dir), ours(data_dir)
        landed = sum(path.stat().st_size for path in (data_dir / "landing").rglob("*.parquet"))
        warehouse = (data_dir / "warehouse" / "warehouse.duckdb").stat().st_size
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        figures = {
            "readings": fleet.readings,
            "first build, seconds": round(first, 1),
            "build with nothing new, seconds": round(again, 1),
            "first build ÷ script by hand": round(first / hand, 2),
            "nothing new ÷ first build": round(again / first, 2),
            "peak memory of one process, MiB": round(peak),
            "landing zone, bytes a reading": round(landed / fleet.readings, 2),
            "warehouse, bytes a reading": round(warehouse / fleet.readings, 2),
            "cores": os.cpu_count(),
        }
        sys.stdout.write(json.dumps(figures, indent=2, ensure_ascii=False) + "\n")
    finally:
        shutil.rmtree(data_dir)


if __name__ == "__main__":
    main()
