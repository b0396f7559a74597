"""Serving the recordings: drops laid out once, and a Prometheus in a child process."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, time
from pathlib import Path
from types import TracebackType

import polars as pl

from connectors.sandbox.child import Child
from connectors.sandbox.places import env_prefix
from connectors.sandbox.prometheus import PrometheusSite, Series
from connectors.sandbox.replay.recorded import (
    CSV_SITE,
    FEED_SITE,
    LOG_SITE,
    PROMETHEUS_SITE,
    RECORDED_DAY,
    Recorded,
    read_recorded,
)
from connectors.sandbox.replay.sensors import CSV_NAME
from connectors.sandbox.replay.sources import METRIC
from connectors.sandbox.serving import ENDPOINTS_FILE, serve, write_endpoints


class Replay:
    """The recorded sites as long as the `with` block lasts; `env` is for the book's sources."""

    def __init__(self, *, realdata_dir: Path, state_dir: Path, timeout_seconds: float = 60) -> None:
        self._realdata_dir = realdata_dir
        self._state_dir = state_dir
        self._timeout = timeout_seconds
        self._child: Child | None = None
        self.env: Mapping[str, str] = {}

    def __enter__(self) -> Replay:
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
    def pid(self) -> int | None:
        """The process that serves; None when there is none."""
        return None if self._child is None else self._child.pid

    def start(self) -> None:
        """Lays out the drops, starts the Prometheus and waits until it answers."""
        arguments = [
            f"--realdata={self._realdata_dir.resolve()}",
            f"--state={self._state_dir.resolve()}",
        ]
        child = Child("connectors.sandbox.replay", arguments, state_dir=self._state_dir)
        endpoints = child.wait_ready(timeout_seconds=self._timeout)
        self._child = child
        env = endpoints["env"]
        assert isinstance(env, dict)
        self.env = {str(name): str(value) for name, value in env.items()}

    def stop(self) -> None:
        """Stops serving; the drops stay. Harmless when nothing runs."""
        child, self._child = self._child, None
        if child is not None:
            child.stop()


def run(*, realdata_dir: Path, state_dir: Path, is_stopped_by_stdin: bool) -> None:
    """Lays out and serves everything from this process until it is stopped."""
    recorded = read_recorded(realdata_dir)
    env = lay_out(recorded, state_dir)
    series = recorded_series(recorded)
    end = datetime.combine(RECORDED_DAY, time.max, UTC)
    site = PrometheusSite(read=lambda: series, now=lambda: end)

    def on_ready(urls: Mapping[str, str]) -> None:
        addresses = {f"{env_prefix(PROMETHEUS_SITE)}_URL": urls[PROMETHEUS_SITE]}
        write_endpoints(state_dir, {"env": {**env, **addresses}})

    try:
        serve(
            {PROMETHEUS_SITE: site.app}, on_ready=on_ready, is_stopped_by_stdin=is_stopped_by_stdin
        )
    finally:
        (state_dir / ENDPOINTS_FILE).unlink(missing_ok=True)


def lay_out(recorded: Recorded, state_dir: Path) -> dict[str, str]:
    """Puts the recorded files into a folder a site; their paths by environment variable."""
    folders = {}
    for site_id in (CSV_SITE, LOG_SITE, FEED_SITE):
        folder = state_dir.resolve() / "drops" / site_id
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        folders[site_id] = folder
    _copy_lines(
        recorded.realdata_dir / "harvard_ipmi" / CSV_NAME,
        folders[CSV_SITE] / CSV_NAME,
        nodes=recorded.nodes_at(CSV_SITE),
    )
    for path in recorded.logs.values():
        shutil.copyfile(path, folders[LOG_SITE] / path.name)
    shutil.copyfile(recorded.feed.path, folders[FEED_SITE] / recorded.feed.path.name)
    return {f"{env_prefix(site_id)}_DROPS": str(folder) for site_id, folder in folders.items()}


def _copy_lines(source: Path, target: Path, *, nodes: Iterable[str]) -> None:
    """The lines of these nodes, as they were recorded."""
    wanted = {node.encode() for node in nodes}
    # Same recording, same bytes: no name and no time in the gzip header.
    with (
        gzip.open(source) as recorded,
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", 1, raw, mtime=0) as out,
    ):
        out.write(next(recorded))
        for line in recorded:
            if line.split(b",", 1)[0] in wanted:
                out.write(line)


def recorded_series(recorded: Recorded) -> list[Series]:
    """Every recorded sensor of the Prometheus site as a series, the refused ones too."""
    frame = (
        recorded.power.filter(pl.col("node").is_in(recorded.nodes_at(PROMETHEUS_SITE)))
        .with_columns(pl.col("at").dt.epoch("ms").alias("at_ms"), pl.col("value").cast(pl.String))
        .sort("node", "sensor", "at_ms")
        .group_by("node", "sensor", maintain_order=True)
        .agg("at_ms", "value")
    )
    return [
        Series({"__name__": METRIC, "instance": node, "job": "ipmi", "name": sensor}, times, values)
        for node, sensor, times, values in frame.iter_rows()
    ]
