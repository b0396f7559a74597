"""Texts of mails and the rest of the book together: are they sound, and what would a payer read.
Reads the book as it lies there, before any build."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from connectors.book import Book, BookError, Fault, load_book
from exporters.collections.letter import Mail, Sender
from exporters.collections.model import Payer
from exporters.collections.policy import EMAIL
from exporters.collections.preview import SAMPLE_PAYER, SAMPLE_SENDER, preview
from exporters.collections.situation import bank_line, letterhead
from exporters.collections.texts import Texts, read_texts
from orchestration.settings import DataDir, SettingsError


def check_texts(book: Book, folder: Path) -> list[str]:
    """Warnings about stages that have no words for payers who would get them; their reminders will
    be held back. Raises BookError with every fault of the texts of mails."""
    texts = read_texts(folder)
    if texts.faults:
        raise BookError(
            Fault(fault.file, fault.line, fault.place, fault.value, fault.message)
            for fault in texts.faults
        )
    return [str(fault) for fault in _without_words(book, texts)]


def _without_words(book: Book, texts: Texts) -> Iterator[Fault]:
    known = ", ".join(sorted(texts.templates()))
    for policy in book.dunning_policies:
        languages = {p.language for p in book.payers if p.dunning_policy == policy.policy_id}
        for stage in policy.stages:
            template = stage.template or stage.stage
            if stage.action != EMAIL:
                continue
            lacking = [
                language or "en"
                for language in sorted(languages, key=str)
                if texts.why_not(language, template)
            ]
            message = None
            if template not in texts.templates():
                message = f"there is no text of this name (there are {known})"
            elif lacking:
                message = f"there is neither an English text of this name nor one in {lacking[0]}"
            if message:
                subject = f"policy {policy.policy_id}, stage {stage.stage}"
                yield Fault("dunning.yml", None, "template", template, message, subject)


def stages_by_template(book: Book | None) -> dict[str, list[str]]:
    """Which stages (`policy/stage`) name a template."""
    found: dict[str, list[str]] = {}
    for policy in book.dunning_policies if book else ():
        for stage in policy.stages:
            if stage.action == EMAIL:
                name = f"{policy.policy_id}/{stage.stage}"
                found.setdefault(stage.template or stage.stage, []).append(name)
    return found


def preview_mail(
    data_dir: DataDir, template: str, *, language: str | None, payer_id: str | None, now: datetime
) -> Mail:
    """A mail as a payer of the book would get it, or a made-up one; nothing is sent.

    Raises SettingsError for a payer whom the book does not have, BookError, TextsError.
    """
    book = load_book(data_dir.book) if data_dir.book.is_dir() else None
    payer, sender = SAMPLE_PAYER, SAMPLE_SENDER
    if payer_id is not None:
        payer = _payer(book, payer_id)
    if book is not None and book.sellers:
        sender = _sender(book, payer)
    return preview(
        template,
        texts=read_texts(data_dir.mail_texts),
        now=now,
        payer=payer,
        sender=sender,
        language=language,
    )


def _payer(book: Book | None, payer_id: str) -> Payer:
    rows = {row.payer_id: row for row in book.payers} if book else {}
    row = rows.get(payer_id)
    if row is None:
        known = ", ".join(sorted(rows)) or "none"
        raise SettingsError(f"there is no payer {payer_id} in payers.csv; it has {known}")
    return Payer(
        payer_id=row.payer_id,
        name=row.name,
        country=row.country,
        currency=row.currency,
        email=row.email,
        language=row.language,
        dunning_policy=row.dunning_policy,
        seller_id=row.seller_id,
    )


def _sender(book: Book, payer: Payer) -> Sender:
    sellers = {seller.seller_id: seller for seller in book.sellers}
    seller = sellers.get(payer.seller_id or "") or book.sellers[0]
    accounts = {currency: one.model_dump() for currency, one in seller.bank_accounts.items()}
    return Sender(
        name=seller.legal_name,
        email=seller.email,
        lines=letterhead(seller.model_dump()),
        bank={currency: bank_line(account) for currency, account in accounts.items()},
    )
