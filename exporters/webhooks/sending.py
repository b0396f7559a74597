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
import threading
from collections.abc import Coroutine, Mapping
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
        self._clients: dict[bool, httpx.AsyncClient] = {}

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
        for client in self._clients.values():
            await client.aclose()

    async def _answer(self, endpoint: Endpoint, body: bytes, headers: Mapping[str, str]) -> Answer:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._post(endpoint, body, headers)
        except TimeoutError:
            return Answer(http_status=None, words=f"no answer within {self._timeout:g} s")
        except _ForbiddenAddressError as error:
            return Answer(http_status=None, words=str(error))
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            words = one_line(f"{type(error).__name__}: {error}")
            return Answer(http_status=None, words=words[:_SHOWN])

    async def _post(self, endpoint: Endpoint, body: bytes, headers: Mapping[str, str]) -> Answer:
        url = httpx.URL(endpoint.url)
        if _has_proxy(endpoint):
            # The proxy looks the name up, and keeps us out of our own networks.
            client = self._client(through_proxy=True)
            return await _ask(client, client.build_request("POST", url, content=body), headers)
        client = self._client(through_proxy=False)
        addresses = await _addresses(endpoint, url)
        for number, address in enumerate(addresses, 1):
            # To the address that was looked at, not to what the name means a moment later.
            request = client.build_request(
                "POST",
                url.copy_with(host=address),
                content=body,
                headers={"host": url.netloc.decode("ascii")},
                extensions={"sni_hostname": url.host},
            )
            try:
                return await _ask(client, request, headers)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if number == len(addresses):
                    raise
        raise OSError(f"{url.host} has no address")

    def _client(self, *, through_proxy: bool) -> httpx.AsyncClient:
        if through_proxy not in self._clients:
            self._clients[through_proxy] = httpx.AsyncClient(
                follow_redirects=False,
                timeout=httpx.Timeout(self._timeout),
                # None stays open: it would be of another name on the same address, and TLS has
                # proved that name only.
                limits=httpx.Limits(max_keepalive_connections=0),
                verify=httpx.create_ssl_context(),
                trust_env=through_proxy,
            )
        return self._clients[through_proxy]


async def _ask(
    client: httpx.AsyncClient, request: httpx.Request, headers: Mapping[str, str]
) -> Answer:
    request.headers.update(
        {**headers, "content-type": "application/json", "user-agent": "meter-to-cash"}
    )
    response = await client.send(request, stream=True)
    try:
        return Answer(
            http_status=response.status_code,
            words=await _beginning(response),
            retry_after=response.headers.get("retry-after"),
        )
    finally:
        await response.aclose()


async def _beginning(response: httpx.Response) -> str:
    """The beginning of an answer. The status alone counts: an answer that breaks off is one."""
    content = b""
    try:
        async for chunk in response.aiter_raw():
            content += chunk
            if len(content) >= _READ:
                break
    except httpx.HTTPError:
        pass
    return one_line(content[:_READ].decode("utf-8", "replace"))[:_SHOWN]


async def _addresses(endpoint: Endpoint, url: httpx.URL) -> list[str]:
    """Where an endpoint is. Raises _ForbiddenAddressError if any of it is inside a network of ours
    and the book does not say that it may be."""
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
