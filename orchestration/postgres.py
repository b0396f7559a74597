"""Dagster's storage in PostgreSQL: runs, events and schedules of one data dir in one database.

The tables and their migrations are those of dagster-postgres. Three things are ours. The driver is
named: SQLAlchemy's default became psycopg 3, which cannot bind what dagster-postgres sends. The
session is in UTC: the server's clock dates rows without a zone, and Dagster reads them as UTC. And
the event log keeps a connection: dagster-postgres makes one for every event, a build has some six
hundred, and over TLS each costs several trips to the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster import StringSource
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.utils import create_pg_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from orchestration.settings import DAGSTER_URL, SettingsError

_CONNECT_SECONDS = 10
# Servers and balancers drop connections that stay idle.
_RECYCLE_SECONDS = 240


class Storage(DagsterPostgresStorage):
    """Named in `dagster.yaml`; `url` is `postgresql://…`, given as `env`."""

    def __init__(self, url: str, inst_data: ConfigurableClassData | None = None) -> None:
        url = with_driver(url)
        super().__init__(url, inst_data=inst_data)
        self._event_log_storage._engine = create_pg_engine(
            url,
            isolation_level="AUTOCOMMIT",
            pool_size=1,
            max_overflow=20,
            pool_pre_ping=True,
            pool_recycle=_RECYCLE_SECONDS,
        )

    @classmethod
    def config_type(cls) -> Any:
        return {"url": StringSource}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Storage:
        return cls(config_value["url"], inst_data)


def with_driver(url: str) -> str:
    """The URL with the driver that dagster-postgres is written for, a session in UTC, and a limit
    to how long a server that does not answer is waited for.

    Raises SettingsError for anything but a URL of PostgreSQL; the message has no password.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise SettingsError(
            f"{DAGSTER_URL} is not a URL; write postgresql://user:password@host/database"
        ) from error
    if parsed.drivername.split("+")[0] not in {"postgresql", "postgres"}:
        raise SettingsError(
            f"{DAGSTER_URL}: Dagster's storage can be in PostgreSQL only, not in "
            f"{parsed.drivername}; without it, it is in SQLite files of the data dir"
        )
    if not parsed.database:
        raise SettingsError(f"{DAGSTER_URL} names no database (postgresql://…/database)")
    if "connect_timeout" not in parsed.query:
        parsed = parsed.update_query_dict({"connect_timeout": str(_CONNECT_SECONDS)})
    options = parsed.query.get("options", ())
    given = (options,) if isinstance(options, str) else options
    parsed = parsed.update_query_dict({"options": " ".join((*given, "-c timezone=UTC"))})
    return parsed.set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)
