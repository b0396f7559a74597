"""Receives Xero's webhooks and only wakes the poll: what changed is read from Xero itself.

Xero signs each body (`x-xero-signature`: base64 of HMAC-SHA256 with the webhook's key), wants an
empty answer within five seconds without cookies, and at times sends wrong signatures to see them
refused (its "intent to receive"). An event that is lost costs nothing: the poll runs anyway.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from exporters.xero import wakes

MAX_BODY: Final = 1_000_000
POLLED: Final = ("INVOICE", "CREDITNOTE")


def is_signed(body: bytes, signature: str, key: str) -> bool:
    """Whether Xero, or somebody who has the key, signed these very bytes."""
    expected = hmac.new(key.encode(), body, hashlib.sha256).digest()
    try:
        given = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(expected, given)


def concerned(body: bytes, tenants: Collection[str]) -> set[str]:
    """The organisations of ours in which something changed that the poll reads. A signed body that
    cannot be read concerns all of them."""
    try:
        events = json.loads(body)["events"]
        return {
            str(event["tenantId"])
            for event in events
            if event.get("eventCategory") in POLLED
            and (not tenants or str(event["tenantId"]) in tenants)
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return set(tenants) or {"?"}


def receiver(
    key: str,
    folder: Path,
    *,
    clock: Callable[[], datetime],
    tenants: Callable[[], Collection[str]] = tuple,
    path: str = "/xero",
) -> Starlette:
    """The application: POST `path`. key: the webhook's signing key. folder: where marks are left.
    tenants: the organisations that concern us, all if none; asked in a thread, for it may read."""

    async def receive(request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                return Response(status_code=413)
        if not is_signed(bytes(body), request.headers.get("x-xero-signature", ""), key):
            return Response(status_code=401)
        await run_in_threadpool(wake, bytes(body))
        return Response(status_code=200)

    def wake(body: bytes) -> None:
        # Before the answer: what is answered with 200 is not sent again.
        if changed := concerned(body, tenants()):
            wakes.leave(folder, at=clock(), tenants=changed)

    return Starlette(routes=[Route(path, receive, methods=["POST"])])
