"""What Xero holds against what was issued and sent: decimals against decimals, to the cent.

A difference found here is never mended by the program; it is said in words and a person decides.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from exporters.xero.facts import Statement
from exporters.xero.mapping import sign_of
from exporters.xero.wire import Json, day, items, money

GONE = ("VOIDED", "DELETED")
APPROVED = ("AUTHORISED", "PAID")
WAITING = ("DRAFT", "SUBMITTED")


def id_of(remote: Json) -> str:
    """InvoiceID or CreditNoteID in lower case; empty when there is none."""
    found = str(remote.get("InvoiceID") or remote.get("CreditNoteID") or "").lower()
    return "" if set(found) <= set("0-") else found


def number_of(remote: Json) -> str:
    """InvoiceNumber or CreditNoteNumber."""
    return str(remote.get("InvoiceNumber") or remote.get("CreditNoteNumber") or "")


def element_errors(element: Json) -> list[str]:
    """Why Xero refused an element of a batch; empty when it did not."""
    found = [str(e.get("Message")) for e in items(element, "ValidationErrors")]
    if not found and element.get("StatusAttributeString") == "ERROR":
        found = ["Xero gave no reason"]
    return found


def differences(sent: Json, statement: Statement, remote: Json) -> list[str]:
    """In words, each way in which the document in Xero is not the one we sent for the statement.

    Due date, contact, payments, credits, attachments and the sent flag may change: not compared.
    """
    sign = sign_of(statement)
    found: list[str] = []
    for name in ("Type", "CurrencyCode"):
        if remote.get(name) != sent.get(name):
            found.append(f"{name} is {remote.get(name)}, sent {sent.get(name)}")
    number = sent.get("InvoiceNumber") or sent.get("CreditNoteNumber")
    if number_of(remote) != number:
        found.append(f"the number is {number_of(remote)}, sent {number}")
    if _words(remote.get("Reference")) != _words(sent.get("Reference")):
        found.append(
            f"the reference is {remote.get('Reference')!r}, sent {sent.get('Reference')!r}"
        )
    date = day(remote.get("DateString")) or day(remote.get("Date"))
    if date != day(sent.get("Date")):
        found.append(f"the date is {date}, sent {sent.get('Date')}")
    for name, ours in (
        ("SubTotal", statement.net),
        ("TotalTax", statement.tax),
        ("Total", statement.total),
    ):
        _amount(found, name, remote.get(name), ours * sign)
    sent_lines, lines = items(sent, "LineItems"), items(remote, "LineItems")
    if len(lines) != len(sent_lines):
        found.append(f"there are {len(lines)} lines, sent {len(sent_lines)}")
        return found
    for sent_line, theirs, line in zip(sent_lines, lines, statement.lines, strict=True):
        where = f"line {line.line_no}: "
        _amount(found, where + "LineAmount", theirs.get("LineAmount"), line.amount * sign)
        _amount(found, where + "TaxAmount", theirs.get("TaxAmount"), line.tax_amount * sign)
        for name in ("Quantity", "UnitAmount"):
            _amount(found, where + name, theirs.get(name), money(sent_line.get(name)))
        for name in ("AccountCode", "TaxType"):
            if theirs.get(name) != sent_line.get(name):
                found.append(f"{where}{name} is {theirs.get(name)}, sent {sent_line.get(name)}")
        if _words(theirs.get("Description")) != _words(sent_line.get("Description")):
            found.append(f"{where}the description was changed")
    return found


def _amount(found: list[str], name: str, theirs: Any, ours: Decimal | None) -> None:
    if money(theirs) != ours:
        found.append(f"{name} is {money(theirs)}, ours {ours}")


def _words(text: object) -> str:
    """Text without regard to how line ends and blanks are written."""
    return " ".join(str(text or "").split())
