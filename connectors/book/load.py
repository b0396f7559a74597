"""Loading a book: everything is read and checked before any of it is used, all or nothing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from connectors.book import around, fleet, money, tariffs
from connectors.book.documents import Settings, XeroMapping
from connectors.book.draft import Draft, read_draft
from connectors.book.faults import BookError, Findings
from connectors.book.model import Book
from connectors.book.rows import PayerRow


def load_book(book_dir: Path) -> Book:
    """Load the book of a folder.

    Raises BookError with every fault of every file if there is any. Optional files that are absent
    count as empty. Bare dates become instants: local midnight of the site for machines, of the
    contract's billing time zone for contracts, assignments and credits.
    """
    findings = Findings()
    draft = read_draft(book_dir, findings)
    fleet.check_sites(draft)
    fleet.check_customers(draft)
    tariffs.check_calendars(draft)
    around.check_sellers(draft)
    around.check_dunning(draft)
    money.check_payers(draft)
    placements = fleet.placements(draft)
    terms = fleet.terms(draft)
    assignments = fleet.assignments(draft, placements, terms)
    plans = tariffs.check_plans(draft, terms)
    credits_found = money.credits_of(draft)
    edits = money.edits_of(draft)
    money.check_rates(draft)
    stretches = money.stretches_of(terms, plans, [record.row for record in draft.sites])
    routes = money.check_routes(draft, stretches)
    money.check_taxes(draft, stretches, routes)
    around.check_xero(draft)
    around.check_bank(draft)
    around.check_webhooks(draft)
    sources = around.sources_of(draft)
    around.check_switches(draft, sources, placements)
    if findings.faults:
        raise BookError(findings.faults)
    return Book(
        version=_version(draft.content),
        warnings=tuple(str(warning) for warning in findings.warnings),
        settings=draft.settings.data if draft.settings else Settings(),
        sites={record.row.site_id: record.row for record in draft.sites},
        placements=tuple(placements),
        customers=tuple(record.row for record in draft.customers),
        payers=tuple(_with_seller(draft, record.row) for record in draft.payers),
        terms=tuple(terms),
        assignments=tuple(assignments),
        payer_routes=tuple(record.row for record in draft.payer_routes),
        tax_rules=tuple(record.row for record in draft.tax_rules),
        fx_rates=tuple(record.row for record in draft.fx_rates),
        index_prices=tuple(record.row for record in draft.index_prices),
        credits=tuple(credits_found),
        holidays=tuple(record.row for record in draft.holidays),
        reading_edits=tuple(edits),
        alerts=tuple(record.row for record in draft.alerts),
        plans=tuple(plans),
        calendars=tuple(item.data for item in draft.calendars),
        sellers=tuple(item.data for item in draft.sellers),
        sources=sources,
        dunning_policies=tuple(item.data for item in draft.policies),
        xero=draft.xero.data if draft.xero else XeroMapping(),
        bank_formats=tuple(item.data for item in draft.bank_formats),
        webhooks=tuple(item.data for item in draft.webhooks),
    )


def _with_seller(draft: Draft, payer: PayerRow) -> PayerRow:
    """A payer without seller belongs to the default one, the first of seller.yml."""
    if payer.seller_id is not None or not draft.sellers:
        return payer
    return payer.model_copy(update={"seller_id": draft.sellers[0].data.seller_id})


def _version(content: dict[str, Any]) -> str:
    """`b-` and 16 hex digits over what the files say: not over their layout, comments or order."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return "b-" + hashlib.sha256(text.encode()).hexdigest()[:16]
