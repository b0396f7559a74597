"""What a line's description says, in the payer's language.

The mart words every line in English (`statement_lines.description`, a public text). Here the same
is said from the line's columns: a description is taken apart only if, put together again from what
was found, it is the mart's word for word. One that is not (issued by an older version, or under a
charge name that has changed the shape) is shown as the mart has it, so that no language ever says
something else than English does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from exporters.statements.facts import Row
from exporters.statements.formats import Formats, formats_for
from exporters.statements.text import one_line

_ENGLISH = formats_for("en")
_BAND_WORD = {
    "graduated": "tier",
    "volume": "tier",
    "stairstep": "step",
    "time_of_use": "band",
}


@dataclass(frozen=True, kw_only=True)
class Words:
    """The words and formats of a reader, and the decimals of his currency."""

    texts: Mapping[str, Any]
    formats: Formats
    minor_units: int

    def unit(self, unit: str) -> str:
        return str(self.texts["units"].get(unit, one_line(unit)))

    def name(self, name: str) -> str:
        """What the book calls a charge, translated where it is one of the usual names."""
        found = self.texts["names"].get(name.strip().lower())
        return str(found) if found else one_line(name)

    def money(self, currency: str, value: Decimal) -> str:
        shown = self.formats.amount(value, minor_units=self.minor_units)
        return f"{one_line(currency)}\u00a0{shown}"


def label(line: Row, words: Words) -> str:
    """A line in a few words, without what its columns, group and heading say already."""
    if line["adjusts_period"]:
        return _adjustment(line, words) or one_line(line["description"])
    if line["charge_model"] == "credit":
        return _credit(line, words) or one_line(line["description"])
    return _charge(line, words) or _shortened(line)


def adjustment_notes(line: Row, words: Words) -> str:
    """Which month and invoice an adjustment is about, and what it comes from."""
    texts = words.texts
    month = words.formats.month(line["adjusts_period"])
    note = str(texts["adjustment_of"]).format(month=month)
    if line.get("original_number"):
        note += f" ({one_line(line['original_number'])})"
    cause = texts["causes"].get(line.get("cause") or "")
    return f"{note}: {cause}" if cause else note


def _charge(line: Row, words: Words) -> str | None:
    texts = words.texts["line"]
    head = _between(
        line["description"],
        f"{_ENGLISH.month(line['period'])} ",
        f": {_amounts_in_english(line, words.minor_units)}",
    )
    if head is None:
        return None
    band = line["band"]
    word = _BAND_WORD.get(line["charge_model"])
    if word is not None:
        name = _name_before(head, line, re.escape(f", {word} {band}"))
        if name is None:
            return None
        shown = words.texts["bands"].get(band) or one_line(band)
        return str(texts[word]).format(name=words.name(name), band=shown)
    if line["charge_model"] != "pass_through":
        name = _name_before(head, line, "")
        return None if name is None else words.name(name)
    event = re.escape(str(band))
    found = _taken_apart(head, line, rf", event {event}(?: \((?P<what>.*)\))?")
    if found is not None:
        key = "event_described" if found["what"] else "event"
        return str(texts[key]).format(
            name=words.name(found["name"]), event=one_line(band), what=one_line(found["what"])
        )
    name = _name_before(head, line, re.escape(f", service {band}"))
    if name is None:
        return None
    return str(texts["service"]).format(name=words.name(name), service=one_line(band))


def _amounts_in_english(line: Row, minor_units: int) -> str:
    def money(value: Decimal) -> str:
        shown = _ENGLISH.unit_price(value, minor_units=minor_units)
        return f"{line['currency']} {shown}"

    unit, quantity = line["unit"], line["quantity"]
    if unit == "flat":
        return money(line["amount"])
    plural = "s" if unit in ("month", "package") and quantity != 1 else ""
    price = f" at {money(line['unit_price'])}" if line["unit_price"] is not None else ""
    return f"{_ENGLISH.quantity(quantity)} {unit}{plural}{price}"


def _name_before(head: str, line: Row, rest: str) -> str | None:
    found = _taken_apart(head, line, rest)
    return None if found is None else found["name"]


def _taken_apart(head: str, line: Row, rest: str) -> re.Match[str] | None:
    """`<name>[ at <site> (<id>)]<rest>`; the site may have had another name when it was billed."""
    if not line["site_id"]:
        return re.fullmatch(rf"(?P<name>.+?){rest}", head, re.DOTALL)
    site_id = re.escape(line["site_id"])
    for site in (re.escape(line["site_name"] or line["site_id"]), ".+?"):
        found = re.fullmatch(rf"(?P<name>.+) at {site} \({site_id}\){rest}", head, re.DOTALL)
        if found is not None:
            return found
    return None


def _credit(line: Row, words: Words) -> str | None:
    credit_id = str(line["line_key"]).rpartition("/")[2]
    head = _between(
        line["description"],
        f"{_ENGLISH.month(line['period'])} ",
        f": {_amounts_in_english(line, words.minor_units)}",
    )
    if head is None:
        return None
    found = re.fullmatch(
        rf"(?P<kind>\w+) credit {re.escape(credit_id)}(?: \((?P<note>.*)\))?", head, re.DOTALL
    )
    if found is None or found["kind"] not in words.texts["credit_kinds"]:
        return None
    kind = words.texts["credit_kinds"][found["kind"]]
    shown = f"{kind} {one_line(credit_id)}"
    return f"{shown} ({one_line(found['note'])})" if found["note"] else shown


def _adjustment(line: Row, words: Words) -> str | None:
    change = _change(line, words)
    if change is None:
        return None
    now, before, english = change
    band = line["band"]
    month = _ENGLISH.month(line["adjusts_period"])
    tail = f", {band}" if band is not None else ""
    expected = re.escape(f"{month} {line['charge_code']}")
    if line["site_id"]:
        expected += rf" at .+ \({re.escape(line['site_id'])}\)"
    expected += re.escape(f"{tail}: {english}")
    if re.fullmatch(expected, line["description"] or "", re.DOTALL) is None:
        return None
    texts = words.texts["line"]
    name = words.name(line["charge_code"])
    word = _BAND_WORD.get(line["charge_model"])
    if word is not None and band is not None:
        shown = words.texts["bands"].get(band) or one_line(band)
        name = str(texts[word]).format(name=name, band=shown)
    elif band is not None:
        name = f"{name}, {one_line(band)}"
    key = "adjusted_tax" if english.startswith("tax of ") else "adjusted"
    month = words.formats.month(line["adjusts_period"])
    said = str(texts[key]).format(month=month, name=name, now=now, before=before)
    return said[:1].upper() + said[1:]


def _change(line: Row, words: Words) -> tuple[str, str, str] | None:
    """What it is now and what it was, for the reader, and both in the mart's English."""
    if line.get("old_quantity") is None:
        return None
    currency = line["currency"]

    def english(value: Decimal) -> str:
        return f"{currency} {_ENGLISH.unit_price(value, minor_units=words.minor_units)}"

    for column in ("quantity", "amount", "tax_amount"):
        if column == "quantity" and line["unit"] == "flat":
            continue
        old, delta = line[f"old_{column}"], line[column] or Decimal(0)
        if not delta:
            continue
        new = old + delta
        if column == "quantity":
            unit = words.unit(line["unit"])
            quantity = words.formats.quantity
            return (
                f"{quantity(new)} {unit}",
                f"{quantity(old)} {unit}",
                f"{_ENGLISH.quantity(new)} {line['unit']} instead of "
                f"{_ENGLISH.quantity(old)} {line['unit']}",
            )
        prefix = "tax of " if column == "tax_amount" else ""
        return (
            words.money(currency, new),
            words.money(currency, old),
            f"{prefix}{english(new)} instead of {english(old)}",
        )
    return None


def _between(text: str | None, start: str, end: str) -> str | None:
    if text is None or not text.startswith(start) or not text.endswith(end):
        return None
    return text[len(start) : len(text) - len(end)] or None


def _shortened(line: Row) -> str:
    """The mart's own words without month, place and numbers, which stand beside them."""
    text = one_line(line["description"]) or one_line(line["charge_code"])
    head, separator, _ = text.rpartition(": ")
    short = head if separator else text
    short = short.removeprefix(f"{_ENGLISH.month(line['period'])} ")
    if line["site_id"]:
        place = f" at {one_line(line['site_name'])} ({line['site_id']})"
        short = short.replace(place, "", 1)
    return short[:1].upper() + short[1:] if short else text
