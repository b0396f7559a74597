"""The messages themselves: from a planned message to a mail, text and HTML.

Which words is `texts` (built in, and the book's), the frame around them is in `templates/`, headers
and bytes are `letter`. Nothing is sent here. The same message, sender, texts, files and instant
give the same bytes, and a message's id follows from payer, day and address, so it can be recognised
again.
"""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from email.headerregistry import Address
from functools import cache
from pathlib import Path
from typing import Literal
from urllib.parse import quote, unquote

from babel.numbers import get_currency_precision
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from exporters.collections import attachments
from exporters.collections.addresses import is_address
from exporters.collections.attachments import Attachments
from exporters.collections.letter import (
    FALLBACK_ADDRESS,
    Body,
    Mail,
    Sender,
    address,
    assemble,
    sender_domain,
)
from exporters.collections.model import Escalation, Message, OverdueInvoice, Payer
from exporters.collections.texts import Texts, Words, built_in_texts
from exporters.statements.formats import DEFAULT_LANGUAGE, Formats, formats_for
from exporters.statements.text import one_line, web_link

__all__ = [
    "STAGES_HEADER",
    "Mail",
    "Sender",
    "TextsError",
    "compose",
    "compose_escalation",
    "compose_notice",
    "escalation_id_for",
    "message_id_for",
    "notice_names",
    "role_address",
    "sender_domain",
    "stages_in",
]

STAGES_HEADER = "X-M2C-Stages"
"""Names each invoice of a reminder with the stage it has reached, whatever words say it."""
_WIDTH = 72
_TEMPLATES = Path(__file__).parent / "templates"


class TextsError(Exception):
    """There are no words to write a mail with; str() says which and why."""


def message_id_for(*, payer_id: str, day: date, recipient: str, domain: str) -> str:
    """The id of the one message to `payer_id` at `recipient` on `day`, without angle brackets."""
    seed = "\n".join(("reminder", payer_id, day.isoformat(), recipient))
    return f"m2c.{hashlib.sha256(seed.encode()).hexdigest()[:32]}@{domain}"


def escalation_id_for(*, payer_id: str, address: str, domain: str) -> str:
    """The id of the one message that says that mail to `address` does not get through."""
    seed = "\n".join(("unreachable", payer_id, address))
    return f"m2c.{hashlib.sha256(seed.encode()).hexdigest()[:32]}@{domain}"


def notice_names() -> dict[str, frozenset[str]]:
    """The built-in templates by the name of the notice that a message shows beside each invoice, in
    any language."""
    found: dict[str, set[str]] = {}
    for words in built_in_texts().words.values():
        for template, those in words["templates"].items():
            found.setdefault(those["name"], set()).add(template)
    return {name: frozenset(templates) for name, templates in found.items()}


def stages_in(header: str) -> dict[str, str]:
    """The stage by statement number that the value of a `STAGES_HEADER` names."""
    pairs = (part.strip().partition("=") for part in header.split(","))
    return {unquote(number): unquote(stage) for number, found, stage in pairs if found}


def compose(
    message: Message,
    *,
    sender: Sender,
    message_id: str,
    now: datetime,
    texts: Texts | None = None,
    files: Attachments = attachments.NONE,
) -> Mail:
    """The mail of a planned message, dated `now`, with the PDFs of `files`.

    Raises TextsError where `texts` have no sound words for it.
    """
    template = message.stage.template or message.stage.stage
    writing = _Writing.of(message.payer, template, message.currency, texts)
    filling = {
        "count": len(message.invoices),
        "first_number": one_line(message.invoices[0].receivable.statement_number),
        "name": one_line(message.payer.name),
    }
    context = writing.context(filling, one=len(message.invoices) == 1, sender=sender)
    context |= writing.invoices(message.invoices, message.overdue, message.credit)
    context["attached"] = writing.attached(files)
    return assemble(
        sender=sender,
        to=address(message.payer.name, message.payer.email),
        copies=_copies(message, sender),
        subject=str(context["subject"]),
        message_id=message_id,
        now=now,
        body=_body("reminder", context),
        thread=message.thread,
        notes={STAGES_HEADER: _stages(message.invoices)},
        files=files.files,
    )


