"""The sites of the book as one switchboard: which connector switches which site's machines."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping

from connectors.base import PowerConnector
from connectors.book import Book, load_book
from connectors.errors import ConnectorError, SourceUnavailable
from connectors.registry import SourceSpec, build_power, power_hosts, power_kind
from exporters.suspension import SwitchError
from exporters.suspension.switchboard import Power, Seen
from orchestration.settings import Clock, DataDir
from orchestration.sources import source_of


class Sites:
    """A switchboard (see `exporters.suspension`). Connectors are made when a site is first asked;
    use `sites_of`, which closes them."""

    def __init__(
        self, data_dir: DataDir, book: Book, *, env: Mapping[str, str], clock: Clock
    ) -> None:
        self._data_dir = data_dir
        self._book = book
        self._env = env
        self._clock = clock
        self._built: dict[str, PowerConnector] = {}
        self._building = threading.Lock()

    def lane(self, site_id: str, meter_id: str) -> str:
        try:
            return self._connector(site_id).power_lane(meter_id)
        except ConnectorError:  # whoever switches it is told
            return f"site {site_id}"

    def route(self, site_id: str) -> str:
        try:
            kind = power_kind(self._spec(site_id), self._env, site_id=site_id)
        except ConnectorError as error:
            return f"sources.yml is wrong: {error.message}"
        return kind.replace("_", " ")

    def seen(self, site_id: str, meter_id: str) -> Seen:
        with _in_words():
            return self._connector(site_id).power_state(meter_id)

    def switch(self, site_id: str, meter_id: str, state: Power) -> None:
        with _in_words():
            self._connector(site_id).power(meter_id, state)

    def hosts(self) -> Iterator[tuple[str, str]]:
        """(site_id, URL) of everything that would be switched. Raises ConnectorError."""
        for site_id in sorted(self._book.sites):
            for url in power_hosts(self._spec(site_id), self._env, site_id=site_id):
                yield site_id, url

    def close(self) -> None:
        for connector in self._built.values():
            with contextlib.suppress(ConnectorError):
                connector.close()
        self._built.clear()

    def _spec(self, site_id: str) -> SourceSpec | None:
        return source_of(self._book, site_id) if site_id in self._book.sources else None

    def _connector(self, site_id: str) -> PowerConnector:
        with self._building:
            if site_id not in self._built:
                self._built[site_id] = build_power(
                    site_id,
                    self._book.sites[site_id].timezone,
                    self._spec(site_id),
                    self._env,
                    self._clock,
                    data_dir=self._data_dir.root,
                )
            return self._built[site_id]


@contextlib.contextmanager
def sites_of(data_dir: DataDir, *, env: Mapping[str, str], clock: Clock) -> Iterator[Sites]:
    """The sites of the data dir's book. Raises BookError."""
    sites = Sites(data_dir, load_book(data_dir.book), env=env, clock=clock)
    try:
        yield sites
    finally:
        sites.close()


@contextlib.contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except ConnectorError as error:
        raise SwitchError(str(error), passing=isinstance(error, SourceUnavailable)) from error
