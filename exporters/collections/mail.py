"""The messages themselves: from a planned message to the bytes of a mail, text and HTML.

Texts are in `texts/<language>.yml`, by the template that a dunning stage names; the frame around
them is in `templates/`. Nothing is sent here. The same message, sender and instant give the same
bytes, and a message's id follows from payer, day and address, so it can be recognised again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from babel.numbers import get_currency_precision
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from exporters.collections.addresses import domain_of, is_address
from exporters.collections.model import Escalation, Message, OverdueInvoice
from exporters.statements.formats import Formats, formats_for, language_of
from exporters.statements.text import one_line, web_link

_HERE = Path(__file__).parent
FALLBACK_ADDRESS = "billing@localhost"
_SETTLED_NAME_LENGTH = 120


@dataclass(frozen=True, kw_only=True)
class Sender:
    """The seller in whose name a message goes out; `bank` is its account per currency, in one
    line."""

    name: str
    email: str | None = None
    lines: tuple[str, ...] = ()
    bank: Mapping[str, str] | None = None

    @property
    def address(self) -> str:
        return self.email if self.email and is_address(self.email) else FALLBACK_ADDRESS


@dataclass(frozen=True, kw_only=True)
class Mail:
    """A mail ready to go: `recipients` are the envelope's (To and Cc), `content` its bytes."""

    message_id: str
    sender: str
    recipients: tuple[str, ...]
    subject: str
    content: bytes


def message_id_for(*, payer_id: str, day: date, recipient: str, domain: str) -> str:
    """The id of the one message to `payer_id` at `recipient` on `day`, without angle brackets."""
    seed = "\n".join(("reminder", payer_id, day.isoformat(), recipient))
    return f"m2c.{hashlib.sha256(seed.encode()).hexdigest()[:32]}@{domain}"


def escalation_id_for(*, payer_id: str, address: str, domain: str) -> str:
    """The id of the one message that says that mail to `address` does not get through."""
    seed = "\n".join(("unreachable", payer_id, address))
    return f"m2c.{hashlib.sha256(seed.encode()).hexdigest()[:32]}@{domain}"


def template_names() -> frozenset[str]:
    """The texts there are, by the name that a dunning stage uses."""
    return frozenset(_texts("en")["templates"])


def languages() -> frozenset[str]:
    """The languages there are texts in."""
    return frozenset(path.stem for path in (_HERE / "texts").glob("*.yml"))


def notice_names() -> dict[str, frozenset[str]]:
    """The templates by the name of the notice that a message shows beside each invoice, in any
    language."""
    found: dict[str, set[str]] = {}
    for language in languages():
        for template, words in _texts(language)["templates"].items():
            found.setdefault(words["name"], set()).add(template)
    return {name: frozenset(templates) for name, templates in found.items()}


def compose(message: Message, *, sender: Sender, message_id: str, now: datetime) -> Mail:
    """The mail of a planned message, dated `now`."""
    language = language_of(message.payer.language, languages())
    formats = formats_for(message.payer.language if language != "en" else None)
    texts = _texts(language)
    template = message.stage.template or message.stage.stage
    words = texts["templates"].get(template) or _texts("en")["templates"][template]
    filling = {
        "count": len(message.invoices),
        "first_number": one_line(message.invoices[0].receivable.statement_number),
        "name": one_line(message.payer.name),
    }
    subject = words["subject_one" if len(message.invoices) == 1 else "subject_many"].format_map(
        filling
    )
    labels = texts["labels"]
    money = _Money(formats=formats, currency=message.currency)
    context = {
        "lang": language,
        "subject": subject,
        "title": words["name"],
        "labels": labels,
        "greeting": labels["greeting"].format_map(filling),
        "opening": [text.format_map(filling) for text in words["opening"]],
        "closing": [text.format_map(filling) for text in words["closing"]],
        "rows": [_row(invoice, texts, formats, money) for invoice in message.invoices],
        "overdue": money(message.overdue),
        "credit": money(message.credit) if message.credit else None,
        "to_pay": money(message.to_pay),
        "bank": one_line((sender.bank or {}).get(message.currency)),
        "sender_name": one_line(sender.name),
        "sender_lines": [one_line(line) for line in sender.lines if line],
    }
    copies = _copies(message, sender)
    return _assemble(
        sender=sender,
        to=_address(message.payer.name, message.payer.email),
        copies=copies,
        subject=subject,
        message_id=message_id,
        now=now,
        text=_render("reminder.txt", context),
        html=_render("reminder.html", context),
    )


