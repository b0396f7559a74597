"""Paged JSON: how pages follow each other, and what is told when an answer is not as configured."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
import polars as pl
import pytest
from pydantic import SecretStr, ValidationError

from connectors.base import Batch, SourceContext, Window
from connectors.errors import SourceAnswerError, SourceRefused, SourceUnavailable
from connectors.http import HttpClient, RateLimiter
from connectors.sources.rest_json import Config, RestJson

DAY = dt.datetime(2026, 5, 10, tzinfo=dt.UTC)
WINDOW = Window(DAY, DAY + dt.timedelta(days=1))
MAP: dict[str, Any] = {
    "meter_id": "meter",
    "metric": {"fixed": "energy"},
    "kind": {"fixed": "interval"},
    "unit": {"fixed": "kWh"},
    "value": "kwh",
    "start": "from",
    "minutes": 60,
}


def item(number: int, meter: str = "m1") -> dict[str, Any]:
    start = DAY + dt.timedelta(hours=number)
    return {"meter": meter, "from": start.isoformat(), "kwh": number + 0.5}


Handler = Callable[[httpx.Request], httpx.Response]


def site(handler: Handler, *, secrets: dict[str, str] | None = None, **config: Any) -> RestJson:
    parsed = Config.model_validate({"url": "https://site.example/api", "max_attempts": 2} | config)
    secret = {name: SecretStr(value) for name, value in (secrets or {}).items()}
    client = HttpClient(
        parsed,
        site_id="NO-OSL1",
        secrets=secret,
        clock=lambda: DAY,
        transport=httpx.MockTransport(handler),
        sleep=lambda _: None,
        limiter=RateLimiter(sleep=lambda _: None),
    )
    context = SourceContext(
        site_id="NO-OSL1", timezone="Europe/Oslo", secrets=secret, clock=lambda: DAY
    )
    return RestJson(parsed, context, client)


def readings(endpoint: dict[str, Any], handler: Handler, **config: Any) -> list[Batch]:
    whole = {"path": "readings", "items": "data[]", "map": MAP} | endpoint
    return list(site(handler, readings=[whole], **config).readings(WINDOW))


def rows(batches: list[Batch]) -> pl.DataFrame:
    return pl.concat([batch.frame for batch in batches])


def hours(batches: list[Batch]) -> list[int]:
    return [start.hour for start in rows(batches)["interval_start"]]


def answer(*items: Any, **more: Any) -> httpx.Response:
    return httpx.Response(200, json={"data": list(items)} | more)


def test_window_goes_into_the_request_and_rows_come_out() -> None:
    seen: list[httpx.URL] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.url)
        content = b'{"data": [{"meter": 7, "from": "2026-05-10T02:00:00+02:00", "kwh": 0.1}]}'
        return httpx.Response(200, content=content)

    batches = readings({"params": {"from": "{start}", "to": "{end}"}}, handler)
    assert str(seen[0]) == (
        "https://site.example/api/readings?from=2026-05-10T00%3A00%3A00Z"
        "&to=2026-05-11T00%3A00%3A00Z"
    )
    assert rows(batches).row(0) == (
        "NO-OSL1", "rest_json", "7", "energy", "interval", "kWh", DAY,
        DAY + dt.timedelta(hours=1), Decimal("0.100000000"), "good",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ({"format": "epoch_s"}, ("1778371200", "1778457600")),
        ({"format": "epoch_ms"}, ("1778371200000", "1778457600000")),
        ({"format": "date"}, ("2026-05-10", "2026-05-11")),
        ({"format": "date", "timezone": "site"}, ("2026-05-10", "2026-05-12")),
        ({"timezone": "Europe/Oslo"}, ("2026-05-10T02:00:00+02:00", "2026-05-11T02:00:00+02:00")),
        ({"format": "%Y%m%d%H"}, ("2026051000", "2026051100")),
    ],
)
def test_window_in_the_words_of_the_site(window: dict[str, str], expected: tuple[str, str]) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert (request.url.params["a"], request.url.params["b"]) == expected
        return answer()

    readings({"params": {"a": "{start}", "b": "{end}"}, "window": window}, handler)


def test_last_day_for_sites_that_include_it() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert request.url.params["until"] == "2026-05-10"
        return answer()

    readings({"params": {"until": "{last}"}, "window": {"format": "date"}}, handler)


def test_long_windows_in_pieces() -> None:
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params["a"])
        return answer()

    readings({"params": {"a": "{start}"}, "max_window_hours": 10}, handler)
    assert [text[11:13] for text in asked] == ["00", "10", "20"]


def test_cursor_paging() -> None:
    pages = {None: ("c1", 0), "c1": ("c2", 1), "c2": (None, 2)}

    def handler(request: httpx.Request) -> httpx.Response:
        cursor, number = pages[request.url.params.get("after")]
        assert request.url.params["limit"] == "1"
        return answer(item(number), paging={"next": cursor})

    paging = {"type": "cursor", "parameter": "after", "next": "paging.next"}
    assert hours(readings({"params": {"limit": "1"}, "paging": paging}, handler)) == [0, 1, 2]


def test_page_paging_ends_with_an_empty_page_not_a_short_one() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        page = int(request.url.params["page"])
        return answer(*([item(page)] * (2 if page == 1 else 1) if page <= 3 else []))

    assert hours(readings({"paging": {"type": "page"}}, handler)) == [1, 1, 2, 3]


def test_page_paging_by_count() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        page = int(request.url.params["p"])
        assert page < 2
        return answer(item(page), meta={"pages": 2})

    paging = {"type": "page", "parameter": "p", "first": 0, "total_pages": "meta.pages"}
    assert hours(readings({"paging": paging}, handler)) == [0, 1]


def test_offset_paging() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        offset = int(request.url.params.get("offset", "0"))
        return answer(*[item(n) for n in range(offset, min(offset + 2, 5))])

    assert hours(readings({"paging": {"type": "offset"}}, handler)) == [0, 1, 2, 3, 4]


def test_link_header_paging() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        page = int(request.url.params.get("page", "1"))
        link = {"Link": f'<{request.url.copy_with(query=None)}?page={page + 1}>; rel="next"'}
        return httpx.Response(200, json={"data": [item(page)]}, headers=link if page < 3 else {})

    assert hours(readings({"paging": {"type": "link_header"}}, handler)) == [1, 2, 3]


def test_next_link_paging() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        page = int(request.url.params.get("page", "1"))
        following = f"/api/readings?page={page + 1}" if page < 3 else None
        return answer(item(page), next=following)

    assert hours(readings({"paging": {"type": "next_link", "next": "next"}}, handler)) == [1, 2, 3]


@pytest.mark.parametrize(
    ("paging", "body", "message"),
    [
        ({"type": "cursor", "next": "next"}, {"next": "same"}, "leads in a circle after 2 pages"),
        (
            {"type": "next_link", "next": "next"},
            {"next": "https://site.example/api/readings"},
            "leads in a circle",
        ),
        ({"type": "page"}, {}, "answers the same page again for page=2"),
        ({"type": "page", "total_pages": "pages"}, {"pages": "two"}, "expected the number of"),
    ],
)
def test_pages_without_end(paging: dict[str, Any], body: dict[str, Any], message: str) -> None:
    with pytest.raises(SourceAnswerError, match=message):
        readings({"paging": paging}, lambda _: answer(item(0), **body))


def test_link_to_another_host_is_refused() -> None:
    paging = {"type": "next_link", "next": "next"}
    with pytest.raises(SourceRefused, match="which is not the site's own"):
        readings(
            {"paging": paging}, lambda _: answer(item(0), next="https://evil.example/readings")
        )


def test_too_many_pages() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        return answer(item(0), next=int(request.url.params.get("cursor", 0)) + 1)

    paging = {"type": "cursor", "next": "next"}
    with pytest.raises(SourceAnswerError, match="more than 3 pages"):
        readings({"paging": paging, "max_pages": 3}, handler)


def test_token_that_ends_between_two_pages() -> None:
    issued = 0

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal issued
        if request.url.path == "/api/token":
            issued += 1
            return httpx.Response(200, json={"access_token": f"t{issued}", "expires_in": 3600})
        page = int(request.url.params["page"])
        if request.headers["Authorization"] == "Bearer t1" and page > 2:
            return httpx.Response(401)
        return answer(*([item(page)] if page < 5 else []))

    auth = {"type": "oauth2", "token_url": "token"}
    secrets = {"client_id": "a", "client_secret": "b"}
    batches = readings({"paging": {"type": "page"}}, handler, auth=auth, secrets=secrets)
    assert hours(batches) == [1, 2, 3, 4]
    assert issued == 2


def test_page_that_fails_for_good_stops_the_fetch() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        page = int(request.url.params["page"])
        return answer(item(page)) if page < 3 else httpx.Response(502)

    with pytest.raises(SourceUnavailable, match="failed 2 times: status 502"):
        readings({"paging": {"type": "page"}}, handler)


def test_broken_json_in_the_middle() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        page = int(request.url.params["page"])
        return answer(item(1)) if page == 1 else httpx.Response(200, content=b'{"data": [{"met')

    with pytest.raises(SourceAnswerError, match="not JSON"):
        readings({"paging": {"type": "page"}}, handler)


def test_lists_in_lists_and_fields_around_them() -> None:
    body = {
        "unit": "Wh",
        "meters": [
            {"id": "a", "points": [["2026-05-10T00:00:00Z", 1], ["2026-05-10T01:00:00Z", 2]]},
            {"id": "b", "points": []},
            {"id": "c", "points": None},
            {"id": "d", "points": [["2026-05-10T03:00:00Z", 4]]},
        ],
    }
    mapping = MAP | {
        "meter_id": "../id", "unit": "../../unit", "start": "0", "value": "1",
    }  # fmt: skip
    batches = readings(
        {"items": "meters[].points[]", "map": mapping},
        lambda _: httpx.Response(200, json=body),
    )
    frame = rows(batches)
    assert frame["meter_id"].to_list() == ["a", "a", "d"]
    assert frame["unit"].unique().to_list() == ["Wh"]


def test_each_of_several_things_is_asked_for() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/meters":
            return httpx.Response(200, json=[{"id": "a/1"}, {"id": "b"}])
        name = request.url.raw_path.decode().split("/")[3]
        return answer(item(3 if name == "b" else 2))

    endpoint = {
        "path": "meters/{each}/readings",
        "each": {"path": "meters", "field": "id"},
        "map": MAP | {"meter_id": "$each"},
    }
    frame = rows(readings(endpoint, handler))
    assert frame["meter_id"].to_list() == ["a/1", "b"]


def test_items_that_cannot_be_read_are_set_aside() -> None:
    bad = [
        item(1) | {"kwh": "n/a"},
        item(2) | {"kwh": None},
        item(3) | {"kwh": True},
        item(4) | {"from": "2026-05-10T04:00"},
        {"from": item(5)["from"], "kwh": 1},
        item(6) | {"kwh": 1e300},
        "text",
    ]
    (batch,) = readings({}, lambda _: answer(item(0), *bad, item(7)))
    assert batch.frame.height == 2
    told = [(r.row, r.meter, r.field, r.value, r.reason) for r in batch.rejected]
    assert told[0] == (2, "m1", "kwh", "n/a", "is not a number")
    assert told[3][2:4] == ("from", "2026-05-10T04:00")
    assert told[4] == (6, None, "meter", None, "is missing; it gives the meter_id")
    assert [r.row for r in batch.rejected] == [2, 3, 4, 5, 6, 7, 8]
    assert json.loads(str(batch.rejected[0].raw))["kwh"] == "n/a"


def test_not_a_number_in_json() -> None:
    content = b'{"data": [{"meter": "m", "from": "2026-05-10T00:00:00Z", "kwh": NaN}]}'
    (batch,) = readings({}, lambda _: httpx.Response(200, content=content))
    assert batch.rejected[0].reason == "is not a finite number"


@pytest.mark.parametrize("body", [{}, {"data": {"a": 1}}, {"data": "x"}, [], "x", 7])
def test_answer_without_the_list(body: Any) -> None:
    with pytest.raises(SourceAnswerError, match="data is no list but"):
        readings({}, lambda _: httpx.Response(200, json=body))


def test_events_and_prices() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if "prices" in request.url.path:
            content = b'[{"t": "2026-05-10T00:00:00Z", "eur_kwh": 0.0421}]'
        else:
            content = (
                b'[{"no": "WO 17/3", "sn": "", "what": "hands", "at": 1778414400, "h": 1.25,'
                b' "eur": "80.5", "text": "cable"},'
                b' {"no": "18", "what": "hands", "at": 1778414400, "h": 1, "eur": "0.1234567"}]'
            )
        return httpx.Response(200, content=content)

    connector = site(
        handler,
        charge_events=[
            {
                "path": "work",
                "map": {
                    "event_id": "no",
                    "machine_id": "sn",
                    "service_code": "what",
                    "classification": {"fixed": "variable"},
                    "occurred_at": {"field": "at", "format": "epoch_s"},
                    "quantity": "h",
                    "unit": {"fixed": "h"},
                    "unit_amount": "eur",
                    "currency": {"fixed": "EUR"},
                    "description": "text",
                },
            }
        ],
        index_prices=[
            {
                "path": "prices",
                "map": {
                    "index_id": {"fixed": "NO1"},
                    "hour_start": "t",
                    "price": "eur_kwh",
                    "multiply": "1000",
                    "currency": {"fixed": "EUR"},
                },
            }
        ],
    )
    assert connector.capabilities() == {"charge_events", "index_prices"}
    (events,) = connector.charge_events(WINDOW)
    (event,) = events.frame.iter_rows(named=True)
    assert event["event_id"].startswith("h-")
    assert event["description"] == "cable (event_id WO 17/3)"
    assert (event["machine_id"], event["unit_amount"]) == (None, Decimal("80.500000"))
    assert "more than 6 decimals" in events.rejected[0].reason
    (prices,) = connector.index_prices(WINDOW)
    assert prices.frame.row(0) == ("NO1", DAY, Decimal("42.100000"), "EUR")


def test_machines() -> None:
    body = [{"id": 1, "m": "S21", "state": "ACTIVE"}, {"id": 2, "m": None, "state": "SPARE"}]
    connector = site(
        lambda _: httpx.Response(200, json=body),
        machines=[
            {
                "path": "devices", "meter_id": "id", "model": "m", "active": "state",
                "active_values": ["ACTIVE"],
            }
        ],
    )  # fmt: skip
    found = list(connector.machines())
    assert [(m.meter_id, m.model, m.is_active) for m in found] == [
        ("1", "S21", True),
        ("2", None, False),
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"items": "data"}, r"ending in \[\]"),
        ({"params": {"a": "{begin}"}}, "stands for nothing here"),
        ({"path": "x/{each}"}, "stands for nothing here"),
        ({"paging": {"type": "scroll"}}, "does not match any of the expected tags"),
        ({"each": {"values": ["a"], "path": "x", "field": "y"}}, "either values, or path"),
        ({"map": MAP | {"start": None}}, "give start, or end and minutes"),
        ({"map": MAP | {"unit": {"fixed": "kWh", "field": "u"}}}, "exactly one of"),
        ({"map": MAP | {"units": "x"}}, "Extra inputs"),
    ],
)
def test_configuration_faults(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        readings(change, lambda _: answer())


def test_nothing_configured() -> None:
    with pytest.raises(ValidationError, match="at least one of"):
        Config.model_validate({"url": "https://x"})
