"""The local Xero's webhooks: what changed is told, signed, to one address, in batches, and again
when nobody answers with an empty 200 in five seconds."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import queue
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

import httpx

from exporters.xero.sandbox.wire import Json

ATTEMPTS: Final = 4
CATEGORIES: Final = {"invoice": "INVOICE", "creditnote": "CREDITNOTE", "contact": "CONTACT"}
_PLACES: Final = {"invoice": "Invoices", "creditnote": "CreditNotes", "contact": "Contacts"}


class Hooks:
    """One webhook; nothing is sent until `to` names an address."""

    def __init__(self, *, tenant: str, find: Callable[[str, str], Json | None]) -> None:
        self._tenant, self._find = tenant, find
        self._url, self._key = "", ""
        self._sequence = 0
        self._events: queue.Queue[Json] = queue.Queue()
        self._thread: threading.Thread | None = None
        self.answers: list[int] = []

    def to(self, url: str, key: str) -> bool:
        """Send from now on there; whether that address refuses wrong signatures and takes right
        ones (the "intent to receive")."""
        self._url, self._key = url, key
        good = self._post([]) == 200 and self._post([], key=secrets.token_urlsafe(12)) == 401
        if not good:
            self._url = ""
        elif self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        return good

    def changed(self, objects: Iterable[tuple[str, str, bool]], at: datetime) -> None:
        """(kind, id, whether it is new) of what a request changed."""
        if not self._url:
            return
        for kind, key, new in objects:
            if kind in CATEGORIES:
                event: Json = {
                    "resourceUrl": f"https://api.xero.com/api.xro/2.0/{_PLACES[kind]}/{key}",
                    "resourceId": key,
                    "eventDateUtc": at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3],
                    "eventType": "CREATE" if new else "UPDATE",
                    "eventCategory": CATEGORIES[kind],
                    "tenantId": self._tenant,
                    "tenantType": "ORGANISATION",
                }
                if kind == "creditnote":
                    body = self._find(kind, key) or {}
                    event["data"] = {name: body.get(name) for name in ("Type", "Status")}
                self._events.put(event)

    def _run(self) -> None:
        while True:
            events = [self._events.get()]
            time.sleep(0.05)  # what one request changed goes out together
            while not self._events.empty():
                events.append(self._events.get())
            for attempt in range(ATTEMPTS):
                if self._post(events) == 200:
                    break
                time.sleep(0.2 * 2**attempt)

    def _post(self, events: list[Json], *, key: str | None = None) -> int:
        first = self._sequence + 1
        body = json.dumps(
            {
                "events": events,
                "firstEventSequence": first if events else 0,
                "lastEventSequence": first + len(events) - 1 if events else 0,
                "entropy": secrets.token_hex(10).upper(),
            }
        ).encode()
        mac = hmac.new((key or self._key).encode(), body, hashlib.sha256).digest()
        headers = {
            "content-type": "application/json",
            "x-xero-signature": base64.b64encode(mac).decode(),
        }
        try:
            answer = httpx.post(self._url, content=body, headers=headers, timeout=5.0)
        except httpx.TransportError:
            self.answers.append(0)
            return 0
        # Xero takes an answer with a body or a cookie for a failure.
        status = 500 if answer.content or "set-cookie" in answer.headers else answer.status_code
        self.answers.append(status)
        if status == 200:
            self._sequence += len(events)
        return status
