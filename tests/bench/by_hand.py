"""What a sensible engineer writes in an hour instead: usage by hand, day by day, in DuckDB.

It answers one question only: how many kWh each contract used at each site in every local hour and
band. The latest row of a reading counts, the assignment says whose it is, a table of 15-minute
slots says which hour and band it was. Nothing is checked, estimated, rated or explained, and the
readings of this fleet never cross a slot. Run as a script, so that it is timed and sized like any
other process:

    python tests/bench/by_hand.py DATA_DIR USAGE_FILE
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb


def main(data_dir: Path, usage_file: Path) -> None:
    """Write the usage to `usage_file` (Parquet), and what took how long to standard output."""
    clock = _Clock()
    with tempfile.TemporaryDirectory() as spill, duckdb.connect() as connection:
        connection.execute("set threads = 2")
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("set preserve_insertion_order = false")
        connection.execute(f"set temp_directory = '{spill}'")
        readings = data_dir / "landing" / "readings"
        days = sorted({path.name.removeprefix("date=") for path in readings.glob("*/date=*")})
        with clock.timing("book and slots"):
            _read_book(connection, data_dir / "book")
            _make_slots(connection, days[0], days[-1])
        with clock.timing("days"):
            connection.execute(
                "create table usage (contract_id text, site_id text, local_date date, "
                "local_hour bigint, band text, kwh decimal(38, 9))"
            )
            for day in days:
                _add_day(connection, f"{readings}/site_id=*/date={day}/*.parquet")
        with clock.timing("sum"):
            connection.execute(
                f"""
                copy (
                    select contract_id, site_id, local_date, local_hour, band, sum(kwh) as kwh
                    from usage
                    group by all
                ) to '{usage_file}' (format parquet)
                """
            )
    sys.stdout.write(json.dumps(clock.seconds))


def _read_book(connection: duckdb.DuckDBPyConnection, book: Path) -> None:
    connection.execute(
        f"""
        create table sites as select site_id, timezone from read_csv('{book}/sites.csv');

        create table owners as
        select
            site_id,
            meter_id,
            timezone,
            contract_id,
            assignments.valid_from::timestamptz as valid_from,
            coalesce(assignments.valid_to::timestamptz, 'infinity') as valid_to
        from read_csv('{book}/machines.csv', all_varchar = true)
        join read_csv('{book}/assignments.csv', all_varchar = true) as assignments
            using (machine_id)
        join sites using (site_id)
        """
    )


def _make_slots(connection: duckdb.DuckDBPyConnection, first: str, last: str) -> None:
    connection.execute(
        f"""
        create table slots as
        select
            timezone,
            slot,
            local_time::date as local_date,
            hour(local_time) as local_hour,
            if(isodow(local_time) <= 5 and hour(local_time) between 7 and 21, 'day', 'night')
                as band
        from (
            select timezone, epoch_us(start) // 900_000_000 as slot, start at time zone timezone
                as local_time
            from (select distinct timezone from sites),
                generate_series(
                    timestamptz '{first} 00:00:00+00',
                    timestamptz '{last} 23:45:00+00',
                    interval 15 minutes
                ) as s(start)
        )
        """
    )


def _add_day(connection: duckdb.DuckDBPyConnection, files: str) -> None:
    connection.execute(
        f"""
        insert into usage
        with latest as (
            select site_id, meter_id, interval_start, value
            from read_parquet('{files}', hive_partitioning = false)
            qualify row_number() over (
                partition by site_id, meter_id, interval_start, interval_end
                order by ingested_at desc, batch_id desc
            ) = 1
        )
        select
            contract_id,
            owners.site_id,
            local_date,
            local_hour,
            band,
            sum(value) * 0.001::decimal(4, 3) as kwh
        from latest
        join owners
            on owners.site_id = latest.site_id
            and owners.meter_id = latest.meter_id
            and interval_start >= valid_from
            and interval_start < valid_to
        join slots
            on slots.timezone = owners.timezone
            and slots.slot = epoch_us(interval_start) // 900_000_000
        group by all
        """
    )


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timing(self, part: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[part] = round(time.monotonic() - started, 3)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
