"""Reading camt.053, the bank's statement of ISO 20022, in all its versions.

The message is read into the classes that pyiso20022 has of each version's schema, so a missing or
misspelt mandatory element is an error and an amount is a Decimal. Here is what of a message becomes
a line: an entry, or each transaction of a batched entry whose amounts add up to the entry.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from importlib import import_module
from typing import Any, Final
from xml.etree import ElementTree
from xml.parsers import expat

from xsdata.exceptions import ParserError
from xsdata.formats.dataclass.parsers import XmlParser
from xsdata.formats.dataclass.parsers.config import ParserConfig
from xsdata.formats.dataclass.parsers.handlers import XmlEventHandler

from exporters.bank.model import (
    BankError,
    BankFile,
    BankLine,
    BankStatement,
    money,
)
from exporters.ledger.banking import account_name

FORM: Final = "camt.053"
NAMESPACE: Final = "urn:iso:std:iso:20022:tech:xsd:camt.053.001."
OLDEST: Final = 1
NEWEST: Final = 12
# Later versions only added elements that are not read here, so they are read as the newest known.
READ_AS_NEWEST: Final = (13, 14)
_MESSAGE: Final = re.compile(r"urn:iso:std:iso:20022:tech:xsd:(camt\.\d{3})\.001\.(\d{2})\Z")
STATUSES: Final = ("BOOK", "PDNG", "INFO", "FUTR")
_OPENING, _CLOSING, _INTERIM = ("OPBD", "PRCD"), ("CLBD",), "ITBD"


def is_camt(content: bytes) -> bool:
    """Whether a file looks like XML."""
    return content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<" or content[:2] in (
        b"\xff\xfe",
        b"\xfe\xff",
    )


def read_camt(name: str, content: bytes) -> BankFile:
    """A camt.053 file. Raises BankError naming file, statement, entry, field and value; and for a
    statement whose opening balance and booked entries do not give its closing balance."""
    version = _version(name, content)
    if version in READ_AS_NEWEST:
        content = content.replace(
            f"{NAMESPACE}{version:02}".encode(), f"{NAMESPACE}{NEWEST:02}".encode()
        )
        version = NEWEST
    document = _parsed(name, content, version)
    statements: list[BankStatement] = []
    lines: list[BankLine] = []
    notes: list[str] = []
    seen: set[tuple[str, ...]] = set()
    for number, stmt in enumerate(document.bk_to_cstmr_stmt.stmt, start=1):
        reading = _Statement(f"{name}: statement {number} ({stmt.id})", stmt)
        identity = reading.identity
        if identity in seen:
            notes.append(f"{reading.where} stands in the file twice; the copy is left out")
            continue
        seen.add(identity)
        found = list(reading.lines())
        statements.append(reading.statement(found))
        lines += found
        notes += reading.notes
    return BankFile(
        name=name,
        content_digest=hashlib.sha256(content).hexdigest(),
        form=FORM,
        statements=statements,
        lines=lines,
        notes=notes,
    )


def _version(name: str, content: bytes) -> int:
    """The version of the message. Raises BankError for what is no camt.053, or is no XML."""
    found: list[str] = []

    def refuse(*_: object) -> None:
        raise BankError(f"{name}: a document type declaration has no place in a bank statement")

    def element(tag: str, _: object) -> None:
        if not found:
            found.append(tag)

    parser = expat.ParserCreate(namespace_separator="|")
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = element
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise BankError(f"{name}: not well-formed XML: {error}") from None
    namespace = found[0].partition("|")[0]
    message = _MESSAGE.match(namespace)
    if message is None or message[1] != FORM:
        raise BankError(f"{name}: expected a camt.053 message, got {namespace or found[0]!r}")
    version = int(message[2])
    if not (OLDEST <= version <= NEWEST or version in READ_AS_NEWEST):
        raise BankError(f"{name}: camt.053.001.{version:02} is no version that is known")
    return version


def _parsed(name: str, content: bytes, version: int) -> Any:
    schema = import_module(f"pyiso20022.camt.camt_053_001_{version:02}")
    try:
        return _bind(content, schema.Document)
    except (ParserError, TypeError) as error:
        raise BankError(_place_of_fault(name, content, schema.Document, error)) from None


def _bind(content: bytes, document: type[Any]) -> Any:
    config = ParserConfig(fail_on_unknown_properties=False, fail_on_converter_warnings=True)
    return XmlParser(config=config, handler=XmlEventHandler).from_bytes(content, document)


def _place_of_fault(name: str, content: bytes, document: type[Any], error: Exception) -> str:
    """Which entry cannot be read, found by reading each alone."""
    root = ElementTree.fromstring(content)
    space = root.tag.partition("}")[0] + "}"
    for number, stmt in enumerate(root.iter(f"{space}Stmt"), start=1):
        for place, entry in enumerate(stmt.findall(f"{space}Ntry"), start=1):
            alone = _alone(root, number, entry, space)
            try:
                _bind(alone, document)
            except (ParserError, TypeError) as fault:
                if _field(fault) == _field(error):
                    return f"{name}: statement {number}, entry {place}: {_field(fault)}"
    return f"{name}: {_field(error)}"


def _alone(root: ElementTree.Element, number: int, entry: ElementTree.Element, space: str) -> bytes:
    """The message with one statement that has one entry."""
    message = root[0]
    bare = ElementTree.Element(root.tag)
    inside = ElementTree.SubElement(bare, message.tag)
    inside.extend([child for child in message if child.tag == f"{space}GrpHdr"])
    stmt = message.findall(f"{space}Stmt")[number - 1]
    only = ElementTree.SubElement(inside, stmt.tag)
    only.extend([deepcopy(c) for c in stmt if c.tag != f"{space}Ntry" or c is entry])
    return bytes(ElementTree.tostring(bare))


_MISSING: Final = re.compile(
    r"(\w+)\.__init__\(\) missing \d+ required keyword-only arguments?: (.*)"
)


def _field(error: Exception) -> str:
    """The reader's error in one line: which field, which value."""
    words = " ".join(str(error).split())
    if found := _MISSING.search(words):
        return f"{found[1]} lacks {found[2]}"
    return words


