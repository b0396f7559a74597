"""The file of proposals: what the bank lines that nobody decided about may be for, as a CSV that a
person edits and gives back (`decisions`). Text of the bank stays text in a spreadsheet."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from exporters.bank.matching import Line, Proposal, match
from exporters.bank.model import OurAccount
from exporters.bank.settling import settle_in
from exporters.bank.standing import Standing, read_standing
from exporters.ledger import Ledger
from exporters.statements.text import one_line

COLUMNS: Final = (
    "line_id",
    "decision",
    "statement",
    "statement_amount",
    "confidence",
    "reasons",
    "booked_on",
    "amount",
    "currency",
    "counterparty",
    "counterparty_account",
    "text",
    "account",
)
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "|", "%")


@dataclass(frozen=True)
class Offer:
    """One undecided line, with a proposal or with what is known of it."""

    line: Line
    proposal: Proposal | None
    hint: str

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        line, found = self.line, self.proposal
        return {
            "line_id": line.line_id,
            "account": line.account,
            "booked_on": line.booked_on.isoformat(),
            "amount": str(line.amount),
            "currency": line.currency,
            "counterparty": one_line(line.counterparty_name),
            "counterparty_account": line.counterparty_account,
            "text": one_line(line.text),
            "confidence": found.confidence if found else None,
            "statements": [
                {"statement": number, "amount": str(amount)} for number, amount in found.parts
            ]
            if found
            else [],
            "rest": str(found.rest) if found else str(line.amount),
            "reasons": list(found.reasons) if found else [self.hint],
        }

    def rows(self) -> list[dict[str, str]]:
        """Rows of the file, one a statement."""
        line, found = self.line, self.proposal
        reasons = list(found.reasons) if found else [self.hint]
        if found and found.rest:
            reasons.append(f"{found.rest:,.2f} of the line stays without a statement")
        common = {
            "line_id": line.line_id,
            "decision": "",
            "confidence": found.confidence if found else "",
            "reasons": as_text("; ".join(reasons)),
            "booked_on": line.booked_on.isoformat(),
            "amount": str(line.amount),
            "currency": line.currency,
            "counterparty": as_text(line.counterparty_name),
            "counterparty_account": as_text(line.counterparty_account),
            "text": as_text(line.text),
            "account": line.account,
        }
        parts: Sequence[tuple[str, Decimal | None]] = found.parts if found else [("", None)]
        return [
            common
            | {"statement": number, "statement_amount": "" if amount is None else str(amount)}
            for number, amount in parts
        ]


@dataclass
class ProposalsReport:
    """What a person has to look at. Exit code 1 while there is anything."""

    offers: list[Offer] = field(default_factory=list)
    matched: list[str] = field(default_factory=list)
    file: Path | None = None

    @property
    def exit_code(self) -> int:
        """For the command line."""
        return 1 if self.offers else 0

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "lines": [offer.as_dict() for offer in self.offers],
            "matched": list(self.matched),
            "file": None if self.file is None else str(self.file),
            "exit_code": self.exit_code,
        }

    def describe(self) -> list[str]:
        """The report for people."""
        words = [f"matched: {match}" for match in self.matched]
        for offer in self.offers:
            words.append(f"{offer.line.line_id}: {one_line(offer.line.describe())}")
            found = offer.proposal
            if found is None:
                words.append(f"  unexplained: {one_line(offer.hint)}")
                continue
            parts = ", ".join(f"{number} = {amount:,.2f}" for number, amount in found.parts)
            words.append(f"  {found.confidence}: {parts} ({one_line('; '.join(found.reasons))})")
        if not self.offers:
            words.append("nothing to decide: every line of money received is explained")
        if self.file is not None:
            words.append(
                f"wrote {self.file}: put accept, reject or dismiss in `decision` (another number "
                "or amount where it is wrong), then m2c bank confirm FILE --by WHO --reason TEXT"
            )
        return words


def propose(
    ledger: Ledger, payer_names: Mapping[str, str], accounts: Sequence[OurAccount]
) -> ProposalsReport:
    """Proposals for the lines nobody decided about, surest first; payments that Xero shows have
    explained what they can before."""
    with ledger.transaction() as tx:
        matched = settle_in(tx, read_standing(tx, payer_names, accounts))
        standing = read_standing(tx, payer_names, accounts)
    return ProposalsReport(offers=offers(standing), matched=matched)


def offers(standing: Standing) -> list[Offer]:
    """Every undecided line of money received, or taken back by the bank, with what it may be
    for."""
    waiting = [line for line in standing.undecided if line.amount > 0 or line.reversal]
    findings = match(
        waiting,
        standing.documents.values(),
        seen_accounts=standing.seen_accounts,
        rejected=standing.rejected,
    )
    found = [
        Offer(line, findings.proposals.get(line.line_id), findings.hints.get(line.line_id, ""))
        for line in waiting
    ]
    order = {"certain": 0, "likely": 1, "possible": 2}
    return sorted(
        found,
        key=lambda offer: (
            order[offer.proposal.confidence] if offer.proposal else 3,
            offer.line.booked_on,
            offer.line.line_id,
        ),
    )


def as_text(text: str) -> str:
    """A cell that no spreadsheet takes for a formula, on one line."""
    plain = one_line(text)
    return f"'{plain}" if plain.startswith(FORMULA) else plain


def write_csv(report: ProposalsReport, path: Path) -> None:
    """Write the file, whole or not at all."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for offer in report.offers:
        writer.writerows(offer.rows())
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # With a mark, so that spreadsheets read it as UTF-8.
        partial.write_text(out.getvalue(), encoding="utf-8-sig")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    report.file = path
