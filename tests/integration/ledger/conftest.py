"""A real PostgreSQL server on loopback, started for the tests and stopped after them."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

INSTALL = "PostgreSQL is not installed: apt-get install postgresql, or pip install pgserver"


@dataclass(frozen=True)
class Server:
    port: int

    def new_database(self) -> str:
        """The URL of a new, empty database."""
        name = f"ledger_{uuid.uuid4().hex}"
        dsn = f"host=127.0.0.1 port={self.port} user=m2c dbname=postgres"
        with psycopg.connect(dsn, autocommit=True) as con:
            con.execute(f"CREATE DATABASE {name}".encode())
        return f"postgresql://m2c@127.0.0.1:{self.port}/{name}"


def _binaries() -> Path | None:
    on_path = shutil.which("pg_ctl")
    if on_path:
        return Path(on_path).parent
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    bundled = find_spec("pgserver")
    if bundled is not None and bundled.origin is not None:
        places.append(Path(bundled.origin).parent / "pginstall" / "bin")
    return next((place for place in places if (place / "pg_ctl").is_file()), None)


def _unprivileged(folder: Path) -> list[str]:
    """PostgreSQL refuses to run as root; give the folder and the command to somebody else."""
    if os.geteuid() != 0:
        return []
    for name in ("postgres", "nobody"):
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        os.chown(folder, account.pw_uid, account.pw_gid)
        return [
            "setpriv",
            f"--reuid={account.pw_uid}",
            f"--regid={account.pw_gid}",
            "--clear-groups",
        ]
    return pytest.skip("no unprivileged account to run PostgreSQL under")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    binaries = _binaries()
    if binaries is None:
        pytest.skip(INSTALL)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="m2c-pg-"))  # pytest's own folders are closed to others
    try:
        become = _unprivileged(folder)
        data = folder / "data"

        def run(*command: str) -> None:
            subprocess.run(
                [*become, *command],
                check=True,
                cwd=folder,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

        run(str(binaries / "initdb"), "-D", str(data), "-U", "m2c", "-A", "trust", "--no-sync")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -c timezone=Asia/Jakarta"
        control = (str(binaries / "pg_ctl"), "-D", str(data), "-w")
        run(*control, "-o", options, "-l", str(folder / "log"), "start")
        try:
            yield Server(port)
        finally:
            run(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def utc_clock() -> Callable[[], datetime]:
    return lambda: datetime.now(UTC)
