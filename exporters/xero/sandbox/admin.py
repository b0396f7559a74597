"""The admin side of the local Xero: the person in Xero, and the one who breaks things on purpose.

Each public method of `Admin` is one action of `/_admin/<action>`, with its JSON members as
arguments. The pages' forms call the same methods. The real Xero has no such thing.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from exporters.xero.sandbox.errors import NotFoundError
from exporters.xero.sandbox.gate import Fault
from exporters.xero.sandbox.organisation import KINDS
from exporters.xero.sandbox.seed import Seed, add_tracking, apply_seed, bank_account, tax_rate
from exporters.xero.sandbox.wire import Json

if TYPE_CHECKING:
    from exporters.xero.sandbox.app import LocalXero


class Admin:
    """What people do to one local Xero, inside the caller's store transaction."""

    def __init__(self, xero: LocalXero) -> None:
        self._xero = xero
        self._org, self._store = xero.org, xero.store

    def run(self, action: str, wanted: Json) -> object:
        """Do an action by its name in an address; its answer. Raises NotFoundError for others."""
        name = action.replace("-", "_")
        if name not in ACTIONS:
            raise NotFoundError(action)
        return getattr(self, name)(**wanted)

    def health(self) -> Json:
        """Which organisation this is, and its time."""
        return {
            "tenant_id": self._org.settings()["OrganisationID"],
            "now": self._xero.now().isoformat(),
        }

    def state(self) -> Json:
        """Everything in the organisation, as Xero would answer it."""
        return {
            "contacts": [self._org.render_contact(c) for c in self._store.all("contact")],
            "invoices": [
                self._org.render_document("invoice", d, lines=True)
                for d in self._store.all("invoice")
            ],
            "credit_notes": [
                self._org.render_document("creditnote", d, lines=True)
                for d in self._store.all("creditnote")
            ],
            "payments": [self._org.render_payment(p) for p in self._store.all("payment")],
            "overpayments": [
                self._xero.api.render_overpayment(o) for o in self._store.all("overpayment")
            ],
            "attachments": [
                {"document": a["_document"], **self._org.render_attachment(a, "")}
                for a in self._store.all("attachment")
            ],
            "history": [
                {"document": h["_document"], "details": h["Details"]}
                for h in self._store.all("history")
            ],
        }

    def requests(self, *, clear: bool = False) -> list[Json]:
        """The API requests so far, oldest first."""
        kept = list(self._xero.requests)
        if clear:
            self._xero.requests.clear()
        return kept

    def seed(self, **content: Any) -> None:
        """Add what a seed asks for and the organisation has not."""
        known = {k: v for k, v in content.items() if k in Seed.__dataclass_fields__}
        if "tax_types" in known:
            known["tax_types"] = {k: Decimal(str(v)) for k, v in known["tax_types"].items()}
        apply_seed(self._store, Seed(**known))

    def tracking(self, *, name: str, options: list[str]) -> None:
        """Add a tracking category and its options."""
        add_tracking(self._store, name, options)

    def tax_rate(self, *, tax_type: str, percent: str) -> None:
        """Set the percentage of a tax type."""
        self._store.put("taxrate", tax_type, tax_rate(tax_type, Decimal(percent)))

    def deactivate(self, *, kind: str, key: str) -> None:
        """Archive an account, tax rate or tracking category."""
        body = self._store.get(kind, key)
        if body is None:
            raise NotFoundError(key)
        body["Status"] = "ARCHIVED"
        self._store.put(kind, key, body)

    def remove_currency(self, *, code: str) -> None:
        """End the subscription to a currency."""
        self._store.delete("currency", code)

    def allocate(self, *, overpayment: str, invoice: str, amount: str | Decimal) -> Json:
        """Set an overpayment against an invoice."""
        element = {"Invoice": {"InvoiceNumber": invoice}, "Amount": Decimal(amount)}
        return self._org.render_allocation(self._org.allocate("overpayment", overpayment, element))

    def webhook(self, *, url: str, key: str) -> Json:
        """Send webhooks to `url`, signed with `key`."""
        return {"intent_to_receive": self._xero.hooks.to(url, key)}

    def reminders(self, *, enabled: bool) -> None:
        """Switch Xero's own invoice reminders."""
        body = self._org.settings()
        body["_reminders"] = enabled
        self._store.put("organisation", "organisation", body)

    def lock(self, *, until: str | None) -> None:
        """Lock the books up to an ISO date; None unlocks them."""
        body = self._org.settings()
        body["_period_lock"] = until
        self._store.put("organisation", "organisation", body)

    def advance(self, *, seconds: float) -> Json:
        """Move the server's clock."""
        self._xero.offset += timedelta(seconds=float(seconds))
        return {"now": self._xero.now().isoformat()}

    def limits(self, *, minute: int | None = None, day: int | None = None) -> None:
        """Set the limits of calls."""
        self._xero.limits.minute = self._xero.limits.minute if minute is None else minute
        self._xero.limits.day = self._xero.limits.day if day is None else day

    def refuse_numbers(self, *, numbers: list[str]) -> None:
        """Refuse documents with these numbers."""
        self._xero.api.refused_numbers = frozenset(numbers)

    def use_up_day(self) -> None:
        """Leave no call for today."""
        self._xero.limits.use_up_day(self._xero.now())

    def expire_tokens(self) -> None:
        """Let every access token expire."""
        self._xero.tokens.expire_all()

    def refresh_token(self, *, client_id: str, scope: str = "") -> Json:
        """A refresh token of an app; without `scope` it opens everything."""
        token = self._xero.tokens.new_refresh(client_id, self._xero.now(), scope=scope)
        return {"refresh_token": token}

    def fault(self, **content: Any) -> None:
        """Arm a fault; see `gate.Fault`."""
        known = dict(content)
        if "seconds" in known:
            known["seconds"] = float(known["seconds"])
        self._xero.faults.append(Fault(**known))

    def clear_faults(self) -> None:
        """Disarm every fault."""
        self._xero.faults.clear()

    def pay(
        self,
        *,
        number: str,
        amount: str | None = None,
        on: str | None = None,
        reference: str = "Bank transfer",
    ) -> Json:
        """Pay all that is due, a part (`amount`), or more; `on` is an ISO date."""
        payment = self._org.human_pay(
            number,
            amount=None if amount is None else Decimal(amount),
            on=None if on is None else date.fromisoformat(on),
            reference=reference,
        )
        return self._org.render_payment(payment)

    def account(self, *, code: str, **changes: Any) -> None:
        """Add a bank account or change it."""
        account = self._store.get("account", code) or bank_account(code)
        self._store.put("account", code, {**account, **changes})

    def import_bank_line(
        self, *, code: str, payment_id: str | None = None, reconciled: bool = True
    ) -> None:
        """A line of the bank's feed comes in."""
        self._org.human_imports(code, payment_id=payment_id, reconciled=reconciled)

    def reverse_payment(self, *, payment_id: str) -> Json:
        """Take a payment back."""
        return self._org.render_payment(self._org.delete_payment(payment_id))

    def create(self, *, kind: str = "invoice", element: Json) -> Json:
        """Create a document by hand."""
        body = self._org.save_document(kind, element, create=True, unitdp=4)
        return self._org.render_document(kind, body, lines=True)

    def edit(self, *, number: str, changes: Json, kind: str = "invoice") -> Json:
        """Edit a document on screen; `LineItems` are merged by position."""
        body = self._org.human_edit(kind, number, changes)
        return self._org.render_document(kind, body, lines=True)

    def void(self, *, number: str, kind: str = "invoice") -> Json:
        """Void an approved document."""
        return self.edit(number=number, changes={"Status": "VOIDED"}, kind=kind)

    def delete_draft(self, *, number: str, kind: str = "invoice") -> Json:
        """Delete a draft, which frees its number."""
        return self.edit(number=number, changes={"Status": "DELETED"}, kind=kind)

    def contact(self, *, element: Json) -> Json:
        """Create or edit a contact."""
        return self._org.render_contact(self._org.save_contact(element, create=False))

    def archive_contact(self, *, contact: str) -> Json:
        """Archive a contact, by id or number."""
        body = self._org.find_contact(contact)
        body["ContactStatus"] = "ARCHIVED"
        body["_updated"] = self._org.now_ms()
        self._store.put("contact", body["ContactID"], body)
        return self._org.render_contact(body)

    def rename_contact(self, *, contact: str, name: str) -> Json:
        """Give a contact another name."""
        body = self._org.find_contact(contact)
        return self.contact(element={"ContactID": body["ContactID"], "Name": name})

    def merge_contact(self, *, contact: str, into: str) -> Json:
        """Merge a contact into another, which takes its documents over."""
        body, target = self._org.find_contact(contact), self._org.find_contact(into)
        body["ContactStatus"] = "ARCHIVED"
        body["MergedToContactID"] = target["ContactID"]
        body["_updated"] = self._org.now_ms()
        self._store.put("contact", body["ContactID"], body)
        for kind in KINDS:
            for document in self._store.all(kind):
                if document["_contact"] == body["ContactID"]:
                    document["_contact"] = target["ContactID"]
                    self._store.put(kind, document[KINDS[kind][0]], document)
        return self._org.render_contact(body)


ACTIONS = frozenset(name for name in vars(Admin) if not name.startswith("_")) - {"run"}
