"""SQL without a server: configuration, and what is told when nobody answers."""

from __future__ import annotations

import datetime as dt
import socket
from typing import Any

import psycopg
import pytest
from pydantic import ValidationError

from connectors.base import SourceContext, Window
from connectors.errors import SourceRefused, SourceUnavailable
from connectors.sources.sql import Config, Sql

DAY = dt.datetime(2026, 5, 10, tzinfo=dt.UTC)
WINDOW = Window(DAY, DAY + dt.timedelta(days=1))
QUERY = {
    "query": "SELECT * FROM r WHERE t >= %(start)s AND t < %(end)s",
    "map": {
        "meter_id": "m",
        "metric": {"fixed": "energy"},
        "kind": {"fixed": "register"},
        "unit": {"fixed": "kWh"},
        "value": "v",
        "start": "t",
    },
}
DATABASE = {"host": "127.0.0.1", "database": "d", "user": "u", "tls": "plain"}


def connector(slept: list[float], **changes: Any) -> Sql:
    config = Config.model_validate(DATABASE | {"readings": [QUERY]} | changes)
    context = SourceContext(site_id="ID-JKT1", timezone="UTC", secrets={}, clock=lambda: DAY)
    return Sql(config, context, sleep=slept.append)


def test_server_that_is_away_is_tried_again_and_given_up_on() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    slept: list[float] = []
    with pytest.raises(SourceUnavailable, match=rf"127\.0\.0\.1:{port} takes no connection of u"):
        list(connector(slept, port=port).readings(WINDOW))
    assert len(slept) == 3


def test_refused_login_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise psycopg.OperationalError('FATAL:  password authentication failed for user "u"')

    monkeypatch.setattr(psycopg, "connect", refuse)
    slept: list[float] = []
    with pytest.raises(SourceRefused, match="password authentication failed"):
        list(connector(slept).readings(WINDOW))
    assert slept == []


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT 1", "does not use %(end)s, so it would read everything"),
        ("SELECT %(end)s", "does not use %(start)s"),
        ("SELECT %(start)s, %(end)s, %(now)s", "%(now)s stands for nothing"),
        ("SELECT %(start)s, %(end)s WHERE a LIKE 'x%'", "has a lone %"),
    ],
)
def test_query_faults(query: str, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        connector([], readings=[QUERY | {"query": query}])
    assert message in str(caught.value)


def test_percent_signs_can_be_written() -> None:
    query = "SELECT * FROM r WHERE t >= %(start)s AND t < %(end)s AND n LIKE 'a%%'"
    assert connector([], readings=[QUERY | {"query": query}]).capabilities() == {"readings"}


@pytest.mark.parametrize(
    "changes", [{"sslmode": "disable"}, {"tls": "off"}, {"port": 0}, {"readings": []}], ids=str
)
def test_configuration_faults(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        connector([], **changes)