def compose_notice(
    kind: Literal["suspended", "resumed"],
    payer: Payer,
    *,
    sender: Sender,
    invoices: Sequence[OverdueInvoice],
    machines_by_site: Mapping[str, int],
    currency: str,
    message_id: str,
    now: datetime,
    credit: Decimal = Decimal(0),
    thread: Sequence[str] = (),
    texts: Texts | None = None,
) -> Mail:
    """The mail that says that machines were paused (`suspended`: with the invoices to pay) or run
    again (`resumed`: with the machines only).

    machines_by_site: how many machines, by the site's name as the payer knows it. currency: that of
    `invoices` and `credit` (what the payer has with us). thread: ids of earlier messages about the
    same invoices, the first one first. Raises TextsError where `texts` have no sound words for it.
    """
    writing = _Writing.of(payer, kind, currency, texts)
    count = sum(machines_by_site.values())
    filling = {"name": one_line(payer.name), "machines": writing.formats.quantity(Decimal(count))}
    context = writing.context(filling, one=count == 1, sender=sender)
    context["sites"] = [
        {"name": one_line(site), "machines": writing.formats.quantity(Decimal(machines))}
        for site, machines in sorted(machines_by_site.items())
    ]
    context["machines"] = filling["machines"]
    asked = invoices if kind == "suspended" else ()
    overdue = sum((i.receivable.amount_due for i in asked), Decimal(0))
    context |= writing.invoices(asked, overdue, credit if asked else Decimal(0))
    return assemble(
        sender=sender,
        to=address(payer.name, payer.email),
        subject=str(context["subject"]),
        message_id=message_id,
        now=now,
        body=_body("notice", context),
        thread=thread,
    )


def compose_escalation(
    escalation: Escalation,
    *,
    sender: Sender,
    message_id: str,
    now: datetime,
    texts: Texts | None = None,
) -> Mail:
    """The mail that asks the responsible person for a payer's right address; in the built-in words
    where the book's English ones have a fault."""
    own = texts if texts and DEFAULT_LANGUAGE not in texts.broken else None
    words = (own or built_in_texts()).escalation()
    formats = formats_for("en")
    filling = {
        "payer_id": escalation.payer.payer_id,
        "name": one_line(escalation.payer.name),
        "address": one_line(escalation.address),
    }
    invoices = "\n".join(
        f"  {one_line(i.receivable.statement_number)}: "
        f"{_Money(formats=formats, currency=i.receivable.currency)(i.receivable.amount_due)},"
        f" {i.days_overdue} days"
        for i in escalation.invoices
    )
    paragraphs = [text.format_map(filling) for text in words["body"]]
    paragraphs[-1] = "\n".join(part for part in (paragraphs[-1], invoices) if part)
    return assemble(
        sender=sender,
        to=role_address(escalation.responsible, sender),
        subject=words["subject"].format_map(filling),
        message_id=message_id,
        now=now,
        body=Body(text=_wrapped("\n\n".join(paragraphs) + "\n")),
    )


def role_address(role: str, sender: Sender) -> Address:
    """Where mail for a role of the policy (`billing`, `head_of_finance`) goes: a role that is an
    address is that address; any other is named at the seller's address."""
    if is_address(role):
        return Address(addr_spec=role)
    return address(role, sender.address)


@dataclass(frozen=True, kw_only=True)
class _Money:
    formats: Formats
    currency: str

    def __call__(self, value: Decimal) -> str:
        digits = get_currency_precision(self.currency)
        return f"{self.currency}\u00a0{self.formats.amount(value, minor_units=digits)}"


