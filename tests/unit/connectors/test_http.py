"""HTTP as all connectors speak it: what is tried again, what is not, and what is never told."""

from __future__ import annotations

import datetime as dt
import logging
import ssl
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from connectors.errors import (
    AnswerTooLargeError,
    CircuitOpen,
    ConfigError,
    ConnectorError,
    SourceAnswerError,
    SourceRefused,
    SourceUnavailable,
)
from connectors.http import Circuit, HttpClient, HttpConfig, RateLimiter

NOW = dt.datetime(2026, 5, 10, 12, tzinfo=dt.UTC)
SECRET = "s3cr3t-value"
Handler = Callable[[httpx.Request], httpx.Response]


class Net:
    """A site that answers what a test says, and a clock that only sleeping moves."""

    def __init__(self, *answers: httpx.Response | Exception | Handler, **config: Any) -> None:
        self.requests: list[httpx.Request] = []
        self.slept: list[float] = []
        self.time = 0.0
        self._answers: Iterator[Any] = iter(answers)
        self.client = HttpClient(
            HttpConfig.model_validate({"url": "https://site.example/api"} | config),
            site_id="NO-OSL1",
            secrets={"key": SecretStr(SECRET), "id": SecretStr("client-7")},
            clock=lambda: NOW,
            transport=httpx.MockTransport(self._answer),
            sleep=self._sleep,
            monotonic=lambda: self.time,
            limiter=RateLimiter(monotonic=lambda: self.time, sleep=lambda _: None),
        )

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        found: httpx.Response = answer(request) if callable(answer) else answer
        return found

    def get(self, path: str = "readings", **options: Any) -> Any:
        return self.client.get_json(path, **options)[0]


def ok(body: Any = None) -> httpx.Response:
    return httpx.Response(200, json={"ok": True} if body is None else body)


def test_numbers_are_exact_decimals() -> None:
    net = Net(httpx.Response(200, content=b'{"v": 0.1234567890123456789, "n": 12, "e": 1e3}'))
    assert net.get() == {"v": Decimal("0.1234567890123456789"), "n": 12, "e": Decimal("1E+3")}


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_passing_failures_are_tried_again(status: int) -> None:
    net = Net(httpx.Response(status), httpx.Response(status), ok())
    assert net.get() == {"ok": True}
    assert len(net.slept) == 2
    assert all(0 <= seconds <= 30 for seconds in net.slept)


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectTimeout("connecting took too long"),
        httpx.ReadTimeout("reading took too long"),
        httpx.ConnectError("connection refused"),
        httpx.RemoteProtocolError("server disconnected"),
        httpx.ReadError("connection reset"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_broken_links_are_tried_again(error: Exception) -> None:
    assert Net(error, error, ok()).get() == {"ok": True}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 422, 501])
def test_refusals_are_not_tried_again(status: int) -> None:
    net = Net(httpx.Response(status, text="no such thing"))
    with pytest.raises(SourceRefused, match=f"answered {status}"):
        net.get()
    assert net.slept == []


def test_gives_up_in_the_end_and_says_so() -> None:
    net = Net(*[httpx.Response(503)] * 3, max_attempts=3)
    with pytest.raises(
        SourceUnavailable,
        match=r"site NO-OSL1: GET https://site.example/api/readings failed 3 times: status 503",
    ):
        net.get()


def test_waits_as_long_as_it_is_asked_to() -> None:
    net = Net(httpx.Response(429, headers={"Retry-After": "7"}), ok())
    net.get()
    (slept,) = net.slept
    assert 7 <= slept <= 7.25


def test_reads_a_date_to_wait_until() -> None:
    header = {"Retry-After": "Sun, 10 May 2026 12:00:20 GMT"}
    net = Net(httpx.Response(503, headers=header), ok())
    net.get()
    (slept,) = net.slept
    assert 20 <= slept <= 20.25


