"""Payers are told that their machines were paused, and that they run again: one mail each.

The mail of a pause goes out once a machine of the suspension is off, that of a resumption once
everything is done and if the first one went out. A mail that did not get out is tried again by the
next run; its id follows from the suspension, so it is never sent twice.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final, Literal

from exporters.collections.delivery import Attempt, Postman, settle
from exporters.collections.local_days import local_date
from exporters.collections.mail import TextsError, compose_notice, sender_domain
from exporters.collections.model import Payer, Situation
from exporters.collections.report import SENT
from exporters.collections.situation import Book
from exporters.collections.texts import Texts, read_texts
from exporters.collections.transport import Outbox, SmtpServer, Transport
from exporters.ledger import Ledger
from exporters.suspension.model import OVER, SUSPENDED, Suspension
from exporters.suspension.planning import owed_invoices

NOTICE_MAIL: Final = "suspension_mail"
_NOTHING: Final = Decimal(0)
Kind = Literal["suspended", "resumed"]


@dataclass(frozen=True, kw_only=True)
class Post:
    """How mail leaves; see `exporters.collections.remind`."""

    outbox_dir: Path
    smtp_url: str | None = None
    texts_dir: Path | None = None
    bounce_address: str | None = None

    def transport(self) -> Transport:
        """Raises ValueError for an smtp_url that is none."""
        return SmtpServer(self.smtp_url) if self.smtp_url else Outbox(self.outbox_dir)


def tell(
    ledger: Ledger,
    post: Post,
    *,
    book: Book,
    situation: Situation,
    suspensions: Iterable[Suspension],
    sites: Mapping[str, str],
) -> tuple[list[str], list[str]]:
    """Tell who was not told yet: in words what was sent, and what a person must look at.

    sites: names by site_id, as payers know them.
    """
    outbox, transport = Outbox(post.outbox_dir), post.transport()
    post.outbox_dir.mkdir(parents=True, exist_ok=True)
    _, alerts = settle(ledger, outbox, [NOTICE_MAIL], apply=True)
    postman = Postman(ledger=ledger, transport=transport, outbox=outbox, apply=True)
    telling = _Telling(
        postman=postman,
        book=book,
        situation=situation,
        sites=sites,
        texts=read_texts(post.texts_dir),
    )
    try:
        for suspension in suspensions:
            telling.about(suspension)
    finally:
        transport.close()
    return telling.told, [*alerts, *telling.alerts, *postman.alerts]


class _Telling:
    def __init__(
        self,
        *,
        postman: Postman,
        book: Book,
        situation: Situation,
        sites: Mapping[str, str],
        texts: Texts,
    ) -> None:
        self.told: list[str] = []
        self.alerts: list[str] = []
        self._postman = postman
        self._book = book
        self._situation = situation
        self._sites = sites
        self._texts = texts

    def about(self, suspension: Suspension) -> None:
        payer = self._book.payers.get(suspension.payer_id)
        if payer is None or payer.payer_id in self._situation.unreachable:
            return  # collections asks the responsible person for the address
        if suspension.state == SUSPENDED:
            if any(m.state == "off" for m in suspension.machines) and not any(
                self._was_told(suspension, payer, kind) for kind in ("suspended", "resumed")
            ):
                self._send(suspension, payer, "suspended")
        elif (
            suspension.state == OVER
            and self._was_told(suspension, payer, "suspended")
            and not self._was_told(suspension, payer, "resumed")
        ):
            self._send(suspension, payer, "resumed")

    def _was_told(self, suspension: Suspension, payer: Payer, kind: str) -> bool:
        return self._postman.said(self._message_id(suspension, payer, kind))

    def _message_id(self, suspension: Suspension, payer: Payer, kind: str) -> str:
        seed = "\n".join((kind, suspension.suspension_id))
        digest = hashlib.sha256(seed.encode()).hexdigest()[:32]
        return f"m2c.{digest}@{sender_domain(self._book.sender_for(payer))}"

    def _send(self, suspension: Suspension, payer: Payer, kind: Kind) -> None:
        now = self._situation.now
        today = local_date(now, country=payer.country)
        owed = owed_invoices(self._situation, payer.payer_id) if kind == "suspended" else []
        currencies = {invoice.receivable.currency for invoice in owed}
        # A message speaks one currency, the payer's own if it owes any in it.
        if payer.currency in currencies or not owed:
            currency = payer.currency
        else:
            currency = owed[0].receivable.currency
        paused = [m for m in suspension.machines if m.ordered or m.state == "off"]
        try:
            mail = compose_notice(
                kind,
                payer,
                sender=self._book.sender_for(payer),
                invoices=[i for i in owed if i.receivable.currency == currency],
                machines_by_site=_by_site((m.machine.site_id for m in paused), self._sites),
                currency=currency,
                message_id=self._message_id(suspension, payer, kind),
                now=now,
                credit=self._situation.credits.get((payer.payer_id, currency), _NOTHING),
                texts=self._texts,
            )
        except TextsError as error:
            self.alerts.append(
                f"{payer.payer_id} is not told that its machines are {kind}: {error}"
            )
            return
        attempt = Attempt(
            kind=NOTICE_MAIL, subject=payer.payer_id, mail=mail, day=today.isoformat()
        )
        result = self._postman.deliver(attempt)
        if result.status == SENT:
            self.told.append(
                f"Told {payer.payer_id} <{payer.email}> that its machines are {kind}"
                f" -> {result.location}"
            )
        else:
            self.alerts.append(
                f"{payer.payer_id} <{payer.email}> is not told that its machines are {kind}:"
                f" {result.problem}"
            )


def _by_site(site_ids: Iterable[str], names: Mapping[str, str]) -> dict[str, int]:
    return dict(Counter(names.get(site_id, site_id) for site_id in site_ids))
