"""The Prometheus interface: selectors, ranges, limits and errors, as Prometheus has them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sandbox.prometheus import (
    PrometheusSite,
    QueryError,
    Series,
    parse_selector,
    parse_step,
    parse_time,
)

MINUTE = 60_000
T0 = 1_790_000_000_000 - 1_790_000_000_000 % (15 * MINUTE)


def series(outlet: str, count: int = 8) -> Series:
    labels = {"__name__": "energy_total", "outlet": outlet, "site": "S"}
    times = [T0 + number * 15 * MINUTE for number in range(count)]
    return Series(labels, times, [str(1000 + number) for number in range(count)])


class Asked:
    """The interface over two series, and a client for it."""

    def __init__(self) -> None:
        self.is_down = False
        site = PrometheusSite(
            read=lambda: [series("a"), series("b")],
            now=lambda: datetime.fromtimestamp((T0 + 30 * MINUTE) / 1000, UTC),
            is_down=lambda: self.is_down,
        )
        self.app = site.app

    def get(self, path: str, **params: Any) -> httpx.Response:
        return self._request("GET", path, params=params)

    def post(self, path: str, **data: Any) -> httpx.Response:
        return self._request("POST", path, data=data)

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://p") as client:
                return await client.request(method, path, **options)

        return asyncio.run(ask())

    def data(self, path: str, **params: Any) -> Any:
        body = self.get(path, **params).json()
        assert body["status"] == "success", body
        return body["data"]


@pytest.fixture
def asked() -> Asked:
    return Asked()


def test_a_range_selector_returns_raw_samples_with_both_ends(asked: Asked) -> None:
    at = (T0 + 60 * MINUTE) / 1000
    data = asked.data("/api/v1/query", query='energy_total{outlet="a"}[30m]', time=at)
    assert data["resultType"] == "matrix"
    (found,) = data["result"]
    assert found["metric"] == {"__name__": "energy_total", "outlet": "a", "site": "S"}
    assert found["values"] == [
        [(T0 + minutes * MINUTE) // 1000, str(1000 + minutes // 15)] for minutes in (30, 45, 60)
    ]


def test_an_instant_query_looks_back_five_minutes(asked: Asked) -> None:
    now = asked.data("/api/v1/query", query="energy_total")
    assert [found["value"][1] for found in now["result"]] == ["1002", "1002"]
    for minutes, count in ((4, 2), (5, 2), (6, 0), (16, 2)):
        at = (T0 + minutes * MINUTE) / 1000
        data = asked.data("/api/v1/query", query="energy_total", time=at)
        assert len(data["result"]) == count


def test_query_range_steps_with_lookback(asked: Asked) -> None:
    data = asked.data(
        "/api/v1/query_range",
        query='energy_total{outlet="b"}',
        start=T0 / 1000,
        end=T0 / 1000 + 1800,
        step="5m",
    )
    # A sample serves for five minutes and no longer.
    times = [sample[0] - T0 // 1000 for sample in data["result"][0]["values"]]
    assert times == [0, 300, 900, 1200, 1800]


def test_eleven_thousand_points_and_no_more(asked: Asked) -> None:
    start = T0 // 1000
    span = {"query": "energy_total", "start": start, "step": 1}
    assert asked.get("/api/v1/query_range", **span, end=start + 11_000).status_code == 200
    refused = asked.get("/api/v1/query_range", **span, end=start + 11_001)
    assert refused.status_code == 400
    assert refused.json() == {
        "status": "error",
        "errorType": "bad_data",
        "error": "exceeded maximum resolution of 11,000 points per timeseries. "
        "Try decreasing the query resolution (?step=XX)",
    }


@pytest.mark.parametrize(
    ("path", "params", "words"),
    [
        ("query", {}, 'invalid parameter "query"'),
        ("query", {"query": "rate(energy_total[5m])"}, "parse error"),
        ("query", {"query": "energy_total{outlet=a}"}, "label matching"),
        ("query", {"query": '{outlet=~"("}'}, "error parsing regexp"),
        ("query", {"query": '{outlet=""}'}, "at least one non-empty matcher"),
        ("query", {"query": "energy_total[0s]"}, "greater than 0"),
        ("query", {"query": "energy_total[5x]"}, "bad duration"),
        ("query", {"query": "energy_total", "time": "noon"}, 'cannot parse "noon"'),
        ("query_range", {"query": "e", "start": 5, "end": 4, "step": 1}, "before start"),
        ("query_range", {"query": "e", "start": 5, "end": 6, "step": 0}, "zero or negative"),
        ("query_range", {"query": "e[5m]", "start": 5, "end": 6, "step": 1}, "range vector"),
        ("series", {}, "no match[] parameter"),
    ],
)
def test_errors_are_bad_data_in_json(
    asked: Asked, path: str, params: Mapping[str, object], words: str
) -> None:
    answer = asked.get(f"/api/v1/{path}", **params)
    body = answer.json()
    assert answer.status_code == 400
    assert (body["status"], body["errorType"]) == ("error", "bad_data")
    assert words in body["error"]


def test_forms_are_as_good_as_queries(asked: Asked) -> None:
    at = T0 / 1000
    body = asked.post("/api/v1/query", query="energy_total[15m]", time=at).json()
    assert body == asked.get("/api/v1/query", query="energy_total[15m]", time=at).json()


def test_series_labels_and_values(asked: Asked) -> None:
    found = asked.data("/api/v1/series", **{"match[]": '{outlet=~"a|c"}'})
    assert [labels["outlet"] for labels in found] == ["a"]
    late = T0 / 1000 + 10 * 86_400
    assert asked.data("/api/v1/series", **{"match[]": "energy_total", "start": late}) == []
    assert asked.data("/api/v1/labels") == ["__name__", "outlet", "site"]
    assert asked.data("/api/v1/label/outlet/values") == ["a", "b"]


def test_it_says_what_it_is(asked: Asked) -> None:
    assert re.fullmatch(r"2\.\d+\.\d+", asked.data("/api/v1/status/buildinfo")["version"])
    assert asked.get("/-/healthy").status_code == 200


def test_a_site_that_is_down_answers_503(asked: Asked) -> None:
    asked.is_down = True
    assert asked.get("/-/ready").status_code == 503
    assert asked.get("/api/v1/query", query="energy_total").status_code == 503


def test_matchers() -> None:
    labels = {"__name__": "m", "a": "x1", "b": 'say "hi"'}
    only = [Series(labels, [1], ["1"])]
    for text, hit in (
        ("m", True),
        ("other", False),
        ('m{a="x1"}', True),
        ('m{a!="x1"}', False),
        ('m{a=~"x."}', True),
        ('m{a=~"x"}', False),
        ('m{a!~"x"}', True),
        ('m{c=""}', True),
        ("m{b='say \"hi\"',}", True),
        ('{b="say \\"hi\\"", __name__="m"}', True),
    ):
        assert bool(parse_selector(text).pick(only)) is hit, text


def test_durations_add_up() -> None:
    assert parse_selector("m[1d2h]").range_ms == 26 * 3_600_000
    assert parse_step("90") == parse_step("1m30s") == 90_000


@given(st.integers(0, 4_000_000_000_000))
def test_times_read_the_same_as_numbers_and_as_text(at_ms: int) -> None:
    number = f"{at_ms // 1000}.{at_ms % 1000:03}"
    text = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    assert parse_time(number, "time") == at_ms
    assert abs(parse_time(text, "time") - at_ms) <= 1


def test_a_time_without_offset_is_refused() -> None:
    with pytest.raises(QueryError, match="valid timestamp"):
        parse_time("2026-10-01T00:00:00", "time")
