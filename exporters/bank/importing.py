"""Bringing in files of the bank: every line once, whatever files tell of it and in which order.

A movement is what every format says alike: account, currency, day, amount. Within one format the
details tell two movements apart, and equal ones are counted in each file; another format's line is
the same movement unless something both give differs. So the ledger has of each movement as many
lines as the file that has most. A file that is faulty anywhere is not taken at all.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select

from exporters.bank.camt import is_camt, read_camt
from exporters.bank.csvfile import CsvFormat, format_for, read_csv
from exporters.bank.model import BankError, BankFile, BankLine, OurAccount, digest
from exporters.ledger import Ledger, Transaction, tables
from exporters.ledger.banking import account_name
from exporters.ledger.types import jsonable
from exporters.statements.text import one_line

NOT_A_FILE_YET: Final = (".part", ".tmp", ".crdownload")


@dataclass
class FileReport:
    """What came of one file."""

    name: str
    statements: int = 0
    new_lines: int = 0
    known_lines: int = 0
    notes: list[str] = field(default_factory=list)
    problem: str | None = None


@dataclass
class ImportReport:
    """An import. Exit code: 0 done, 1 a person is needed (a file not taken, a gap)."""

    files: list[FileReport] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    matched: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """For the command line."""
        return 1 if self.gaps or any(file.problem for file in self.files) else 0

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "files": [vars(file) for file in self.files],
            "gaps": list(self.gaps),
            "matched": list(self.matched),
            "exit_code": self.exit_code,
        }

    def describe(self) -> list[str]:
        """The report for people."""
        words = [] if self.files else ["no files to take"]
        for file in self.files:
            if file.problem:
                words.append(f"not taken: {file.problem}")
                continue
            words.append(
                f"{file.name}: {file.new_lines} new lines, {file.known_lines} known already, "
                f"{file.statements} statements"
            )
            words += [f"  {note}" for note in file.notes]
        words += [f"gap: {gap}" for gap in self.gaps]
        words += [f"matched: {match}" for match in self.matched]
        return words


def import_files(
    ledger: Ledger,
    paths: Iterable[Path],
    *,
    formats: Sequence[CsvFormat],
    accounts: Sequence[OurAccount],
) -> ImportReport:
    """Take files, each whole or not at all; those of accounts that no seller has are left out."""
    report = ImportReport()
    for path in paths:
        one = FileReport(path.name)
        report.files.append(one)
        try:
            found = _ours(read(path, formats), accounts, one)
        except BankError as error:
            one.problem = str(error)
            continue
        except OSError as error:
            one.problem = f"{path}: {error.strerror}"
            continue
        with ledger.transaction() as tx:
            take(tx, found, one)
    report.gaps = gaps(ledger)
    return report


def read(path: Path, formats: Sequence[CsvFormat]) -> BankFile:
    """What a file says. Raises BankError if it cannot be read."""
    content = path.read_bytes()
    if is_camt(content):
        return read_camt(path.name, content)
    return read_csv(path.name, content, format_for(path.name, formats))


def waiting(inbox: Path) -> list[Path]:
    """The files of a drop folder that are whole, by name."""
    if not inbox.is_dir():
        return []
    return sorted(
        path
        for path in inbox.iterdir()
        if path.is_file() and path.name[:1] not in ".~" and path.suffix not in NOT_A_FILE_YET
    )


def put_away(path: Path, taken: Path) -> None:
    """Move a file that was taken out of the drop folder. Killed before: it is taken again, and adds
    nothing."""
    taken.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    path.replace(taken / f"{digest}-{path.name}")


def _ours(found: BankFile, accounts: Sequence[OurAccount], report: FileReport) -> BankFile:
    """Only the accounts of sellers, under one name each."""
    names = {(name, ours.currency): ours.account for ours in accounts for name in ours.names}
    known = {name for name, _ in names}
    report.notes += found.notes
    left_out: dict[str, int] = defaultdict(int)
    for line in found.lines:
        if (line.account, line.currency) in names:
            continue
        if line.account in known:
            raise BankError(
                f"{found.name}: {line.place}: account {line.account} is in {line.currency}, but "
                "seller.yml has it under another currency"
            )
        left_out[line.account] += 1
    report.notes += [
        f"{count} lines of account {account} are left out: no seller has it in bank_accounts"
        for account, count in sorted(left_out.items())
    ]
    return replace(
        found,
        lines=[
            replace(line, account=names[line.account, line.currency])
            for line in found.lines
            if (line.account, line.currency) in names
        ],
        statements=[
            replace(one, account=names[one.account, one.currency])
            for one in found.statements
            if (one.account, one.currency) in names
        ],
    )


@dataclass
class _Known:
    """A line of the ledger. seen: by format, its details and which of several equal ones it is."""

    line_id: str
    values: Mapping[str, Any]
    seen: dict[str, tuple[str, int]]


def take(tx: Transaction, found: BankFile, report: FileReport) -> None:
    """Write down what is new in a file."""
    report.statements = len(found.statements)
    _take_statements(tx, found)
    by_movement: dict[tuple[str, str, date, Decimal], list[_Known]] = defaultdict(list)
    for known in _known_lines(tx, found.lines):
        row = known.values
        by_movement[row["account"], row["currency"], row["booked_on"], row["amount"]].append(known)
    used: set[str] = set()
    ordinals: dict[tuple[Any, ...], int] = defaultdict(int)
    numbered: list[tuple[BankLine, int]] = []
    for line in found.lines:
        ordinals[line.movement, line.details] += 1
        numbered.append((line, ordinals[line.movement, line.details]))
    unseen: list[tuple[BankLine, int]] = []
    for line, ordinal in numbered:
        same = [
            known
            for known in by_movement[line.movement]
            if known.seen.get(found.form) == (line.details, ordinal)
        ]
        if same:
            used.add(same[0].line_id)
            report.known_lines += 1
        else:
            unseen.append((line, ordinal))
    for line, ordinal in unseen:
        other = next(
            (
                known
                for known in by_movement[line.movement]
                if found.form not in known.seen
                and known.line_id not in used
                and _may_be(known.values, line)
            ),
            None,
        )
        if other is None:
            line_id = _line_id(found.form, line, ordinal)
            tx.record(tables.bank_lines, **_row(found, line, line_id))
            report.new_lines += 1
        else:
            line_id = other.line_id
            report.known_lines += 1
        used.add(line_id)
        tx.record(
            tables.bank_sightings,
            line_id=line_id,
            form=found.form,
            details=line.details,
            ordinal=ordinal,
            file_name=found.name,
            file_digest=found.content_digest,
            place=line.place,
        )


def _line_id(form: str, line: BankLine, ordinal: int) -> str:
    account, currency, booked_on, amount = line.movement
    words = (form, account, currency, str(booked_on), str(amount), line.details, str(ordinal))
    return f"bl-{digest(*words)[:12]}"


def _may_be(known: Mapping[str, Any], line: BankLine) -> bool:
    """Whether lines of two formats can be the same movement: nothing that both give differs."""
    pairs = (
        (account_name(known["counterparty_account"]), account_name(line.counterparty_account)),
        (known["end_to_end_id"] or "", line.end_to_end_id),
    )
    return all(not one or not other or one == other for one, other in pairs)


def _row(found: BankFile, line: BankLine, line_id: str) -> dict[str, Any]:
    return {
        "line_id": line_id,
        "account": line.account,
        "currency": line.currency,
        "booked_on": line.booked_on,
        "value_on": line.value_on,
        "amount": line.amount,
        "counterparty_name": one_line(line.counterparty_name) or None,
        "counterparty_account": line.counterparty_account or None,
        "remittance": line.remittance or None,
        "end_to_end_id": line.end_to_end_id or None,
        "bank_reference": line.bank_reference or None,
        "reversal": line.reversal,
        "form": found.form,
        "file_name": found.name,
        "place": line.place,
        "raw": jsonable(line.raw),
    }


def _known_lines(tx: Transaction, lines: Sequence[BankLine]) -> list[_Known]:
    """Lines of the ledger on the days of some lines, in the order of writing."""
    if not lines:
        return []
    days = [line.booked_on for line in lines]
    table, sightings = tables.bank_lines, tables.bank_sightings
    near = table.c.booked_on.between(min(days), max(days))
    rows = tx.query(select(table).where(near).order_by(table.c.id))
    seen: dict[str, dict[str, tuple[str, int]]] = defaultdict(dict)
    for row in tx.query(
        select(sightings).join(table, table.c.line_id == sightings.c.line_id).where(near)
    ):
        seen[row["line_id"]][row["form"]] = (row["details"], row["ordinal"])
    return [_Known(row["line_id"], row, seen[row["line_id"]]) for row in rows]


def _take_statements(tx: Transaction, found: BankFile) -> None:
    """The statements that have balances; the others say nothing that their lines do not."""
    table = tables.bank_statements
    keys = {one.key for one in found.statements}
    have = {row["statement_key"] for row in tx.query(select(table.c.statement_key))} & keys
    for one in found.statements:
        if one.key in have or one.opening_balance is None or one.closing_balance is None:
            continue
        have.add(one.key)
        tx.record(
            table,
            statement_key=one.key,
            account=one.account,
            currency=one.currency,
            reference=one.reference,
            opened_on=one.opened_on,
            closed_on=one.closed_on,
            opening_balance=one.opening_balance,
            closing_balance=one.closing_balance,
            line_count=one.line_count,
            form=found.form,
            file_name=found.name,
            file_digest=found.content_digest,
            place=one.place,
        )


def gaps(ledger: Ledger) -> list[str]:
    """Where statements of an account do not join: one opens with a balance that none before it
    closed with, and it does not lie within another."""
    table = tables.bank_statements
    rows = [
        row
        for row in ledger.query(select(table).order_by(table.c.closed_on, table.c.id))
        if row["closed_on"] is not None
    ]
    by_account: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        by_account[row["account"], row["currency"]].append(row)
    return [
        words
        for (account, currency), found in sorted(by_account.items())
        for words in _gaps_of(account, currency, found)
    ]


def _gaps_of(account: str, currency: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    first = min(_opened(row) for row in rows)
    told = []
    for row in rows:
        before = [
            other for other in rows if other is not row and other["closed_on"] <= row["closed_on"]
        ]
        joins = any(other["closing_balance"] == row["opening_balance"] for other in before)
        inside = any(
            other is not row
            and _opened(other) <= _opened(row)
            and other["closed_on"] >= row["closed_on"]
            and (_opened(other), other["closed_on"]) != (_opened(row), row["closed_on"])
            for other in rows
        )
        if joins or inside or _opened(row) == first or not before:
            continue
        last = before[-1]
        told.append(
            f"{account} {currency}: statement {row['reference']} ({row['file_name']}) opens on "
            f"{_opened(row)} with {row['opening_balance']}, the one before it "
            f"({last['reference']}, {last['file_name']}) closed on {last['closed_on']} with "
            f"{last['closing_balance']}: statements are missing in between"
        )
    return told


def _opened(row: Mapping[str, Any]) -> date:
    opened: date = row["opened_on"] or row["closed_on"]
    return opened
