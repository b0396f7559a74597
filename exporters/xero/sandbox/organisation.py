"""The rules of one Xero organisation: contacts, documents, payments, allocations, attachments.

Every method works inside the caller's store transaction and raises a refusal of `errors`. HTTP,
tokens and limits are elsewhere. Sources: Xero's accounting API description (16.1.0) and developer
documentation; messages are Xero's own where they are published.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from exporters.xero.sandbox.errors import ElementError, NotFoundError, bad_request
from exporters.xero.sandbox.store import Store
from exporters.xero.sandbox.wire import (
    ZERO_ID,
    Json,
    cents,
    decimal_of,
    iso_instant,
    ms_date,
    ms_instant,
    parse_date,
    places,
)

ZERO = Decimal("0.00")
KINDS = {
    "invoice": ("InvoiceID", "InvoiceNumber", "Invoice"),
    "creditnote": ("CreditNoteID", "CreditNoteNumber", "Credit Note"),
}
_TYPES = {"invoice": ("ACCREC", "ACCPAY"), "creditnote": ("ACCRECCREDIT", "ACCPAYCREDIT")}
_SALES = ("ACCREC", "ACCRECCREDIT")
_NEXT = {
    "DRAFT": ("DRAFT", "SUBMITTED", "AUTHORISED", "DELETED"),
    "SUBMITTED": ("SUBMITTED", "DRAFT", "AUTHORISED", "DELETED"),
    "AUTHORISED": ("AUTHORISED", "VOIDED"),
}
MAX_ATTACHMENTS = 10
MAX_ATTACHMENT_BYTES = 10 * 1024 * 1024


class Organisation:
    """One organisation over a store. `clock` gives aware UTC time."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self.store = store
        self._clock = clock

    def now_ms(self) -> int:
        """Now in epoch milliseconds."""
        return int(self._clock().timestamp() * 1000)

    def today(self) -> date:
        """The organisation's date (it lives in UTC)."""
        return self._clock().date()

    # Settings ----------------------------------------------------------------------------------

    def settings(self) -> Json:
        """The organisation's own record."""
        return self.store.get("organisation", "organisation") or {}

    def lock_date(self) -> date | None:
        """The later of period lock and end-of-year lock."""
        body = self.settings()
        days = [date.fromisoformat(body[k]) for k in ("_period_lock", "_year_lock") if body.get(k)]
        return max(days, default=None)

    def render_organisation(self) -> Json:
        """The organisation as GET /Organisation answers it."""
        body = self.settings()
        answer = {k: v for k, v in body.items() if not k.startswith("_")}
        for key, name in (("_period_lock", "PeriodLockDate"), ("_year_lock", "EndOfYearLockDate")):
            if body.get(key):
                answer[name] = ms_date(date.fromisoformat(body[key]))
        return answer

    # Contacts ----------------------------------------------------------------------------------

    def render_contact(self, body: Json) -> Json:
        """A contact as Xero answers it."""
        answer = {k: v for k, v in body.items() if not k.startswith("_")}
        answer.setdefault("Addresses", [])
        answer.setdefault("Phones", [])
        answer.setdefault("ContactGroups", [])
        answer.setdefault("ContactPersons", [])
        answer["UpdatedDateUTC"] = ms_instant(int(body["_updated"]))
        answer["HasValidationErrors"] = False
        return answer

    def find_contact(self, key: str) -> Json:
        """By ContactID or ContactNumber; active before archived."""
        if (body := self.store.get("contact", key.lower())) is not None:
            return body
        found = [c for c in self.store.all("contact") if c.get("ContactNumber") == key]
        found.sort(key=lambda c: c["ContactStatus"] != "ACTIVE")
        if not found:
            raise NotFoundError(key)
        return found[0]

    def _check_contact_name(self, name: str, own_id: str) -> None:
        for other in self.store.all("contact"):
            if (
                other["ContactStatus"] == "ACTIVE"
                and other["ContactID"] != own_id
                and other["Name"].strip().casefold() == name.strip().casefold()
            ):
                raise ElementError(
                    f"The contact name {name} is already assigned to another contact. "
                    "The contact name must be unique across all active contacts."
                )

    def save_contact(self, element: Json, *, create: bool) -> Json:
        """PUT (create) or POST (by ContactID, else by ContactNumber, else create)."""
        body: Json | None = None
        if not create:
            key = element.get("ContactID") or element.get("ContactNumber")
            if key:
                try:
                    body = self.find_contact(str(key))
                except NotFoundError:
                    if element.get("ContactID"):
                        raise ElementError("The contact could not be found") from None
        if body is None:
            name = str(element.get("Name") or "").strip()
            if not name:
                raise ElementError("The contact name must be specified.")
            number = element.get("ContactNumber")
            if number and any(
                c.get("ContactNumber") == number and c["ContactStatus"] == "ACTIVE"
                for c in self.store.all("contact")
            ):
                raise ElementError(f"The contact number {number} is already assigned to a contact.")
            body = {"ContactID": str(uuid.uuid4()), "ContactStatus": "ACTIVE"}
        elif body["ContactStatus"] != "ACTIVE":
            raise ElementError("Archived contacts cannot be edited")
        for key, limit in (("ContactNumber", 50), ("AccountNumber", 50), ("Name", 255)):
            if len(str(element.get(key) or "")) > limit:
                raise ElementError(f"The {key} exceeds {limit} characters")
        if element.get("Name"):
            self._check_contact_name(str(element["Name"]), body["ContactID"])
        body.update(
            {k: v for k, v in element.items() if k != "ContactID" and not k.startswith("_")}
        )
        body["_updated"] = self.now_ms()
        self.store.put("contact", body["ContactID"], body)
        return body

    # Documents ---------------------------------------------------------------------------------

    def find_document(self, kind: str, key: str) -> Json:
        """By id, else by number (a live one before deleted ones)."""
        if (body := self.store.get(kind, key.lower())) is not None:
            return body
        number = KINDS[kind][1]
        found = [d for d in self.store.all(kind) if d.get(number) == key]
        found.sort(key=lambda d: (d["Status"] == "DELETED", d["Type"] not in _SALES))
        if not found:
            raise NotFoundError(key)
        return found[0]

    def save_document(self, kind: str, element: Json, *, create: bool, unitdp: int) -> Json:
        """One element of PUT (only creates) or POST (updates by id, else number, else creates)."""
        id_key, number_key, _ = KINDS[kind]
        body: Json | None = None
        if not create:
            if element.get(id_key):
                body = self.store.get(kind, str(element[id_key]).lower())
                if body is None:
                    raise ElementError("The document with the supplied id could not be found")
            elif element.get(number_key) and str(element.get("Type")) in _SALES:
                live = [
                    d
                    for d in self.store.all(kind)
                    if d.get(number_key) == element[number_key]
                    and d["Type"] == element["Type"]
                    and d["Status"] != "DELETED"
                ]
                body = live[0] if live else None
        if body is None:
            body = self._new_document(kind, element)
        else:
            self._check_editable(kind, body, element)
        self._fill(kind, body, element, unitdp=unitdp)
        self.store.put(kind, body[id_key], body)
        return body

    def _new_document(self, kind: str, element: Json) -> Json:
        id_key, number_key, title = KINDS[kind]
        if element.get("Type") not in _TYPES[kind]:
            raise ElementError(f"{element.get('Type')} is not a valid {title} type")
        status = element.get("Status") or "DRAFT"
        if status not in ("DRAFT", "SUBMITTED", "AUTHORISED"):
            raise ElementError(f"{title} not of valid status for creation")
        number = element.get(number_key)
        if not number:
            prefix = "INV-" if kind == "invoice" else "CN-"
            number = f"{prefix}{len(self.store.all(kind)) + 1:04d}"
        return {
            id_key: str(uuid.uuid4()),
            "Type": element["Type"],
            number_key: str(number),
            "Status": "DRAFT",
            "Reference": "",
            "LineAmountTypes": "Exclusive",
            "CurrencyCode": self.settings().get("BaseCurrency", "EUR"),
            "SentToContact": False,
            "LineItems": [],
            "_date": self.today().isoformat(),
            "_new": True,
        }

    def _check_editable(self, kind: str, body: Json, element: Json) -> None:
        title = KINDS[kind][2]
        if body["Status"] not in _NEXT:
            raise ElementError(f"{title} not of valid status for modification")
        wanted = element.get("Status", body["Status"])
        if wanted == "VOIDED":
            if self.settled(kind, body) > 0:
                raise ElementError(
                    "This document cannot be voided because it has payments or credit notes "
                    "allocated to it"
                )
            return
        if body["Status"] == "AUTHORISED" and self.settled(kind, body) > 0:
            raise ElementError(
                "This document cannot be edited as it has a payment or credit note allocated to it."
            )

    def _fill(self, kind: str, body: Json, element: Json, *, unitdp: int) -> None:
        id_key, number_key, title = KINDS[kind]
        faults: list[str] = []
        status = str(element.get("Status") or body["Status"])
        if body.pop("_new", False) is False and status not in _NEXT[body["Status"]]:
            raise ElementError(f"{title} not of valid status for modification")
        if element.get(number_key):
            body[number_key] = str(element[number_key])
        if body["Type"] in _SALES:
            for other in self.store.all(kind):
                if (
                    other[number_key] == body[number_key]
                    and other[id_key] != body[id_key]
                    and other["Type"] == body["Type"]
                    and other["Status"] != "DELETED"
                ):
                    faults.append(f"{title} # must be unique.")
        if len(body[number_key]) > 255:
            faults.append(f"{number_key} exceeds the maximum length of 255 characters")
        if "Contact" in element:
            body["_contact"] = self._contact_of(element["Contact"], faults)
        if not body.get("_contact"):
            faults.append("A Contact must be specified for this type of transaction")
        for name, key in (("Date", "_date"), ("DueDate", "_due")):
            if name in element:
                if (day := parse_date(element[name])) is None:
                    faults.append(f"{name} is not a valid date")
                else:
                    body[key] = day.isoformat()
        locked = self.lock_date()
        if locked is not None and date.fromisoformat(body["_date"]) <= locked:
            faults.append(
                "The document date cannot be before the end of year lock date or period lock date"
            )
        for name in ("Reference", "Url", "LineAmountTypes", "BrandingThemeID", "CurrencyCode"):
            if element.get(name) is not None:
                body[name] = element[name]
        if len(body.get("Reference", "")) > 255:
            faults.append("Reference exceeds the maximum length of 255 characters")
        codes = {c["Code"] for c in self.store.all("currency")}
        if body["CurrencyCode"] not in codes:
            faults.append(f"Organisation is not subscribed to currency {body['CurrencyCode']}")
        if "LineItems" in element:
            body["LineItems"] = [
                self._line(line, body, unitdp, faults) for line in element["LineItems"] or []
            ]
        self._add_up(body)
        if status == "AUTHORISED":
            if not body["LineItems"]:
                faults.append("One or more line items must be specified")
            if kind == "invoice" and not body.get("_due"):
                faults.append("Due Date cannot be empty for an approved invoice")
            if body["Total"] < 0:
                faults.append("The document total cannot be negative")
        if faults:
            raise ElementError(*faults)
        body["Status"] = status
        if status == "AUTHORISED":
            self._settle(kind, body)
        body["_updated"] = self.now_ms()

    def _contact_of(self, wanted: Json, faults: list[str]) -> str | None:
        key = wanted.get("ContactID") or wanted.get("ContactNumber")
        try:
            if key:
                contact = self.find_contact(str(key))
            else:
                name = str(wanted.get("Name") or "").strip().casefold()
                contact = next(
                    c
                    for c in self.store.all("contact")
                    if c["ContactStatus"] == "ACTIVE" and c["Name"].strip().casefold() == name
                )
        except (NotFoundError, StopIteration):
            faults.append("The Contact could not be found")
            return None
        if contact["ContactStatus"] != "ACTIVE":
            faults.append("The contact is archived and cannot be used on a new document")
            return None
        return str(contact["ContactID"])

    def _line(self, line: Json, body: Json, unitdp: int, faults: list[str]) -> Json:
        quantity = decimal_of(line.get("Quantity"))
        unit = decimal_of(line.get("UnitAmount"))
        given = decimal_of(line.get("LineAmount"))
        description = str(line.get("Description") or "")
        if not description:
            faults.append("Description must be specified for each line item")
        if len(description) > 4000:
            faults.append("Description exceeds the maximum length of 4000 characters")
        quantity = places(Decimal(1) if quantity is None else quantity, 4)
        if unit is None:
            unit = ZERO if given is None else given
        unit = places(unit, unitdp)
        amount = cents(quantity * unit)
        if given is not None and cents(given) != amount:
            faults.append(f"The line total {given} does not match the expected line total {amount}")
        account = next(
            (a for a in self.store.all("account") if a["Code"] == line.get("AccountCode")), None
        )
        if line.get("AccountCode") and (account is None or account["Status"] != "ACTIVE"):
            faults.append(
                f"Account code '{line['AccountCode']}' is not a valid code for this document."
            )
        tax_type = line.get("TaxType") or (account or {}).get("TaxType") or "NONE"
        rate = next((t for t in self.store.all("taxrate") if t["TaxType"] == tax_type), None)
        if rate is None or rate["Status"] != "ACTIVE":
            faults.append(
                f"The TaxType code '{tax_type}' does not exist or cannot be used for this type of "
                "transaction."
            )
            percent = Decimal(0)
        else:
            percent = Decimal(rate["EffectiveRate"])
        if body["LineAmountTypes"] == "NoTax":
            tax = ZERO
        elif body["LineAmountTypes"] == "Inclusive":
            tax = cents(amount - amount / (1 + percent / 100))
        else:
            tax = cents(amount * percent / 100)
        override = decimal_of(line.get("TaxAmount"))
        return {
            "LineItemID": line.get("LineItemID") or str(uuid.uuid4()),
            "Description": description,
            "Quantity": quantity,
            "UnitAmount": unit,
            "LineAmount": amount,
            "AccountCode": line.get("AccountCode"),
            "TaxType": tax_type,
            "TaxAmount": tax if override is None else cents(override),
            "Tracking": self._tracking(line.get("Tracking") or [], faults),
        }

    def _tracking(self, wanted: list[Json], faults: list[str]) -> list[Json]:
        if len(wanted) > 2:
            faults.append("A line item can have at most 2 tracking categories")
        found = []
        for item in wanted:
            for category in self.store.all("tracking"):
                matches = item.get("TrackingCategoryID") == category["TrackingCategoryID"] or (
                    not item.get("TrackingCategoryID") and item.get("Name") == category["Name"]
                )
                if not matches or category["Status"] != "ACTIVE":
                    continue
                for option in category["Options"]:
                    if option["Status"] == "ACTIVE" and (
                        item.get("Option") == option["Name"]
                        or item.get("TrackingOptionID") == option["TrackingOptionID"]
                    ):
                        found.append(
                            {
                                "TrackingCategoryID": category["TrackingCategoryID"],
                                "TrackingOptionID": option["TrackingOptionID"],
                                "Name": category["Name"],
                                "Option": option["Name"],
                            }
                        )
        if len(found) != len(wanted):
            faults.append("A tracking category or option does not exist or is not active")
        return found

    def _add_up(self, body: Json) -> None:
        lines = body["LineItems"]
        amounts = sum((Decimal(line["LineAmount"]) for line in lines), ZERO)
        tax = sum((Decimal(line["TaxAmount"]) for line in lines), ZERO)
        if body["LineAmountTypes"] == "Inclusive":
            amounts -= tax
        body["SubTotal"], body["TotalTax"], body["Total"] = amounts, tax, amounts + tax

    # Settlement --------------------------------------------------------------------------------

    def payments_of(self, document_id: str) -> list[Json]:
        """Live payments on one document."""
        return [
            p
            for p in self.store.all("payment")
            if p["_document"] == document_id and p["Status"] != "DELETED"
        ]

    def allocations_to(self, invoice_id: str) -> list[Json]:
        """Live allocations of credit notes and overpayments to one invoice."""
        return [
            a
            for a in self.store.all("allocation")
            if a["_invoice"] == invoice_id and not a.get("IsDeleted")
        ]

    def allocations_from(self, document_id: str) -> list[Json]:
        """Live allocations out of one credit note or overpayment."""
        return [
            a
            for a in self.store.all("allocation")
            if a["_source"] == document_id and not a.get("IsDeleted")
        ]

    def settled(self, kind: str, body: Json) -> Decimal:
        """What has been paid, credited or allocated of a document."""
        key = body[KINDS[kind][0]]
        taken = self.allocations_to(key) if kind == "invoice" else self.allocations_from(key)
        return sum((Decimal(x["Amount"]) for x in (*self.payments_of(key), *taken)), ZERO)

    def _settle(self, kind: str, body: Json) -> None:
        """PAID when nothing is left, AUTHORISED when something is again."""
        if body["Status"] not in ("AUTHORISED", "PAID"):
            return
        left = Decimal(body["Total"]) - self.settled(kind, body)
        if left <= 0 and body["Status"] != "PAID":
            body["Status"] = "PAID"
            body["_paid_on"] = self.today().isoformat()
        elif left > 0:
            body["Status"] = "AUTHORISED"
            body.pop("_paid_on", None)

    def touch(self, kind: str, key: str) -> None:
        """Recompute the status of a document after money moved, and mark it changed."""
        body = self.store.get(kind, key)
        if body is None:
            return
        self._settle(kind, body)
        body["_updated"] = self.now_ms()
        self.store.put(kind, key, body)

    def save_payment(self, element: Json) -> Json:
        """PUT/POST /Payments: a payment on an invoice or the refund of a credit note."""
        kind, wanted = (
            ("creditnote", element["CreditNote"])
            if element.get("CreditNote")
            else ("invoice", element.get("Invoice") or {})
        )
        id_key, number_key, _ = KINDS[kind]
        key = wanted.get(id_key) or wanted.get(number_key)
        try:
            document = self.find_document(kind, str(key))
        except NotFoundError:
            raise ElementError("The document to be paid could not be found") from None
        if document["Status"] != "AUTHORISED":
            raise ElementError("Payments can only be made against Authorised documents")
        amount = decimal_of(element.get("Amount"))
        if amount is None or amount <= 0:
            raise ElementError("Payment amount must be greater than zero")
        if amount > Decimal(document["Total"]) - self.settled(kind, document):
            raise ElementError("Payment amount exceeds the amount outstanding on this document")
        day = parse_date(element.get("Date")) or self.today()
        account = self._account_to_pay(element.get("Account") or {}, document["CurrencyCode"])
        body = {
            "PaymentID": str(uuid.uuid4()),
            "_date": day.isoformat(),
            "Amount": cents(amount),
            "Reference": str(element.get("Reference") or ""),
            "PaymentType": "ACCRECPAYMENT" if kind == "invoice" else "ARCREDITPAYMENT",
            "Status": "AUTHORISED",
            "IsReconciled": bool(element.get("IsReconciled", False)),
            "_document": document[id_key],
            "_kind": kind,
            "_account": account["Code"],
            "_updated": self.now_ms(),
        }
        self.store.put("payment", body["PaymentID"], body)
        self.touch(kind, document[id_key])
        return body

    def _account_to_pay(self, named: Json, currency: str) -> Json:
        """The account of a payment: a bank account, or one that payments are enabled for."""
        found = [
            a
            for a in self.store.all("account")
            if named.get("Code") == a["Code"] or named.get("AccountID") == a["AccountID"]
        ]
        if not found or found[0]["Status"] != "ACTIVE":
            raise ElementError("Account could not be found")
        account = found[0]
        if account["Type"] != "BANK" and not account["EnablePaymentsToAccount"]:
            raise ElementError("Account is not a valid code for this document")
        if account.get("CurrencyCode") not in (None, currency):
            raise ElementError("The currency of the account is not that of the document")
        return account

    def human_imports(self, code: str, *, payment_id: str | None, reconciled: bool) -> None:
        """A person imports a statement line, and perhaps reconciles it: with a payment, or as money
        received. As in Xero, a line by itself shows nowhere in the API."""
        if payment_id is not None:
            payment = self.store.get("payment", payment_id)
            if payment is None:
                raise NotFoundError(payment_id)
            payment["IsReconciled"] = reconciled
            self.store.put("payment", payment_id, payment)
        elif reconciled:
            key = str(uuid.uuid4())
            body = {"BankTransactionID": key, "_account": code, "IsReconciled": True}
            self.store.put("banktransaction", key, body | {"_updated": self.now_ms()})

    def render_bank_transaction(self, body: Json) -> Json:
        """Money received, as far as exporters read it."""
        return {
            "BankTransactionID": body["BankTransactionID"],
            "Type": "RECEIVE",
            "Status": "AUTHORISED",
            "IsReconciled": body["IsReconciled"],
            "BankAccount": self._account_shown(body["_account"]),
        }

    def _account_shown(self, code: str) -> Json:
        account = self.store.get("account", code) or {}
        return {"AccountID": account.get("AccountID"), "Code": code}

    def delete_payment(self, key: str) -> Json:
        """Payments are never changed, only deleted."""
        body = self.store.get("payment", key)
        if body is None:
            raise NotFoundError(key)
        if body["Status"] == "DELETED":
            raise ElementError("Payment has already been deleted")
        body["Status"] = "DELETED"
        body["_updated"] = self.now_ms()
        self.store.put("payment", key, body)
        self.touch(body["_kind"], body["_document"])
        return body

    def allocate(self, source_kind: str, source_id: str, element: Json) -> Json:
        """Allocate a credit note or an overpayment to an invoice."""
        source = self.store.get(source_kind, source_id)
        if source is None:
            raise NotFoundError(source_id)
        wanted = element.get("Invoice") or {}
        try:
            key = wanted.get("InvoiceID") or wanted.get("InvoiceNumber")
            invoice = self.find_document("invoice", str(key))
        except NotFoundError:
            raise ElementError("The invoice to allocate to could not be found") from None
        amount = decimal_of(element.get("Amount"))
        if amount is None or amount <= 0:
            raise ElementError("Allocation amount must be greater than zero")
        if source["Status"] != "AUTHORISED" or invoice["Status"] != "AUTHORISED":
            raise ElementError("Only authorised documents can be allocated")
        if source["_contact"] != invoice["_contact"]:
            raise ElementError("The credit note and the invoice must have the same contact")
        if source["CurrencyCode"] != invoice["CurrencyCode"]:
            raise ElementError("The credit note and the invoice must have the same currency")
        if amount > self.remaining(source_kind, source):
            raise ElementError("Allocation amount exceeds the remaining credit")
        if amount > Decimal(invoice["Total"]) - self.settled("invoice", invoice):
            raise ElementError("Allocation amount exceeds the amount outstanding on the invoice")
        body = {
            "AllocationID": str(uuid.uuid4()),
            "Amount": cents(amount),
            "_date": (parse_date(element.get("Date")) or self.today()).isoformat(),
            "_source": source_id,
            "_source_kind": source_kind,
            "_invoice": invoice["InvoiceID"],
            "IsDeleted": False,
        }
        self.store.put("allocation", body["AllocationID"], body)
        self.touch("invoice", invoice["InvoiceID"])
        self.touch_source(source_kind, source_id)
        return body

    def touch_source(self, source_kind: str, source_id: str) -> None:
        """After an allocation changed: status of the note or overpayment it came from."""
        if source_kind == "creditnote":
            self.touch("creditnote", source_id)
            return
        body = self.store.get(source_kind, source_id)
        if body is not None:
            body["Status"] = "PAID" if self.remaining(source_kind, body) <= 0 else "AUTHORISED"
            body["_updated"] = self.now_ms()
            self.store.put(source_kind, source_id, body)

    def remaining(self, source_kind: str, source: Json) -> Decimal:
        """Unused credit of a credit note or overpayment."""
        if source_kind == "creditnote":
            return Decimal(source["Total"]) - self.settled("creditnote", source)
        used = self.allocations_from(source["OverpaymentID"])
        return Decimal(source["Total"]) - sum((Decimal(a["Amount"]) for a in used), ZERO)

    def delete_allocation(self, source_kind: str, source_id: str, key: str) -> Json:
        """Take an allocation back."""
        body = self.store.get("allocation", key)
        if body is None or body["_source"] != source_id or body["IsDeleted"]:
            raise NotFoundError(key)
        body["IsDeleted"] = True
        self.store.put("allocation", key, body)
        self.touch("invoice", body["_invoice"])
        self.touch_source(source_kind, source_id)
        return body

    # Attachments and history -------------------------------------------------------------------

    def attachments(self, document_id: str) -> list[Json]:
        """Files on one document."""
        return [a for a in self.store.all("attachment") if a["_document"] == document_id]

    def attach(
        self,
        kind: str,
        key: str,
        name: str,
        content: bytes,
        mime: str,
        *,
        online: bool,
        replace: bool,
    ) -> Json:
        """PUT adds a file; POST replaces the one of the same name."""
        document = self.find_document(kind, key)
        document_id = document[KINDS[kind][0]]
        present = self.attachments(document_id)
        same = next((a for a in present if a["FileName"] == name), None)
        if not content:
            raise bad_request("The attachment is empty")
        if len(content) > MAX_ATTACHMENT_BYTES:
            raise bad_request("The attachment exceeds 10 MB")
        if same is not None and replace:
            body = same
        else:
            if len(present) >= MAX_ATTACHMENTS:
                raise bad_request("A document can have at most 10 attachments")
            body = {"AttachmentID": str(uuid.uuid4()), "FileName": name, "_document": document_id}
        body.update(MimeType=mime, ContentLength=len(content), IncludeOnline=online)
        self.store.put("attachment", body["AttachmentID"], body)
        self.store.put_blob(body["AttachmentID"], content)
        return body

    def add_history(self, kind: str, key: str, details: str) -> Json:
        """A note in a document's history."""
        document = self.find_document(kind, key)
        if len(details) > 2500:
            raise ElementError("History note exceeds 2500 characters")
        body = {
            "_id": str(uuid.uuid4()),
            "_document": document[KINDS[kind][0]],
            "Details": details,
            "Changes": "Note",
            "_at": self.now_ms(),
        }
        self.store.put("history", body["_id"], body)
        return body

    def history(self, document_id: str) -> list[Json]:
        """Notes on one document."""
        return [h for h in self.store.all("history") if h["_document"] == document_id]

    # Answers -----------------------------------------------------------------------------------

    def render_payment(self, body: Json, *, nested: bool = False) -> Json:
        """A payment, alone or inside its document."""
        answer: Json = {
            "PaymentID": body["PaymentID"],
            "Date": ms_date(date.fromisoformat(body["_date"])),
            "Amount": body["Amount"],
            "Reference": body["Reference"],
            "CurrencyRate": Decimal("1.000000"),
            "HasAccount": body["_account"] is not None,
            "HasValidationErrors": False,
        }
        if nested:
            return answer
        answer.update(
            PaymentType=body["PaymentType"],
            Status=body["Status"],
            IsReconciled=body["IsReconciled"],
            BankAmount=body["Amount"],
            Account=self._account_shown(str(body["_account"])),
            UpdatedDateUTC=ms_instant(int(body["_updated"])),
        )
        document = self.store.get(body["_kind"], body["_document"])
        if document is not None:
            id_key, number_key, title = KINDS[body["_kind"]]
            answer[title.replace(" ", "")] = {
                id_key: document[id_key],
                number_key: document[number_key],
                "Type": document["Type"],
                "CurrencyCode": document["CurrencyCode"],
            }
        return answer

    def render_allocation(self, body: Json) -> Json:
        """An allocation as it stands on its credit note or overpayment."""
        invoice = self.store.get("invoice", body["_invoice"]) or {}
        return {
            "AllocationID": body["AllocationID"],
            "Amount": body["Amount"],
            "Date": ms_date(date.fromisoformat(body["_date"])),
            "Invoice": {
                "InvoiceID": body["_invoice"],
                "InvoiceNumber": invoice.get("InvoiceNumber"),
            },
            "IsDeleted": body["IsDeleted"],
        }

    def render_document(self, kind: str, body: Json, *, lines: bool) -> Json:
        """An invoice or credit note as Xero answers it; lists without page carry no lines."""
        id_key, number_key, _ = KINDS[kind]
        key = body[id_key]
        contact = self.store.get("contact", body["_contact"]) or {}
        payments = self.payments_of(key)
        paid = sum((Decimal(p["Amount"]) for p in payments), ZERO)
        answer: Json = {
            "Type": body["Type"],
            id_key: key,
            number_key: body[number_key],
            "Reference": body["Reference"],
            "Payments": [self.render_payment(p, nested=True) for p in payments],
        }
        if kind == "invoice":
            credited = self.allocations_to(key)
            notes = [a for a in credited if a["_source_kind"] == "creditnote"]
            over = [a for a in credited if a["_source_kind"] == "overpayment"]
            amount = sum((Decimal(a["Amount"]) for a in credited), ZERO)
            answer["CreditNotes"] = [
                {
                    "CreditNoteID": a["_source"],
                    "CreditNoteNumber": (self.store.get("creditnote", a["_source"]) or {}).get(
                        "CreditNoteNumber"
                    ),
                    "AppliedAmount": a["Amount"],
                    "Date": ms_date(date.fromisoformat(a["_date"])),
                }
                for a in notes
            ]
            answer["Prepayments"] = []
            answer["Overpayments"] = [
                {"OverpaymentID": a["_source"], "AppliedAmount": a["Amount"]} for a in over
            ]
            answer["AmountDue"] = (
                ZERO if body["Status"] in ("VOIDED", "DELETED") else body["Total"] - paid - amount
            )
            answer["AmountPaid"] = paid
            answer["AmountCredited"] = amount
            answer["SentToContact"] = body["SentToContact"]
        else:
            answer["ID"] = key
            answer["RemainingCredit"] = self.remaining("creditnote", body)
            answer["Allocations"] = [self.render_allocation(a) for a in self.allocations_from(key)]
        day = date.fromisoformat(body["_date"])
        answer |= {
            "CurrencyRate": Decimal("1.000000"),
            "IsDiscounted": False,
            "HasAttachments": bool(self.attachments(key)),
            "HasErrors": False,
            "Contact": {
                "ContactID": contact.get("ContactID", ZERO_ID),
                "Name": contact.get("Name", ""),
                "Addresses": [],
                "Phones": [],
                "ContactGroups": [],
                "ContactPersons": [],
                "HasValidationErrors": False,
            },
            "DateString": f"{day.isoformat()}T00:00:00",
            "Date": ms_date(day),
            "Status": body["Status"],
            "LineAmountTypes": body["LineAmountTypes"],
            "LineItems": body["LineItems"] if lines else [],
            "SubTotal": body["SubTotal"],
            "TotalTax": body["TotalTax"],
            "Total": body["Total"],
            "UpdatedDateUTC": ms_instant(int(body["_updated"])),
            "UpdatedDateUTCString": iso_instant(int(body["_updated"])) + "Z",
            "CurrencyCode": body["CurrencyCode"],
        }
        if contact.get("ContactNumber"):
            answer["Contact"]["ContactNumber"] = contact["ContactNumber"]
        if body.get("_due"):
            due = date.fromisoformat(body["_due"])
            answer["DueDateString"] = f"{due.isoformat()}T00:00:00"
            answer["DueDate"] = ms_date(due)
        if body.get("_paid_on"):
            answer["FullyPaidOnDate"] = ms_date(date.fromisoformat(body["_paid_on"]))
        for name in ("Url", "BrandingThemeID"):
            if body.get(name):
                answer[name] = body[name]
        if lines and answer["HasAttachments"]:
            answer["Attachments"] = [self.render_attachment(a, "") for a in self.attachments(key)]
        return answer

    def render_attachment(self, body: Json, base: str) -> Json:
        """A file's description."""
        answer = {k: v for k, v in body.items() if not k.startswith("_")}
        answer["Url"] = f"{base}/{body['FileName']}"
        return answer

    def refused(self, element: Json, error: ElementError, id_key: str) -> Json:
        """The element of a batch answer that tells why one was refused."""
        answer: Json = {k: v for k, v in element.items() if not k.startswith("_")}
        answer.setdefault(id_key, ZERO_ID)
        answer |= {
            "HasErrors": True,
            "StatusAttributeString": "ERROR",
            "ValidationErrors": [{"Message": m} for m in error.messages],
        }
        return answer

    # The human ---------------------------------------------------------------------------------

    def human_pay(
        self, number: str, *, amount: Decimal | None, on: date | None, reference: str
    ) -> Json:
        """Pay all that is due, a part, or more (the excess becomes an overpayment)."""
        invoice = self.find_document("invoice", number)
        due = Decimal(invoice["Total"]) - self.settled("invoice", invoice)
        wanted = due if amount is None else amount
        day = on or self.today()
        if invoice["Status"] != "AUTHORISED":
            raise ElementError(f"{number} is {invoice['Status']} and cannot be paid")
        payment = self.save_payment(
            {
                "Invoice": {"InvoiceID": invoice["InvoiceID"]},
                "Account": {"Code": "090"},
                "Amount": min(due, wanted),
                "Date": day.isoformat(),
                "Reference": reference,
            }
        )
        if wanted > due:
            key = str(uuid.uuid4())
            self.store.put(
                "overpayment",
                key,
                {
                    "OverpaymentID": key,
                    "Type": "RECEIVE-OVERPAYMENT",
                    "Status": "AUTHORISED",
                    "_contact": invoice["_contact"],
                    "CurrencyCode": invoice["CurrencyCode"],
                    "Total": cents(wanted - due),
                    "_date": day.isoformat(),
                    "_updated": self.now_ms(),
                },
            )
        return payment

    def human_edit(self, kind: str, number: str, changes: Json) -> Json:
        """A person edits a document on screen; `LineItems` items are merged by position."""
        body = self.find_document(kind, number)
        changes = dict(changes)
        if "LineItems" in changes:
            merged: list[Json] = []
            for index, change in enumerate(changes["LineItems"]):
                old = body["LineItems"][index] if index < len(body["LineItems"]) else {}
                line = {
                    k: v
                    for k, v in {**old, **change}.items()
                    if k not in ("LineAmount", "TaxAmount") or k in change
                }
                merged.append(line)
            changes["LineItems"] = merged
        changes[KINDS[kind][0]] = body[KINDS[kind][0]]
        return self.save_document(kind, changes, create=False, unitdp=4)


def page_of(items: Iterable[Json], page: int, size: int) -> tuple[list[Json], Json]:
    """One page and Xero's pagination object."""
    every = list(items)
    pages = -(-len(every) // size)
    chosen = every[(page - 1) * size : page * size]
    about: dict[str, Any] = {
        "page": page,
        "pageSize": size,
        "pageCount": pages,
        "itemCount": len(every),
    }
    return chosen, about
