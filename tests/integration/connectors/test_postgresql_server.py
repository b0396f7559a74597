"""The SQL connector against a real PostgreSQL server."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest

from connectors.base import SourceSpec, Window
from connectors.errors import SourceAnswerError, SourceRefused, SourceUnavailable
from connectors.landing import land_site, scan
from connectors.registry import build_connector
from connectors.sources.sql import Sql

DAY = dt.datetime(2026, 5, 10, tzinfo=dt.UTC)
WINDOW = Window(DAY, DAY + dt.timedelta(days=1))


def server_binaries() -> Path | None:
    """Return the folder with PostgreSQL's own programs: the system's, or a bundled one."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).parent
    try:
        import pgserver  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        return None
    bundled = Path(pgserver.__file__).parent / "pginstall" / "bin"
    return bundled if (bundled / "initdb").exists() else None


BINARIES = server_binaries()

pytestmark = [
    pytest.mark.needs_postgres,
    pytest.mark.skipif(
        BINARIES is None,
        reason="needs PostgreSQL: apt-get install postgresql, or pip install pgserver",
    ),
]


@dataclass(frozen=True)
class Server:
    """A running server: one superuser by socket, one reader with a password by TCP."""

    folder: Path
    port: int

    def admin(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host=str(self.folder), port=self.port, user="admin", dbname="postgres", autocommit=True
        )


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    assert BINARIES is not None
    # The server refuses to run as root.
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    folder = Path(tempfile.mkdtemp(prefix="m2c-pg-"))
    os.chown(folder, user.pw_uid, user.pw_gid)
    as_user: dict[str, Any] = {
        "user": user.pw_uid if os.geteuid() == 0 else None,
        "group": user.pw_gid if os.geteuid() == 0 else None,
        "cwd": folder,
        "env": {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "Asia/Jakarta"},
    }
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    subprocess.run(
        [BINARIES / "initdb", "-D", folder / "db", "-U", "admin", "-A", "trust", "--no-sync"],
        check=True,
        capture_output=True,
        **as_user,
    )
    (folder / "db" / "pg_hba.conf").write_text(
        "local all admin trust\nhost all reader 127.0.0.1/32 scram-sha-256\n"
    )
    process = subprocess.Popen(
        [
            BINARIES / "postgres", "-D", folder / "db", "-p", str(port), "-k", folder,
            "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **as_user,
    )  # fmt: skip
    running = Server(folder, port)
    try:
        for _ in range(150):
            with contextlib.suppress(psycopg.OperationalError), running.admin() as connection:
                prepare(connection)
                break
            time.sleep(0.2)
        yield running
    finally:
        process.terminate()
        process.wait(timeout=30)
        shutil.rmtree(folder)


def prepare(connection: psycopg.Connection[Any]) -> None:
    connection.execute("CREATE ROLE reader LOGIN PASSWORD 'geheim-7'")
    connection.execute(
        """
        CREATE TABLE readings (
            meter text, at timestamptz, local_at timestamp, kwh numeric, watts double precision
        )
        """
    )
    connection.execute(
        """
        INSERT INTO readings
        SELECT 'm' || m, t, t AT TIME ZONE 'Asia/Jakarta', n + 0.123456789, 100.1
        FROM generate_series(1, 20) AS m,
            generate_series(0, 1439) AS n,
            LATERAL (
                SELECT '2026-05-09T12:00Z'::timestamptz + n * interval '1 minute' AS t
            ) AS times
        """
    )
    connection.execute("GRANT SELECT ON readings TO reader")


def mapping(**changes: Any) -> dict[str, Any]:
    return {
        "meter_id": "meter",
        "metric": {"fixed": "energy"},
        "kind": {"fixed": "register"},
        "unit": {"fixed": "kWh"},
        "value": "kwh",
        "start": "at",
    } | changes


WHERE = "FROM readings WHERE at >= %(start)s AND at < %(end)s"


def spec(server: Server, query: str = f"SELECT * {WHERE}", **changes: Any) -> SourceSpec:
    config = {
        "host": "127.0.0.1",
        "port": server.port,
        "database": "postgres",
        "user": "reader",
        "password": "database",
        "tls": "plain",
        "max_attempts": 2,
        "readings": [{"query": query, "map": changes.pop("map", mapping())}],
    }
    return SourceSpec("sql", config | changes, {"database": "JAKARTA_DB"})


def connector(source: SourceSpec, password: str = "geheim-7") -> Sql:
    built = build_connector(
        "ID-JKT1", "Asia/Jakarta", source, {"JAKARTA_DB": password}, lambda: DAY
    )
    assert isinstance(built, Sql)
    return built


def rows(source: SourceSpec) -> pl.DataFrame:
    return pl.concat([batch.frame for batch in connector(source).readings(WINDOW)])


def test_window_lands_exactly_once(server: Server, tmp_path: Path) -> None:
    def run() -> tuple[int, int]:
        done = land_site(
            "ID-JKT1",
            "Asia/Jakarta",
            spec(server),
            window=WINDOW,
            landing_dir=tmp_path / "landing",
            rejected_dir=tmp_path / "rejected",
            env={"JAKARTA_DB": "geheim-7"},
            clock=lambda: DAY + dt.timedelta(days=2),
        )
        return done.results[0].rows_fetched, done.results[0].rows_landed

    # Half of the day is there: from midnight to noon, UTC.
    assert run() == (20 * 720, 20 * 720)
    assert run() == (20 * 720, 0)
    found = scan(tmp_path / "landing", tmp_path / "manifest")
    assert found.refused == ()
    landed = pl.read_parquet([file.path for file in found.files], hive_partitioning=False)
    first = landed.filter(pl.col("meter_id") == "m7").sort("interval_start").row(0, named=True)
    assert first["interval_start"] == DAY
    assert first["value"] == Decimal("720.123456789")


def test_local_times_and_floats(server: Server) -> None:
    query = "SELECT meter, local_at AS at, watts AS kwh " + WHERE
    clock = {"field": "at", "timezone": "site"}
    frame = rows(spec(server, query, map=mapping(start=clock)))
    assert frame["interval_start"].min() == DAY
    assert frame["value"].unique().to_list() == [Decimal("100.1")]


def test_local_time_without_a_zone_is_set_aside(server: Server) -> None:
    query = f"SELECT meter, local_at AS at, kwh {WHERE} LIMIT 3"
    (batch,) = connector(spec(server, query)).readings(WINDOW)
    assert batch.frame.is_empty()
    assert "names no timezone" in batch.rejected[0].reason


def test_numeric_that_is_no_number(server: Server) -> None:
    query = f"SELECT meter, at, 'NaN'::numeric AS kwh {WHERE} LIMIT 1"
    (batch,) = connector(spec(server, query)).readings(WINDOW)
    assert batch.rejected[0].reason == "is not a finite number"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (f"SELECT meter, at {WHERE}", "gives no column kwh; it gives at, meter"),
        (f"SELECT meter, kwh, 'infinity'::timestamptz AS at {WHERE}", "is not readable"),
    ],
)
def test_answers_that_do_not_fit(server: Server, query: str, message: str) -> None:
    with pytest.raises(SourceAnswerError, match=message):
        rows(spec(server, query))


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT nothing FROM nowhere WHERE %(start)s < %(end)s", 'relation "nowhere" does not'),
        (f"SELEKT * {WHERE}", "syntax error"),
        (f"DELETE {WHERE} RETURNING *", "not accepted"),
        (f"SELECT *, 1 / 0 AS x {WHERE}", "division by zero"),
    ],
)
def test_queries_that_are_refused(server: Server, query: str, message: str) -> None:
    with pytest.raises((SourceRefused, SourceAnswerError), match=message):
        rows(spec(server, query))