@dataclass
class _Statement:
    """One statement of a message on its way to lines."""

    where: str
    stmt: Any

    def __post_init__(self) -> None:
        self.notes: list[str] = []
        self.account = self._account()
        self.currency = self._currency()

    @property
    def identity(self) -> tuple[str, ...]:
        sequence = getattr(self.stmt, "elctrnc_seq_nb", None)
        page = getattr(self.stmt, "stmt_pgntn", None)
        return (
            self.account,
            self.stmt.id,
            str(sequence),
            str(getattr(page, "pg_nb", None)),
            *(str(b) for b in self._balances()),
        )

    def _account(self) -> str:
        identity = self.stmt.acct.id
        other = getattr(identity, "othr", None)
        found = account_name(getattr(identity, "iban", None) or getattr(other, "id", None))
        if not found:
            raise BankError(f"{self.where}: Acct has neither an IBAN nor another identification")
        return found

    def _currency(self) -> str:
        entries = {entry.amt.ccy for entry in self.stmt.ntry}
        named = {self.stmt.acct.ccy} if self.stmt.acct.ccy else set()
        found = entries | named | {balance.amt.ccy for balance in self.stmt.bal}
        if len(found) != 1:
            raise BankError(
                f"{self.where}: expected one currency of the account, got {sorted(found) or 'none'}"
            )
        return str(found.pop())

    def lines(self) -> Iterator[BankLine]:
        """Lines of the booked entries, in the order of the file."""
        waiting = 0
        for number, entry in enumerate(self.stmt.ntry, start=1):
            status = _code(entry.sts)
            if status not in STATUSES:
                raise BankError(
                    f"{self.where}, entry {number}, Sts: expected {', '.join(STATUSES)}, got "
                    f"{status!r}"
                )
            if status != STATUSES[0]:
                waiting += 1
                continue
            yield from self._lines_of(entry, number)
        if waiting:
            self.notes.append(f"{self.where}: {waiting} entries that are not booked are left out")

    def _lines_of(self, entry: Any, number: int) -> Iterator[BankLine]:
        where = f"{self.where}, entry {number}"
        place = where.partition(": ")[2]
        sign = _sign(entry.cdt_dbt_ind, f"{where}, CdtDbtInd")
        booked = _day(entry.bookg_dt) or _day(entry.val_dt)
        if booked is None:
            raise BankError(f"{where}: BookgDt has no date")
        whole = BankLine(
            account=self.account,
            currency=self.currency,
            booked_on=booked,
            value_on=_day(entry.val_dt),
            amount=sign * money(entry.amt.value, where=f"{where}, Amt"),
            bank_reference=entry.acct_svcr_ref or "",
            reversal=bool(entry.rvsl_ind),
            remittance=_text(entry.addtl_ntry_inf),
            place=place,
        )
        details = [tx for group in entry.ntry_dtls for tx in group.tx_dtls]
        amounts = [_amount_of(tx, self.currency, sign) for tx in details]
        split = len(details) > 1 and None not in amounts
        if split and sum((a for a in amounts if a is not None), Decimal(0)) == whole.amount:
            for place_in, (tx, amount) in enumerate(zip(details, amounts, strict=True), start=1):
                where_in = f"{where}, transaction {place_in}"
                cents = money(amount or Decimal(0), where=f"{where_in}, Amt")
                one = replace(whole, amount=cents, place=f"{place}, transaction {place_in}")
                yield _described(one, [tx])
            return
        if len(details) > 1:
            self.notes.append(
                f"{where}: a batch of {len(details)} whose amounts are not given or do not add up "
                f"to {whole.amount}; it is one line"
            )
        yield _described(whole, details)

    def statement(self, lines: list[BankLine]) -> BankStatement:
        """The statement, its balances checked against its lines."""
        opening, opened_on = self._balance(_OPENING, first=True)
        closing, closed_on = self._balance(_CLOSING, first=False)
        moved = sum((line.amount for line in lines), Decimal(0))
        if opening is not None and closing is not None and opening + moved != closing:
            raise BankError(
                f"{self.where}: the opening balance {opening} and the booked entries {moved} give "
                f"{opening + moved}, not the closing balance {closing}"
            )
        if opening is None or closing is None:
            self.notes.append(f"{self.where}: has no opening and closing balance to check")
        days = [line.booked_on for line in lines]
        return BankStatement(
            account=self.account,
            currency=self.currency,
            reference=self.stmt.id,
            opened_on=opened_on or min(days, default=None),
            closed_on=closed_on or max(days, default=None),
            opening_balance=opening,
            closing_balance=closing,
            line_count=len(lines),
            place=self.where.partition(": ")[2],
        )

    def _balances(self) -> list[tuple[str, Decimal, date | None]]:
        found = []
        for balance in self.stmt.bal:
            where = f"{self.where}, Bal"
            sign = _sign(balance.cdt_dbt_ind, f"{where}, CdtDbtInd")
            amount = sign * money(balance.amt.value, where=f"{where}, Amt")
            kind = getattr(balance.tp.cd_or_prtry, "cd", None)
            found.append((_plain(kind), amount, _day(balance.dt)))
        return found

    def _balance(
        self, kinds: tuple[str, ...], *, first: bool
    ) -> tuple[Decimal | None, date | None]:
        """The balance of a kind; on a page of several that has none, the interim one."""
        balances = self._balances()
        for kind in kinds:
            for name, amount, day in balances:
                if name == kind:
                    return amount, day
        interim = [(amount, day) for name, amount, day in balances if name == _INTERIM]
        if not interim:
            return None, None
        return interim[0] if first else interim[-1]


