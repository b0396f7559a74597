"""The throw-away PostgreSQL: every installation here, one that fails, and none at all."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import psutil
import psycopg
import pytest

from connectors.base import SourceSpec, Window
from connectors.landing import land_site
from connectors.sandbox import host, sources
from connectors.sandbox.postgres import (
    Installation,
    PostgresError,
    PostgresServer,
    find_installations,
)


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A folder that the server's own user can reach, which pytest's are not for root."""
    with tempfile.TemporaryDirectory(prefix="m2c-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


INSTALLATIONS = list(find_installations())
needs_postgres = pytest.mark.skipif(
    not INSTALLATIONS,
    reason="no PostgreSQL here: apt-get install postgresql, or pip install pgserver",
)


@needs_postgres
@pytest.mark.needs_postgres
@pytest.mark.parametrize("installation", INSTALLATIONS, ids=lambda i: str(i.bin_dir))
def test_every_installation_here_serves(installation: Installation, tmp_path: Path) -> None:
    for _ in range(2):
        with PostgresServer(installation, state_dir=tmp_path) as server:
            server.create_database("telemetry")
            with psycopg.connect(server.dsn("telemetry")) as connection:
                assert connection.execute("show timezone").fetchone() == ("UTC",)
                assert connection.execute("show fsync").fetchone() == ("off",)
            with pytest.raises(psycopg.OperationalError, match="authentication failed"):
                psycopg.connect(server.dsn("telemetry", password="wrong")).close()
            dsn = server.dsn("telemetry")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(dsn).close()


@needs_postgres
@pytest.mark.needs_postgres
def test_a_server_that_cannot_start_says_so_at_once(open_dir: Path) -> None:
    server = PostgresServer(INSTALLATIONS[0], state_dir=open_dir)
    with server:
        pass
    next(open_dir.glob("postgres-*/data/postgresql.conf")).write_text("nonsense here\n")
    began = time.monotonic()
    with pytest.raises(PostgresError, match="unrecognized configuration parameter"):
        server.start()
    assert time.monotonic() - began < 10


@needs_postgres
@pytest.mark.needs_postgres
def test_a_data_folder_half_made_is_made_again(open_dir: Path) -> None:
    with PostgresServer(INSTALLATIONS[0], state_dir=open_dir):
        pass
    next(open_dir.glob("postgres-*/made")).unlink()
    next(open_dir.glob("postgres-*/data/PG_VERSION")).unlink()
    with PostgresServer(INSTALLATIONS[0], state_dir=open_dir) as server:
        psycopg.connect(server.dsn("postgres")).close()


@needs_postgres
@pytest.mark.needs_postgres
def test_where_the_server_s_user_cannot_go_nothing_is_left_behind(
    tmp_path: Path, open_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_dir.chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(open_dir))
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with PostgresServer(INSTALLATIONS[0], state_dir=closed / "state") as server:
        psycopg.connect(server.dsn("postgres")).close()
        kept_in_state = list((closed / "state").glob("postgres-*/made"))
        kept_elsewhere = list(open_dir.iterdir())
        assert bool(kept_in_state) != bool(kept_elsewhere)
    assert list(open_dir.iterdir()) == []


OWNER = """
import sys, time
from pathlib import Path
from connectors.sandbox.postgres import PostgresServer, find_installations
server = PostgresServer(next(find_installations()), state_dir=Path(sys.argv[1]))
server.start()
print("up", flush=True)
time.sleep(600)
"""


@needs_postgres
@pytest.mark.needs_postgres
def test_the_server_ends_with_a_killed_owner(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "up\n"
        family = psutil.Process(owner.pid).children(recursive=True)
        owner.kill()
        _, alive = psutil.wait_procs(family, timeout=20)
    assert family
    assert alive == []


def test_without_postgresql_the_same_samples_come_as_drops(
    small_book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "find_installations", lambda: iter(()))
    now = datetime(2026, 10, 20, tzinfo=UTC)
    options = host.Options(
        book_dir=small_book,
        state_dir=tmp_path,
        seed=1,
        start=date(2026, 10, 1),
        end=date(2026, 11, 1),
        as_of=now,
    )
    stand_ins = host.Host(options)
    with contextlib.ExitStack() as stack:
        env = stand_ins.prepare(stack)
    assert "no PostgreSQL runs on this machine" in stand_ins.notes[0]
    recording = host.make_recordings(options)["ID-JKT1"]
    source = sources.source_of(recording, "files")
    config = {**source["config"], "folder": env["M2C_ID_JKT1_DROPS"]}
    land_site(
        "ID-JKT1",
        "Asia/Jakarta",
        SourceSpec("files", config, {}),
        window=Window.of_days(date(2026, 10, 2), date(2026, 10, 18)),
        landing_dir=tmp_path / "landing",
        rejected_dir=tmp_path / "rejected",
        env={},
        clock=lambda: now,
    )
    landed = pl.concat(
        [
            pl.read_parquet(path, hive_partitioning=False)
            for path in (tmp_path / "landing").rglob("*.parquet")
        ]
    )
    assert set(landed.select("metric", "kind", "unit").unique().iter_rows()) == {
        ("power", "gauge", "W")
    }
    shown = {
        (r.meter_id, r.start, r.value)
        for r in recording.seen_at(now)
        if datetime(2026, 10, 2, tzinfo=UTC) <= r.start < datetime(2026, 10, 18, tzinfo=UTC)
    }
    assert set(landed.select("meter_id", "interval_start", "value").iter_rows()) == shown
