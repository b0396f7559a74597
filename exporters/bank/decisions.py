"""What people say of bank lines: this is for that statement, this is nobody's, that was wrong. Each
is a fact with who and why; nothing is taken of a row that the ledger has meanwhile overtaken, no
line is used twice and no statement given more than its due."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from exporters.bank.matching import Line, Payment
from exporters.bank.model import CENT, BankError, OurAccount
from exporters.bank.settling import record_explained
from exporters.bank.standing import Standing, read_standing
from exporters.ledger import Ledger, Transaction, tables
from exporters.ledger.actions import ActionError, find_statement, near, who_and_why
from exporters.ledger.banking import CONFIRMED

ACCEPT, REJECT, DISMISS = "accept", "reject", "dismiss"
WORDS: Final = (ACCEPT, REJECT, DISMISS)
_AMOUNT: Final = re.compile(r"[0-9]+(\.[0-9]{1,2})?")
Parts = Sequence[tuple[str, Decimal | None]]


class NotTakenError(ActionError):
    """A decision that does not fit what the ledger has by now."""


@dataclass
class DecisionReport:
    """What was taken and what not. Exit code: 0 done, 1 something was not taken."""

    by: str
    reason: str
    taken: list[str] = field(default_factory=list)
    not_taken: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """For the command line."""
        return 1 if self.not_taken else 0

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "by": self.by,
            "reason": self.reason,
            "taken": list(self.taken),
            "not_taken": list(self.not_taken),
            "exit_code": self.exit_code,
        }

    def describe(self) -> list[str]:
        """The report for people."""
        words = [*self.taken, *(f"not taken: {why}" for why in self.not_taken)]
        return words or ["no row has a decision"]


@dataclass(frozen=True)
class _Book:
    payer_names: Mapping[str, str]
    accounts: Sequence[OurAccount]

    def standing(self, tx: Transaction) -> Standing:
        return read_standing(tx, self.payer_names, self.accounts)


def confirm(
    ledger: Ledger,
    line_id: str,
    statements: Sequence[str],
    *,
    by: str,
    reason: str,
    payer_names: Mapping[str, str],
    accounts: Sequence[OurAccount],
) -> DecisionReport:
    """A line is for these statements (`NUMBER` or `NUMBER=AMOUNT`; without amount as much as is
    open and left of the line). Raises ActionError for an unknown line or statement, and where it
    does not fit."""
    by, reason = who_and_why(by, reason)
    book = _Book(payer_names, accounts)
    with ledger.transaction() as tx:
        words = _confirm(
            tx, book.standing(tx), line_id, [_part(named) for named in statements], by, reason
        )
    return DecisionReport(by, reason, taken=[words])


def _part(named: str) -> tuple[str, Decimal | None]:
    number, equals, amount = named.rpartition("=")
    if not equals:
        return named.strip(), None
    return number.strip(), _amount(amount, named)


def _amount(written: str, where: str) -> Decimal:
    if not _AMOUNT.fullmatch(written.strip()) or not Decimal(written.strip()):
        raise ActionError(f"{where}: {written!r} is no amount like 1234.50")
    return Decimal(written.strip()).quantize(CENT)


def confirm_file(
    ledger: Ledger,
    path: Path,
    *,
    by: str,
    reason: str,
    payer_names: Mapping[str, str],
    accounts: Sequence[OurAccount],
) -> DecisionReport:
    """Take an edited file of proposals: rows with `accept`, `reject` or `dismiss`. A line whose
    rows do not fit any more is not taken, the others are. Raises BankError for a file that is no
    such file; then nothing is taken."""
    by, reason = who_and_why(by, reason)
    report = DecisionReport(by, reason)
    book = _Book(payer_names, accounts)
    lines = _read(path)
    with ledger.transaction() as tx:
        standing = book.standing(tx)
        for line_id, rows in lines.items():
            decided = [row for row in rows if row.decision]
            if not decided:
                continue
            try:
                report.taken += _decide(tx, standing, line_id, decided, by, reason)
            except ActionError as error:
                report.not_taken.append(f"{path.name}, row {decided[0].number}: {error}")
    return report


@dataclass(frozen=True)
class _Row:
    number: int
    decision: str
    statement: str
    amount: Decimal | None


def _read(path: Path) -> dict[str, list[_Row]]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BankError(f"{path.name}: is not UTF-8; save it as CSV UTF-8") from None
    first = text.partition("\n")[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    wanted = {"line_id", "decision", "statement", "statement_amount"}
    missing = sorted(wanted - set(reader.fieldnames or ()))
    if missing:
        raise BankError(
            f"{path.name}: is no file of m2c bank proposals: column {', '.join(missing)} is missing"
        )
    found: dict[str, list[_Row]] = {}
    try:
        for row in reader:
            where = f"{path.name}, row {reader.line_num}"
            decision = (row["decision"] or "").strip().lower()
            if decision and decision not in WORDS:
                raise BankError(
                    f"{where}, column decision: expected {', '.join(WORDS)} or nothing, got "
                    f"{row['decision']!r}"
                )
            written = (row["statement_amount"] or "").strip()
            try:
                amount = _amount(written, f"{where}, column statement_amount") if written else None
            except ActionError as error:
                raise BankError(str(error)) from None
            found.setdefault((row["line_id"] or "").strip(), []).append(
                _Row(reader.line_num, decision, (row["statement"] or "").strip(), amount)
            )
    except csv.Error as error:
        raise BankError(f"{path.name}, row {reader.line_num}: {error}") from None
    return found


def _decide(
    tx: Transaction, standing: Standing, line_id: str, rows: list[_Row], by: str, reason: str
) -> list[str]:
    decisions = {row.decision for row in rows}
    if DISMISS in decisions and len(decisions) > 1:
        raise NotTakenError(f"{line_id} is dismissed and something else at once")
    if decisions == {DISMISS}:
        _undecided(standing, line_id)
        return [_dismiss(tx, standing, line_id, by, reason)]
    accepted = [(row.statement, row.amount) for row in rows if row.decision == ACCEPT]
    words = []
    if accepted:
        _undecided(standing, line_id)
        words.append(_confirm(tx, standing, line_id, accepted, by, reason))
    for row in rows:
        if row.decision == REJECT:
            words.append(_reject(tx, standing, line_id, row.statement, by, reason))
    return words


def _undecided(standing: Standing, line_id: str) -> None:
    """A row of a file is of a line as it was then: without a decision."""
    line = _known(standing, line_id)
    if line_id in standing.dismissed:
        raise NotTakenError(
            f"out of date: {line_id} was dismissed meanwhile: {standing.dismissed[line_id]}"
        )
    live = standing.live.get(line_id)
    if live:
        matched = ", ".join(match.statement_number for match in live)
        raise NotTakenError(
            f"out of date: {line_id} ({line.describe()}) is matched to {matched} meanwhile, "
            f"by {live[0].by}"
        )


def _known(standing: Standing, line_id: str) -> Line:
    line = standing.lines.get(line_id)
    if line is None:
        raise ActionError(f"no bank line {line_id!r}{near(line_id, standing.lines)}")
    return line


def _confirm(
    tx: Transaction, standing: Standing, line_id: str, parts: Parts, by: str, reason: str
) -> str:
    line = _known(standing, line_id)
    if not parts or not all(number for number, _ in parts):
        raise ActionError(f"{line_id}: say which statement it is for")
    if line.amount <= 0:
        raise NotTakenError(f"{line_id} ({line.describe()}) is no money received")
    if line_id in standing.dismissed:
        raise NotTakenError(f"{line_id} is dismissed; m2c bank release {line_id} first")
    left = standing.left_of(line_id)
    parts_made: list[_Made] = []
    for named, wanted in parts:
        number = find_statement(tx, named)["statement_number"]
        if number in {match.statement_number for match in standing.live.get(line_id, ())} | {
            made.number for made in parts_made
        }:
            raise NotTakenError(f"{line_id} is matched to {number} already")
        made = _fitting(standing, line, number, wanted, left)
        if made.amount > left:
            raise NotTakenError(
                f"only {left:,.2f} of {line_id} is left; {made.amount:,.2f} is more"
            )
        parts_made.append(made)
        left -= made.amount
    told = []
    for made in parts_made:
        told.append(f"{made.number} = {made.amount:,.2f}")
        if made.shown is not None:
            record_explained(tx, standing, line_id, made.shown, made.amount, reason, by=by)
            standing.payments.remove(made.shown)
            told[-1] += " (the payment that Xero shows)"
            continue
        tx.record(
            tables.bank_matches,
            line_id=line_id,
            statement_number=made.number,
            amount=made.amount,
            currency=line.currency,
            state=CONFIRMED,
            line_words=line.describe(),
            by=by,
            reason=reason,
        )
        document = standing.documents[made.number]
        standing.documents[made.number] = replace(
            document, open_amount=document.open_amount - made.amount
        )
    rest = f"; {left:,.2f} of it stays without a statement" if left else ""
    return f"{line_id} ({line.describe()}): confirmed for {', '.join(told)}{rest}"


@dataclass(frozen=True)
class _Made:
    """A part of a line that fits. shown: the payment that Xero shows for it."""

    number: str
    amount: Decimal
    shown: Payment | None


def _fitting(
    standing: Standing, line: Line, number: str, wanted: Decimal | None, left: Decimal
) -> _Made:
    document = standing.documents.get(number)
    if document is None:
        raise NotTakenError(f"{number} is a credit note; no payment is for it")
    if document.currency != line.currency:
        raise NotTakenError(
            f"{number} is in {document.currency}, {line.line_id} in {line.currency}: enter it in "
            "Xero, where the bank's rate is known"
        )
    if document.accounts and line.account not in document.accounts:
        raise NotTakenError(
            f"{number} is of a seller that account {line.account} does not belong to"
        )
    asked = left if wanted is None else wanted
    shown = [one for one in standing.payments if (one.number, one.amount) == (number, asked)]
    if shown and document.open_amount < asked:
        return _Made(number, asked, shown[0])
    amount = min(left, document.open_amount) if wanted is None else wanted
    if amount <= 0 or amount > document.open_amount:
        raise NotTakenError(
            f"{number} has {document.open_amount:,.2f} {document.currency} open that is not on its "
            f"way already; {asked:,.2f} cannot be for it"
        )
    return _Made(number, amount, None)


def _reject(
    tx: Transaction, standing: Standing, line_id: str, number: str, by: str, reason: str
) -> str:
    line = _known(standing, line_id)
    if not number:
        raise ActionError(f"{line_id}: say which statement it is not for")
    number = find_statement(tx, number)["statement_number"]
    if any(match.statement_number == number for match in standing.live.get(line_id, ())):
        raise NotTakenError(f"out of date: {line_id} is matched to {number} meanwhile")
    if (line_id, number) not in standing.rejected:
        tx.record(
            tables.bank_matches,
            line_id=line_id,
            statement_number=number,
            amount=Decimal("0.00"),
            currency=line.currency,
            state="rejected",
            line_words=line.describe(),
            by=by,
            reason=reason,
        )
    return f"{line_id}: not for {number}"


def dismiss(
    ledger: Ledger,
    line_id: str,
    *,
    by: str,
    reason: str,
    payer_names: Mapping[str, str],
    accounts: Sequence[OurAccount],
) -> DecisionReport:
    """A line has nothing to do with any statement. Raises ActionError for an unknown line, or one
    that is matched."""
    by, reason = who_and_why(by, reason)
    with ledger.transaction() as tx:
        standing = _Book(payer_names, accounts).standing(tx)
        words = _dismiss(tx, standing, line_id, by, reason)
    return DecisionReport(by, reason, taken=[words])


def _dismiss(tx: Transaction, standing: Standing, line_id: str, by: str, reason: str) -> str:
    line = _known(standing, line_id)
    if live := standing.live.get(line_id):
        matched = ", ".join(match.statement_number for match in live)
        raise NotTakenError(f"{line_id} is matched to {matched}; release it first")
    if line_id not in standing.dismissed:
        tx.record(tables.bank_dismissals, line_id=line_id, dismissed=True, by=by, reason=reason)
    return f"{line_id} ({line.describe()}): dismissed"


def release(
    ledger: Ledger,
    line_id: str,
    *,
    by: str,
    reason: str,
    payer_names: Mapping[str, str],
    accounts: Sequence[OurAccount],
) -> DecisionReport:
    """Take back what was said of a line. Raises ActionError where nothing was, and where a payment
    was posted for it, or may have been: that is taken back in Xero first."""
    by, reason = who_and_why(by, reason)
    with ledger.transaction() as tx:
        standing = _Book(payer_names, accounts).standing(tx)
        line = _known(standing, line_id)
        live = standing.live.get(line_id, ())
        begun = {intent.subject for intent in tx.open_intents("xero.payment")}
        for match in live:
            stands = match.posted is not None and not match.taken_back
            if stands or f"{match.statement_number}/{line_id}" in begun:
                raise NotTakenError(
                    f"{line_id}: a payment of {match.statement_number} was made in Xero for it, or "
                    "may have been: delete it there and read payments first"
                )
        if not live and line_id not in standing.dismissed:
            raise ActionError(f"nothing was said of {line_id} ({line.describe()}) to take back")
        for match in live:
            tx.record(
                tables.bank_matches,
                line_id=line_id,
                statement_number=match.statement_number,
                amount=Decimal("0.00"),
                currency=match.currency,
                state="released",
                line_words=line.describe(),
                by=by,
                reason=reason,
            )
        if line_id in standing.dismissed:
            tx.record(
                tables.bank_dismissals, line_id=line_id, dismissed=False, by=by, reason=reason
            )
    return DecisionReport(by, reason, taken=[f"{line_id} ({line.describe()}): released"])