@pytest.mark.parametrize("header", ["soon", "-5", "Sun, 99 May 2026"])
def test_unreadable_wait_is_no_wait(header: str) -> None:
    net = Net(httpx.Response(429, headers={"Retry-After": header}), ok())
    assert net.get() == {"ok": True}


def test_does_not_wait_for_hours() -> None:
    net = Net(httpx.Response(429, headers={"Retry-After": "7200"}))
    with pytest.raises(SourceUnavailable, match="failed once: status 429, and asks to wait 7200 s"):
        net.get()
    assert net.slept == []


def test_circuit_gives_up_on_a_dead_site_and_tries_later() -> None:
    net = Net(*[httpx.ConnectError("refused")] * 8, ok(), max_attempts=4)
    for _ in range(2):
        with pytest.raises(SourceUnavailable, match="failed 4 times"):
            net.get()
    with pytest.raises(CircuitOpen, match="failed 8 times in a row"):
        net.get()
    assert len(net.requests) == 8
    net.time += 301
    assert net.get() == {"ok": True}


def test_a_busy_site_is_not_a_dead_one() -> None:
    net = Net(*[httpx.Response(429)] * 20, max_attempts=20)
    with pytest.raises(SourceUnavailable, match="failed 20 times"):
        net.get()


def test_success_closes_the_circuit() -> None:
    circuit = Circuit(limit=2, monotonic=lambda: 0.0)
    circuit.failed()
    circuit.succeeded()
    circuit.failed()
    assert not circuit.is_open()
    circuit.failed()
    assert circuit.is_open()


def test_rate_limit_spaces_requests() -> None:
    slept: list[float] = []
    limiter = RateLimiter(monotonic=lambda: 100.0, sleep=slept.append)
    for _ in range(3):
        limiter.wait(4)
    assert slept == [0.25, 0.5]


def test_answer_that_is_not_json() -> None:
    net = Net(httpx.Response(200, content=b'{"readings": [1, 2'))
    with pytest.raises(SourceAnswerError, match="answered 18 bytes that are not JSON"):
        net.get()


def test_answer_without_end_is_not_read_to_its_end() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b" " * 65536

    net = Net(httpx.Response(200, content=endless()), max_answer_mb=1)
    with pytest.raises(AnswerTooLargeError, match="more than 1 MB"):
        net.get()


def test_redirect_is_not_followed() -> None:
    net = Net(httpx.Response(302, headers={"Location": "https://elsewhere.example/x?t=1"}))
    with pytest.raises(SourceRefused, match=r"a redirect to https://elsewhere.example/x;"):
        net.get()
    assert len(net.requests) == 1


@pytest.mark.parametrize("link", ["https://evil.example/next", "http://site.example/api/next"])
def test_links_to_elsewhere_are_refused(link: str) -> None:
    with pytest.raises(SourceRefused, match="credentials are not sent there"):
        Net().client.link(link, of="https://site.example/api/readings")


def test_links_are_resolved() -> None:
    client = Net().client
    page = "https://site.example/api/readings?page=1"
    assert client.link("?page=2", of=page) == "https://site.example/api/readings?page=2"
    assert client.link("/v2/x", of=page) == "https://site.example/v2/x"


def test_parameters_of_a_link_are_kept() -> None:
    net = Net(ok())
    net.client.get_json("https://site.example/api/readings?page=2&a=b")
    assert str(net.requests[0].url) == "https://site.example/api/readings?page=2&a=b"


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        ({"type": "api_key", "secret": "key", "header": "X-API-Key"}, "X-API-Key", SECRET),
        (
            {"type": "api_key", "secret": "key", "header": "Authorization", "prefix": "Token "},
            "Authorization",
            f"Token {SECRET}",
        ),
        ({"type": "bearer", "secret": "key"}, "Authorization", f"Bearer {SECRET}"),
        (
            {"type": "basic", "username": "ann", "secret": "key"},
            "Authorization",
            "Basic YW5uOnMzY3IzdC12YWx1ZQ==",
        ),
    ],
)
def test_credentials(auth: dict[str, str], header: str, value: str) -> None:
    net = Net(ok(), auth=auth)
    net.get()
    assert net.requests[0].headers[header] == value


