"""The local Xero as an ASGI application: identity, accounting API, pay pages, admin side.

Routes and HTTP manners only: each request goes through the gate (tokens, limits, keys, faults),
then to the organisation inside one store transaction. The admin side under `/_admin` plays the
human and breaks things on purpose; the real Xero has no such thing.
"""

from __future__ import annotations

import asyncio
import mimetypes
import secrets
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from exporters.xero.sandbox import identity
from exporters.xero.sandbox.admin import Admin
from exporters.xero.sandbox.errors import (
    ElementError,
    NotFoundError,
    RequestError,
    bad_request,
)
from exporters.xero.sandbox.gate import (
    Fault,
    Keys,
    Limits,
    Reply,
    put_path,
)
from exporters.xero.sandbox.hooks import Hooks
from exporters.xero.sandbox.identity import Tokens
from exporters.xero.sandbox.organisation import KINDS, Organisation, page_of
from exporters.xero.sandbox.pages import HEADERS, Pages, way_back
from exporters.xero.sandbox.seed import Seed, apply_seed
from exporters.xero.sandbox.store import Store
from exporters.xero.sandbox.where import parse_where
from exporters.xero.sandbox.wire import (
    Json,
    dumps,
    iso_instant,
    loads,
    ms_date,
    ms_instant,
    parse_since,
)

API = "/api.xro/2.0"
_COLLECTIONS = {"Invoices": "invoice", "CreditNotes": "creditnote"}
_MAX_BODY = 3_500_000
_KEPT_REQUESTS = 20_000


def _json(body: object, status: int = 200) -> Reply:
    return Reply(status, dumps(body).encode())


def _html(text: str, status: int = 200) -> Reply:
    return Reply(status, text.encode(), "text/html; charset=utf-8")


def _page(text: str, status: int = 200) -> Reply:
    return Reply(status, text.encode(), "text/html; charset=utf-8", HEADERS)


def _see_other(location: str) -> Reply:
    return Reply(303, b"", "text/html; charset=utf-8", {"Location": location})


