"""Talking HTTP to a site, written once for all connectors.

Time limits, retries with exponential backoff and jitter on what can pass, none on what cannot;
``Retry-After`` respected; a rate limit per host shared by all sites on it; a circuit that gives up
on a dead site; answers of bounded size; TLS checked unless the configuration says otherwise in
words; a structured log line per request, without query strings, headers or bodies, because that
is where secrets travel. Not here: what an answer means.
"""

from __future__ import annotations

import base64
import datetime as dt
import email.utils
import functools
import json
import logging
import random
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Protocol, Self

import httpx
import tenacity
from pydantic import Field, SecretStr, field_validator, model_validator

from connectors.base import SECRET_NAME, Clock, ConfigModel
from connectors.errors import (
    AnswerTooLargeError,
    CircuitOpen,
    ConfigError,
    ConfigFault,
    ConnectorError,
    SourceAnswerError,
    SourceRefused,
    SourceUnavailable,
)

logger = logging.getLogger("connectors.http")

_TRANSIENT_STATUS: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
# Being told to slow down, or that it is too early, is no sign of a dead site.
_ALIVE_STATUS: Final = frozenset({408, 425, 429})
_USER_AGENT: Final = "meter-to-cash"


class _WithoutQuery(logging.Filter):
    """Take query strings out of what the HTTP library logs: some sites want their key there."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                str(arg.copy_with(query=None, userinfo=b"")) if isinstance(arg, httpx.URL) else arg
                for arg in record.args
            )
        return True


logging.getLogger("httpx").addFilter(_WithoutQuery())


# --- configuration -------------------------------------------------------------------------------


class NoAuth(ConfigModel):
    """The site asks for no credentials."""

    type: Literal["none"] = "none"


class ApiKeyAuth(ConfigModel):
    """A key in a header, or in a query parameter where the site knows no better."""

    type: Literal["api_key"]
    secret: Annotated[str, SECRET_NAME]
    """Name (under `secrets`) of the key."""
    header: str | None = None
    """Header that carries the key, such as `X-API-Key`."""
    parameter: str | None = None
    """Query parameter that carries the key."""
    prefix: str = ""
    """Text before the key in the header, such as `Token `."""

    @model_validator(mode="after")
    def _one_place(self) -> ApiKeyAuth:
        if (self.header is None) == (self.parameter is None):
            raise ValueError("give either header or parameter, to say where the key goes")
        return self


class BearerAuth(ConfigModel):
    """A fixed token, sent as `Authorization: Bearer …`."""

    type: Literal["bearer"]
    secret: Annotated[str, SECRET_NAME]
    """Name (under `secrets`) of the token."""


class BasicAuth(ConfigModel):
    """User name and password."""

    type: Literal["basic"]
    username: str
    secret: Annotated[str, SECRET_NAME]
    """Name (under `secrets`) of the password."""


class OAuth2Auth(ConfigModel):
    """OAuth 2.0 client credentials (RFC 6749, 4.4); tokens are renewed before they end."""

    type: Literal["oauth2"]
    token_url: str
    """Where tokens are issued, in full, or a path below the site's `url`."""
    client_id_secret: Annotated[str, SECRET_NAME] = "client_id"
    """Name (under `secrets`) of the client id."""
    client_secret_secret: Annotated[str, SECRET_NAME] = "client_secret"
    """Name (under `secrets`) of the client secret."""
    scope: str | None = None
    audience: str | None = None
    send: Literal["basic", "body"] = "basic"
    """Whether the client's credentials go in the `Authorization` header or in the form."""


Auth = Annotated[
    NoAuth | ApiKeyAuth | BearerAuth | BasicAuth | OAuth2Auth, Field(discriminator="type")
]
Tls = Literal["verify", "unverified", "plain"]


