"""The stand-ins as a Python object: a child process that lives as long as the `with` block.

Readings and faults are known here too, so a test can say what ought to arrive without asking the
servers.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from types import TracebackType

import httpx

from connectors.sandbox.child import Child, SandboxError
from connectors.sandbox.faults import Fault
from connectors.sandbox.host import Options, make_recordings
from connectors.sandbox.recordings import Recording


class Sandbox:
    """Local stand-ins for the sites of a book, serving the local days in [start, end).

    `env` maps the environment variables that the book's `sources.yml` names to addresses and
    throw-away secrets. `as_of` is what the sites' clock says (default: three days and six hours
    after the end); `advance` moves it, and late data appears.
    """

    def __init__(
        self,
        *,
        book_dir: Path,
        state_dir: Path,
        seed: int,
        start: date,
        end: date,
        as_of: datetime | None = None,
        has_faults: bool = True,
        kinds: Mapping[str, str] | None = None,
        timeout_seconds: float = 60,
    ) -> None:
        self._options = Options(
            book_dir=book_dir,
            state_dir=state_dir,
            seed=seed,
            start=start,
            end=end,
            as_of=as_of.astimezone(UTC) if as_of else None,
            has_faults=has_faults,
            kinds=kinds,
        )
        self._timeout = timeout_seconds
        self._now = self._options.now
        self._child: Child | None = None
        self._endpoints: dict[str, object] = {}
        self._recordings: dict[str, Recording] | None = None

    def __enter__(self) -> Sandbox:
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
    def env(self) -> Mapping[str, str]:
        """Environment variables for `sources.yml`: addresses and secrets."""
        return _texts(self._endpoints["env"])

    @property
    def sources(self) -> dict[str, dict[str, object]]:
        """The entries of `sources.yml` for the sites as served here, by site."""
        sites = self._endpoints["sites"]
        assert isinstance(sites, dict)
        return {site_id: site["source"] for site_id, site in sites.items()}

    @property
    def kinds(self) -> dict[str, str]:
        """By site the protocol that serves it; `files` where PostgreSQL is missing."""
        return {site_id: str(source["kind"]) for site_id, source in self.sources.items()}

    @property
    def notes(self) -> list[str]:
        """What a summary for people should say of this machine (say, no PostgreSQL here)."""
        notes = self._endpoints["notes"]
        assert isinstance(notes, list)
        return [str(note) for note in notes]

    @property
    def now(self) -> datetime:
        """What the sites' clock says."""
        return self._now

    @property
    def pid(self) -> int:
        """The process that serves the sites."""
        if self._child is None:
            raise SandboxError("the stand-ins are not running")
        return self._child.pid

    @property
    def recordings(self) -> Mapping[str, Recording]:
        """By site everything it ever shows; computed here, not asked of the servers."""
        if self._recordings is None:
            self._recordings = make_recordings(self._options)
        return self._recordings

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Everything that goes wrong in the span served."""
        return tuple(fault for r in self.recordings.values() for fault in r.faults)

    def expected_kwh(
        self, *, start: datetime | None = None, end: datetime | None = None
    ) -> dict[tuple[str, str], Decimal]:
        """By (site, meter) the energy to accept of intervals that start in [start, end), now."""
        return {
            (site_id, meter_id): kwh
            for site_id, recording in self.recordings.items()
            for meter_id, kwh in recording.accepted_kwh(now=self._now, start=start, end=end).items()
        }

    def start(self) -> None:
        """Starts the child process and waits until everything answers."""
        options = self._options
        arguments = [
            f"--book={options.book_dir.resolve()}",
            f"--state={options.state_dir.resolve()}",
            f"--seed={options.seed}",
            f"--from={options.start.isoformat()}",
            f"--to={options.end.isoformat()}",
            f"--as-of={options.now.isoformat()}",
            *(f"--kind={site_id}={kind}" for site_id, kind in (options.kinds or {}).items()),
        ]
        if not options.has_faults:
            arguments.append("--no-faults")
        child = Child("connectors.sandbox", arguments, state_dir=options.state_dir)
        self._endpoints = child.wait_ready(timeout_seconds=self._timeout)
        self._child = child

    def stop(self) -> None:
        """Stops everything and waits for it; harmless when nothing runs."""
        child, self._child = self._child, None
        if child is not None:
            child.stop()

    def advance(self, now: datetime) -> int:
        """Moves the sites' clock forward; how many files and rows appeared by that."""
        answer = self._tell("/clock", {"now": now.astimezone(UTC).isoformat()})
        self._now = now.astimezone(UTC)
        return int(str(answer["new"]))

    def set_outage(self, site_id: str, *, is_down: bool) -> None:
        """Takes a site that speaks HTTP out of service, or brings it back."""
        self._tell("/outage", {"site_id": site_id, "is_down": is_down})

    def power_orders(self) -> list[tuple[str, str, str]]:
        """Every order to switch a machine that a site took, oldest first: site, meter, state."""
        answer = httpx.get(f"{self._endpoints['control']}/power", timeout=60)
        return [(o["site_id"], o["meter_id"], o["state"]) for o in answer.json()["orders"]]

    def _tell(self, path: str, body: Mapping[str, object]) -> dict[str, object]:
        if self._child is None:
            raise SandboxError("the stand-ins are not running")
        answer = httpx.post(f"{self._endpoints['control']}{path}", json=body, timeout=60)
        content: dict[str, object] = answer.json()
        if answer.status_code != 200:
            raise SandboxError(f"the stand-ins refused {path}: {content.get('detail')}")
        return content


def _texts(value: object) -> dict[str, str]:
    assert isinstance(value, dict)
    return {str(name): str(text) for name, text in value.items()}
