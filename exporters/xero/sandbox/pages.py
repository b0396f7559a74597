"""The local Xero's pages: what a customer sees of an invoice, a list of all, and forms that play
the bookkeeper. Texts come from outside: the templates escape them.
"""

from __future__ import annotations

import hmac
import re
import secrets
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from exporters.xero.sandbox.errors import ElementError
from exporters.xero.sandbox.organisation import KINDS, Organisation
from exporters.xero.sandbox.store import Store
from exporters.xero.sandbox.wire import Json

LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")
# Nothing from elsewhere, and no script at all: what a text holds stays text.
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_BIDI: Final = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_KEPT_PROBLEMS: Final = 100
_PURCHASES: Final = {"ACCPAY": "Bill", "ACCPAYCREDIT": "Supplier credit note"}
_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
)
_TEMPLATES.filters["money"] = lambda value: f"{Decimal(value):,.2f}"
_TEMPLATES.filters["plain"] = lambda text: _BIDI.sub("", str(text))


class Pages:
    """Pages of one organisation. token: what its forms carry, so that no other site can post."""

    def __init__(self, store: Store, org: Organisation) -> None:
        self._store, self._org = store, org
        self.token = secrets.token_urlsafe(16)
        self._problems: dict[str, str] = {}

    def may_post(self, host: str, form: dict[str, str]) -> bool:
        """Whether a form of ours was sent, from this machine."""
        given = form.get("token", "").encode()
        return on_loopback(host) and hmac.compare_digest(given, self.token.encode())

    def may_pay(self, host: str, origin: str | None) -> bool:
        """Whether a customer pressed Pay: on this machine, and not on a page from elsewhere. The
        address of the page is the secret, as with Xero's."""
        return on_loopback(host) and (origin is None or urlsplit(origin).netloc == host)

    def keep_problem(self, text: str) -> str:
        """Keep words for the page that is shown next; the key to them. An address that held the
        words themselves would let others put words on our pages."""
        key = secrets.token_urlsafe(8)
        self._problems[key] = text
        while len(self._problems) > _KEPT_PROBLEMS:
            del self._problems[next(iter(self._problems))]
        return key

    def front(self, problem: str = "") -> str:
        """All documents, newest first. problem: a key of `keep_problem`."""
        rows = [
            (body["_date"], body["_seq"], self._document(kind, body))
            for kind in KINDS
            for body in self._store.all(kind)
        ]
        shown = [row[2] for row in sorted(rows, key=lambda row: row[:2], reverse=True)]
        totals: dict[str, dict[str, Decimal]] = {"outstanding": {}, "overdue": {}, "unused": {}}
        for document in shown:
            if document["status"] != "AUTHORISED" or document["purchase"]:
                continue
            names = ["unused"] if document["credit"] else ["outstanding"]
            names += ["overdue"] if document["overdue"] else []
            for name in names:
                by_currency = totals[name]
                currency = document["currency"]
                by_currency[currency] = by_currency.get(currency, Decimal(0)) + document["due"]
        for over in self._store.all("overpayment"):
            left, currency = self._org.remaining("overpayment", over), over["CurrencyCode"]
            if left > 0:
                totals["unused"][currency] = totals["unused"].get(currency, Decimal(0)) + left
        settings = self._org.settings()
        return self._page(
            "front.html",
            problem,
            documents=shown,
            totals=totals,
            contacts=sorted(
                (c["Name"], c["ContactID"])
                for c in self._store.all("contact")
                if c["ContactStatus"] == "ACTIVE"
            ),
            locked=settings.get("_period_lock"),
            reminders=bool(settings.get("_reminders")),
        )

    def document(self, kind: str, body: Json, problem: str = "") -> str:
        """One invoice or credit note."""
        return self._page("document.html", problem, d=self._document(kind, body))

    def address(self, kind: str, body: Json) -> str:
        """Where a document's page is; an invoice's is where customers are sent to pay."""
        if body.get("_online"):
            return f"/online/{body['_online']}"
        return f"/document/{kind}/{body[KINDS[kind][0]]}"

    def _page(self, template: str, problem: str, **content: Any) -> str:
        return _TEMPLATES.get_template(template).render(
            organisation=self._org.settings(),
            problem=self._problems.get(problem, ""),
            token_field=Markup('<input type="hidden" name="token" value="{}">').format(self.token),
            **content,
        )

    def _document(self, kind: str, body: Json) -> dict[str, Any]:
        shown = self._org.render_document(kind, body, lines=True)
        id_key, number_key, title = KINDS[kind]
        address = self.address(kind, body)
        due = Decimal(str(shown.get("AmountDue", shown.get("RemainingCredit"))))
        if shown["Status"] in ("VOIDED", "DELETED"):
            due = Decimal(0)
        contact = self._store.get("contact", body["_contact"]) or {}
        is_open = shown["Status"] == "AUTHORISED"
        due_date = shown.get("DueDateString", "")[:10]
        base = f"/document/{kind}/{shown[id_key]}"
        return {
            "id": shown[id_key],
            "purchase": shown["Type"] in _PURCHASES,
            "overdue": is_open
            and due > 0
            and bool(due_date)
            and due_date < self._org.today().isoformat(),
            "today": self._org.today().isoformat(),
            "payer_lines": _address(contact),
            "payer_tax_number": contact.get("TaxNumber") or "",
            "tax_included": shown["LineAmountTypes"] == "Inclusive",
            "settled": Decimal(shown["Total"]) - due if is_open or shown["Status"] == "PAID" else 0,
            "kind": _PURCHASES.get(shown["Type"], title.capitalize()),
            "api_kind": kind,
            "credit": kind == "creditnote",
            "number": shown[number_key],
            "address": address,
            "contact": shown["Contact"]["Name"],
            "date": shown["DateString"][:10],
            "due_date": due_date,
            "reference": shown["Reference"],
            "status": shown["Status"],
            "currency": shown["CurrencyCode"],
            "subtotal": shown["SubTotal"],
            "tax": shown["TotalTax"],
            "total": shown["Total"],
            "due": due,
            "can_be_paid": kind == "invoice" and is_open and due > 0,
            "lines": [_line(line) for line in shown["LineItems"]],
            "payments": [
                {
                    "id": payment["PaymentID"],
                    "amount": payment["Amount"],
                    "date": payment["_date"],
                    "reference": payment["Reference"] or "",
                }
                for payment in self._org.payments_of(shown[id_key])
            ],
            "credits": self._credits(kind, shown[id_key]),
            "files": [
                {
                    "name": file["FileName"],
                    "size": f"{-(-file['ContentLength'] // 1024)} kB",
                    "online": bool(file["IncludeOnline"]),
                    "address": f"{address if file['IncludeOnline'] else base}"
                    f"/files/{file['AttachmentID']}",
                }
                for file in self._org.attachments(shown[id_key])
            ],
        }

    def _credits(self, kind: str, key: str) -> list[dict[str, Any]]:
        """What was set against a document, or what a credit note was set against."""
        if kind == "creditnote":
            found = [
                (a, "Set against", self._store.get("invoice", a["_invoice"]), "invoice")
                for a in self._org.allocations_from(key)
            ]
        else:
            found = [
                (
                    a,
                    "Credit note" if a["_source_kind"] == "creditnote" else "Earlier overpayment",
                    self._store.get("creditnote", a["_source"]),
                    "creditnote",
                )
                for a in self._org.allocations_to(key)
            ]
        return [
            {
                "words": words,
                "number": (other or {}).get(KINDS[other_kind][1], ""),
                "reference": (other or {}).get("Reference", ""),
                "address": self.address(other_kind, other) if other else "",
                "date": allocation["_date"],
                "amount": allocation["Amount"],
            }
            for allocation, words, other, other_kind in found
        ]

    def arguments(self, action: str, form: dict[str, str]) -> tuple[str, Json]:
        """The admin action and its arguments that a form of a page means. Raises ElementError for
        what cannot be read, NotFoundError where the document is not there."""
        given = {name: value.strip() for name, value in form.items() if name != "token"}
        if given.get("kind", "invoice") not in KINDS:
            raise ElementError(f"{given['kind']!r} is no kind of document")
        if action == "pay":
            amount, on = given.get("amount", ""), given.get("on", "")
            return action, {
                "number": given.get("number", ""),
                "amount": _amount(amount, decimals=2) if amount else None,
                "on": _day(on) if on else None,
                "reference": given.get("reference", ""),
            }
        if action == "lock":
            until = given.get("until", "")
            return action, {"until": _day(until) if until else None}
        if action == "reminders":
            return action, {"enabled": bool(given.get("enabled"))}
        if action == "edit-price":
            return "edit", self._price(given)
        known = {
            "void": ("number", "kind"),
            "reverse-payment": ("payment_id",),
            "archive-contact": ("contact",),
        }
        if action not in known:
            raise ElementError(f"there is no action {action!r}")
        return action, {name: given.get(name, "") for name in known[action]}

    def _price(self, given: dict[str, str]) -> Json:
        """The edit that gives one line another unit price and leaves all others as they are."""
        kind, number = given.get("kind", "invoice"), given.get("number", "")
        document = self._org.find_document(kind, number)
        text = given.get("line", "")
        index = int(text) if re.fullmatch(r"[0-9]{1,4}", text) else 0
        if not 1 <= index <= len(document["LineItems"]):
            raise ElementError(f"{text!r} is no number of a line")
        price = Decimal(_amount(given.get("unit_amount", ""), decimals=4))
        # An edit says all lines: what it leaves out, a line or the tax of one, would be lost.
        lines: list[Json] = [{"TaxAmount": line["TaxAmount"]} for line in document["LineItems"]]
        lines[index - 1] = {"UnitAmount": price}
        return {"number": number, "kind": kind, "changes": {"LineItems": lines}}


