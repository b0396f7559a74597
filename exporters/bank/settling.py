"""Payments that Xero shows already explain bank lines without a person, where they agree: a line
that nobody decided about, or a confirmed match whose payment somebody entered in Xero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Final

from exporters.bank.matching import Explanation, Payment, explain
from exporters.bank.model import OurAccount
from exporters.bank.standing import Standing, read_standing
from exporters.ledger import Ledger, Transaction, tables
from exporters.ledger.banking import EXPLAINED

BY: Final = "m2c"
ENTERED_WITHIN: Final = timedelta(days=31)
"""How far a payment's day in Xero may be from the bank's where a person has said which statement
the line is for."""


def settle(
    ledger: Ledger, payer_names: Mapping[str, str], accounts: Sequence[OurAccount]
) -> list[str]:
    """Write down what payments explain; in words, what is new."""
    with ledger.transaction() as tx:
        return settle_in(tx, read_standing(tx, payer_names, accounts))


def settle_in(tx: Transaction, standing: Standing) -> list[str]:
    """`settle` within a transaction."""
    told = []
    free = {one.payment_id: one for one in standing.payments}
    for found in standing.live.values():
        for match in found:
            if not match.in_flight:
                continue
            same = [
                one
                for one in free.values()
                if one.number == match.statement_number
                and one.amount == match.amount
                and one.currency == match.currency
                and abs(one.paid_on - match.booked_on) <= ENTERED_WITHIN
            ]
            if same:
                one = min(same, key=lambda p: (abs(p.paid_on - match.booked_on), p.payment_id))
                free.pop(one.payment_id)
                reason = f"entered in Xero; it was confirmed by {match.by}: {match.reason}"
                told.append(record_explained(tx, standing, match.line_id, one, one.amount, reason))
    for explanation in explain(
        standing.undecided, free.values(), seen_accounts=standing.seen_accounts
    ):
        told += _explained(tx, standing, explanation)
    return told


def _explained(tx: Transaction, standing: Standing, found: Explanation) -> list[str]:
    return [
        record_explained(tx, standing, found.line_id, one, one.amount, "; ".join(found.reasons))
        for one in found.payments
    ]


def record_explained(
    tx: Transaction,
    standing: Standing,
    line_id: str,
    payment: Payment,
    amount: Decimal,
    reason: str,
    *,
    by: str = BY,
) -> str:
    """Write down that a line is a payment which Xero shows; in words."""
    line = standing.lines[line_id]
    tx.record(
        tables.bank_matches,
        line_id=line_id,
        statement_number=payment.number,
        amount=amount,
        currency=payment.currency,
        state=EXPLAINED,
        payment_id=payment.payment_id,
        line_words=line.describe(),
        by=by,
        reason=reason,
    )
    return f"{line_id} ({line.describe()}) is the payment of {payment.number} in Xero: {reason}"
