"""One process that serves all sites of a book: HTTP sites on ports of their own, drops, PostgreSQL.

The clock is simulated and stands still until it is told to move: what a site shows depends on
nothing else but the orders to switch machines that sites took. `POST /clock` and `POST /outage` on
the control port move it and take a site down, `GET /power` shows the orders; the rest of the
product never sees that port. When all is up, an endpoints file (mode 0600, for it holds the
throw-away secrets) says where everything is.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import filelock
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from connectors.sandbox import sources, sql
from connectors.sandbox.faults import plan_faults
from connectors.sandbox.files import DropFolder
from connectors.sandbox.places import env_prefix, read_places
from connectors.sandbox.postgres import PostgresError, PostgresServer, find_installations
from connectors.sandbox.power import PowerBoard
from connectors.sandbox.prometheus import PrometheusSite, RecordedSeries
from connectors.sandbox.recordings import Recording, record
from connectors.sandbox.redfish import RedfishSite
from connectors.sandbox.rest_json import NO_TROUBLE, RestJsonSite
from connectors.sandbox.serving import ENDPOINTS_FILE, serve, write_endpoints

_CONTROL = "control"
_BMC = "/bmc"
_SETTLING = timedelta(days=3, hours=6)


class HostError(RuntimeError):
    """The stand-ins cannot be started; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Options:
    """What to serve: the book's meters, readings of local days in [start, end)."""

    book_dir: Path
    state_dir: Path
    seed: int
    start: date
    end: date
    as_of: datetime | None = None
    has_faults: bool = True
    kinds: Mapping[str, str] | None = None

    @property
    def start_at(self) -> datetime:
        """UTC midnight of the first day."""
        return datetime.combine(self.start, time(), UTC)

    @property
    def end_at(self) -> datetime:
        """UTC midnight after the last day."""
        return datetime.combine(self.end, time(), UTC)

    @property
    def now(self) -> datetime:
        """The clock at the start: `as_of`, else three days and six hours after the end."""
        return self.as_of or self.end_at + _SETTLING


def make_recordings(options: Options) -> dict[str, Recording]:
    """The recordings of all sites that are served, by site; pure, the same in every process."""
    if options.end <= options.start:
        raise HostError(f"the days {options.start} to {options.end} are none: --to is exclusive")
    places = read_places(options.book_dir, kinds=options.kinds)
    faults = (
        plan_faults(places, start=options.start_at, end=options.end_at)
        if options.has_faults
        else ()
    )
    return {
        place.site_id: record(
            place, seed=options.seed, start=options.start_at, end=options.end_at, faults=faults
        )
        for place in places
    }


@dataclass
class _Clock:
    now: datetime
    down: set[str] = field(default_factory=set)


