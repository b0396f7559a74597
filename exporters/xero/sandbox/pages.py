"""The local Xero's pages: what a customer sees of an invoice, a list of all, and forms that play
the bookkeeper. Texts come from outside: the templates escape them.
"""

from __future__ import annotations

import hmac
import secrets
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from exporters.xero.sandbox.errors import ElementError
from exporters.xero.sandbox.organisation import KINDS, Organisation
from exporters.xero.sandbox.store import Store
from exporters.xero.sandbox.wire import Json

LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")
_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
)
_TEMPLATES.filters["money"] = lambda value: f"{Decimal(value):,.2f}"


class Pages:
    """Pages of one organisation. token: what its forms carry, so that no other site can post."""

    def __init__(self, store: Store, org: Organisation) -> None:
        self._store, self._org = store, org
        self.token = secrets.token_urlsafe(16)

    def may_post(self, host: str, form: dict[str, str]) -> bool:
        """Whether a form of ours was sent, from this machine."""
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        return name in LOOPBACK and hmac.compare_digest(form.get("token", ""), self.token)

    def front(self, problem: str = "") -> str:
        """All documents, newest first."""
        shown = [self._document(kind, body) for kind in KINDS for body in self._store.all(kind)]
        outstanding: dict[str, Decimal] = {}
        for document in shown:
            if document["status"] == "AUTHORISED":
                due = -document["due"] if document["credit"] else document["due"]
                currency = document["currency"]
                outstanding[currency] = outstanding.get(currency, Decimal(0)) + due
        settings = self._org.settings()
        return self._page(
            "front.html",
            problem,
            documents=sorted(shown, key=lambda d: (d["date"], d["number"]), reverse=True),
            open=outstanding,
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
            problem=problem,
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
        return {
            "kind": title.capitalize(),
            "api_kind": kind,
            "credit": kind == "creditnote",
            "number": shown[number_key],
            "address": address,
            "contact": shown["Contact"]["Name"],
            "date": shown["DateString"][:10],
            "due_date": shown.get("DueDateString", "")[:10],
            "reference": shown["Reference"],
            "status": shown["Status"],
            "currency": shown["CurrencyCode"],
            "subtotal": shown["SubTotal"],
            "tax": shown["TotalTax"],
            "total": shown["Total"],
            "due": due,
            "can_be_paid": kind == "invoice" and shown["Status"] == "AUTHORISED" and due > 0,
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
            "credits": self._credits(kind, shown),
            "files": [
                {
                    "name": file["FileName"],
                    "size": f"{-(-file['ContentLength'] // 1024)} kB",
                    "address": f"{address}/files/{quote(file['FileName'], safe='')}",
                }
                for file in self._org.attachments(shown[id_key])
            ],
        }

    def _credits(self, kind: str, shown: Json) -> list[dict[str, Any]]:
        if kind == "creditnote":
            return [
                {"words": f"Set against {a['Invoice']['InvoiceNumber']}", "amount": a["Amount"]}
                for a in shown["Allocations"]
                if not a["IsDeleted"]
            ]
        notes = [
            {"words": f"Credit note {n['CreditNoteNumber']}", "amount": n["AppliedAmount"]}
            for n in shown["CreditNotes"]
        ]
        over = [
            {"words": "Earlier overpayment", "amount": o["AppliedAmount"]}
            for o in shown["Overpayments"]
        ]
        return notes + over


def _line(line: Json) -> dict[str, Any]:
    first, *rest = str(line["Description"]).split("\n")
    return {
        "first": first,
        "rest": rest,
        "quantity": f"{Decimal(line['Quantity']).normalize():f}",
        "unit_amount": f"{Decimal(line['UnitAmount']):f}",
        "tax": line["TaxAmount"],
        "amount": line["LineAmount"],
    }


def human_arguments(action: str, form: dict[str, str]) -> tuple[str, Json]:
    """The admin action and its arguments that a form of a page means. Raises ElementError for what
    cannot be read."""
    given = {name: value.strip() for name, value in form.items() if name != "token"}
    if action == "pay":
        amount = given.get("amount", "")
        wanted: Json = {
            "number": given.get("number", ""),
            "amount": _amount(amount) if amount else None,
        }
        return action, wanted | {
            "on": given.get("on") or None,
            "reference": given.get("reference", ""),
        }
    if action == "lock":
        return action, {"until": given.get("until") or None}
    if action == "reminders":
        return action, {"enabled": bool(given.get("enabled"))}
    if action == "edit-price":
        index = int(given["line"]) if given.get("line", "").isdecimal() else 0
        if index < 1:
            raise ElementError(f"{given.get('line')!r} is no number of a line")
        lines: list[Json] = [{} for _ in range(index - 1)]
        lines.append({"UnitAmount": Decimal(_amount(given.get("unit_amount", "")))})
        return "edit", {
            "number": given.get("number", ""),
            "kind": given.get("kind", "invoice"),
            "changes": {"LineItems": lines},
        }
    known = {
        "void": ("number", "kind"),
        "reverse-payment": ("payment_id",),
        "archive-contact": ("contact",),
    }
    if action not in known:
        raise ElementError(f"there is no action {action!r}")
    return action, {name: given.get(name, "") for name in known[action]}


def _amount(text: str) -> str:
    try:
        amount = Decimal(text.replace(",", ""))
    except InvalidOperation:
        raise ElementError(f"{text!r} is no amount") from None
    if not amount.is_finite():
        raise ElementError(f"{text!r} is no amount")
    return str(amount)
