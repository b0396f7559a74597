"""The paged interface: OAuth2, pages, trouble; asked in process as a client would."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.sandbox.host import Options, make_recordings
from connectors.sandbox.power import PowerBoard
from connectors.sandbox.recordings import Recording
from connectors.sandbox.rest_json import NO_TROUBLE, RestJsonSite, Trouble

NOW = datetime(2026, 10, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def recording(small_book: Path) -> Recording:
    options = Options(
        book_dir=small_book,
        state_dir=small_book,
        seed=1,
        start=date(2026, 10, 1),
        end=date(2026, 10, 8),
        has_faults=False,
    )
    return make_recordings(options)["NO-OSL1"]


class Asked:
    """The site with a hand-turned stopwatch, and a client for it."""

    def __init__(self, recording: Recording, trouble: Trouble = NO_TROUBLE) -> None:
        self.seconds = 0.0
        self.is_down = False
        self.site = RestJsonSite(
            recording=recording,
            now=lambda: NOW,
            client_id="me",
            client_secret="s3cret",
            is_down=lambda: self.is_down,
            board=PowerBoard(lambda: NOW),
            trouble=trouble,
            monotonic=lambda: self.seconds,
        )
        self.app = self.site.app

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://site") as client:
                return await client.request(method, path, **options)

        return asyncio.run(ask())

    def token(self) -> str:
        answer = self.request(
            "POST",
            "/oauth/token",
            data={"grant_type": "client_credentials"},
            auth=("me", "s3cret"),
        )
        assert answer.status_code == 200
        return str(answer.json()["access_token"])

    def readings(self, token: str, **query: str) -> httpx.Response:
        span = {"from": "2026-10-01T00:00:00Z", "to": "2026-10-08T00:00:00Z"}
        return self.request(
            "GET",
            "/v1/readings",
            params={**span, **query},
            headers={"authorization": f"Bearer {token}"},
        )


@pytest.fixture
def asked(recording: Recording) -> Asked:
    return Asked(recording)


def test_client_credentials_in_header_or_body(asked: Asked) -> None:
    assert asked.token()
    body = {"grant_type": "client_credentials", "client_id": "me", "client_secret": "s3cret"}
    answer = asked.request("POST", "/oauth/token", data=body)
    assert answer.json()["token_type"] == "Bearer"
    assert answer.headers["cache-control"] == "no-store"
    wrong = asked.request("POST", "/oauth/token", data={**body, "client_secret": "guess"})
    assert (wrong.status_code, wrong.json()) == (401, {"error": "invalid_client"})
    other = asked.request("POST", "/oauth/token", data={**body, "grant_type": "password"})
    assert (other.status_code, other.json()) == (400, {"error": "unsupported_grant_type"})


def test_no_token_a_wrong_one_and_an_expired_one_are_refused(asked: Asked) -> None:
    assert asked.request("GET", "/v1/readings").status_code == 401
    assert asked.readings("guess").status_code == 401
    token = asked.token()
    assert asked.readings(token).status_code == 200
    asked.seconds += 60
    refused = asked.readings(token)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"


def test_a_token_is_good_for_a_number_of_calls(asked: Asked) -> None:
    asked.site.calls_per_token = 2
    token = asked.token()
    statuses = [asked.readings(token).status_code for _ in range(3)]
    assert statuses == [200, 200, 401]


def test_pages_hold_everything_once_in_order(asked: Asked, recording: Recording) -> None:
    token, cursor, rows, pages = asked.token(), "", [], 0
    while True:
        query = {"cursor": cursor} if cursor else {}
        body = asked.readings(token, limit="100", **query).json()
        rows += body["data"]
        pages += 1
        cursor = body["next_cursor"]
        if not cursor:
            break
    assert len(rows) == 7 * 24 * 4
    assert pages == 7
    assert len({(row["meter"], row["from"]) for row in rows}) == len(rows)
    truth = [r for r in recording.seen_at(NOW) if r.start >= datetime(2026, 10, 1, tzinfo=UTC)]
    assert [str(row["kwh"]) for row in rows] == [str(float(r.value)) for r in truth]
    assert rows[0]["from"] == "2026-10-01T02:00:00+02:00"
    assert rows[0]["to"] == "2026-10-01T03:00:00+02:00"


def test_windows_are_half_open(asked: Asked) -> None:
    span = {"from": "2026-10-02T00:00:00Z", "to": "2026-10-02T01:00:00Z"}
    rows = asked.readings(asked.token(), **span).json()["data"]
    assert {row["from"] for row in rows} == {"2026-10-02T02:00:00+02:00"}
    assert len(rows) == 4


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ({"from": "2026-10-01T00:00:00"}, "'2026-10-01T00:00:00' has no offset"),
        ({"from": "yesterday"}, "Invalid isoformat string: 'yesterday'"),
        ({"cursor": "%%%"}, "cursor is not one of ours"),
        ({"cursor": "bm8"}, "cursor is not one of ours"),
        ({"limit": "0"}, "limit must be at least 1"),
    ],
)
def test_wrong_questions_are_refused(asked: Asked, query: dict[str, str], detail: str) -> None:
    answer = asked.readings(asked.token(), **query)
    assert (answer.status_code, answer.json()["detail"]) == (400, detail)


def test_a_missing_parameter_is_named(asked: Asked) -> None:
    headers = {"authorization": f"Bearer {asked.token()}"}
    answer = asked.request("GET", "/v1/readings", headers=headers)
    assert answer.json()["detail"] == "query parameter from is missing"


def test_trouble_comes_by_count_and_goes(recording: Recording) -> None:
    asked = Asked(
        recording,
        Trouble(busy_every=4, busy_first=1, unavailable_every=4, unavailable_first=3),
    )
    token = asked.token()
    answers = [asked.readings(token) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [429, 200, 503, 200, 429]
    assert answers[0].headers["retry-after"] == "1"


def test_a_site_that_is_down_answers_503_to_everything(asked: Asked) -> None:
    token = asked.token()
    asked.is_down = True
    assert asked.readings(token).status_code == 503
    assert asked.request("POST", "/oauth/token").status_code == 503
    asked.is_down = False
    assert asked.readings(token).status_code == 200


def test_inventory_is_what_stands_there_now(asked: Asked) -> None:
    headers = {"authorization": f"Bearer {asked.token()}"}
    rows = asked.request("GET", "/v1/meters", headers=headers).json()["data"]
    assert [(row["meter"], row["asset"]) for row in rows] == [
        (f"NO-meter-{number}", f"m-NO-{number}") for number in range(4)
    ]


def test_a_page_repeats_the_last_row_of_the_page_before(recording: Recording) -> None:
    asked = Asked(recording, Trouble(busy_every=0, unavailable_every=0))
    token = asked.token()
    first = asked.readings(token, limit="10").json()
    second = asked.readings(token, limit="10", cursor=first["next_cursor"]).json()
    assert second["data"][0] == first["data"][-1]
    assert (len(first["data"]), len(second["data"])) == (10, 11)