def on_loopback(host: str) -> bool:
    """Whether a Host header names this machine."""
    return re.sub(r":[0-9]+$", "", host).lower() in LOOPBACK


def way_back(referer: str) -> str:
    """The page of ours that a form was on; the front page when it is not said."""
    path = urlsplit(referer).path
    return path if re.match(r"/(online|document)/[\w/-]+$", path, re.ASCII) else "/"


def _address(contact: Json) -> list[str]:
    for place in contact.get("Addresses") or []:
        town = " ".join(str(place[k]) for k in ("PostalCode", "City") if place.get(k))
        names = ("AddressLine1", "AddressLine2")
        lines = [*(str(place.get(n) or "") for n in names), town, str(place.get("Country") or "")]
        return [line for line in lines if line]
    return []


def _line(line: Json) -> dict[str, Any]:
    first, *rest = str(line["Description"]).split("\n")
    return {
        "first": first,
        "rest": rest,
        "quantity": f"{Decimal(line['Quantity']).normalize():,f}",
        "unit_amount": _unit_amount(Decimal(line["UnitAmount"])),
        "tax": line["TaxAmount"],
        "amount": line["LineAmount"],
    }


def _unit_amount(value: Decimal) -> str:
    """At least two decimals, more where they say something."""
    places = -int(value.normalize().as_tuple().exponent)
    return f"{value:,.{max(2, places)}f}"


def _amount(text: str, *, decimals: int) -> str:
    """A number as people type it. A comma stands only between thousands of a number with a point:
    in `12,50` it would mean one thing to some and another to others."""
    plain = text
    if re.fullmatch(r"-?[0-9]{1,3}(,[0-9]{3})+\.[0-9]+", text):
        plain = text.replace(",", "")
    if not re.fullmatch(rf"-?[0-9]{{1,12}}(\.[0-9]{{1,{decimals}}})?", plain):
        raise ElementError(
            f"{text!r} is no amount: write it with a point and at most {decimals} decimals, "
            "such as 1234.50"
        )
    return plain


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise ElementError(f"{text!r} is no date such as 2026-10-31") from None
