"""Mails to look at: any template, filled with made-up invoices, to a real payer or a made-up one.

Nothing is planned, sent or written down here.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from exporters.collections.attachments import Attachment, Attachments
from exporters.collections.letter import Mail, Sender
from exporters.collections.mail import compose, compose_notice
from exporters.collections.model import Message, OverdueInvoice, Payer, Receivable
from exporters.collections.policy import EMAIL, Stage
from exporters.collections.texts import RESUMED, SUSPENDED, Texts

SAMPLE_PAYER = Payer(
    payer_id="SAMPLE",
    name="Sample Customer Ltd",
    country="GB",
    currency="EUR",
    email="accounts@customer.example",
)
SAMPLE_SENDER = Sender(
    name="Your Company Ltd",
    email="billing@your-company.example",
    lines=("1 Example Street", "AB1 2CD Exampletown"),
    bank={"EUR": "Example Bank, IBAN GB00 EXAM 0000 0000 0000 00"},
)
_KINDS: dict[str, Literal["suspended", "resumed"]] = {SUSPENDED: "suspended", RESUMED: "resumed"}
_MACHINES = {"SITE-1": 11, "SITE-2": 1}
_FIRST, _SECOND = Decimal("1204.50"), Decimal("380.00")
_DAYS_OVERDUE = 12


def preview(
    template: str,
    *,
    texts: Texts,
    now: datetime,
    payer: Payer = SAMPLE_PAYER,
    sender: Sender = SAMPLE_SENDER,
    language: str | None = None,
) -> Mail:
    """The mail of `template` with two made-up invoices, dated `now`, in `language` (BCP 47; None:
    the payer's). Raises TextsError where there are no sound words for it."""
    payer = replace(payer, language=language or payer.language)
    message_id = f"m2c.preview@{sender.address.rpartition('@')[2]}"
    stage = Stage(
        stage_no=1, stage=template, days_overdue=_DAYS_OVERDUE, action=EMAIL, template=template
    )
    invoices = (
        _invoice(payer, 1, _FIRST, days=_DAYS_OVERDUE + 31, stage=stage, now=now),
        _invoice(payer, 2, _SECOND, days=_DAYS_OVERDUE, stage=stage, now=now),
    )
    if template in _KINDS:
        return compose_notice(
            _KINDS[template],
            payer,
            sender=sender,
            invoices=[replace(invoice, stage=None) for invoice in invoices],
            machines_by_site=_MACHINES,
            currency=payer.currency,
            message_id=message_id,
            now=now,
            texts=texts,
        )
    message = Message(
        payer=payer,
        policy_id="preview",
        local_day=now.date(),
        stage=stage,
        currency=payer.currency,
        invoices=invoices,
        overdue=_FIRST + _SECOND,
        credit=Decimal("100.00"),
    )
    files = tuple(
        Attachment(
            statement_number=invoice.receivable.statement_number,
            name=f"{invoice.receivable.statement_number}.pdf",
            content=_empty_page(),
        )
        for invoice in invoices
    )
    return compose(
        message,
        sender=sender,
        message_id=message_id,
        now=now,
        texts=texts,
        files=Attachments(files=files),
    )


def _invoice(
    payer: Payer, number: int, due: Decimal, *, days: int, stage: Stage, now: datetime
) -> OverdueInvoice:
    name = f"{payer.payer_id}-000{number}"
    due_date = now.date() - timedelta(days=days)
    receivable = Receivable(
        statement_number=name,
        statement_id=name,
        payer_id=payer.payer_id,
        period=f"{due_date:%Y-%m}",
        currency=payer.currency,
        total=due,
        amount_due=due,
        issue_date=due_date - timedelta(days=14),
        due_date=due_date,
        online_url=f"https://pay.example/{name}",
    )
    return OverdueInvoice(receivable=receivable, days_overdue=days, stage=stage)


def _empty_page() -> bytes:
    """A PDF of one empty page, in the place of a statement."""
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] >>",
    )
    made, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        places.append(len(made))
        made += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    return made + (
        b"xref\n0 %d\n0000000000 65535 f \n%btrailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n"
        b"%%%%EOF\n" % (size, table, size, len(made))
    )