def test_key_in_a_parameter() -> None:
    net = Net(ok(), auth={"type": "api_key", "secret": "key", "parameter": "apikey"})
    net.get(params={"from": "x"})
    assert dict(net.requests[0].url.params) == {"from": "x", "apikey": SECRET}


OAUTH = {
    "type": "oauth2",
    "token_url": "https://login.example/token",
    "client_id_secret": "id",
    "client_secret_secret": "key",
    "scope": "meters",
}


def token(value: str, expires_in: object = 3600) -> httpx.Response:
    return httpx.Response(200, json={"access_token": value, "expires_in": expires_in})


def test_token_is_fetched_once_and_used() -> None:
    net = Net(token("t1"), ok(), ok(), auth=OAUTH)
    net.get()
    net.get()
    issued, first, second = net.requests
    assert str(issued.url) == "https://login.example/token"
    assert issued.headers["Authorization"].startswith("Basic ")
    assert issued.content == b"grant_type=client_credentials&scope=meters"
    assert {first.headers["Authorization"], second.headers["Authorization"]} == {"Bearer t1"}


def test_token_credentials_in_the_form() -> None:
    net = Net(token("t1"), ok(), auth=OAUTH | {"send": "body"})
    net.get()
    assert b"client_id=client-7&client_secret=s3cr3t-value" in net.requests[0].content
    assert "Authorization" not in net.requests[0].headers


def test_token_is_renewed_before_it_ends() -> None:
    net = Net(token("t1", 100), ok(), token("t2"), ok(), auth=OAUTH)
    net.get()
    net.time += 51
    net.get()
    assert net.requests[-1].headers["Authorization"] == "Bearer t2"


def test_token_revoked_meanwhile_is_renewed_once() -> None:
    net = Net(token("t1"), httpx.Response(401), token("t2"), ok(), auth=OAUTH)
    assert net.get() == {"ok": True}
    net = Net(token("t1"), httpx.Response(401), token("t2"), httpx.Response(401), auth=OAUTH)
    with pytest.raises(SourceRefused, match="credentials are not accepted"):
        net.get()


def test_token_endpoint_is_retried_and_refuses() -> None:
    net = Net(httpx.Response(503), token("t1"), ok(), auth=OAUTH)
    assert net.get() == {"ok": True}
    net = Net(httpx.Response(401, json={"error": "invalid_client"}), auth=OAUTH)
    with pytest.raises(SourceRefused, match="issued no token, status 401: check the client id"):
        net.get()


@pytest.mark.parametrize(
    "answer", [ok({"token": "x"}), ok([]), ok({"access_token": ""}), token("t", "soon")]
)
def test_unreadable_token(answer: httpx.Response) -> None:
    with pytest.raises(SourceAnswerError, match="answered"):
        Net(answer, auth=OAUTH).get()


