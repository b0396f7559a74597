"""The Indonesian way: a PostgreSQL table of power samples, one row a meter and ten minutes.

Owns the table and what is in it at the clock's time; `postgres` runs the server. The platform's
user may read and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import sql

from connectors.sandbox.recordings import Recording

DATABASE = "telemetry"
READER = "billing_reader"
TABLE = "power_samples"
_CREATE = """
    create table power_samples (
        meter_id text not null,
        sampled_at timestamptz not null,
        watts numeric(12, 3) not null,
        status text not null default 'ok',
        recorded_at timestamptz not null,
        primary key (meter_id, sampled_at)
    )
"""
_CREATE_METERS = """
    create table meters (
        meter_id text not null,
        asset_tag text not null,
        installed_at timestamptz not null,
        removed_at timestamptz
    )
"""
_UPSERT = """
    insert into power_samples (meter_id, sampled_at, watts, recorded_at)
    values (%s, %s, %s, %s)
    on conflict (meter_id, sampled_at)
    do update set watts = excluded.watts, recorded_at = excluded.recorded_at
"""


@dataclass(frozen=True)
class SampleTable:
    """The table of one site in the server at `owner_dsn`."""

    recording: Recording
    owner_dsn: str

    def reset(self, now: datetime, *, reader_password: str) -> int:
        """Makes the tables anew with what is recorded by `now`; how many samples they are."""
        with psycopg.connect(self.owner_dsn) as connection:
            connection.execute("drop table if exists power_samples, meters")
            connection.execute(_CREATE)
            connection.execute(_CREATE_METERS)
            seen = self.recording.seen_at(now)
            with connection.cursor() as cursor:
                with cursor.copy(
                    "copy power_samples (meter_id, sampled_at, watts, recorded_at) from stdin"
                ) as copy:
                    for reading in seen:
                        copy.write_row(
                            (reading.meter_id, reading.start, reading.value, reading.published_at)
                        )
                cursor.executemany(
                    "insert into meters values (%s, %s, %s, %s)",
                    [
                        (p.meter_id, p.machine_id, p.valid_from, p.valid_to)
                        for p in self.recording.place.placements
                    ],
                )
            self._grant(connection, reader_password)
        return len(seen)

    def advance(self, after: datetime, until: datetime) -> int:
        """Adds and corrects what appears in (after, until]; how many samples they are."""
        versions = self.recording.published_between(after, until)
        with psycopg.connect(self.owner_dsn) as connection, connection.cursor() as cursor:
            cursor.executemany(
                _UPSERT, [(v.meter_id, v.start, v.value, v.published_at) for v in versions]
            )
        return len(versions)

    @staticmethod
    def _grant(connection: psycopg.Connection[tuple[object, ...]], password: str) -> None:
        known = connection.execute(
            "select 1 from pg_roles where rolname = %s", (READER,)
        ).fetchone()
        role = sql.Identifier(READER)
        if known is None:
            connection.execute(sql.SQL("create role {} login").format(role))
        connection.execute(sql.SQL("alter role {} password {}").format(role, sql.Literal(password)))
        connection.execute(sql.SQL("grant select on power_samples, meters to {}").format(role))