def _truth(value: object) -> bool:
    return str(value).lower() == "true"


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
        self.refused_numbers: frozenset[str] = frozenset()
        self.requests: list[Json] = []
        self.org = Organisation(self.store, self.now)
        self.tokens = Tokens(self.store)
        apply_seed(self.store, seed or Seed())
        self.store.commit()
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
                return _json(error.body, error.status)
            except ElementError as error:
                self.store.rollback()
                return _json(
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
            reply = self._guarded(lambda: self._handle(request, resource, body, fault))
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
        return _json({"Title": "An error occurred", "Status": fault.status}, fault.status)

    def _forbidden(self) -> Reply:
        body = {
            "Type": None,
            "Title": "Forbidden",
            "Status": 403,
            "Detail": "AuthenticationUnsuccessful",
            "Instance": str(uuid.uuid4()),
        }
        return _json(body, 403)

    def _admit(self, request: Request, now: datetime) -> Reply | None:
        problem = self.tokens.check(request.headers.get("authorization"), now)
        if problem is not None:
            body = {"Type": None, "Title": "Unauthorized", "Status": 401, "Detail": problem}
            return _json(body, 401)
        if request.headers.get("xero-tenant-id") != self.org.settings()["OrganisationID"]:
            return self._forbidden()
        resource = unquote(request.url.path).removeprefix(API)
        scopes = self.tokens.scopes(request.headers.get("authorization"))
        if not identity.is_open(request.method, resource, scopes):
            detail = "AuthorizationUnsuccessful"
            body = {"Type": None, "Title": "Unauthorized", "Status": 401, "Detail": detail}
            return _json(body, 401)
        broken = self.limits.take(now)
        if broken is not None:
            name, wait = broken
            headers = {"X-Rate-Limit-Problem": name, **self.limits.headers(now)}
            if wait is not None:
                headers["Retry-After"] = str(wait)
            return Reply(429, b"", "text/plain", headers)
        key = request.headers.get("idempotency-key", "")
        if len(key) > 128:
            return _json({"Title": "Idempotency-Key is too long", "Status": 400}, 400)
        return None

    def _envelope(self, **content: object) -> Reply:
        return _json(
            {
                "Id": str(uuid.uuid4()),
                "Status": "OK",
                "ProviderName": "Local Xero",
                "DateTimeUTC": f"/Date({self.org.now_ms()})/",
                **content,
            }
        )

    def _handle(self, request: Request, resource: str, body: bytes, fault: Fault | None) -> Reply:
        query = {k: v[-1] for k, v in parse_qs(request.url.query, keep_blank_values=True).items()}
        parts = [p for p in resource.split("/") if p]
        method = request.method
        if len(body) > _MAX_BODY and "Attachments" not in parts:
            raise bad_request("The request exceeds 3.5 MB")
        if method == "GET":
            return self._get(parts, query, request)
        if parts[0] in _COLLECTIONS and len(parts) == 4 and parts[2] == "Attachments":
            return self._attach(request, parts, query, body)
        if method == "DELETE" and len(parts) == 4 and parts[2] == "Allocations":
            kinds = {"CreditNotes": "creditnote", "Overpayments": "overpayment"}
            done = self.org.delete_allocation(kinds[parts[0]], parts[1], parts[3])
            return _json(self.org.render_allocation(done))
        if method not in ("PUT", "POST"):
            raise RequestError(405, {"Message": "Method not allowed"})
        try:
            content = loads(body)
        except ValueError:
            raise bad_request("The JSON of the request cannot be read") from None
        if not isinstance(content, dict):
            raise bad_request("The JSON of the request is not an object")
        return self._write(method, parts, query, content, fault)

    # Reading

    def _get(self, parts: list[str], query: dict[str, str], request: Request) -> Reply:
        head = parts[0]
        plain = {
            "Accounts": "account",
            "TaxRates": "taxrate",
            "Currencies": "currency",
            "TrackingCategories": "tracking",
        }
        if len(parts) == 1 and head in plain:
            items = self.store.all(plain[head])
            if head == "TrackingCategories" and not _truth(query.get("includeArchived")):
                items = [i for i in items if i["Status"] == "ACTIVE"]
            shown = [{k: v for k, v in i.items() if not k.startswith("_")} for i in items]
            return self._envelope(**{head: self._where(shown, query)})
        if head == "Organisation" and len(parts) == 1:
            return self._envelope(Organisations=[self.org.render_organisation()])
        if head == "BrandingThemes" and len(parts) == 1:
            return self._envelope(BrandingThemes=[])
        if parts == ["InvoiceReminders", "Settings"]:
            enabled = bool(self.org.settings().get("_reminders"))
            return self._envelope(InvoiceReminders=[{"Enabled": enabled}])
        if head == "Contacts" and len(parts) <= 2:
            return self._contacts(parts, query, request)
        if head in _COLLECTIONS:
            return self._documents(head, parts, query, request)
        if head == "Payments" and len(parts) <= 2:
            payments = self.store.all("payment")
            if len(parts) == 2:
                payments = [p for p in payments if p["PaymentID"] == parts[1].lower()]
                if not payments:
                    raise NotFoundError(parts[1])
            payments = self._modified(payments, request)
            shown = [self.org.render_payment(p) for p in payments]
            return self._paged("Payments", self._where(shown, query), query)
        if head == "BankTransactions" and len(parts) == 1:
            found = self._modified(self.store.all("banktransaction"), request)
            shown = [self.org.render_bank_transaction(b) for b in found]
            return self._paged(head, self._where(shown, query), query)
        if head == "Overpayments" and len(parts) == 1:
            found = self._modified(self.store.all("overpayment"), request)
            shown = [self.render_overpayment(o) for o in found]
            return self._paged("Overpayments", self._where(shown, query), query)
        if head == "Prepayments" and len(parts) == 1:
            return self._paged("Prepayments", [], query)
        raise NotFoundError("/".join(parts))

    def render_overpayment(self, body: Json) -> Json:
        """An overpayment as Xero answers it."""
        answer = {k: v for k, v in body.items() if not k.startswith("_")}
        contact = self.store.get("contact", body["_contact"]) or {}
        day = date.fromisoformat(body["_date"])
        return answer | {
            "DateString": f"{day.isoformat()}T00:00:00",
            "Date": ms_date(day),
            "Contact": {"ContactID": body["_contact"], "Name": contact.get("Name", "")},
            "RemainingCredit": self.org.remaining("overpayment", body),
            "Allocations": [
                self.org.render_allocation(a)
                for a in self.org.allocations_from(body["OverpaymentID"])
            ],
            "LineItems": [],
            "UpdatedDateUTC": ms_instant(int(body["_updated"])),
        }

    def _where(self, items: list[Json], query: dict[str, str]) -> list[Json]:
        if not query.get("where"):
            return items
        holds = parse_where(query["where"])
        return [i for i in items if holds(i)]

    def _modified(self, items: list[Json], request: Request) -> list[Json]:
        header = request.headers.get("if-modified-since")
        if header is None:
            return items
        since = parse_since(header)
        if since is None:
            raise bad_request("If-Modified-Since cannot be read")
        start = int(since.timestamp() * 1000)
        return [i for i in items if int(i["_updated"]) >= start]

    def _paged(self, name: str, items: list[Json], query: dict[str, str]) -> Reply:
        if "page" not in query:
            return self._envelope(**{name: items})
        try:
            page, size = int(query["page"]), int(query.get("pageSize") or 100)
        except ValueError:
            raise bad_request("page and pageSize are numbers") from None
        if page < 1 or not 1 <= size <= 1000:
            raise bad_request("page starts at 1; pageSize is 1 to 1000")
        chosen, about = page_of(items, page, size)
        return self._envelope(pagination=about, **{name: chosen})

    def _contacts(self, parts: list[str], query: dict[str, str], request: Request) -> Reply:
        if len(parts) == 2:
            contact = self.org.find_contact(parts[1])
            return self._envelope(Contacts=[self.org.render_contact(contact)])
        found = self.store.all("contact")
        if query.get("IDs"):
            wanted = {i.strip().lower() for i in query["IDs"].split(",")}
            found = [c for c in found if c["ContactID"] in wanted]
        elif not _truth(query.get("includeArchived")):
            found = [c for c in found if c["ContactStatus"] == "ACTIVE"]
        found = self._modified(found, request)
        shown = self._where([self.org.render_contact(c) for c in found], query)
        return self._paged("Contacts", shown, query)

    def _documents(
        self, head: str, parts: list[str], query: dict[str, str], request: Request
    ) -> Reply:
        kind = _COLLECTIONS[head]
        id_key, number_key, _ = KINDS[kind]
        if len(parts) >= 2:
            body = self.org.find_document(kind, parts[1])
            if len(parts) == 2:
                return self._envelope(**{head: [self.org.render_document(kind, body, lines=True)]})
            return self._below_document(kind, body, parts, request)
        found = self.store.all(kind)
        for name, key in (("IDs", id_key), ("InvoiceNumbers", number_key), ("Statuses", "Status")):
            if query.get(name):
                wanted = {v.strip().lower() for v in query[name].split(",")}
                found = [d for d in found if str(d[key]).lower() in wanted]
        if query.get("ContactIDs"):
            wanted = {v.strip().lower() for v in query["ContactIDs"].split(",")}
            found = [d for d in found if d["_contact"] in wanted]
        found = self._modified(found, request)
        if query.get("order", "").startswith("UpdatedDateUTC"):
            found.sort(key=lambda d: int(d["_updated"]))
        paged = "page" in query
        shown = [self.org.render_document(kind, d, lines=paged) for d in found]
        return self._paged(head, self._where(shown, query), query)

    def _below_document(self, kind: str, body: Json, parts: list[str], request: Request) -> Reply:
        key = body[KINDS[kind][0]]
        base = f"{request.base_url}api.xro/2.0/{parts[0]}/{key}/Attachments"
        if len(parts) == 3 and parts[2] == "Attachments":
            files = [self.org.render_attachment(a, base) for a in self.org.attachments(key)]
            return self._envelope(Attachments=files)
        if len(parts) == 4 and parts[2] == "Attachments":
            for file in self.org.attachments(key):
                if parts[3] in (file["FileName"], file["AttachmentID"]):
                    content = self.store.blob(file["AttachmentID"]) or b""
                    return Reply(200, content, str(file["MimeType"]))
            raise NotFoundError(parts[3])
        if len(parts) == 3 and parts[2] == "History":
            notes = [self._render_note(h) for h in self.org.history(key)]
            return self._envelope(HistoryRecords=notes)
        if len(parts) == 3 and parts[2] == "OnlineInvoice" and kind == "invoice":
            if body["Type"] != "ACCREC" or body["Status"] in ("DRAFT", "SUBMITTED", "DELETED"):
                raise bad_request("Only approved sales invoices have an online invoice", number=17)
            if not body.get("_online"):
                body["_online"] = secrets.token_urlsafe(16)
                self.store.put(kind, key, body)
            url = f"{request.base_url}online/{body['_online']}"
            return self._envelope(OnlineInvoices=[{"OnlineInvoiceUrl": url}])
        raise NotFoundError("/".join(parts))

    def _render_note(self, body: Json) -> Json:
        return {
            "Changes": body["Changes"],
            "Details": body["Details"],
            "User": "",
            "DateUTC": ms_instant(int(body["_at"])),
            "DateUTCString": iso_instant(int(body["_at"])),
        }

    # Writing

    def _attach(
        self, request: Request, parts: list[str], query: dict[str, str], body: bytes
    ) -> Reply:
        done = self.org.attach(
            _COLLECTIONS[parts[0]],
            parts[1],
            parts[3],
            body,
            request.headers.get("content-type", "application/octet-stream"),
            online=_truth(query.get("IncludeOnline")),
            replace=request.method == "POST",
        )
        base = f"{request.base_url}api.xro/2.0/{parts[0]}/{parts[1]}/Attachments"
        return self._envelope(Attachments=[self.org.render_attachment(done, base)])

    def _write(
        self,
        method: str,
        parts: list[str],
        query: dict[str, str],
        content: Json,
        fault: Fault | None,
    ) -> Reply:
        head = parts[0]
        if len(parts) == 1 and head in ("Invoices", "CreditNotes", "Contacts", "Payments"):
            return self._batch(method, head, query, content, fault)
        if len(parts) == 2 and method == "POST" and head in ("Invoices", "CreditNotes", "Contacts"):
            key = KINDS[_COLLECTIONS[head]][0] if head in _COLLECTIONS else "ContactID"
            items = content.get(head) or [content]
            one = {head: [{**items[0], key: parts[1]}]}
            return self._batch(method, head, query, one, fault)
        if len(parts) == 2 and head == "Payments" and method == "POST":
            if content.get("Status") != "DELETED":
                raise bad_request("A payment can only be deleted")
            done = self.org.delete_payment(parts[1])
            return self._envelope(Payments=[self.org.render_payment(done)])
        if len(parts) == 3 and parts[2] == "Allocations":
            kinds = {"CreditNotes": "creditnote", "Overpayments": "overpayment"}
            items = content.get("Allocations") or [content]
            made = [self.org.allocate(kinds[head], parts[1], item) for item in items]
            return self._envelope(Allocations=[self.org.render_allocation(a) for a in made])
        if len(parts) == 3 and parts[2] == "History" and head in _COLLECTIONS:
            items = content.get("HistoryRecords") or []
            notes = [
                self.org.add_history(_COLLECTIONS[head], parts[1], str(i.get("Details") or ""))
                for i in items
            ]
            return self._envelope(HistoryRecords=[self._render_note(n) for n in notes])
        raise NotFoundError("/".join(parts))

    def _batch(
        self, method: str, head: str, query: dict[str, str], content: Json, fault: Fault | None
    ) -> Reply:
        items = content.get(head)
        if not isinstance(items, list):
            items = [content]
        summarise = query.get("summarizeErrors", "true").lower() != "false"
        unitdp = 4 if query.get("unitdp") == "4" else 2
        answers: list[Json] = []
        failed: list[Json] = []
        for item in items:
            kind = _COLLECTIONS.get(head)
            id_key = KINDS[kind][0] if kind else head[:-1] + "ID"
            try:
                answer = self._save(method, head, kind, item, unitdp)
            except ElementError as error:
                refused = self.org.refused(item, error, id_key)
                failed.append(refused)
                answers.append(refused)
                continue
            if fault is not None and fault.kind == "cent" and kind:
                self._one_cent(kind, answer[id_key])
                body = self.store.get(kind, answer[id_key])
                if body is not None:
                    answer = self.org.render_document(kind, body, lines=True)
            answer["StatusAttributeString"] = "OK"
            answers.append(answer)
        if failed and summarise:
            raise RequestError(
                400,
                {
                    "ErrorNumber": 10,
                    "Type": "ValidationException",
                    "Message": "A validation exception occurred",
                    "Elements": failed,
                },
            )
        return self._envelope(**{head: answers})

    def _save(self, method: str, head: str, kind: str | None, item: Json, unitdp: int) -> Json:
        create = method == "PUT"
        if kind is not None:
            if item.get(KINDS[kind][1]) in self.refused_numbers:
                raise ElementError("A validation exception occurred")
            body = self.org.save_document(kind, item, create=create, unitdp=unitdp)
            return self.org.render_document(kind, body, lines=True)
        if head == "Contacts":
            return self.org.render_contact(self.org.save_contact(item, create=create))
        return self.org.render_payment(self.org.save_payment(item))

    def _one_cent(self, kind: str, key: str) -> None:
        body = self.store.get(kind, key)
        if body is None or not body["LineItems"]:
            return
        cent = Decimal("0.01")
        body["LineItems"][0]["TaxAmount"] = Decimal(body["LineItems"][0]["TaxAmount"]) + cent
        body["TotalTax"] = Decimal(body["TotalTax"]) + cent
        body["Total"] = Decimal(body["Total"]) + cent
        self.store.put(kind, key, body)

    # Identity and pages ------------------------------------------------------------------------

    def _other(self, request: Request, path: str, body: bytes) -> Reply:
        if path == "/connect/token" and request.method == "POST":
            return self._token(request, body)
        if path == "/identity/connect/authorize":
            return self._consent(request, body)
        if path == "/connections" and request.method == "GET":
            problem = self.tokens.check(request.headers.get("authorization"), self.now())
            if problem is not None:
                return _json({"Title": "Unauthorized", "Status": 401, "Detail": problem}, 401)
            return _json(identity.connections(self.org.settings(), iso_instant(self.org.now_ms())))
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
        return _json(answer, 400 if "error" in answer else 200)

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
        return _json({"ok": True} if answer is None else answer)