@pytest.mark.parametrize(
    "auth",
    [
        {"type": "api_key", "secret": "key", "parameter": "apikey"},
        {"type": "bearer", "secret": "key"},
        OAUTH,
    ],
    ids=lambda auth: auth["type"],
)
def test_no_secret_in_log_error_or_repr(
    auth: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    def echo(request: httpx.Request) -> httpx.Response:
        return httpx.Response(400, text=f"bad request {request.url} {request.headers}")

    answers: list[Any] = [token("t0k3n-value")] if auth is OAUTH else []
    net = Net(*answers, httpx.ConnectError("no"), httpx.Response(500), echo, auth=auth)
    with caplog.at_level(logging.DEBUG), pytest.raises(ConnectorError) as caught:
        net.get(params={"from": "2026"})
    told = caplog.text + str(caught.value) + repr(caught.value) + repr(net.client)
    assert SECRET not in told
    assert "apikey" not in caplog.text


def test_one_structured_line_a_request(caplog: pytest.LogCaptureFixture) -> None:
    net = Net(httpx.Response(500), ok())
    with caplog.at_level(logging.INFO, logger="connectors.http"):
        net.get(params={"from": "2026"})
    lines = [record.getMessage() for record in caplog.records if record.name == "connectors.http"]
    assert lines[0].startswith(
        "site=NO-OSL1 method=GET host=site.example path=/api/readings status=500 bytes=0 ms=0"
    )
    assert "status=200" in lines[1]
    assert lines[1].endswith("attempt=2")


def test_untrusted_certificate_is_refused_at_once() -> None:
    error = httpx.ConnectError("certificate verify failed")
    error.__cause__ = ssl.SSLCertVerificationError("self-signed certificate")
    with pytest.raises(SourceRefused, match=r"certificate of site\.example is not trusted"):
        Net(error).get()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"url": "http://site.example"}, "write tls: plain if that is meant"),
        ({"url": "ftp://site.example"}, "expected an address such as https"),
        ({"url": "https://ann:pw@site.example"}, "must not hold user name or password"),
        ({"url": "https://x", "auth": {"type": "api_key", "secret": "k"}}, "either header or"),
        (
            {"url": "https://x", "auth": OAUTH | {"token_url": "http://y/token"}},
            "http://y/token is not encrypted",
        ),
        ({"url": "https://x", "proxy": "http://ann:pw@proxy"}, "without a password"),
        ({"url": "https://x", "verify": False}, "Extra inputs are not permitted"),
    ],
)
def test_configuration_faults(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        HttpConfig.model_validate(config)


def test_plain_http_if_said_in_words() -> None:
    assert HttpConfig.model_validate({"url": "http://127.0.0.1:8080/", "tls": "plain"}).url == (
        "http://127.0.0.1:8080"
    )


def test_a_file_of_authorities_that_is_none_is_a_fault(tmp_path: Path) -> None:
    for content in (None, "no certificate"):
        path = tmp_path / "ca.pem"
        if content is not None:
            path.write_text(content)
        config = HttpConfig(url="https://site.example", ca_file=path)
        with pytest.raises(ConfigError, match=r"config\.ca_file is .*ca\.pem.*cannot be used"):
            HttpClient(config, site_id="X", secrets={}, clock=lambda: dt.datetime.now(dt.UTC))


def test_an_order_that_is_refused_at_once_was_not_taken() -> None:
    net = Net(httpx.ConnectError("refused"), httpx.Response(409, text="already off"))
    with pytest.raises(SourceRefused, match="already off"):
        net.client.order("POST", "reset", body={"to": "off"})


@pytest.mark.parametrize(
    "answers",
    [
        (httpx.ReadTimeout("lost"), httpx.Response(409)),
        (httpx.ReadTimeout("lost"), httpx.Response(401)),
        (httpx.Response(502), httpx.Response(400)),
        (httpx.Response(303, headers={"Location": "/done"}),),
        (httpx.Response(200, content=b"x" * 2_000_000),),
        (httpx.ReadTimeout("lost"),) * 5,
    ],
    ids=["lost", "lost-then-unknown", "gateway", "redirect", "too-large", "never"],
)
def test_of_an_order_that_may_have_been_taken_nobody_knows(answers: tuple[Any, ...]) -> None:
    net = Net(*answers, max_answer_mb=1)
    with pytest.raises(SourceUnavailable):
        net.client.order("POST", "reset", body={"to": "off"})


def test_an_order_is_sent_again_until_it_is_answered() -> None:
    net = Net(httpx.ReadTimeout("lost"), httpx.Response(503), httpx.Response(204))
    assert net.client.order("POST", "reset", body={"to": "off"}).status == 204
    assert [request.content for request in net.requests] == [b'{"to":"off"}'] * 3
