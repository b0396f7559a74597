"""The local Xero as an ASGI application: identity, accounting API, pay pages, admin side.

Routes and HTTP manners only: each request goes through the gate (tokens, limits, keys, faults),
then to the organisation inside one store transaction. The admin side under `/_admin` plays the
human and breaks things on purpose; the real Xero has no such thing.
"""

from __future__ import annotations

import asyncio
import mimetypes
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from exporters.xero.sandbox import identity
from exporters.xero.sandbox.admin import Admin
from exporters.xero.sandbox.api import Api
from exporters.xero.sandbox.errors import (
    ElementError,
    NotFoundError,
    RequestError,
)
from exporters.xero.sandbox.gate import (
    Fault,
    Keys,
    Limits,
    Reply,
    json_reply,
    put_path,
)
from exporters.xero.sandbox.hooks import Hooks
from exporters.xero.sandbox.identity import Tokens
from exporters.xero.sandbox.organisation import KINDS, Organisation
from exporters.xero.sandbox.pages import HEADERS, Pages, way_back
from exporters.xero.sandbox.seed import Seed, apply_seed
from exporters.xero.sandbox.store import Store
from exporters.xero.sandbox.wire import (
    Json,
    dumps,
    iso_instant,
    loads,
)

API = "/api.xro/2.0"
_KEPT_REQUESTS = 20_000


def _html(text: str, status: int = 200) -> Reply:
    return Reply(status, text.encode(), "text/html; charset=utf-8")


def _page(text: str, status: int = 200) -> Reply:
    return Reply(status, text.encode(), "text/html; charset=utf-8", HEADERS)


def _see_other(location: str) -> Reply:
    return Reply(303, b"", "text/html; charset=utf-8", {"Location": location})


