"""Messages of camt.053 as banks write them, in any version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from xml.sax.saxutils import escape

from tests.unit.bank.conftest import EUR


@dataclass(frozen=True, kw_only=True)
class Tx:
    """One transaction of an entry."""

    amount: str = ""
    currency: str = "EUR"
    name: str = "Aurora Rendering GmbH"
    account: str = "DE89370400440532013000"
    text: str = ""
    end_to_end: str = ""
    reference: str = ""
    structured: str = ""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One entry; amount is positive, `debit` turns it."""

    amount: str
    currency: str = "EUR"
    debit: bool = False
    status: str = "BOOK"
    booked: str = "2026-11-12"
    reversal: bool = False
    reference: str = ""
    txs: Sequence[Tx] = field(default_factory=tuple)
    text: str = ""

    @property
    def moved(self) -> Decimal:
        return Decimal(0) if self.status != "BOOK" else Decimal(self.amount) * self._sign

    @property
    def _sign(self) -> int:
        return -1 if self.debit else 1


@dataclass(frozen=True, kw_only=True)
class Stmt:
    """One statement; its closing balance is right unless given."""

    entries: Sequence[Entry]
    ident: str = "S1"
    account: str = EUR
    currency: str = "EUR"
    opening: str = "1000.00"
    closing: str | None = None
    opened: str = "2026-11-12"
    closed: str = "2026-11-12"


def camt(*statements: Stmt, version: int = 8, prefix: str = "") -> bytes:
    """A whole message."""
    body = "".join(_stmt(one, version) for one in statements)
    text = f"<GrpHdr><MsgId>M1</MsgId><CreDtTm>2026-11-13T04:00:00+01:00</CreDtTm></GrpHdr>{body}"
    text = f"<Document><BkToCstmrStmt>{text}</BkToCstmrStmt></Document>"
    space = f"urn:iso:std:iso:20022:tech:xsd:camt.053.001.{version:02}"
    if prefix:
        text = text.replace("</", "\0").replace("<", f"<{prefix}:").replace("\0", f"</{prefix}:")
        text = text.replace(f"<{prefix}:Document>", f'<{prefix}:Document xmlns:{prefix}="{space}">')
    else:
        text = text.replace("<Document>", f'<Document xmlns="{space}">')
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()


def _stmt(one: Stmt, version: int) -> str:
    moved = sum((entry.moved for entry in one.entries), Decimal(0))
    closing = str(Decimal(one.opening) + moved) if one.closing is None else one.closing
    return (
        f"<Stmt><Id>{one.ident}</Id><CreDtTm>2026-11-13T04:00:00+01:00</CreDtTm>"
        f"<Acct><Id><IBAN>{one.account}</IBAN></Id><Ccy>{one.currency}</Ccy></Acct>"
        + _balance("OPBD", one.opening, one.currency, one.opened)
        + _balance("CLBD", closing, one.currency, one.closed)
        + "".join(_entry(entry, version) for entry in one.entries)
        + "</Stmt>"
    )


def _balance(kind: str, amount: str, currency: str, day: str) -> str:
    value = Decimal(amount)
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{kind}</Cd></CdOrPrtry></Tp>"
        f'<Amt Ccy="{currency}">{abs(value)}</Amt>'
        f"<CdtDbtInd>{'DBIT' if value < 0 else 'CRDT'}</CdtDbtInd><Dt><Dt>{day}</Dt></Dt></Bal>"
    )


def _entry(one: Entry, version: int) -> str:
    status = one.status if version < 7 else f"<Cd>{one.status}</Cd>"
    reversal = "<RvslInd>true</RvslInd>" if one.reversal else ""
    reference = f"<AcctSvcrRef>{one.reference}</AcctSvcrRef>" if one.reference else ""
    details = "".join(_tx(tx, one.debit, version) for tx in one.txs)
    details = f"<NtryDtls>{details}</NtryDtls>" if details else ""
    text = f"<AddtlNtryInf>{escape(one.text)}</AddtlNtryInf>" if one.text else ""
    return (
        f'<Ntry><Amt Ccy="{one.currency}">{one.amount}</Amt>'
        f"<CdtDbtInd>{'DBIT' if one.debit else 'CRDT'}</CdtDbtInd>{reversal}<Sts>{status}</Sts>"
        f"<BookgDt><Dt>{one.booked}</Dt></BookgDt><ValDt><Dt>{one.booked}</Dt></ValDt>"
        f"{reference}<BkTxCd/>{details}{text}</Ntry>"
    )


def _tx(tx: Tx, debit: bool, version: int) -> str:
    refs = f"<AcctSvcrRef>{tx.reference}</AcctSvcrRef>" if tx.reference else ""
    if tx.end_to_end:
        refs += f"<EndToEndId>{escape(tx.end_to_end)}</EndToEndId>"
    amount = f'<Amt Ccy="{tx.currency}">{tx.amount}</Amt>' if tx.amount else ""
    if amount and version < 3:
        amount = f"<AmtDtls><TxAmt>{amount}</TxAmt></AmtDtls>"
    elif amount:
        amount += f"<CdtDbtInd>{'DBIT' if debit else 'CRDT'}</CdtDbtInd>"
    party = "Cdtr" if debit else "Dbtr"
    name = f"<Nm>{escape(tx.name)}</Nm>"
    name = name if version < 7 else f"<Pty>{name}</Pty>"
    parties = (
        f"<RltdPties><{party}>{name}</{party}><{party}Acct><Id><IBAN>{tx.account}</IBAN></Id>"
        f"</{party}Acct></RltdPties>"
    )
    inside = f"<Ustrd>{escape(tx.text)}</Ustrd>" if tx.text else ""
    if tx.structured:
        inside += f"<Strd><CdtrRefInf><Ref>{tx.structured}</Ref></CdtrRefInf></Strd>"
    remittance = f"<RmtInf>{inside}</RmtInf>" if inside else ""
    return f"<TxDtls><Refs>{refs}</Refs>{amount}{parties}{remittance}</TxDtls>"
