"""A throw-away PostgreSQL server on loopback, from binaries that are already on the machine.

Looks for a system installation, then for the one that the `pgserver` package bundles; runs it as
an unprivileged user when we are root, for PostgreSQL refuses root. The data folder is made once and
kept; nothing in it is precious (`fsync` is off). The server is started by a small guardian shell
that stops it as soon as our end of a pipe closes, so it cannot outlive us, however we die.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import psycopg
from psycopg import sql

OWNER = "telemetry_owner"
# Ends with the server, or ends the server when our end of the pipe (its standard input) is closed.
_GUARDIAN = """
exec 3<&0
"$@" 3<&- &
server=$!
{ cat <&3 >/dev/null; kill -INT "$server"; } 2>/dev/null &
exec 3<&-
wait "$server"
[ -z "$REMOVE_AFTER" ] || rm -rf -- "$REMOVE_AFTER"
"""
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "127.0.0.1",
    "max_connections": "20",
    "shared_buffers": "16MB",
    "synchronous_commit": "off",
    "timezone": "UTC",
    "unix_socket_directories": "",
}
_UNPRIVILEGED = ("postgres", "nobody")


class PostgresError(RuntimeError):
    """The server cannot be had or does not start; the message says why and what helps."""


@dataclass(frozen=True, slots=True)
class Installation:
    """A folder with the PostgreSQL programs, and the user to run them as (None = ourselves)."""

    bin_dir: Path
    user: str | None

    @property
    def label(self) -> str:
        """The programs' folder in words for a summary."""
        return f"PostgreSQL in {self.bin_dir}" + (f", run as {self.user}" if self.user else "")


def find_installations() -> Iterator[Installation]:
    """Every PostgreSQL here that answers, newest system version first, then the bundled one."""
    user = _unprivileged_user() if _is_root() else None
    if _is_root() and user is None:
        return
    for bin_dir in dict.fromkeys(_candidates()):
        if _answers(bin_dir, user):
            yield Installation(bin_dir, user)


def _candidates() -> list[Path]:
    def version(path: Path) -> tuple[int, ...]:
        return tuple(int(part) for part in path.parent.name.split(".") if part.isdigit())

    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=version, reverse=True)
    for program in ("postgres", "initdb"):
        where = shutil.which(program)
        if where:
            found.append(Path(where).resolve().parent)
    found += sorted(Path("/opt/homebrew/opt").glob("postgresql*/bin"), reverse=True)
    # Importing pgserver would make folders and warn; its programs are all that is wanted.
    bundled = importlib.util.find_spec("pgserver")
    if bundled is not None and bundled.origin is not None:
        found.append(Path(bundled.origin).parent / "pginstall" / "bin")
    return found


def _answers(bin_dir: Path, user: str | None) -> bool:
    for program in ("initdb", "postgres"):
        if not (bin_dir / program).is_file():
            return False
        try:
            done = _run([str(bin_dir / program), "--version"], user=user)
        except OSError:
            return False
        if done.returncode != 0:
            return False
    return True


def _is_root() -> bool:
    return os.geteuid() == 0


def _unprivileged_user() -> str | None:
    for name in _UNPRIVILEGED:
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    return None


def _run(command: list[str], *, user: str | None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=_environment(),
        user=user,
        group=pwd.getpwnam(user).pw_gid if user else None,
        extra_groups=[] if user else None,
    )