def compose_escalation(
    escalation: Escalation, *, sender: Sender, message_id: str, now: datetime
) -> Mail:
    """The mail that asks the responsible person for a payer's right address."""
    words = _texts("en")["escalation"]
    formats = formats_for("en")
    filling = {
        "payer_id": escalation.payer.payer_id,
        "name": one_line(escalation.payer.name),
        "address": one_line(escalation.address),
    }
    lines = [text.format_map(filling) for text in words["body"]]
    lines += [
        f"  {one_line(i.receivable.statement_number)}: "
        f"{_Money(formats=formats, currency=i.receivable.currency)(i.receivable.amount_due)},"
        f" {i.days_overdue} days"
        for i in escalation.invoices
    ]
    return _assemble(
        sender=sender,
        to=role_address(escalation.responsible, sender),
        copies=(),
        subject=words["subject"].format_map(filling),
        message_id=message_id,
        now=now,
        text="\n\n".join(lines[:2]) + "\n\n" + "\n".join(lines[2:]) + "\n",
        html=None,
    )


def role_address(role: str, sender: Sender) -> Address:
    """Where mail for a role of the policy (`billing`, `head_of_finance`) goes: a role that is an
    address is that address; any other is named at the seller's address."""
    if is_address(role):
        return Address(addr_spec=role)
    return _address(role, sender.address)


@dataclass(frozen=True, kw_only=True)
class _Money:
    formats: Formats
    currency: str

    def __call__(self, value: Decimal) -> str:
        digits = get_currency_precision(self.currency)
        return f"{self.currency}\u00a0{self.formats.amount(value, minor_units=digits)}"


def _row(
    invoice: OverdueInvoice, texts: Mapping[str, Any], formats: Formats, money: _Money
) -> dict[str, object]:
    receivable = invoice.receivable
    notice = None
    if invoice.stage is not None:
        notice = invoice.stage.template or invoice.stage.stage
    elif invoice.last_stage:
        notice = invoice.last_stage
    known = texts["templates"].get(notice) if notice else None
    return {
        "number": one_line(receivable.statement_number),
        "due_date": formats.short_day(receivable.due_date),
        "days_overdue": invoice.days_overdue,
        "amount_due": money(receivable.amount_due),
        "link": web_link(receivable.online_url),
        "notice": known["name"] if known else None,
    }


def _copies(message: Message, sender: Sender) -> tuple[Address, ...]:
    found: dict[str, Address] = {}
    for invoice in message.firing:
        for role in invoice.stage.copy_to if invoice.stage else ():
            address = role_address(role, sender)
            if address.addr_spec not in (message.payer.email, FALLBACK_ADDRESS):
                found.setdefault(address.addr_spec, address)
    return tuple(found.values())


def _address(name: str, addr_spec: str) -> Address:
    return Address(display_name=one_line(name)[:_SETTLED_NAME_LENGTH], addr_spec=addr_spec)


def _assemble(
    *,
    sender: Sender,
    to: Address,
    copies: Sequence[Address],
    subject: str,
    message_id: str,
    now: datetime,
    text: str,
    html: str | None,
) -> Mail:
    mail = EmailMessage(policy=SMTP)
    mail["From"] = _address(sender.name, sender.address)
    mail["To"] = to
    if copies:
        mail["Cc"] = copies
    mail["Subject"] = one_line(subject)
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{message_id}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(text, cte="quoted-printable")
    if html is not None:
        mail.add_alternative(html, subtype="html", cte="quoted-printable")
        mail.set_boundary(f"=_m2c_{hashlib.sha256(message_id.encode()).hexdigest()[:32]}")
    return Mail(
        message_id=message_id,
        sender=sender.address,
        recipients=tuple(dict.fromkeys((to.addr_spec, *(c.addr_spec for c in copies)))),
        subject=one_line(subject),
        content=mail.as_bytes(),
    )


def sender_domain(sender: Sender) -> str:
    return domain_of(sender.address)


@cache
def _texts(language: str) -> Mapping[str, Any]:
    with (_HERE / "texts" / f"{language}.yml").open(encoding="utf-8") as file:
        loaded: Mapping[str, Any] = yaml.safe_load(file)
    return loaded


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=lambda name: bool(name and name.endswith(".html")),
        undefined=StrictUndefined,
        trim_blocks=False,
        keep_trailing_newline=True,
    )


def _render(name: str, context: Mapping[str, object]) -> str:
    return _environment().get_template(name).render(context)
