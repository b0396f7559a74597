"""The Norwegian way: paged JSON over HTTP behind OAuth2 client credentials.

`POST /oauth/token` gives a bearer token that is valid for a minute and for a number of calls;
`GET /v1/readings?from=…&to=…&cursor=…` gives hourly usage, `GET /v1/meters` the inventory. Times
are local with offset, so the day the clocks go back has 25 hours. Now and then the server answers
429 with Retry-After, or 503, and a page begins with the last row of the page before. Values are
JSON numbers in kWh. `PUT /v1/meters/{meter}/power` with `{"state": "off"}` switches the machine on
that meter, which from then on uses nothing; `GET` shows the state.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from connectors.sandbox.power import PowerBoard
from connectors.sandbox.recordings import Reading, Recording

PAGE_SIZE = 500


@dataclass(frozen=True, slots=True)
class Trouble:
    """How often the server is in trouble; counts are calls of `/v1/readings`, 0 = never.

    `repeated_rows` of a page are given again at the beginning of the next one.
    """

    busy_every: int = 40
    busy_first: int = 3
    unavailable_every: int = 60
    unavailable_first: int = 7
    retry_after_seconds: int = 1
    repeated_rows: int = 1

    def of_call(self, number: int) -> int | None:
        """The HTTP status that call meets instead of an answer."""
        if self.busy_every and number % self.busy_every == self.busy_first:
            return 429
        if self.unavailable_every and number % self.unavailable_every == self.unavailable_first:
            return 503
        return None


NO_TROUBLE = Trouble(busy_every=0, unavailable_every=0, repeated_rows=0)


@dataclass
class _Token:
    expires_at: float
    calls_left: int


@dataclass
class RestJsonSite:
    """The site's state; `app` is its ASGI application."""

    recording: Recording
    now: Callable[[], datetime]
    client_id: str
    client_secret: str
    is_down: Callable[[], bool]
    board: PowerBoard
    trouble: Trouble = Trouble()
    token_seconds: float = 60
    calls_per_token: int = 50
    monotonic: Callable[[], float] = time.monotonic
    _tokens: dict[str, _Token] = field(default_factory=dict)
    _calls: int = 0
    _power_calls: int = 0
    _seen_at: tuple[datetime, list[Reading]] | None = None

    @property
    def app(self) -> Starlette:
        """The routes of the site."""
        return Starlette(
            routes=[
                Route("/oauth/token", self._token, methods=["POST"]),
                Route("/v1/meters", self._meters),
                Route("/v1/meters/{meter_id:path}/power", self._power, methods=["GET", "PUT"]),
                Route("/v1/readings", self._readings),
            ]
        )

    async def _token(self, request: Request) -> Response:
        if self.is_down():
            return _problem(503, "service is down")
        form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
        given = _basic(request.headers.get("authorization", "")) or (
            form.get("client_id", ""),
            form.get("client_secret", ""),
        )
        if form.get("grant_type") != "client_credentials":
            return JSONResponse({"error": "unsupported_grant_type"}, 400)
        if not secrets.compare_digest(
            "\n".join(given).encode(), f"{self.client_id}\n{self.client_secret}".encode()
        ):
            return JSONResponse(
                {"error": "invalid_client"}, 401, headers={"www-authenticate": "Basic"}
            )
        token = secrets.token_urlsafe(24)
        self._tokens[token] = _Token(self.monotonic() + self.token_seconds, self.calls_per_token)
        return JSONResponse(
            {
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": int(self.token_seconds),
                "scope": "readings",
            },
            headers={"cache-control": "no-store"},
        )

    async def _meters(self, request: Request) -> Response:
        refused = self._refusal(request)
        if refused is not None:
            return refused
        zone, now = self.recording.place.zone, self.now()
        rows = [
            {
                "meter": placement.meter_id,
                "asset": placement.machine_id,
                "installed": placement.valid_from.astimezone(zone).isoformat(),
            }
            for placement in self.recording.place.placements
            if placement.valid_from <= now
            and (placement.valid_to is None or placement.valid_to > now)
        ]
        return JSONResponse({"data": rows, "next_cursor": None})

    async def _power(self, request: Request) -> Response:
        refused = self._refusal(request)
        if refused is not None:
            return refused
        self._power_calls += 1
        if (status := self.trouble.of_call(self._power_calls)) is not None:
            return self._troubled(status)
        site_id, meter_id = self.recording.place.site_id, request.path_params["meter_id"]
        if meter_id not in self.recording.place.meter_ids:
            return _problem(404, f"no meter {meter_id!r}")
        if request.method == "PUT":
            try:
                state = json.loads(await request.body())["state"]
            except (ValueError, KeyError, TypeError):
                state = None
            if state not in ("on", "off"):
                return _problem(400, 'expected {"state": "on"} or {"state": "off"}')
            self.board.order(site_id, meter_id, state)
        return JSONResponse({"meter": meter_id, "state": self.board.state(site_id, meter_id)})

    async def _readings(self, request: Request) -> Response:
        refused = self._refusal(request)
        if refused is not None:
            return refused
        self._calls += 1
        status = self.trouble.of_call(self._calls)
        if status is not None:
            return self._troubled(status)
        query = request.query_params
        try:
            start, end = _instant(query["from"]), _instant(query["to"])
            limit = min(int(query.get("limit", str(PAGE_SIZE))), PAGE_SIZE)
            offset = _offset(query.get("cursor", ""))
        except KeyError as missing:
            return _problem(400, f"query parameter {missing.args[0]} is missing")
        except ValueError as wrong:
            return _problem(400, str(wrong))
        if limit < 1:
            return _problem(400, "limit must be at least 1")
        found = [self._used(r) for r in self._seen() if start <= r.start < end]
        page = found[max(0, offset - self.trouble.repeated_rows) : offset + limit]
        following = offset + limit
        body = {
            "site": self.recording.place.site_id,
            "data": [_as_json(r, self.recording) for r in page],
            "next_cursor": _cursor(following) if following < len(found) else None,
        }
        return Response(json.dumps(body), media_type="application/json")

    def _seen(self) -> Sequence[Reading]:
        now = self.now()
        if self._seen_at is None or self._seen_at[0] != now:
            self._seen_at = (now, self.recording.seen_at(now))
        return self._seen_at[1]

    def _used(self, reading: Reading) -> Reading:
        """The reading, of nothing if the machine was switched off when it begins."""
        site_id = self.recording.place.site_id
        if (
            reading.meter_id in self.board.switched(site_id)
            and self.board.state(site_id, reading.meter_id, reading.start) == "off"
        ):
            return replace(reading, value=Decimal(0))
        return reading

    def _troubled(self, status: int) -> Response:
        wait = {"retry-after": str(self.trouble.retry_after_seconds)}
        return _problem(status, "try again", headers=wait if status == 429 else None)

    def _refusal(self, request: Request) -> Response | None:
        if self.is_down():
            return _problem(503, "service is down")
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        token = self._tokens.get(value) if scheme.lower() == "bearer" else None
        if token is None or token.expires_at <= self.monotonic() or token.calls_left <= 0:
            return _problem(
                401, "token is missing or expired", headers={"www-authenticate": "Bearer"}
            )
        token.calls_left -= 1
        return None


def _as_json(reading: Reading, recording: Recording) -> dict[str, object]:
    zone = recording.place.zone
    end = reading.end or reading.start
    return {
        "meter": reading.meter_id,
        "from": reading.start.astimezone(zone).isoformat(),
        "to": end.astimezone(zone).isoformat(),
        # A double prints these few digits as they stand, so the number on the wire is exact.
        "kwh": float(reading.value),
        "status": "measured",
    }


def _problem(status: int, detail: str, *, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"status": status, "detail": detail}, status, headers=headers)


def _instant(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no offset")
    return moment.astimezone(UTC)


def _cursor(offset: int) -> str:
    return base64.urlsafe_b64encode(f"o{offset}".encode()).decode().rstrip("=")


def _offset(cursor: str) -> int:
    if not cursor:
        return 0
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError) as wrong:
        raise ValueError("cursor is not one of ours") from wrong
    if not text.startswith("o") or not text[1:].isdigit():
        raise ValueError("cursor is not one of ours")
    return int(text[1:])


def _basic(header: str) -> tuple[str, str] | None:
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(value).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return name, secret