class LocalXero:
    """The ASGI application with its state."""

    def __init__(
        self,
        state: Path | None = None,
        *,
        seed: Seed | None = None,
        clock: Callable[[], datetime] | None = None,
        minute_limit: int = 60,
        day_limit: int = 5000,
    ) -> None:
        self._real_clock = clock or (lambda: datetime.now(UTC))
        self.offset = timedelta(0)
        self.lock = threading.RLock()
        self.store = Store(state)
        self.limits = Limits(minute=minute_limit, day=day_limit)
        self.keys = Keys()
        self.faults: list[Fault] = []
        self.requests: list[Json] = []
        self.org = Organisation(self.store, self.now)
        self.tokens = Tokens(self.store)
        apply_seed(self.store, seed or Seed())
        self.store.commit()
        self.api = Api(self.store, self.org)
        self.pages = Pages(self.store, self.org)
        self.admin = Admin(self)
        self.hooks = Hooks(tenant=str(self.org.settings()["OrganisationID"]), find=self.store.get)

    def now(self) -> datetime:
        """The server's time."""
        return self._real_clock() + self.offset

    # ASGI --------------------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": f"{message['type']}.complete"})
                if message["type"] == "lifespan.shutdown":
                    self.store.close()
                    return
        request = Request(scope, receive)
        body = await request.body()
        path = unquote(request.url.path)
        if path.startswith("/_admin/"):
            reply = self._guarded(lambda: self._admin(path.removeprefix("/_admin/"), body))
        elif path.startswith(API + "/"):
            await self._api(request, path, body, send)
            return
        else:
            reply = self._guarded(lambda: self._other(request, path, body))
        await self._send(send, reply)

    async def _send(self, send: Send, reply: Reply, *, cut: bool = False) -> None:
        headers = {
            "content-type": reply.content_type,
            "content-length": str(len(reply.body)),
            "date": format_datetime(self.now(), usegmt=True),
            "connection": "close" if cut else "keep-alive",
            **{k.lower(): v for k, v in reply.headers.items()},
        }
        raw = [(k.encode(), v.encode()) for k, v in headers.items()]
        await send({"type": "http.response.start", "status": reply.status, "headers": raw})
        content = reply.body[: len(reply.body) // 2] if cut else reply.body
        await send({"type": "http.response.body", "body": content, "more_body": cut})

    def _guarded(self, handle: Callable[[], Reply]) -> Reply:
        """Run a handler in one transaction and turn refusals into answers."""
        with self.lock:
            try:
                reply = handle()
            except NotFoundError:
                self.store.rollback()
                return Reply(404, b"", "text/html; charset=utf-8")
            except RequestError as error:
                self.store.rollback()
                return json_reply(error.body, error.status)
            except ElementError as error:
                self.store.rollback()
                return json_reply(
                    {
                        "ErrorNumber": 10,
                        "Type": "ValidationException",
                        "Message": "A validation exception occurred",
                        "Elements": [
                            {"ValidationErrors": [{"Message": m} for m in error.messages]}
                        ],
                    },
                    400,
                )
            if reply.status >= 400:
                self.store.rollback()
            else:
                self.hooks.changed(self.store.commit(), self.now())
            return reply

    # The accounting API ------------------------------------------------------------------------

    async def _api(self, request: Request, path: str, body: bytes, send: Send) -> None:
        method, resource = request.method, path.removeprefix(API)
        entry: Json = {
            "method": method,
            "path": path,
            "query": request.url.query,
            "headers": {
                k: v for k, v in request.headers.items() if k not in ("authorization", "cookie")
            },
            "body": body.decode("utf-8", "replace") if len(body) < 1_000_000 else "",
            "size": len(body),
            "at": self.now().isoformat(),
        }
        self.requests.append(entry)
        del self.requests[:-_KEPT_REQUESTS]
        self.limits.in_flight += 1
        try:
            fault = next((f for f in self.faults if f.matches(method, resource)), None)
            reply = await self._answer(request, resource, body, fault)
            entry["status"] = reply.status
            if fault is not None and fault.kind == "slow":
                await asyncio.sleep(fault.seconds)
            if fault is not None and fault.kind == "hang":
                entry["status"] = 0
                await asyncio.sleep(fault.seconds)
            await self._send(send, reply, cut=fault is not None and fault.kind == "truncate")
        finally:
            self.limits.in_flight -= 1

    async def _answer(
        self, request: Request, resource: str, body: bytes, fault: Fault | None
    ) -> Reply:
        now = self.now()
        refusal = self._admit(request, now)
        if refusal is not None:
            return refusal
        key = request.headers.get("idempotency-key")
        keyed = key is not None and request.method in ("PUT", "POST")
        digest = Keys.digest(request.method, str(request.url), body)
        if keyed and (kept := self.keys.find(str(key), digest, now)) is not None:
            return Reply(kept.status, kept.body, kept.content_type, self.limits.headers(now))
        if (
            fault is not None
            and fault.when == "before"
            and fault.kind in ("status", "html", "hang")
        ):
            reply = self._broken(fault)
        else:
            await asyncio.sleep(0)
            reply = self._guarded(lambda: self.api.answer(request, resource, body, fault))
            if fault is not None and fault.kind in ("status", "html"):
                reply = self._broken(fault)
            if fault is not None and fault.kind == "rewrite":
                answer = loads(reply.body)
                for place, value in fault.changes.items():
                    put_path(answer, place, value)
                reply = Reply(reply.status, dumps(answer).encode())
        limited = reply.status in (401, 403, 429)
        if (
            keyed
            and not limited
            and not (fault and fault.kind == "hang" and fault.when == "before")
        ):
            self.keys.keep(str(key), digest, reply, now)
        headers = {**self.limits.headers(now), **reply.headers}
        return Reply(reply.status, reply.body, reply.content_type, headers)

    def _broken(self, fault: Fault) -> Reply:
        if fault.kind == "html":
            return _html("<html><body><h1>Service Unavailable</h1></body></html>", fault.status)
        if fault.status == 429:
            headers = {"X-Rate-Limit-Problem": fault.problem or "minute"}
            if fault.retry_after is not None:
                headers["Retry-After"] = str(fault.retry_after)
            return Reply(429, b"", "text/plain", headers)
        if fault.status == 403:
            return self._forbidden()
        return json_reply({"Title": "An error occurred", "Status": fault.status}, fault.status)

    def _forbidden(self) -> Reply:
        body = {
            "Type": None,
            "Title": "Forbidden",
            "Status": 403,
            "Detail": "AuthenticationUnsuccessful",
            "Instance": str(uuid.uuid4()),
        }
        return json_reply(body, 403)

    def _admit(self, request: Request, now: datetime) -> Reply | None:
        problem = self.tokens.check(request.headers.get("authorization"), now)
        if problem is not None:
            body = {"Type": None, "Title": "Unauthorized", "Status": 401, "Detail": problem}
            return json_reply(body, 401)
        if request.headers.get("xero-tenant-id") != self.org.settings()["OrganisationID"]:
            return self._forbidden()
        resource = unquote(request.url.path).removeprefix(API)
        scopes = self.tokens.scopes(request.headers.get("authorization"))
        if not identity.is_open(request.method, resource, scopes):
            detail = "AuthorizationUnsuccessful"
            body = {"Type": None, "Title": "Unauthorized", "Status": 401, "Detail": detail}
            return json_reply(body, 401)
        broken = self.limits.take(now)
        if broken is not None:
            name, wait = broken
            headers = {"X-Rate-Limit-Problem": name, **self.limits.headers(now)}
            if wait is not None:
                headers["Retry-After"] = str(wait)
            return Reply(429, b"", "text/plain", headers)
        key = request.headers.get("idempotency-key", "")
        if len(key) > 128:
            return json_reply({"Title": "Idempotency-Key is too long", "Status": 400}, 400)
        return None

    # Identity and pages ------------------------------------------------------------------------

    def _other(self, request: Request, path: str, body: bytes) -> Reply:
        if path == "/connect/token" and request.method == "POST":
            return self._token(request, body)
        if path == "/identity/connect/authorize":
            return self._consent(request, body)
        if path == "/connections" and request.method == "GET":
            problem = self.tokens.check(request.headers.get("authorization"), self.now())
            if problem is not None:
                return json_reply({"Title": "Unauthorized", "Status": 401, "Detail": problem}, 401)
            return json_reply(
                identity.connections(self.org.settings(), iso_instant(self.org.now_ms()))
            )
        parts = [p for p in path.split("/") if p]
        if len(parts) >= 2 and parts[0] in ("online", "document"):
            return self._online(request, parts)
        if len(parts) == 2 and parts[0] == "human" and request.method == "POST":
            return self._human(request, parts[1], body)
        if not parts:
            return _page(self.pages.front(request.query_params.get("problem", "")))
        raise NotFoundError(path)

    def _consent(self, request: Request, body: bytes) -> Reply:
        posted = request.method == "POST"
        text = body.decode("utf-8", "replace") if posted else request.url.query
        asked = {k: v[-1] for k, v in parse_qs(text, keep_blank_values=True).items()}
        if posted:
            location = identity.answer(self.store, asked, self.now())
            return Reply(303, b"", "text/html; charset=utf-8", {"Location": location})
        return _html(
            identity.page(self.store, asked, organisation=str(self.org.settings()["Name"]))
        )

    def _token(self, request: Request, body: bytes) -> Reply:
        form = {k: v[-1] for k, v in parse_qs(body.decode("utf-8", "replace")).items()}
        fault = next((f for f in self.faults if f.matches("POST", "/connect/token")), None)
        if fault is not None:
            return self._broken(fault)
        credentials = identity.credentials_of(request.headers.get("authorization"), form)
        answer = self.tokens.grant(form, *credentials, self.now())
        return json_reply(answer, 400 if "error" in answer else 200)

    def _online(self, request: Request, parts: list[str]) -> Reply:
        if parts[0] == "online":
            kind = "invoice"
            found = [i for i in self.store.all(kind) if i.get("_online") == parts[1]]
            rest = parts[2:]
        else:
            kind = parts[1] if len(parts) > 2 and parts[1] in KINDS else ""
            found = [self.org.find_document(kind, parts[2])] if kind else []
            rest = parts[3:]
        if not found:
            raise NotFoundError("/".join(parts))
        body = found[0]
        address = self.pages.address(kind, body)
        if rest == ["pay"] and kind == "invoice" and request.method == "POST":
            return self._pay_online(request, body, address)
        if len(rest) == 2 and rest[0] == "files":
            return self._file(body[KINDS[kind][0]], rest[1], online=parts[0] == "online")
        if rest:
            raise NotFoundError("/".join(parts))
        return _page(self.pages.document(kind, body, request.query_params.get("problem", "")))

    def _pay_online(self, request: Request, body: Json, address: str) -> Reply:
        if not self.pages.may_pay(request.headers.get("host", ""), request.headers.get("origin")):
            return _page("<p>Open the invoice on this machine to pay it.</p>", 403)
        try:
            self.org.human_pay(body["InvoiceNumber"], amount=None, on=None, reference="Paid online")
        except ElementError as error:
            self.store.rollback()
            return _see_other(f"{address}?problem={self.pages.keep_problem(str(error))}")
        return _see_other(address)

    def _file(self, document_id: str, wanted: str, *, online: bool) -> Reply:
        """A file by id or name. online: only those that Xero shows to the customer."""
        for file in self.org.attachments(document_id):
            name = str(file["FileName"])
            if wanted in (name, file["AttachmentID"]) and (file["IncludeOnline"] or not online):
                # As a file, never as a page of ours, whatever it says of itself.
                headers = {
                    "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
                    "X-Content-Type-Options": "nosniff",
                }
                content = self.store.blob(file["AttachmentID"]) or b""
                mime = mimetypes.guess_type(name)[0] or str(file["MimeType"])
                return Reply(200, content, mime, headers)
        raise NotFoundError(wanted)

    def _human(self, request: Request, action: str, body: bytes) -> Reply:
        """A form of the pages: done, then back to where it was, with words if it was refused."""
        text = body.decode("utf-8", "replace")
        form = {k: v[-1] for k, v in parse_qs(text, keep_blank_values=True).items()}
        if not self.pages.may_post(request.headers.get("host", ""), form):
            return _page("<p>This form is not one of this page: open the page again.</p>", 403)
        back = way_back(request.headers.get("referer", "/"))
        try:
            name, wanted = self.pages.arguments(action, form)
            self.admin.run(name, wanted)
        except ElementError as error:
            problem = str(error)
        except NotFoundError as error:
            problem = f"there is no {error}"
        else:
            return _see_other(back)
        self.store.rollback()
        return _see_other(f"{back}?problem={self.pages.keep_problem(problem)}")

    def _admin(self, action: str, raw: bytes) -> Reply:
        answer = self.admin.run(action, loads(raw) if raw else {})
        return json_reply({"ok": True} if answer is None else answer)