@dataclass(frozen=True, kw_only=True)
class _Writing:
    """One language and one template: what a mail to a payer is written with."""

    texts: Texts
    language: str
    words: Words
    labels: Mapping[str, str]
    formats: Formats
    money: _Money

    @classmethod
    def of(cls, payer: Payer, template: str, currency: str, texts: Texts | None) -> _Writing:
        texts = texts or built_in_texts()
        if problem := texts.why_not(payer.language, template):
            raise TextsError(problem)
        language = texts.language_for(payer.language, template)
        formats = formats_for(payer.language if language != DEFAULT_LANGUAGE else None)
        return cls(
            texts=texts,
            language=language,
            words=texts.template(language, template),
            labels=texts.labels(language),
            formats=formats,
            money=_Money(formats=formats, currency=currency),
        )

    def context(
        self, filling: Mapping[str, object], *, one: bool, sender: Sender
    ) -> dict[str, object]:
        """What every mail shows."""
        words = self.words
        return {
            "lang": self.language,
            "subject": one_line(
                words["subject_one" if one else "subject_many"].format_map(filling)
            ),
            "title": words["name"],
            "labels": self.labels,
            "greeting": self.labels["greeting"].format_map(filling),
            "opening": [text.format_map(filling) for text in words["opening"]],
            "closing": [text.format_map(filling) for text in words["closing"]],
            "bank": one_line((sender.bank or {}).get(self.money.currency)),
            "sender_name": one_line(sender.name),
            "sender_lines": [one_line(line) for line in sender.lines if line],
        }

    def invoices(
        self, invoices: Sequence[OverdueInvoice], overdue: Decimal, credit: Decimal
    ) -> dict[str, object]:
        return {
            "rows": [self._row(invoice) for invoice in invoices],
            "overdue": self.money(overdue),
            "credit": self.money(credit) if credit else None,
            "to_pay": self.money(overdue - credit),
        }

    def attached(self, files: Attachments) -> str | None:
        """What is said about the PDFs, if anything."""
        if files.files:
            numbers = ", ".join(one_line(file.statement_number) for file in files.files)
            return self.labels["attached"].format(numbers=numbers)
        return self.labels["too_large"] if files.too_large else None

    def _row(self, invoice: OverdueInvoice) -> dict[str, object]:
        receivable = invoice.receivable
        notice = invoice.last_stage
        if invoice.stage is not None:
            notice = invoice.stage.template or invoice.stage.stage
        known = self.texts.words[self.language]["templates"].get(notice) if notice else None
        return {
            "number": one_line(receivable.statement_number),
            "due_date": self.formats.short_day(receivable.due_date),
            "days_overdue": invoice.days_overdue,
            "amount_due": self.money(receivable.amount_due),
            "link": web_link(receivable.online_url),
            "notice": known["name"] if known else None,
        }


def _stages(invoices: Sequence[OverdueInvoice]) -> str:
    reached = (
        (i.receivable.statement_number, i.stage.stage if i.stage else i.last_stage)
        for i in invoices
    )
    return ", ".join(
        f"{quote(number, safe='')}={quote(stage, safe='')}" for number, stage in reached if stage
    )


def _copies(message: Message, sender: Sender) -> tuple[Address, ...]:
    found: dict[str, Address] = {}
    for invoice in message.firing:
        for role in invoice.stage.copy_to if invoice.stage else ():
            copy = role_address(role, sender)
            if copy.addr_spec not in (message.payer.email, FALLBACK_ADDRESS):
                found.setdefault(copy.addr_spec, copy)
    return tuple(found.values())


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=lambda name: bool(name and name.endswith(".html")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _body(frame: str, context: Mapping[str, object]) -> Body:
    def rendered(name: str) -> str:
        return _environment().get_template(name).render(context)

    return Body(
        text=_wrapped(rendered(f"{frame}.txt")),
        html=rendered(f"{frame}.html"),
        language=str(context["lang"]),
    )


def _wrapped(text: str) -> str:
    """`text` with lines of at most 72 characters, unless one word (a link) is longer."""
    lines = []
    for line in text.split("\n"):
        indent = line[: len(line) - len(line.lstrip(" "))]
        lines += textwrap.wrap(
            line,
            _WIDTH,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        ) or [""]
    return "\n".join(lines)