class Host:
    """All sites of a book in this process."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._recordings = make_recordings(options)
        self._clock = _Clock(options.now)
        self._board = PowerBoard(lambda: self._clock.now, options.state_dir / "power.json")
        self._folders: list[DropFolder] = []
        self._tables: list[sql.SampleTable] = []
        self._apps: dict[str, Starlette] = {}
        self._env: dict[str, str] = {}
        self._sites: dict[str, dict[str, object]] = {}
        self._notes: list[str] = []

    def run(self, *, is_stopped_by_stdin: bool = False) -> None:
        """Serves until a signal (or, if asked, the end of standard input or of our parent)."""
        state_dir = self._options.state_dir
        state_dir.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(state_dir / ".lock")
        try:
            lock.acquire(timeout=5)
        except filelock.Timeout as taken:
            raise HostError(
                f"other stand-ins run on {state_dir}; stop them or give another --state"
            ) from taken
        try:
            with contextlib.ExitStack() as stack:
                self.prepare(stack)
                serve(
                    {**self._apps, _CONTROL: self._control()},
                    on_ready=self._write_endpoints,
                    is_stopped_by_stdin=is_stopped_by_stdin,
                )
        finally:
            (state_dir / ENDPOINTS_FILE).unlink(missing_ok=True)
            lock.release()

    @property
    def notes(self) -> list[str]:
        """What a summary for people should say of this machine."""
        return list(self._notes)

    def prepare(self, stack: contextlib.ExitStack) -> Mapping[str, str]:
        """Lays out drops and databases, which `stack` stops; their environment variables."""
        for site_id, recording in self._recordings.items():
            kind = recording.place.kind
            if kind == "rest_json":
                self._add_rest_json(site_id, recording)
            elif kind == "prometheus":
                self._add_prometheus(site_id, recording)
            elif kind == "files":
                self._add_files(site_id, recording)
            else:
                self._add_sql(site_id, recording, stack)
        return self._env

    def _add_rest_json(self, site_id: str, recording: Recording) -> None:
        client_id, client_secret = f"m2c-{site_id.lower()}", secrets.token_urlsafe(24)
        site = RestJsonSite(
            recording=recording,
            now=lambda: self._clock.now,
            client_id=client_id,
            client_secret=client_secret,
            is_down=lambda: self._is_down(site_id),
            board=self._board,
        )
        if not self._options.has_faults:
            site.trouble = NO_TROUBLE
        self._apps[site_id] = site.app
        self._env[f"{env_prefix(site_id)}_CLIENT_ID"] = client_id
        self._env[f"{env_prefix(site_id)}_CLIENT_SECRET"] = client_secret

    def _add_prometheus(self, site_id: str, recording: Recording) -> None:
        site = PrometheusSite(
            read=RecordedSeries(recording, lambda: self._clock.now, self._board),
            now=lambda: self._clock.now,
            is_down=lambda: self._is_down(site_id),
        )
        self._apps[site_id] = site.app
        bmcs = RedfishSite(
            place=recording.place,
            board=self._board,
            now=lambda: self._clock.now,
            username=sources.BMC_USER,
            password=secrets.token_urlsafe(24),
            is_down=lambda: self._is_down(site_id),
        )
        if not self._options.has_faults:
            bmcs.trouble = NO_TROUBLE
        self._apps[f"{site_id}{_BMC}"] = bmcs.app
        self._env[f"{env_prefix(site_id)}_BMC_PASSWORD"] = bmcs.password

    def _add_files(self, site_id: str, recording: Recording) -> None:
        folder = DropFolder(recording, self._options.state_dir.resolve() / "drops" / site_id)
        folder.reset(self._clock.now)
        self._folders.append(folder)
        self._env[f"{env_prefix(site_id)}_DROPS"] = str(folder.folder)

    def _add_sql(self, site_id: str, recording: Recording, stack: contextlib.ExitStack) -> None:
        server = self._start_postgres(site_id, stack)
        if server is None:
            self._notes.append(
                f"{site_id}: no PostgreSQL runs on this machine, so the same samples come as CSV"
            )
            self._add_files(site_id, recording)
            return
        server.create_database(sql.DATABASE)
        table = sql.SampleTable(recording, server.dsn(sql.DATABASE))
        password = secrets.token_urlsafe(24)
        table.reset(self._clock.now, reader_password=password)
        self._tables.append(table)
        prefix = env_prefix(site_id)
        self._env[f"{prefix}_HOST"] = "127.0.0.1"
        self._env[f"{prefix}_PORT"] = str(server.port)
        self._env[f"{prefix}_PASSWORD"] = password
        self._env[f"{prefix}_DSN"] = server.dsn(sql.DATABASE, user=sql.READER, password=password)

    def _start_postgres(self, site_id: str, stack: contextlib.ExitStack) -> PostgresServer | None:
        """The first installation that starts; those that do not are noted."""
        for installation in find_installations():
            server = PostgresServer(installation, state_dir=self._options.state_dir / site_id)
            try:
                stack.enter_context(server)
            except PostgresError as problem:
                self._notes.append(f"{site_id}: {installation.label} does not start: {problem}")
                continue
            self._notes.append(f"{site_id}: {installation.label}")
            return server
        return None

    def _is_down(self, site_id: str) -> bool:
        return site_id in self._clock.down or self._recordings[site_id].is_down(self._clock.now)

    def _write_endpoints(self, urls: Mapping[str, str]) -> None:
        for site_id, recording in self._recordings.items():
            prefix = env_prefix(site_id)
            if site_id in urls:
                self._env[f"{prefix}_URL"] = urls[site_id]
            if f"{site_id}{_BMC}" in urls:
                self._env[f"{prefix}_BMC_URL"] = urls[f"{site_id}{_BMC}"]
            served = "files" if f"{prefix}_DROPS" in self._env else recording.place.kind
            self._sites[site_id] = {
                "kind": served,
                "meters": len(recording.place.meter_ids),
                "source": sources.source_of(recording, served),
            }
        content = {
            "control": urls[_CONTROL],
            "env": dict(sorted(self._env.items())),
            "sites": self._sites,
            "faults": [f.describe() for r in self._recordings.values() for f in r.faults],
            "notes": self._notes,
        }
        write_endpoints(self._options.state_dir, content)

    def _control(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/status", self._status),
                Route("/clock", self._move_clock, methods=["POST"]),
                Route("/outage", self._set_outage, methods=["POST"]),
                Route("/power", self._power),
            ]
        )

    async def _status(self, _: Request) -> Response:
        return JSONResponse({"now": self._clock.now.isoformat(), "down": sorted(self._clock.down)})

    async def _move_clock(self, request: Request) -> Response:
        body = await request.json()
        now = datetime.fromisoformat(body["now"]).astimezone(UTC)
        before = self._clock.now
        if now < before:
            detail = f"the clock stands at {before.isoformat()} and cannot go back"
            return JSONResponse({"detail": detail}, 409)
        new = sum(folder.advance(before, now) for folder in self._folders)
        for table in self._tables:
            new += await asyncio.to_thread(table.advance, before, now)
        self._clock.now = now
        return JSONResponse({"now": now.isoformat(), "new": new})

    async def _power(self, _: Request) -> Response:
        orders = [{**asdict(o), "at": o.at.isoformat()} for o in self._board.orders]
        return JSONResponse({"orders": orders})

    async def _set_outage(self, request: Request) -> Response:
        body = await request.json()
        site_id = body["site_id"]
        if site_id not in self._recordings:
            return JSONResponse({"detail": f"no site {site_id!r} is served here"}, 404)
        if body["is_down"]:
            self._clock.down.add(site_id)
        else:
            self._clock.down.discard(site_id)
        return JSONResponse({"down": sorted(self._clock.down)})
