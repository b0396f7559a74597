"""Dagster's event log with its database connections kept open.

The files and their content are those of Dagster's own SQLite event log, and each reads what the
other wrote. That one opens the database anew for every event and every look at it, and closing it
folds the write-ahead log back into the file: of a build's two hundred assets and checks, that made
up half the time that Dagster took. Nothing of the ledger's is here.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster import StringSource
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import Connection

# One file a run and one for all: the UI reads many, a run writes two.
_OPEN_FILES = 8
_BUSY_SECONDS = 30


class EventLog(SqliteEventLogStorage):
    """Named in `dagster.yaml`; `home` is the instance's home."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._one_at_a_time = threading.RLock()
        self._migrated: set[str] = set()
        super().__init__(base_dir, inst_data)

    @classmethod
    def config_type(cls) -> Any:
        return {"home": StringSource}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> EventLog:
        return cls(str(Path(config_value["home"]) / "history" / "runs"), inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._one_at_a_time:
            engine = self._engines.get(shard)
            if engine is None:
                with super()._connect(shard):
                    pass  # makes the file, with its tables, where there is none
                engine = self._engines[shard] = _engine(self.path_for_shard(shard))
            self._engines.move_to_end(shard)
            while len(self._engines) > _OPEN_FILES:
                self._engines.popitem(last=False)[1].dispose()
            with engine.begin() as connection:
                yield connection

    def has_secondary_index(self, name: str) -> bool:
        # Asked at every event; a migration that is complete stays so.
        if name not in self._migrated and super().has_secondary_index(name):
            self._migrated.add(name)
        return name in self._migrated

    def wipe(self) -> None:
        self._close()
        super().wipe()

    def dispose(self) -> None:
        self._close()
        super().dispose()

    def _close(self) -> None:
        with self._one_at_a_time:
            while self._engines:
                self._engines.popitem()[1].dispose()


def _engine(path: str) -> Engine:
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": _BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        # With a write-ahead log, a power cut may cost the last events and never the file.
        connection.execute("pragma synchronous = normal").close()

    return engine