class HttpSettings(ConfigModel):
    """How a host is spoken to, whatever its address and credentials are."""

    tls: Tls = "verify"
    """`verify`: https with a certificate that is checked. `unverified`: https with one that is
    not. `plain`: http, everything can be read on the way; for a loopback or a private line."""
    ca_file: Path | None = None
    """PEM file of the authority that signed the site's certificate, if it is a private one."""
    proxy: str | None = None
    """Proxy between here and the site; the environment's is not used, so that a site is reached
    the same way by everyone who runs this."""
    connect_seconds: float = Field(default=10, gt=0, le=120)
    read_seconds: float = Field(default=60, gt=0, le=900)
    """How long to wait for the next byte of an answer."""
    max_attempts: int = Field(default=5, ge=1, le=20)
    """How often a request is tried that fails in a way that can pass."""
    max_wait_seconds: float = Field(default=60, gt=0, le=3600)
    """Longest pause between two attempts; a longer `Retry-After` ends the attempt for this run."""
    requests_per_second: float = Field(default=20, gt=0, le=1000)
    """Limit for the host, shared by all sites on it."""
    max_answer_mb: int = Field(default=64, ge=1, le=1024)
    """Largest single answer that is accepted."""

    @field_validator("proxy")
    @classmethod
    def _proxy_without_password(cls, proxy: str | None) -> str | None:
        if proxy is not None and (httpx.URL(proxy).userinfo or not httpx.URL(proxy).host):
            raise ValueError("expected an address such as http://proxy:3128, without a password")
        return proxy

    def addresses(self) -> tuple[str, ...]:
        """Return the addresses that are spoken to, in full."""
        return ()

    @model_validator(mode="after")
    def _tls_as_said(self) -> Self:
        for address in self.addresses():
            plain = httpx.URL(address).scheme == "http"
            if plain and self.tls != "plain":
                raise ValueError(f"{address} is not encrypted; write tls: plain if that is meant")
        return self


def checked_address(url: str) -> str:
    """Return the base address of a site without a last slash; raises ``ValueError`` if it is none.

    For the validators of configurations.
    """
    parsed = httpx.URL(url)
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError("expected an address such as https://dcim.example.com/api")
    if parsed.userinfo:
        raise ValueError("an address must not hold user name or password; use auth")
    return url.rstrip("/")


class HttpConfig(HttpSettings):
    """What every source that speaks HTTP says about its site."""

    url: str
    """Base address of the site, such as `https://dcim.example.com/api`."""
    auth: Auth = NoAuth()
    headers: dict[str, str] = Field(default_factory=dict)
    """Further headers of every request; secrets belong into `auth`."""

    @field_validator("url")
    @classmethod
    def _whole_address(cls, url: str) -> str:
        return checked_address(url)

    def addresses(self) -> tuple[str, ...]:
        """Return the site's own address and that of the issuer of its tokens, if another."""
        issuer = self.auth.token_url if isinstance(self.auth, OAuth2Auth) else ""
        return (self.url, issuer) if "://" in issuer else (self.url,)


# --- shared limits -------------------------------------------------------------------------------


class RateLimiter:
    """Spaces requests evenly; one for each host, whoever asks."""

    def __init__(
        self,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._monotonic = monotonic
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self, per_second: float) -> None:
        """Wait for one's turn."""
        with self._lock:
            now = self._monotonic()
            turn = max(now, self._next)
            self._next = turn + 1 / per_second
        if turn > now:
            self._sleep(turn - now)