def test_wrong_password_is_not_told(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(SourceRefused, match="password authentication failed") as caught:
        list(connector(spec(server), password="wrong-pw-1").readings(WINDOW))
    assert "wrong-pw-1" not in caplog.text + str(caught.value) + repr(caught.value)


def test_server_without_tls_is_refused_unless_said(server: Server) -> None:
    with pytest.raises(SourceRefused, match="SSL"):
        rows(spec(server, tls="verify"))


def test_query_that_takes_too_long(server: Server) -> None:
    with pytest.raises(SourceUnavailable, match="statement timeout"):
        rows(spec(server, f"SELECT *, pg_sleep(5) {WHERE}", statement_seconds=1))


def test_connection_that_breaks_in_the_middle(server: Server) -> None:
    query = f"SELECT *, pg_sleep(0.001) {WHERE}"

    def kill() -> None:
        with server.admin() as admin:
            for _ in range(100):
                found = admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name = 'meter-to-cash'"
                ).fetchall()
                if found:
                    return
                time.sleep(0.05)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with pytest.raises(SourceUnavailable, match="broke"):
            rows(spec(server, query))
    finally:
        killer.join()


def test_machines(server: Server) -> None:
    source = spec(
        server,
        machines=[{"query": "SELECT DISTINCT meter AS meter_id, 'S21' AS model FROM readings"}],
    )
    found = sorted(connector(source).machines(), key=lambda machine: machine.meter_id)
    assert len(found) == 20
    assert (found[0].meter_id, found[0].model, found[0].is_active) == ("m1", "S21", None)


def test_text_that_is_not_in_utf_8(server: Server) -> None:
    # The server was set up without an encoding, as old ones are: it hands out what it was given.
    with server.admin() as admin:
        assert admin.execute("SHOW server_encoding").fetchall() == [(b"SQL_ASCII",)]
    query = f"SELECT E'm\\xe9' AS meter, at, kwh {WHERE}"
    with pytest.raises(SourceAnswerError, match=r"UTF8|utf-8"):
        rows(spec(server, query))


def test_bytes_are_no_name_of_a_meter(server: Server) -> None:
    query = f"SELECT 'm1'::bytea AS meter, at, kwh {WHERE} LIMIT 1"
    (batch,) = connector(spec(server, query)).readings(WINDOW)
    assert batch.rejected[0].reason == "is no text or number; it gives the meter_id"
