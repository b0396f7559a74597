"""Both databases that a ledger can be in. A test that asks for `ledger_url` runs on each, unless it
also looks into the SQLite file (`ledger_file`) or is marked `sqlite_only`. And the check of what is
sent to a local Xero (`wire`)."""

from __future__ import annotations

import os
import signal
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from connectors.sandbox.postgres import PostgresServer, find_installations
from exporters.ledger import Ledger
from tests.wire import (  # noqa: F401 - hooks and fixtures of the whole run
    _requests_are_seen,
    pytest_sessionfinish,
    pytest_terminal_summary,
    pytest_testnodedown,
    requests_are_as_described,
)

if TYPE_CHECKING:
    from tests.s3 import S3

INSTALL = "PostgreSQL is not installed: apt-get install postgresql, or pip install pgserver"
TEMPLATE = "ledger_template"


class PostgresLedgers:
    """A server with any number of databases, each for one test."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._made = threading.Lock()
        self._has_template = False

    def new_database(self, *, template: str | None = None) -> str:
        """The URL of a new, empty database."""
        name = f"ledger_{uuid.uuid4().hex}"
        copied = f" TEMPLATE {template}" if template else ""
        with psycopg.connect(self._server.dsn("postgres"), autocommit=True) as con:
            con.execute(f"CREATE DATABASE {name}{copied}".encode())
        return self._server.dsn(name)

    def new_ledger(self) -> str:
        """The URL of a new ledger without facts: a copy of one that was migrated once."""
        with self._made:
            if not self._has_template:
                self._server.create_database(TEMPLATE)
                Ledger.open(self._server.dsn(TEMPLATE), clock=lambda: datetime.now(UTC)).close()
                self._has_template = True
        return self.new_database(template=TEMPLATE)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresLedgers]:
    """A real PostgreSQL server on loopback, started once a session (of each worker)."""
    installation = next(find_installations(), None)
    if installation is None:
        pytest.skip(INSTALL)
    with PostgresServer(installation, state_dir=tmp_path_factory.mktemp("postgres")) as server:
        # Instants must come back in UTC whatever the server's clock shows.
        with psycopg.connect(server.dsn("postgres"), autocommit=True) as con:
            con.execute("ALTER ROLE CURRENT_USER SET timezone = 'Asia/Jakarta'")
            (data,) = con.execute("SHOW data_directory").fetchone() or ("",)
        yield PostgresLedgers(server)
        # At once: an orderly end would write out all databases first, and nobody wants them.
        os.kill(int(Path(data, "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "ledger_engine" not in metafunc.fixturenames:
        return
    only_file = "ledger_file" in metafunc.fixturenames
    if only_file or metafunc.definition.get_closest_marker("sqlite_only"):
        engines = ["sqlite"]
    else:
        engines = ["sqlite", pytest.param("postgresql", marks=pytest.mark.needs_postgres)]
    metafunc.parametrize("ledger_engine", engines, indirect=True)


@pytest.fixture
def ledger_engine(request: pytest.FixtureRequest) -> str:
    """`sqlite` or `postgresql`."""
    return str(request.param)


@pytest.fixture
def ledger_url(ledger_engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """Where a ledger is, or will be when it is opened."""
    if ledger_engine == "postgresql":
        return str(request.getfixturevalue("postgres").new_ledger())
    return f"sqlite:///{tmp_path}/ledger/ledger.sqlite"


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """A local S3-compatible server, started once a session (of each worker)."""
    from tests.s3 import s3_server  # takes a second to load

    with s3_server() as server:
        yield server
