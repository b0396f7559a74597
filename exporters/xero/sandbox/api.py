"""The accounting API of the local Xero: which call does what, and how its answer is wrapped.

Reads and writes go to the organisation, inside the caller's store transaction; what a document may
become is decided there. Tokens, limits and keys are the gate's.
"""

from __future__ import annotations

import secrets
import uuid
from datetime import date
from decimal import Decimal
from urllib.parse import parse_qs

from starlette.requests import Request

from exporters.xero.sandbox.errors import (
    ElementError,
    NotFoundError,
    RequestError,
    bad_request,
)
from exporters.xero.sandbox.gate import Fault, Reply, json_reply
from exporters.xero.sandbox.organisation import KINDS, Organisation, page_of
from exporters.xero.sandbox.store import Store
from exporters.xero.sandbox.where import parse_where
from exporters.xero.sandbox.wire import Json, iso_instant, loads, ms_date, ms_instant, parse_since

_COLLECTIONS = {"Invoices": "invoice", "CreditNotes": "creditnote"}
_MAX_BODY = 3_500_000


def _truth(value: object) -> bool:
    return str(value).lower() == "true"


class Api:
    """The calls of one organisation. refused_numbers: documents that it refuses on purpose."""

    def __init__(self, store: Store, org: Organisation) -> None:
        self._store, self._org = store, org
        self.refused_numbers: frozenset[str] = frozenset()

    def _envelope(self, **content: object) -> Reply:
        return json_reply(
            {
                "Id": str(uuid.uuid4()),
                "Status": "OK",
                "ProviderName": "Local Xero",
                "DateTimeUTC": f"/Date({self._org.now_ms()})/",
                **content,
            }
        )

    def answer(self, request: Request, resource: str, body: bytes, fault: Fault | None) -> Reply:
        """The answer to a call that the gate let through. Raises what refuses the call."""
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
            done = self._org.delete_allocation(kinds[parts[0]], parts[1], parts[3])
            return json_reply(self._org.render_allocation(done))
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
            items = self._store.all(plain[head])
            if head == "TrackingCategories" and not _truth(query.get("includeArchived")):
                items = [i for i in items if i["Status"] == "ACTIVE"]
            shown = [{k: v for k, v in i.items() if not k.startswith("_")} for i in items]
            return self._envelope(**{head: self._where(shown, query)})
        if head == "Organisation" and len(parts) == 1:
            return self._envelope(Organisations=[self._org.render_organisation()])
        if head == "BrandingThemes" and len(parts) == 1:
            return self._envelope(BrandingThemes=[])
        if parts == ["InvoiceReminders", "Settings"]:
            enabled = bool(self._org.settings().get("_reminders"))
            return self._envelope(InvoiceReminders=[{"Enabled": enabled}])
        if head == "Contacts" and len(parts) <= 2:
            return self._contacts(parts, query, request)
        if head in _COLLECTIONS:
            return self._documents(head, parts, query, request)
        if head == "Payments" and len(parts) <= 2:
            payments = self._store.all("payment")
            if len(parts) == 2:
                payments = [p for p in payments if p["PaymentID"] == parts[1].lower()]
                if not payments:
                    raise NotFoundError(parts[1])
            payments = self._modified(payments, request)
            shown = [self._org.render_payment(p) for p in payments]
            return self._paged("Payments", self._where(shown, query), query)
        if head == "BankTransactions" and len(parts) == 1:
            found = self._modified(self._store.all("banktransaction"), request)
            shown = [self._org.render_bank_transaction(b) for b in found]
            return self._paged(head, self._where(shown, query), query)
        if head == "Overpayments" and len(parts) == 1:
            found = self._modified(self._store.all("overpayment"), request)
            shown = [self.render_overpayment(o) for o in found]
            return self._paged("Overpayments", self._where(shown, query), query)
        if head == "Prepayments" and len(parts) == 1:
            return self._paged("Prepayments", [], query)
        raise NotFoundError("/".join(parts))

    def render_overpayment(self, body: Json) -> Json:
        """An overpayment as Xero answers it."""
        answer = {k: v for k, v in body.items() if not k.startswith("_")}
        contact = self._store.get("contact", body["_contact"]) or {}
        day = date.fromisoformat(body["_date"])
        return answer | {
            "DateString": f"{day.isoformat()}T00:00:00",
            "Date": ms_date(day),
            "Contact": {"ContactID": body["_contact"], "Name": contact.get("Name", "")},
            "RemainingCredit": self._org.remaining("overpayment", body),
            "Allocations": [
                self._org.render_allocation(a)
                for a in self._org.allocations_from(body["OverpaymentID"])
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
            contact = self._org.find_contact(parts[1])
            return self._envelope(Contacts=[self._org.render_contact(contact)])
        found = self._store.all("contact")
        if query.get("IDs"):
            wanted = {i.strip().lower() for i in query["IDs"].split(",")}
            found = [c for c in found if c["ContactID"] in wanted]
        elif not _truth(query.get("includeArchived")):
            found = [c for c in found if c["ContactStatus"] == "ACTIVE"]
        found = self._modified(found, request)
        shown = self._where([self._org.render_contact(c) for c in found], query)
        return self._paged("Contacts", shown, query)

    def _documents(
        self, head: str, parts: list[str], query: dict[str, str], request: Request
    ) -> Reply:
        kind = _COLLECTIONS[head]
        id_key, number_key, _ = KINDS[kind]
        if len(parts) >= 2:
            body = self._org.find_document(kind, parts[1])
            if len(parts) == 2:
                return self._envelope(**{head: [self._org.render_document(kind, body, lines=True)]})
            return self._below_document(kind, body, parts, request)
        found = self._store.all(kind)
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
        shown = [self._org.render_document(kind, d, lines=paged) for d in found]
        return self._paged(head, self._where(shown, query), query)

    def _below_document(self, kind: str, body: Json, parts: list[str], request: Request) -> Reply:
        key = body[KINDS[kind][0]]
        base = f"{request.base_url}api.xro/2.0/{parts[0]}/{key}/Attachments"
        if len(parts) == 3 and parts[2] == "Attachments":
            files = [self._org.render_attachment(a, base) for a in self._org.attachments(key)]
            return self._envelope(Attachments=files)
        if len(parts) == 4 and parts[2] == "Attachments":
            for file in self._org.attachments(key):
                if parts[3] in (file["FileName"], file["AttachmentID"]):
                    content = self._store.blob(file["AttachmentID"]) or b""
                    return Reply(200, content, str(file["MimeType"]))
            raise NotFoundError(parts[3])
        if len(parts) == 3 and parts[2] == "History":
            notes = [self._render_note(h) for h in self._org.history(key)]
            return self._envelope(HistoryRecords=notes)
        if len(parts) == 3 and parts[2] == "OnlineInvoice" and kind == "invoice":
            if body["Type"] != "ACCREC" or body["Status"] in ("DRAFT", "SUBMITTED", "DELETED"):
                raise bad_request("Only approved sales invoices have an online invoice", number=17)
            if not body.get("_online"):
                body["_online"] = secrets.token_urlsafe(16)
                self._store.put(kind, key, body)
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
        done = self._org.attach(
            _COLLECTIONS[parts[0]],
            parts[1],
            parts[3],
            body,
            request.headers.get("content-type", "application/octet-stream"),
            online=_truth(query.get("IncludeOnline")),
            replace=request.method == "POST",
        )
        base = f"{request.base_url}api.xro/2.0/{parts[0]}/{parts[1]}/Attachments"
        return self._envelope(Attachments=[self._org.render_attachment(done, base)])

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
            done = self._org.delete_payment(parts[1])
            return self._envelope(Payments=[self._org.render_payment(done)])
        if len(parts) == 3 and parts[2] == "Allocations":
            kinds = {"CreditNotes": "creditnote", "Overpayments": "overpayment"}
            items = content.get("Allocations") or [content]
            made = [self._org.allocate(kinds[head], parts[1], item) for item in items]
            return self._envelope(Allocations=[self._org.render_allocation(a) for a in made])
        if len(parts) == 3 and parts[2] == "History" and head in _COLLECTIONS:
            items = content.get("HistoryRecords") or []
            notes = [
                self._org.add_history(_COLLECTIONS[head], parts[1], str(i.get("Details") or ""))
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
                refused = self._org.refused(item, error, id_key)
                failed.append(refused)
                answers.append(refused)
                continue
            if fault is not None and fault.kind == "cent" and kind:
                self._one_cent(kind, answer[id_key])
                body = self._store.get(kind, answer[id_key])
                if body is not None:
                    answer = self._org.render_document(kind, body, lines=True)
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
            body = self._org.save_document(kind, item, create=create, unitdp=unitdp)
            return self._org.render_document(kind, body, lines=True)
        if head == "Contacts":
            return self._org.render_contact(self._org.save_contact(item, create=create))
        return self._org.render_payment(self._org.save_payment(item))

    def _one_cent(self, kind: str, key: str) -> None:
        body = self._store.get(kind, key)
        if body is None or not body["LineItems"]:
            return
        cent = Decimal("0.01")
        body["LineItems"][0]["TaxAmount"] = Decimal(body["LineItems"][0]["TaxAmount"]) + cent
        body["TotalTax"] = Decimal(body["TotalTax"]) + cent
        body["Total"] = Decimal(body["Total"]) + cent
        self._store.put(kind, key, body)