class Circuit:
    """Opens after ``limit`` failures in a row; one attempt is let through after ``cooldown``."""

    def __init__(
        self,
        *,
        limit: int = 8,
        cooldown: float = 300.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit = limit
        self._cooldown = cooldown
        self._monotonic = monotonic
        self._failures = 0
        self._opened_at: float | None = None

    def is_open(self) -> bool:
        """Whether requests must not be sent now."""
        if self._opened_at is None:
            return False
        if self._monotonic() - self._opened_at < self._cooldown:
            return True
        self._opened_at = self._monotonic()
        return False

    def failed(self) -> None:
        """Count a failure."""
        self._failures += 1
        if self._failures >= self.limit:
            self._opened_at = self._monotonic()

    def succeeded(self) -> None:
        """Forget the failures."""
        self._failures = 0
        self._opened_at = None


_limiters: dict[str, RateLimiter] = {}
_limiters_lock: Final = threading.Lock()


def _limiter_of(host: str) -> RateLimiter:
    with _limiters_lock:
        return _limiters.setdefault(host, RateLimiter())


# --- credentials ---------------------------------------------------------------------------------


class Credentials(Protocol):
    """What is put on each request to say who asks."""

    def apply(self, headers: dict[str, str], params: dict[str, str]) -> None:
        """Add to headers or parameters; may fetch what it needs first."""
        ...

    def renew(self) -> bool:
        """Forget what the site no longer accepts; whether another attempt is worth it."""
        ...


@dataclass(frozen=True)
class _Fixed:
    """Credentials that never change during a run."""

    header: str | None = None
    parameter: str | None = None
    value: SecretStr = field(default_factory=lambda: SecretStr(""))

    def apply(self, headers: dict[str, str], params: dict[str, str]) -> None:
        if self.header is not None:
            headers[self.header] = self.value.get_secret_value()
        if self.parameter is not None:
            params[self.parameter] = self.value.get_secret_value()

    def renew(self) -> bool:
        return False


class _Token:
    """An OAuth 2.0 token, fetched when first needed and again shortly before it ends."""

    def __init__(
        self,
        fetch: Callable[[], tuple[SecretStr, float]],
        monotonic: Callable[[], float],
    ) -> None:
        self._fetch = fetch
        self._monotonic = monotonic
        self._token: SecretStr | None = None
        self._until = 0.0

    def apply(self, headers: dict[str, str], params: dict[str, str]) -> None:  # noqa: ARG002
        if self._token is None or self._monotonic() >= self._until:
            token, lifetime = self._fetch()
            self._token = token
            # A minute early, so that it does not end on the way; half-way if it lives shorter.
            self._until = self._monotonic() + max(lifetime - 60, lifetime / 2)
        headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"

    def renew(self) -> bool:
        self._token = None
        return True


@dataclass(frozen=True, kw_only=True)
class _Request:
    """One request, before credentials are put on it; forms may hold some and are not shown."""

    method: str
    url: str
    params: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    body: Any = field(default=None, repr=False)
    accept: frozenset[int] = frozenset()
    credentials: Credentials = field(repr=False)
    doubts: list[str] = field(default_factory=list)
    """Why attempts failed of which nobody knows whether the site carried them out."""


# --- the client ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """What a site answered, read whole."""

    status: int
    headers: httpx.Headers
    content: bytes
    url: str


class _CanPassError(Exception):
    """One attempt failed in a way that may not repeat."""

    def __init__(
        self, message: str, *, retry_after: float | None = None, was_sent: bool = True
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.was_sent = was_sent


def parse_json(content: bytes) -> Any:
    """Read JSON with numbers as exact decimals; raises ``ValueError`` if it is none."""
    return json.loads(content, parse_float=Decimal, parse_constant=Decimal)


class HttpClient:
    """Requests to one site; transport, sleep and monotonic are given by tests without a net."""

    def __init__(
        self,
        config: HttpConfig,
        *,
        site_id: str,
        secrets: Mapping[str, SecretStr],
        clock: Clock,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        limiter: RateLimiter | None = None,
        circuit: Circuit | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        self._config = config
        self._site_id = site_id
        self._clock = clock
        self._sleep = sleep
        self._circuit = circuit or Circuit(monotonic=monotonic)
        self._limiter = limiter
        self._monotonic = monotonic
        self._client = httpx.Client(
            timeout=httpx.Timeout(
                config.read_seconds, connect=config.connect_seconds, pool=config.connect_seconds
            ),
            verify=_verification(config, site_id),
            headers={"User-Agent": _USER_AGENT, "Accept": "application/json", **config.headers},
            transport=transport,
            # A redirect would carry the key to a host nobody configured.
            follow_redirects=False,
            trust_env=False,
            proxy=config.proxy,
        )
        self._secrets = [secret for secret in secrets.values() if secret.get_secret_value()]
        self._credentials = credentials or self._make_credentials(secrets)

    def __repr__(self) -> str:
        return f"HttpClient(site_id={self._site_id!r}, url={self._config.url!r})"

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def absolute(self, address: str) -> str:
        """Return the full address of a path below the site's, or of a link the site gave.

        A link that leads to another host, or away from encryption, is refused: the credentials
        would go with it.
        """
        base = httpx.URL(self._config.url + "/")
        target = base.join(address.lstrip("/") if "://" not in address else address)
        if (target.scheme, target.host, target.port) != (base.scheme, base.host, base.port):
            raise SourceRefused(
                self._site_id,
                f"the answer leads to {target.scheme}://{target.host}, which is not the site's own "
                f"address {base.scheme}://{base.host}; credentials are not sent there",
            )
        return str(target)

    def link(self, address: str, *, of: str) -> str:
        """Return the full address of a link found in the answer of ``of``."""
        return self.absolute(str(httpx.URL(of).join(address)))

    def get_json(
        self, address: str, *, params: Mapping[str, str] | None = None
    ) -> tuple[Any, Answer]:
        """Get and read JSON; numbers are exact decimals."""
        answer = self.request("GET", address, params=params)
        return self.read_json(answer), answer

    def read_json(self, answer: Answer) -> Any:
        """Read an answer's JSON."""
        try:
            return parse_json(answer.content)
        except (ValueError, ArithmeticError) as error:
            raise SourceAnswerError(
                self._site_id,
                f"{_path(answer.url)} answered {len(answer.content)} bytes that are not JSON "
                f"({error})",
            ) from None

    def request(
        self,
        method: str,
        address: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        accept: frozenset[int] = frozenset(),
        anonymous: bool = False,
        attempts: int | None = None,
    ) -> Answer:
        """Send a request and return its 2xx answer, or one whose status is in ``accept``.

        Without credentials if ``anonymous``; tried ``attempts`` times, not as often as configured.
        Raises ``SourceUnavailable`` after the last attempt, ``SourceRefused`` at once on a refusal.
        """
        request = self._request(method, address, params, body)
        if anonymous:
            request = replace(request, credentials=_Fixed())
        answer = self._answered(replace(request, accept=accept), attempts)
        return self._accepted(method, answer, accept)

    def order(
        self,
        method: str,
        address: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Answer:
        """Send a request that changes something at the site, and return its 2xx answer.

        It must be one that may be sent twice. Any error but ``SourceUnavailable`` says that the
        site certainly did not take it. Where an attempt before may have been taken, or where what
        came is no answer to an order, nobody knows.
        """
        request = self._request(method, address, params, body)
        is_doubtful = False
        try:
            answer = self._answered(request, None)
            is_doubtful = 300 <= answer.status < 400
            return self._accepted(method, answer, frozenset())
        except ConnectorError as error:
            is_doubtful |= isinstance(error, AnswerTooLargeError)
            if isinstance(error, SourceUnavailable) or not (is_doubtful or request.doubts):
                raise
            before = f", after {request.doubts[-1]} before" if request.doubts else ""
            raise SourceUnavailable(
                self._site_id,
                f"{error.message}{before}; whether the order was taken is not known",
            ) from None

    def _request(
        self, method: str, address: str, params: Mapping[str, str] | None, body: Any
    ) -> _Request:
        return _Request(
            method=method,
            url=self.absolute(address),
            params=params or {},
            body=body,
            credentials=self._credentials,
        )

    def _answered(self, request: _Request, attempts: int | None) -> Answer:
        answer = self._with_retries(request, attempts)
        if answer.status == 401 and request.credentials.renew():
            # The token ended early, or was revoked: a new one is worth one more request.
            answer = self._with_retries(request, attempts)
        return answer

    def _accepted(self, method: str, answer: Answer, accept: frozenset[int]) -> Answer:
        if 200 <= answer.status < 300 or answer.status in accept:
            return answer
        what = f"{method} {_path(answer.url)} answered {answer.status}"
        if 300 <= answer.status < 400:
            target = httpx.URL(answer.url).join(answer.headers.get("Location", ""))
            raise SourceRefused(
                self._site_id,
                f"{what}, a redirect to {target.copy_with(query=None, userinfo=b'')}; if that is "
                "the site's new address, write it into the book",
            )
        if answer.status in (401, 403):
            raise SourceRefused(
                self._site_id, f"{what}: the credentials are not accepted, or not for this"
            )
        raise SourceRefused(self._site_id, f"{what}: {self._excerpt(answer)}")

    def _excerpt(self, answer: Answer) -> str:
        """Quote the beginning of an answer; a site may well echo the key it did not like."""
        text = answer.content[:2000].decode("utf-8", errors="replace")
        for secret in self._secrets:
            text = text.replace(secret.get_secret_value(), "***")
        text = "".join(c if c.isprintable() else " " for c in text)
        return " ".join(text.split())[:300] or "no text"

    def _with_retries(self, request: _Request, most: int | None = None) -> Answer:
        most = most or self._config.max_attempts
        backoff = tenacity.wait_random_exponential(
            multiplier=0.5, max=min(30.0, self._config.max_wait_seconds)
        )

        def wait(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome is not None else None
            asked = error.retry_after if isinstance(error, _CanPassError) else None
            # A little above what was asked for, so that not all come back at the same moment.
            return backoff(state) if asked is None else asked + random.uniform(0, 0.25)

        def stop(state: tenacity.RetryCallState) -> bool:
            error = state.outcome.exception() if state.outcome is not None else None
            asked = error.retry_after if isinstance(error, _CanPassError) else None
            too_long = asked is not None and asked > self._config.max_wait_seconds
            return too_long or state.attempt_number >= most

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_CanPassError),
            stop=stop,
            wait=wait,
            sleep=self._sleep,
            reraise=True,
        )
        attempts = 0

        def attempt() -> Answer:
            nonlocal attempts
            attempts += 1
            try:
                return self._attempt(request, attempts)
            except _CanPassError as error:
                if error.was_sent:
                    request.doubts.append(str(error))
                raise

        try:
            return retrying(attempt)
        except _CanPassError as error:
            asked = f", and asks to wait {error.retry_after:.0f} s" if error.retry_after else ""
            tries = "once" if attempts == 1 else f"{attempts} times"
            raise SourceUnavailable(
                self._site_id,
                f"{request.method} {_path(request.url)} failed {tries}: {error}{asked}",
            ) from None

    def _attempt(self, request: _Request, number: int) -> Answer:
        url = httpx.URL(request.url)
        if self._circuit.is_open():
            raise CircuitOpen(
                self._site_id,
                f"{url.host} failed {self._circuit.limit} times in a row and is not "
                "asked again for a while",
            )
        headers: dict[str, str] = {}
        params = dict(request.params)
        request.credentials.apply(headers, params)
        host = url.netloc.decode()
        (self._limiter or _limiter_of(host)).wait(self._config.requests_per_second)
        started = self._monotonic()
        outcome = "failed"
        size = 0
        try:
            answer = self._send(request, params, headers)
            outcome = str(answer.status)
            size = len(answer.content)
        except httpx.TransportError as error:
            outcome = type(error).__name__
            if _is_certificate_fault(error):
                raise SourceRefused(
                    self._site_id,
                    f"the certificate of {host} is not trusted ({error}); give ca_file, or "
                    "write tls: unverified if that is meant",
                ) from None
            self._circuit.failed()
            was_sent = not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout))
            raise _CanPassError(_describe(error), was_sent=was_sent) from None
        finally:
            logger.info(
                "site=%s method=%s host=%s path=%s status=%s bytes=%d ms=%d attempt=%d",
                self._site_id,
                request.method,
                host,
                url.path,
                outcome,
                size,
                round((self._monotonic() - started) * 1000),
                number,
            )
        if answer.status in request.accept:
            self._circuit.succeeded()
            return answer
        if answer.status in _TRANSIENT_STATUS:
            if answer.status in _ALIVE_STATUS:
                self._circuit.succeeded()
            else:
                self._circuit.failed()
            raise _CanPassError(
                f"status {answer.status}",
                retry_after=_retry_after(answer.headers.get("Retry-After"), self._clock),
            )
        self._circuit.succeeded()
        return answer

    def _send(
        self, request: _Request, params: Mapping[str, str], headers: Mapping[str, str]
    ) -> Answer:
        limit = self._config.max_answer_mb * 1024 * 1024
        content = bytearray()
        url = httpx.URL(request.url).copy_merge_params(params)
        with self._client.stream(
            request.method, url, headers=headers, data=request.form, json=request.body
        ) as response:
            for piece in response.iter_bytes():
                content += piece
                if len(content) > limit:
                    raise AnswerTooLargeError(
                        self._site_id,
                        f"{_path(request.url)} answers more than {self._config.max_answer_mb} MB "
                        "at once; ask for smaller pages or shorter windows, or raise "
                        "max_answer_mb",
                    )
            return Answer(response.status_code, response.headers, bytes(content), request.url)

    def _make_credentials(self, secrets: Mapping[str, SecretStr]) -> Credentials:
        auth = self._config.auth
        match auth:
            case NoAuth():
                return _Fixed()
            case ApiKeyAuth():
                key = SecretStr(auth.prefix + secrets[auth.secret].get_secret_value())
                return _Fixed(header=auth.header, parameter=auth.parameter, value=key)
            case BearerAuth():
                token = SecretStr("Bearer " + secrets[auth.secret].get_secret_value())
                return _Fixed(header="Authorization", value=token)
            case BasicAuth():
                name = SecretStr(auth.username)
                return _Fixed(header="Authorization", value=_basic(name, secrets[auth.secret]))
            case OAuth2Auth():
                return _Token(lambda: self._fetch_token(auth, secrets), self._monotonic)

    def _fetch_token(
        self, auth: OAuth2Auth, secrets: Mapping[str, SecretStr]
    ) -> tuple[SecretStr, float]:
        # The issuer may well be another host than the site: it is named in the book.
        url = auth.token_url if "://" in auth.token_url else self.absolute(auth.token_url)
        client_id = secrets[auth.client_id_secret]
        client_secret = secrets[auth.client_secret_secret]
        form = {"grant_type": "client_credentials"}
        form |= {"scope": auth.scope} if auth.scope else {}
        form |= {"audience": auth.audience} if auth.audience else {}
        credentials = _Fixed()
        if auth.send == "body":
            form["client_id"] = client_id.get_secret_value()
            form["client_secret"] = client_secret.get_secret_value()
        else:
            credentials = _Fixed(header="Authorization", value=_basic(client_id, client_secret))
        answer = self._with_retries(
            _Request(method="POST", url=url, form=form, credentials=credentials)
        )
        if not 200 <= answer.status < 300:
            raise SourceRefused(
                self._site_id,
                f"{_path(url)} issued no token, status {answer.status}: check the client id and "
                "secret in the environment",
            )
        issued = self.read_json(answer)
        token = issued.get("access_token") if isinstance(issued, dict) else None
        if not isinstance(token, str) or not token:
            raise SourceAnswerError(self._site_id, f"{_path(url)} answered without access_token")
        lifetime = issued.get("expires_in", 300)
        try:
            seconds = float(lifetime)
        except (TypeError, ValueError):
            raise SourceAnswerError(
                self._site_id, f"{_path(url)} answered expires_in {lifetime!r}; expected seconds"
            ) from None
        return SecretStr(token), seconds


# --- small helpers -------------------------------------------------------------------------------


def _basic(name: SecretStr, password: SecretStr) -> SecretStr:
    pair = f"{name.get_secret_value()}:{password.get_secret_value()}"
    return SecretStr("Basic " + base64.b64encode(pair.encode()).decode())


def _verification(config: HttpConfig, site_id: str) -> ssl.SSLContext | bool:
    if config.tls == "unverified":
        return False
    path = config.ca_file
    try:
        return _trusting(path, None if path is None else path.stat().st_mtime_ns)
    except OSError as error:  # of the file, or of what is in it
        fault = ConfigFault("config.ca_file", repr(str(path)), f"cannot be used: {error}")
        raise ConfigError(site_id, (fault,)) from None


# Reading a hundred authorities takes a tenth of a second, and a site may have as many BMCs.
@functools.lru_cache(maxsize=16)
def _trusting(ca_file: Path | None, changed_ns: int | None) -> ssl.SSLContext:  # noqa: ARG001
    if ca_file is None:
        return httpx.create_ssl_context(trust_env=False)
    return ssl.create_default_context(cafile=str(ca_file))


def _path(url: str) -> str:
    """Return an address without what may be secret in it."""
    return str(httpx.URL(url).copy_with(query=None, userinfo=b""))


def _describe(error: httpx.TransportError) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _is_certificate_fault(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _retry_after(header: str | None, clock: Clock) -> float | None:
    """Read ``Retry-After`` (RFC 9110, 10.2.3): seconds, or a date."""
    if header is None:
        return None
    text = header.strip()
    if text.isdigit():
        return float(text)
    try:
        until = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=dt.UTC)
    return max(0.0, (until - clock()).total_seconds())