def _described(line: BankLine, details: list[Any]) -> BankLine:
    """The line with what its transactions say of who paid and why."""
    paying = "dbtr" if (line.amount > 0) != line.reversal else "cdtr"
    names, accounts, texts, end_to_end, references = [], [], [], [], []
    for tx in details:
        parties, refs = tx.rltd_pties, tx.refs
        party = getattr(parties, paying, None)
        names.append(_party_name(getattr(parties, f"ultmt_{paying}", None)) or _party_name(party))
        accounts.append(_party_account(getattr(parties, f"{paying}_acct", None)))
        texts.append(_remittance(tx.rmt_inf) or _text(tx.addtl_tx_inf))
        end_to_end.append(_plain(getattr(refs, "end_to_end_id", None)))
        references.append(_plain(getattr(refs, "acct_svcr_ref", None)))
    given = [reference for reference in references if reference]
    return replace(
        line,
        counterparty_name=_joined(names),
        counterparty_account=_joined(accounts),
        remittance="\n".join(text for text in [*texts, line.remittance] if text),
        end_to_end_id=_joined(e for e in end_to_end if e != "NOTPROVIDED"),
        bank_reference=_joined(given) or line.bank_reference,
        raw={
            "names": names,
            "accounts": accounts,
            "texts": texts,
            "end_to_end_ids": end_to_end,
            "references": references,
            "entry_reference": line.bank_reference,
            "entry_text": line.remittance,
        },
    )


