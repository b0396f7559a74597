"""Bank accounts of the book that payments are posted to, and whether Xero may get them: an account
whose lines come in from the bank would hold the same money twice.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exporters.ledger.banking import account_name
from exporters.marts import open_marts
from exporters.xero.client import XeroClient
from exporters.xero.wire import Json

FEEDS_ITSELF: Final = ("PAYPAL",)


@dataclass(frozen=True)
class Account:
    """A bank account of the book, and the account in Xero that stands for it."""

    seller_id: str
    account: str
    currency: str
    posts: bool
    code: str | None
    no_bank_feed: str | None


def read_accounts(marts_path: Path) -> dict[tuple[str, str], Account]:
    """By account and currency, from the published marts."""
    with open_marts(marts_path) as marts:
        rows = marts.rows(
            "select seller_id, iban, account, currency, post_payments, xero_account, no_bank_feed "
            "from seller_bank_accounts"
        )
    found = {}
    for row in rows:
        account = account_name(row["iban"] or row["account"])
        found[account, row["currency"]] = Account(
            seller_id=row["seller_id"],
            account=account,
            currency=row["currency"],
            posts=bool(row["post_payments"]),
            code=row["xero_account"],
            no_bank_feed=row["no_bank_feed"],
        )
    return found


def why_not_posted(client: XeroClient, accounts: Collection[Account]) -> dict[Account, str | None]:
    """Why nothing may be posted to an account; None if it may."""
    known = {str(one.get("Code")): one for one in client.settings("Accounts")}
    return {
        account: _problem(client, account, known.get(str(account.code))) for account in accounts
    }


def _problem(client: XeroClient, account: Account, found: Json | None) -> str | None:
    what = f"account {account.code} in Xero"
    if found is None or found.get("Status") != "ACTIVE":
        return f"{what} is not there, or not active"
    is_bank = found.get("Type") == "BANK"
    if not is_bank and not found.get("EnablePaymentsToAccount"):
        return f"{what} takes no payments (Enable payments to this account)"
    currency = found.get("CurrencyCode")
    if currency and currency != account.currency:
        return f"{what} is in {currency}, the bank account in {account.currency}"
    if not is_bank:
        return None  # Only bank accounts can have a feed or statement lines.
    if found.get("BankAccountType") in FEEDS_ITSELF:
        return f"{what} gets its lines from {found.get('BankAccountType')} by itself"
    account_id = str(found.get("AccountID"))
    for payment in client.reconciled_payments(account_id):
        if payment.get("IsReconciled"):
            return _has_lines(what, f"payment {payment.get('PaymentID')}")
    for transaction in client.reconciled_bank_transactions(account_id):
        if transaction.get("IsReconciled"):
            return _has_lines(what, f"transaction {transaction.get('BankTransactionID')}")
    if not account.no_bank_feed:
        return (
            f"Xero tells no program whether {what} has a bank feed or statement lines that "
            "wait: look there, and if it has neither put who looked and when as no_bank_feed "
            "in seller.yml"
        )
    return None


def _has_lines(what: str, evidence: str) -> str:
    return (
        f"{what} has statement lines of the bank in Xero ({evidence} is reconciled): payments made "
        "from here would stand there twice; reconcile in Xero, and switch post_payments off"
    )
