"""Prometheus: raw samples only, in pieces, each series one meter."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
import polars as pl
import pytest
from pydantic import ValidationError

from connectors.base import Batch, SourceContext, Window
from connectors.errors import SourceAnswerError, SourceRefused, SourceUnavailable
from connectors.http import HttpClient, RateLimiter
from connectors.sources.prometheus import MAX_POINTS, Config, Prometheus

DAY = dt.datetime(2026, 5, 10, tzinfo=dt.UTC)
WINDOW = Window(DAY, DAY + dt.timedelta(hours=6))
QUERY = {
    "series": 'pdu_energy_wh_total{job="pdu"}',
    "meter_id": "{instance}/{outlet}",
    "metric": "energy",
    "kind": "register",
    "unit": "Wh",
}


def server(
    handler: Callable[[httpx.Request], httpx.Response], *queries: dict[str, Any], **config: Any
) -> Prometheus:
    parsed = Config.model_validate(
        {"url": "https://prometheus.example", "max_attempts": 2, "readings": queries or [QUERY]}
        | config
    )
    client = HttpClient(
        parsed,
        site_id="FI-HEL1",
        secrets={},
        clock=lambda: DAY,
        transport=httpx.MockTransport(handler),
        sleep=lambda _: None,
        limiter=RateLimiter(sleep=lambda _: None),
    )
    context = SourceContext(
        site_id="FI-HEL1", timezone="Europe/Helsinki", secrets={}, clock=lambda: DAY
    )
    return Prometheus(parsed, context, client)


def series(outlet: str, *samples: tuple[float, str], **labels: str) -> dict[str, Any]:
    metric = {"instance": "pdu1", "outlet": outlet, **labels}
    return {"metric": metric, "values": [[DAY.timestamp() + at, v] for at, v in samples]}


def matrix(*found: dict[str, Any], **more: Any) -> httpx.Response:
    data = {"resultType": "matrix", "result": list(found)}
    return httpx.Response(200, json={"status": "success", "data": data} | more)


def rows(batches: list[Batch]) -> pl.DataFrame:
    return pl.concat([batch.frame for batch in batches])


def test_asks_for_raw_samples_of_each_piece() -> None:
    asked: list[tuple[str, str]] = []

    def handler(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/api/v1/query"
        asked.append((request.url.params["query"], request.url.params["time"]))
        return matrix()

    list(server(handler, piece_hours=3).readings(WINDOW))
    assert asked == [
        ('pdu_energy_wh_total{job="pdu"}[10800001ms]', f"{DAY.timestamp() + 10800:.3f}"),
        ('pdu_energy_wh_total{job="pdu"}[10800001ms]', f"{DAY.timestamp() + 21600:.3f}"),
    ]


def test_samples_become_registers_within_the_window() -> None:
    found = series("1", (-0.001, "1"), (0, "2"), (15.123, "3.25"), (21600, "4"))
    (batch,) = server(lambda _: matrix(found)).readings(WINDOW)
    assert [row[2:] for row in batch.frame.iter_rows()] == [
        ("pdu1/1", "energy", "register", "Wh", DAY, None, Decimal("2.000000000"), "good"),
        (
            "pdu1/1", "energy", "register", "Wh", DAY + dt.timedelta(seconds=15, milliseconds=123),
            None, Decimal("3.250000000"), "good",
        ),
    ]  # fmt: skip


def test_values_beyond_nine_decimals_are_rounded_once_and_scaled() -> None:
    query = QUERY | {"multiply": "0.1"}
    found = series("1", (0, "1.2345678912345678"), (15, "1.5e+06"))
    (batch,) = server(lambda _: matrix(found), query).readings(WINDOW)
    assert batch.frame["value"].to_list() == [Decimal("0.123456789"), Decimal("150000")]


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "x", 1.5, None])
def test_values_that_are_no_number(value: Any) -> None:
    (batch,) = server(lambda _: matrix(series("1", (0, value), (15, "1")))).readings(WINDOW)
    assert batch.frame.height == 1
    assert batch.rejected[0].meter == "pdu1/1"


def test_series_without_the_labels() -> None:
    found = {"metric": {"instance": "pdu1"}, "values": [[DAY.timestamp(), "1"]]}
    (batch,) = server(lambda _: matrix(found)).readings(WINDOW)
    assert batch.frame.is_empty()
    assert "has not all labels of {instance}/{outlet}" in batch.rejected[0].reason


def test_two_series_for_one_meter_at_the_same_time() -> None:
    one = series("1", (0, "1"), (30, "2"), phase="a")
    two = series("1", (15, "7"), (45, "8"), phase="b")
    other = series("2", (0, "5"))
    (batch,) = server(lambda _: matrix(one, two, other)).readings(WINDOW)
    assert batch.frame["meter_id"].to_list() == ["pdu1/2"]
    assert len(batch.rejected) == 4
    assert "two series give this meter" in batch.rejected[0].reason


def test_series_that_begins_anew_after_another_ended() -> None:
    one = series("1", (0, "1"), (15, "2"), pod="a")
    two = series("1", (30, "3"), pod="b")
    (batch,) = server(lambda _: matrix(two, one)).readings(WINDOW)
    assert sorted(batch.frame["value"].to_list()) == [1, 2, 3]


def test_too_many_samples_are_asked_for_in_halves() -> None:
    error = {
        "status": "error",
        "errorType": "execution",
        "error": "query processing would load too many samples into memory in query execution",
    }

    def handler(request: httpx.Request) -> httpx.Response:
        length = int(request.url.params["query"].split("[")[1].removesuffix("ms]"))
        if length > 4_000_000:
            return httpx.Response(422, json=error)
        end = float(request.url.params["time"])
        samples = [[end - 1, "1"], [end, "2"]]
        return matrix({"metric": {"instance": "p", "outlet": "1"}, "values": samples})

    batches = list(server(handler).readings(WINDOW))
    assert rows(batches).height == 8
    with pytest.raises(SourceRefused, match="too many samples"):
        list(server(lambda _: httpx.Response(422, json=error)).readings(WINDOW))


def test_query_that_is_not_accepted() -> None:
    error = {"status": "error", "errorType": "bad_data", "error": "parse error at char 7"}
    with pytest.raises(SourceRefused, match="parse error at char 7"):
        list(server(lambda _: httpx.Response(400, json=error)).readings(WINDOW))
    with pytest.raises(SourceRefused, match="status 400"):
        list(server(lambda _: httpx.Response(400, text="<html>")).readings(WINDOW))


def test_query_that_timed_out_is_tried_again() -> None:
    answers = iter([httpx.Response(503, json={"status": "error"}), matrix(series("1", (0, "1")))])
    assert rows(list(server(lambda _: next(answers)).readings(WINDOW))).height == 1


def test_partial_answer_is_no_answer() -> None:
    with pytest.raises(SourceUnavailable, match="may be partial: store-2 is out of reach"):
        list(server(lambda _: matrix(warnings=["store-2 is out of reach"])).readings(WINDOW))


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"status": "success", "data": {"resultType": "vector", "result": []}},
        {"status": "success", "data": {"resultType": "matrix", "result": [{"values": []}]}},
        {
            "status": "success",
            "data": {"resultType": "matrix", "result": [{"metric": {}, "values": [["x", "1"]]}]},
        },
    ],
)
def test_answers_of_something_else(body: Any) -> None:
    with pytest.raises(SourceAnswerError):
        list(server(lambda _: httpx.Response(200, json=body)).readings(WINDOW))


def test_pieces_stay_below_the_limit_of_points() -> None:
    config = Config.model_validate(
        {"url": "https://x", "readings": [QUERY], "piece_hours": 168, "scrape_seconds": 1}
    )
    assert config.piece == dt.timedelta(seconds=MAX_POINTS - 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"series": "increase(pdu_energy_wh_total[1h])"}, "expected a selector"),
        ({"series": "pdu_energy_wh_total[5m]"}, "expected a selector"),
        ({"series": "a + b"}, "expected a selector"),
        ({"series": " "}, "expected a selector"),
        ({"meter_id": "fixed"}, "names no field in braces"),
        ({"unit": "kW"}, "energy comes in"),
        ({"kind": "gauge"}, "gauge goes with power"),
        ({"metric": "power", "unit": "W"}, "gauge goes with power"),
        ({"kind": "interval"}, "'register' or 'gauge'"),
    ],
)
def test_configuration_faults(change: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Config.model_validate({"url": "https://x", "readings": [QUERY | change]})


@pytest.mark.parametrize(
    "selector",
    ["up", 'a:b_total{x="[1m]",y!~"a(b)"}', '{__name__="x"}', "m{a='}'}", 'm{a="\\"}"}'],
)
def test_selectors(selector: str) -> None:
    config = Config.model_validate({"url": "https://x", "readings": [QUERY | {"series": selector}]})
    assert config.readings[0].series == selector