def _joined(words: Any) -> str:
    return "; ".join(dict.fromkeys(word for word in words if word))


def _plain(value: Any) -> str:
    """A text, or the text of a code; empty where there is none."""
    return "" if value is None else str(getattr(value, "value", value)).strip()


def _text(value: str | None) -> str:
    return (value or "").strip()


def _code(status: Any) -> str:
    """A status: a plain code up to version 7, a choice of a code or a bank's own word after."""
    return _plain(getattr(status, "cd", status)) or _plain(getattr(status, "prtry", None))


def _sign(indicator: Any, where: str) -> Decimal:
    code = _plain(indicator)
    if code not in ("CRDT", "DBIT"):
        raise BankError(f"{where}: expected CRDT or DBIT, got {code!r}")
    return Decimal(1) if code == "CRDT" else Decimal(-1)


def _day(choice: Any) -> date | None:
    """The date as the bank writes it: of an instant that of the bank's own clock."""
    found = getattr(choice, "dt", None) or getattr(choice, "dt_tm", None)
    return None if found is None else date(found.year, found.month, found.day)


def _amount_of(tx: Any, currency: str, sign: Decimal) -> Decimal | None:
    """What of an entry is this transaction's, in the account's currency; None if it is not said."""
    amount = getattr(tx, "amt", None)
    own = getattr(tx, "cdt_dbt_ind", None)
    if amount is None or amount.ccy != currency:
        details = tx.amt_dtls
        part = getattr(details, "tx_amt", None)
        amount = getattr(part, "amt", None)
    if amount is None or amount.ccy != currency:
        return None
    direction = {"CRDT": Decimal(1), "DBIT": Decimal(-1)}.get(_plain(own), sign)
    return direction * Decimal(amount.value)


def _party_name(party: Any) -> str:
    """The name of a party: itself up to version 3, a choice of a party or an agent after."""
    inner = getattr(party, "pty", None) or party
    return _text(getattr(inner, "nm", None))


def _party_account(account: Any) -> str:
    identity = getattr(account, "id", None)
    other = getattr(identity, "othr", None)
    return account_name(getattr(identity, "iban", None) or getattr(other, "id", None))


def _remittance(information: Any) -> str:
    """Unstructured text, and of structured information the references."""
    if information is None:
        return ""
    words = [_text(line) for line in information.ustrd]
    for part in information.strd:
        words.append(_plain(getattr(part.cdtr_ref_inf, "ref", None)))
        words += [_plain(getattr(document, "nb", None)) for document in part.rfrd_doc_inf]
        words += [_text(line) for line in part.addtl_rmt_inf]
    return "\n".join(word for word in words if word)
