"""Reading a bank's CSV by a format that a person wrote down in the book (`bank.yml`): which column
is what, how dates and decimals are written. Nothing is guessed: what does not fit is an error."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any, Final

from exporters.bank.model import BankError, BankFile, BankLine, BankStatement, money
from exporters.ledger.banking import account_name

_PARTS: Final = {"YYYY": r"(?P<y>\d{4})", "MM": r"(?P<m>\d{2})", "DD": r"(?P<d>\d{2})"}
_MANY: Final = ("counterparty_name", "counterparty_account", "end_to_end_id", "bank_reference")


@dataclass(frozen=True, kw_only=True)
class CsvFormat:
    """How a bank writes its CSV. `files`: pattern of file names. `columns`: header by field; a list
    of headers for `remittance`. `amount` is signed; or `money_in` and `money_out` are both
    positive. `account` and `currency` stand here where no column has them. `order`: `oldest_first`
    or `newest_first`, needed with a column `balance` (after each line), which is then checked."""

    format_id: str
    files: str
    columns: Mapping[str, Any]
    date_format: str
    decimal: str = "."
    thousands: str = ""
    delimiter: str = ","
    encoding: str = "utf-8"
    skip_lines: int = 0
    account: str | None = None
    currency: str | None = None
    order: str | None = None

    def takes(self, name: str) -> bool:
        """Whether a file of this name is written so."""
        return fnmatchcase(name.lower(), self.files.lower())


def format_for(name: str, formats: Sequence[CsvFormat]) -> CsvFormat:
    """The one format that takes a file of this name. Raises BankError if there is none, or two."""
    found = [one for one in formats if one.takes(name)]
    if len(found) == 1:
        return found[0]
    if found:
        named = ", ".join(one.format_id for one in found)
        raise BankError(f"{name}: several formats of bank.yml take files of this name: {named}")
    raise BankError(f"{name}: is no XML, and no format of bank.yml takes files of this name")


def read_csv(name: str, content: bytes, how: CsvFormat) -> BankFile:
    """A CSV file. Raises BankError naming file, row, column and value."""
    try:
        text = content.decode("utf-8-sig" if how.encoding == "utf-8" else how.encoding)
    except UnicodeDecodeError as error:
        raise BankError(
            f"{name}: is not {how.encoding}: {error.reason}, byte {error.start}"
        ) from None
    lines = list(_Reader(name, how, text).lines())
    balances = [line.raw.get("_balance") for line in lines]
    statements: list[BankStatement] = []
    for account, currency in dict.fromkeys((line.account, line.currency) for line in lines):
        chosen = [
            (line, balance)
            for line, balance in zip(lines, balances, strict=True)
            if (line.account, line.currency) == (account, currency)
        ]
        statements.append(_statement(name, how, chosen))
    plain = [
        BankLine(
            **{n: getattr(line, n) for n in BankLine.__dataclass_fields__ if n != "raw"},
            raw={key: value for key, value in line.raw.items() if key != "_balance"},
        )
        for line in lines
    ]
    return BankFile(
        name=name,
        content_digest=hashlib.sha256(content).hexdigest(),
        form=f"csv/{how.format_id}",
        statements=statements,
        lines=plain,
    )


def _statement(
    name: str, how: CsvFormat, rows: list[tuple[BankLine, Decimal | None]]
) -> BankStatement:
    ordered = rows[::-1] if how.order == "newest_first" else rows
    opening = closing = None
    if "balance" in how.columns:
        opening = closing = (ordered[0][1] or Decimal(0)) - ordered[0][0].amount
        for line, balance in ordered:
            if closing + line.amount != balance:
                raise BankError(
                    f"{name}: {line.place}: the balance before, {closing}, and {line.amount} give "
                    f"{closing + line.amount}, not {balance}: is a row missing, or the order "
                    f"of the rows not {how.order}?"
                )
            closing = balance
    days = [line.booked_on for line, _ in rows]
    return BankStatement(
        account=rows[0][0].account,
        currency=rows[0][0].currency,
        reference=name,
        opened_on=min(days),
        closed_on=max(days),
        opening_balance=opening,
        closing_balance=closing,
        line_count=len(rows),
        place="whole file",
    )


class _Reader:
    """Rows of one file to lines."""

    def __init__(self, name: str, how: CsvFormat, text: str) -> None:
        self._name, self._how = name, how
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=how.delimiter, strict=True)
        try:
            self._rows = [(rows.line_num, row) for row in rows]
        except csv.Error as error:
            raise BankError(f"{name}: row {rows.line_num}: {error}") from None
        self._date = re.compile(_date_pattern(how.date_format))
        thousands = re.escape(how.thousands)
        grouped = rf"\d{{1,3}}(?:{thousands}\d{{3}})+|\d+" if thousands else r"\d+"
        self._number = re.compile(rf"[+-]?(?:{grouped})(?:{re.escape(how.decimal)}\d+)?")

    def lines(self) -> Iterator[BankLine]:
        """The rows in order."""
        rows = self._rows[self._how.skip_lines :]
        if not rows:
            raise BankError(f"{self._name}: has no header")
        header = [column.strip() for column in rows[0][1]]
        self._check_header(header)
        for number, row in rows[1:]:
            if not any(cell.strip() for cell in row):
                continue
            where = f"{self._name}: row {number}"
            if len(row) != len(header):
                raise BankError(f"{where}: has {len(row)} columns, the header {len(header)}")
            yield self._line(where, dict(zip(header, row, strict=True)))

    def _check_header(self, header: list[str]) -> None:
        for column in self._columns():
            if header.count(column) != 1:
                how_often = "not there" if column not in header else "there several times"
                raise BankError(f"{self._name}: column {column!r} of bank.yml is {how_often}")

    def _columns(self) -> Iterator[str]:
        for named in self._how.columns.values():
            yield from [named] if isinstance(named, str) else named

    def _line(self, where: str, row: dict[str, str]) -> BankLine:
        columns, how = self._how.columns, self._how
        account = account_name(row[columns["account"]] if "account" in columns else how.account)
        currency = row[columns["currency"]].strip() if "currency" in columns else how.currency
        if not account or not re.fullmatch(r"[A-Z]{3}", currency or ""):
            raise BankError(f"{where}: no account or currency, got {account!r} and {currency!r}")
        booked = self._day(where, row, "booked_on")
        if booked is None:
            raise BankError(f"{where}, column {columns['booked_on']!r}: there is no date")
        texts = {name: row[columns[name]].strip() for name in _MANY if name in columns}
        remittance = columns.get("remittance", ())
        remittance = [remittance] if isinstance(remittance, str) else remittance
        raw: dict[str, Any] = dict(row)
        if "balance" in columns:
            raw["_balance"] = self._amount(where, row, "balance")
        return BankLine(
            account=account,
            currency=str(currency),
            booked_on=booked,
            value_on=self._day(where, row, "value_on"),
            amount=self._moved(where, row),
            counterparty_name=texts.get("counterparty_name", ""),
            counterparty_account=account_name(texts.get("counterparty_account")),
            remittance="\n".join(row[c].strip() for c in remittance if row[c].strip()),
            end_to_end_id=texts.get("end_to_end_id", ""),
            bank_reference=texts.get("bank_reference", ""),
            place=where.partition(": ")[2],
            raw=raw,
        )

    def _moved(self, where: str, row: dict[str, str]) -> Decimal:
        columns = self._how.columns
        if "amount" in columns:
            amount = self._amount(where, row, "amount")
            if amount is None:
                raise BankError(f"{where}, column {columns['amount']!r}: there is no amount")
            return amount
        money_in, money_out = (self._amount(where, row, n) for n in ("money_in", "money_out"))
        if (not money_in) == (not money_out) or (money_in or 0) < 0 or (money_out or 0) < 0:
            raise BankError(
                f"{where}, columns {columns['money_in']!r} and {columns['money_out']!r}: expected "
                f"one of them with a positive amount, got {money_in} and {money_out}"
            )
        return money_in or -(money_out or Decimal(0))

    def _amount(self, where: str, row: dict[str, str], field: str) -> Decimal | None:
        column = self._how.columns[field]
        written = row[column].strip().replace("\u2212", "-")
        if not written:
            return None
        if not self._number.fullmatch(written):
            raise BankError(
                f"{where}, column {column!r}: {row[column]!r} is no amount as bank.yml has "
                f"it (decimal {self._how.decimal!r}, thousands {self._how.thousands!r})"
            )
        plain = written.replace(self._how.thousands, "") if self._how.thousands else written
        amount = Decimal(plain.replace(self._how.decimal, "."))
        return money(amount, where=f"{where}, column {column!r}")

    def _day(self, where: str, row: dict[str, str], field: str) -> date | None:
        column = self._how.columns.get(field)
        written = row[column].strip() if column else ""
        if not written:
            return None
        found = self._date.fullmatch(written)
        try:
            if found is not None:
                return date(int(found["y"]), int(found["m"]), int(found["d"]))
        except ValueError:
            pass
        raise BankError(
            f"{where}, column {column!r}: {written!r} is no date written {self._how.date_format}"
        )


def _date_pattern(written: str) -> str:
    pattern = re.escape(written)
    for part, group in _PARTS.items():
        pattern = pattern.replace(part, group)
    return pattern
