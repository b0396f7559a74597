"""What a file of a bank says, whatever its format: lines, statements with their balances, accounts.
How formats are read is in `camt` and `csvfile`; what is kept of it in `importing`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Final

from exporters.ledger.banking import account_name
from exporters.marts import Marts

CENT: Final = Decimal("0.01")


class BankError(Exception):
    """A file of a bank that cannot be taken. The message names file, place, field and value."""


@dataclass(frozen=True)
class OurAccount:
    """A bank account of a seller. `account` is its IBAN, or its number where it has no IBAN,
    without separators; `names` are all the ways in which a bank may write it."""

    account: str
    names: frozenset[str]
    seller_id: str
    currency: str


@dataclass(frozen=True, kw_only=True)
class BankLine:
    """One movement on an account. `amount` is signed: money in is positive. `place` says where in
    the file it stands; `raw` is what the file says of it."""

    account: str
    currency: str
    booked_on: date
    value_on: date | None
    amount: Decimal
    counterparty_name: str = ""
    counterparty_account: str = ""
    remittance: str = ""
    end_to_end_id: str = ""
    bank_reference: str = ""
    reversal: bool = False
    place: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict)

    @property
    def movement(self) -> tuple[str, str, date, Decimal]:
        """What every format must say alike of the same movement."""
        return self.account, self.currency, self.booked_on, self.amount

    @property
    def details(self) -> str:
        """Digest of what one format says of it besides; the same in every file of that format."""
        return digest(
            self.bank_reference,
            self.end_to_end_id,
            account_name(self.counterparty_account),
            " ".join(self.counterparty_name.split()),
            " ".join(self.remittance.split()),
        )


@dataclass(frozen=True, kw_only=True)
class BankStatement:
    """A span of an account between two balances; balances are None where the format has none."""

    account: str
    currency: str
    reference: str
    opened_on: date | None
    closed_on: date | None
    opening_balance: Decimal | None
    closing_balance: Decimal | None
    line_count: int
    place: str

    @property
    def key(self) -> str:
        """The same for the same span, whatever file and format tell of it."""
        return digest(
            self.account,
            self.currency,
            str(self.closed_on),
            str(self.opening_balance),
            str(self.closing_balance),
            "" if self.opening_balance is not None else self.reference,
        )


@dataclass(frozen=True, kw_only=True)
class BankFile:
    """All that a file says. `form` is `camt.053` or `csv/<format_id>`."""

    name: str
    content_digest: str
    form: str
    statements: Sequence[BankStatement]
    lines: Sequence[BankLine]
    notes: Sequence[str] = ()


def digest(*words: str) -> str:
    """Sixteen hex digits over some words."""
    return hashlib.sha256("\x1f".join(words).encode()).hexdigest()[:16]


def money(amount: Decimal, *, where: str) -> Decimal:
    """The amount in cents. Raises BankError for a part of a cent."""
    if not amount.is_finite() or amount != (fitted := amount.quantize(CENT)):
        raise BankError(f"{where}: {amount} is no amount of at most two decimals")
    return fitted


def our_accounts(marts: Marts) -> list[OurAccount]:
    """The bank accounts of the sellers of the book."""
    found = []
    for row in marts.table("seller_bank_accounts"):
        names = [account_name(row[name]) for name in ("iban", "account") if row[name]]
        if names:
            found.append(OurAccount(names[0], frozenset(names), row["seller_id"], row["currency"]))
    return found
