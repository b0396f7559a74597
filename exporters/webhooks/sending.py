"""Requests to endpoints: one POST each, no redirects, fifteen seconds for all of it, and only to
addresses that the book allows. What an answer means for the delivery is decided here, what follows
from it is not.

A request runs in the event loop of a thread of its own, where its time can be cut off at any point,
also while headers trickle in; whoever asked gets a future.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import threading
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self
from urllib.request import getproxies, proxy_bypass

import httpx

from exporters.statements.text import one_line
from exporters.webhooks.endpoints import Endpoint

TIMEOUT: Final = 15.0
_SHOWN: Final = 200  # characters of an answer that are kept
_READ: Final = 1000  # bytes of it that are read at most
_CONTENT_SECONDS: Final = 1.0  # for reading that
_OF_THE_EVENT: Final = frozenset({400, 409, 413, 415, 422})
"""Statuses that say something of what was sent; all others are about the endpoint as a whole."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of a request. http_status: None if no answer came. words: the beginning of the
    answer, or why there is none. retry_after: the header as it came."""

    http_status: int | None
    words: str
    retry_after: str | None = None

    @property
    def is_delivered(self) -> bool:
        """Whether the receiver has it."""
        return self.http_status is not None and 200 <= self.http_status < 300

    @property
    def is_gone(self) -> bool:
        """Whether the receiver wants nothing any more."""
        return self.http_status == 410

    @property
    def is_of_the_event(self) -> bool:
        """Whether only this event failed, and others may go on."""
        return self.http_status in _OF_THE_EVENT


class _ForbiddenAddressError(Exception):
    """The name of an endpoint leads into a network of ours."""


class Sender:
    """Sends requests, several at once. Use as a context manager."""

    def __init__(self, *, timeout: float = TIMEOUT) -> None:
        self._timeout = timeout
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="webhooks", daemon=True)
        self._trusted: ssl.SSLContext | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._run(self._close()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def send(self, endpoint: Endpoint, payload: str, headers: Mapping[str, str]) -> Future[Answer]:
        """Send a request; the future never fails."""
        return self._run(self._answer(endpoint, payload.encode(), headers))

    def _run(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _close(self) -> None:
        under_way = asyncio.all_tasks() - {asyncio.current_task()}
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    async def _answer(self, endpoint: Endpoint, body: bytes, headers: Mapping[str, str]) -> Answer:
        proxied = _has_proxy(endpoint)
        # A client of its own: nothing of one endpoint, no connection and no cookie, is for another
        # that happens to be at the same address.
        client = httpx.AsyncClient(
            follow_redirects=False,
            timeout=httpx.Timeout(self._timeout),
            verify=self._tls(),
            trust_env=proxied,
        )
        try:
            async with client:
                async with asyncio.timeout(self._timeout):
                    # A proxy looks the name up, and keeps us out of our own networks.
                    targets = [None] if proxied else await _addresses(endpoint)
                    response = await _first_to_answer(client, endpoint, targets, body, headers)
                return Answer(
                    http_status=response.status_code,
                    words=await _beginning(response),
                    retry_after=response.headers.get("retry-after"),
                )
        except TimeoutError:
            return Answer(http_status=None, words=f"no answer within {self._timeout:g} s")
        except _ForbiddenAddressError as error:
            return Answer(http_status=None, words=str(error))
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            words = one_line(f"{type(error).__name__}: {error}")
            return Answer(http_status=None, words=words[:_SHOWN])

    def _tls(self) -> ssl.SSLContext:
        if self._trusted is None:
            self._trusted = httpx.create_ssl_context()
        return self._trusted


async def _first_to_answer(
    client: httpx.AsyncClient,
    endpoint: Endpoint,
    addresses: Sequence[str | None],
    body: bytes,
    headers: Mapping[str, str],
) -> httpx.Response:
    """The answer, its content still to come, of the first address that a connection can be made
    to. It goes to that address, not to what the name means a moment later; None is the name."""
    url = httpx.URL(endpoint.url)
    for number, address in enumerate(addresses, 1):
        request = client.build_request(
            "POST",
            url if address is None else url.copy_with(host=address),
            content=body,
            headers={
                **headers,
                "host": url.netloc.decode("ascii"),
                "content-type": "application/json",
                "user-agent": "meter-to-cash",
            },
            extensions={} if address is None else {"sni_hostname": url.host},
        )
        try:
            return await client.send(request, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            if number == len(addresses):
                raise
    raise OSError(f"{url.host} has no address")


async def _beginning(response: httpx.Response) -> str:
    """The beginning of what an answer says, as far as it comes at once. The status alone counts:
    one whose content breaks off or trickles is an answer."""
    content = b""
    try:
        async with asyncio.timeout(_CONTENT_SECONDS):
            async for chunk in response.aiter_raw():
                content += chunk
                if len(content) >= _READ:
                    break
    except (httpx.HTTPError, TimeoutError):
        pass
    await response.aclose()
    return one_line(content[:_READ].decode("utf-8", "replace"))[:_SHOWN]


async def _addresses(endpoint: Endpoint) -> list[str]:
    """Where an endpoint is. Raises _ForbiddenAddressError if any of it is inside a network of ours
    and the book does not say that it may be."""
    url = httpx.URL(endpoint.url)
    port = url.port or (443 if url.scheme == "https" else 80)
    found = await asyncio.get_running_loop().getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
    for address in addresses:
        if not endpoint.private and not is_public(address):
            raise _ForbiddenAddressError(
                f"{url.host} is {address}, which is this machine or inside a network: write "
                "private: true in webhooks.yml if it is meant"
            )
    return addresses


def is_public(address: str) -> bool:
    """Whether an address is one of the internet."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    inner = getattr(ip, "ipv4_mapped", None) or ip
    return bool(inner.is_global and not inner.is_multicast)


def _has_proxy(endpoint: Endpoint) -> bool:
    return (
        not endpoint.private
        and endpoint.url.partition(":")[0] in getproxies()
        and not proxy_bypass(endpoint.host)
    )