def _environment() -> dict[str, str]:
    """Nothing of ours: a PGDATA or PGPORT of the caller must not reach the server."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


class PostgresServer:
    """A server with one owner role; a context manager that starts and stops it."""

    def __init__(self, installation: Installation, *, state_dir: Path) -> None:
        self._installation = installation
        # Another version cannot read the data, so each has its own.
        name = hashlib.sha256(str(installation.bin_dir).encode()).hexdigest()[:8]
        self._kept = state_dir.resolve() / f"postgres-{name}"
        self._base = self._kept
        self._guardian: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._password = ""

    def __enter__(self) -> PostgresServer:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def log(self) -> Path:
        """Where the server writes what happens to it."""
        return self._kept.with_suffix(".log")

    @property
    def port(self) -> int:
        """The port on loopback; 0 before it runs."""
        return self._port

    @property
    def _data(self) -> Path:
        return self._base / "data"

    def start(self, *, timeout_seconds: float = 20) -> None:
        """Makes the data folder if there is none, starts the server and waits until it answers."""
        self._kept.parent.mkdir(parents=True, exist_ok=True)
        self.log.unlink(missing_ok=True)
        for _ in range(3):
            self._base = self._reachable_base()
            self._initialise()
            self._port = _free_port()
            self._spawn()
            if self._wait(timeout_seconds):
                return
            self.stop()
        tail = self.log.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise PostgresError(f"PostgreSQL did not start; its log {self.log} ends with:\n{tail}")

    def stop(self) -> None:
        """Stops the server (fast shutdown) and waits for it; harmless when it does not run."""
        if self._guardian is None:
            return
        guardian, self._guardian = self._guardian, None
        if guardian.stdin is not None:
            guardian.stdin.close()
        guardian.wait()

    def dsn(self, database: str, *, user: str = OWNER, password: str | None = None) -> str:
        """A connection string for libpq; the owner's unless a user and password are given."""
        secret = self._password if password is None else password
        return f"postgresql://{user}:{secret}@127.0.0.1:{self._port}/{database}"

    def create_database(self, name: str) -> None:
        """Makes the database if it is not there."""
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            known = connection.execute(
                "select 1 from pg_database where datname = %s", (name,)
            ).fetchone()
            if known is None:
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))

    def _reachable_base(self) -> Path:
        """The kept folder, or one in the temporary folder if the server's user cannot go there.

        The latter is removed by the guardian, for nobody would find it again.
        """
        user = self._installation.user
        self._kept.mkdir(exist_ok=True, mode=0o700)
        _give(self._kept, user)
        if user is None or _run(["test", "-w", str(self._kept)], user=user).returncode == 0:
            return self._kept
        elsewhere = Path(tempfile.mkdtemp(prefix="m2c-sandbox-"))
        _give(elsewhere, user)
        return elsewhere

    def _initialise(self) -> None:
        secret_file = self._base / "owner.secret"
        made = self._base / "made"
        if made.exists():
            self._password = secret_file.read_text(encoding="ascii")
            return
        shutil.rmtree(self._data, ignore_errors=True)
        self._password = secrets.token_urlsafe(24)
        secret_file.unlink(missing_ok=True)
        descriptor = os.open(secret_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(self._password)
        _give(secret_file, self._installation.user)
        command = [
            str(self._installation.bin_dir / "initdb"),
            f"--pgdata={self._data}",
            f"--username={OWNER}",
            f"--pwfile={secret_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ]
        done = _run(command, user=self._installation.user)
        if done.returncode != 0:
            raise PostgresError(
                f"initdb failed in {self._data}: {done.stderr.strip() or done.stdout.strip()}"
            )
        made.touch()

    def _spawn(self) -> None:
        user = self._installation.user
        server = [str(self._installation.bin_dir / "postgres"), "-D", str(self._data)]
        for name, value in {**_SETTINGS, "port": str(self._port)}.items():
            server += ["-c", f"{name}={value}"]
        with self.log.open("ab") as log:
            self._guardian = subprocess.Popen(
                ["/bin/sh", "-c", _GUARDIAN, "guardian", *server],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd="/",
                env={
                    **_environment(),
                    "REMOVE_AFTER": "" if self._base == self._kept else str(self._base),
                },
                # A Ctrl-C for us is not one for the server: we stop it when we are done.
                start_new_session=True,
                user=user,
                group=pwd.getpwnam(user).pw_gid if user else None,
                extra_groups=[] if user else None,
            )

    def _wait(self, timeout_seconds: float) -> bool:
        """Whether the server answers in time; no if it gave up (say, the port was taken)."""
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            if self._guardian is None or self._guardian.poll() is not None:
                return False
            try:
                psycopg.connect(self.dsn("postgres"), connect_timeout=2).close()
            except psycopg.OperationalError:
                time.sleep(0.03)
                continue
            return True
        return False


def _give(path: Path, user: str | None) -> None:
    if user is not None:
        account = pwd.getpwnam(user)
        os.chown(path, account.pw_uid, account.pw_gid)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
