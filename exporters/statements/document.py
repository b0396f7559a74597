"""A statement as a reader sees it: every number, date and word written out in the payer's language.

`build` makes one plain structure (strings, lists, dicts) from the facts; the PDF and the page show
the same structure, so they can never say different things. Whole numbers in it are for drawing
(thousandths of a bar's height), never quantities.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from exporters.marts import price_of_one
from exporters.statements.facts import Row, StatementFacts
from exporters.statements.formats import (
    Formats,
    first_day,
    formats_for,
    language_of,
    last_day,
)
from exporters.statements.text import one_line, web_link
from exporters.statements.wording import Words, adjustment_notes, label

_TEXTS = Path(__file__).parent / "texts"
DAILY_MATRIX_MOST_ROWS = 120
"""Above this many machines a matrix of days helps nobody on paper; the spreadsheet has it."""
_EU = frozenset(
    {
        *("AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU"),
        *("IE", "IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK"),
    }
)


@cache
def texts(language: str) -> Mapping[str, Any]:
    """The words of the report in a language there is a file for."""
    with (_TEXTS / f"{language}.yml").open(encoding="utf-8") as file:
        loaded: Mapping[str, Any] = yaml.safe_load(file)
    return loaded


@cache
def languages() -> frozenset[str]:
    return frozenset(path.stem for path in _TEXTS.glob("*.yml"))


def build(facts: StatementFacts) -> dict[str, Any]:
    """The whole document. The same facts give the same structure."""
    return _Builder(facts).document()


class _Builder:
    def __init__(self, facts: StatementFacts) -> None:
        head = facts.head
        self._facts = facts
        self._head = head
        self._language = language_of(head["language"], languages())
        self._words = texts(self._language)
        in_english = self._language == "en" and not (head["language"] or "").startswith("en")
        self._formats: Formats = formats_for(None if in_english else head["language"])
        contracts = {line["contract_id"] for line in facts.lines}
        self._has_several_contracts = len(contracts) > 1
        self._minor_units: int = 2 if head["minor_units"] is None else head["minor_units"]
        self._said = Words(texts=self._words, formats=self._formats, minor_units=self._minor_units)

        self._labels = [label(line, self._said) for line in facts.lines]

    def document(self) -> dict[str, Any]:
        head, words = self._head, self._words
        is_credit = head["total"] < 0
        issued = self._facts.is_issued
        title = words["credit_note" if is_credit else "invoice"] if issued else words["preview"]
        return {
            "language": self._language,
            "currency": one_line(head["currency"]),
            "words": {k: v for k, v in words.items() if isinstance(v, str)},
            "title": title,
            "is_credit": is_credit,
            "causes": dict(words["causes"]),
            "name": one_line(head["statement_number"] if issued else head["statement_id"]),
            "issued": issued,
            "banner": None if issued else words["preview_banner"],
            "banner_note": None if issued else words["preview_note"],
            "seller": self._party("seller"),
            "payer": self._party("payer"),
            "meta": self._meta(is_credit=is_credit),
            "headline": self._headline(is_credit=is_credit),
            "dispute": words["disputed_all"] if head["disputed"] else None,
            "sites": [self._site_total(row) for row in self._facts.sites],
            "groups": self._groups(),
            "labels": self._labels,
            "totals": {
                "net": self._money(head["net"]),
                "tax": self._money(head["tax"]),
                "total": self._with_currency(head["total"]),
            },
            "taxes": [self._tax(row) for row in self._facts.taxes],
            "payment": self._payment(is_credit=is_credit) if issued else None,
            "estimated_note": words["estimated_note"] if self._has_estimates() else None,
            "rules": [self._rule(row) for row in self._facts.rules],
            "rules_note": None if self._language == "en" else words["rules_language"],
            "charts": self._charts(),
            "machines": self._machines(),
            "machine_days": self._machine_days(),
            "footer": words["made_from"].format(
                book_version=one_line(head["book_version"]),
                content_hash=one_line(head["content_hash"])[:16],
            ),
        }

    def _party(self, who: str) -> dict[str, Any]:
        head = self._head
        town = " ".join(
            one_line(head[f"{who}_{part}"])
            for part in ("postal_code", "city")
            if head[f"{who}_{part}"]
        )
        country = head[f"{who}_country"]
        lines = [
            one_line(head[f"{who}_address_line1"]),
            one_line(head[f"{who}_address_line2"]),
            town,
            self._formats.country(country) if country else "",
        ]
        identities = [(self._tax_number_label(country), one_line(head[f"{who}_tax_number"]))]
        if who == "seller":
            number = one_line(head["seller_registration_number"])
            identities.append((self._words["registration_number"], number))
            identities.append(("", one_line(head["seller_email"])))
        return {
            "name": one_line(head[f"{who}_name"]) or one_line(head[f"{who}_id"]),
            "lines": [line for line in lines if line],
            "identities": [{"label": k, "value": v} for k, v in identities if v],
        }

    def _tax_number_label(self, country: str | None) -> str:
        labels = self._words["tax_numbers"]
        return str(labels.get(country) or labels["EU" if country in _EU else "other"])

    def _meta(self, *, is_credit: bool) -> list[dict[str, str]]:
        head, words, formats = self._head, self._words, self._formats
        period = head["period"]
        span = formats.span(first_day(period), last_day(period))
        zones = ", ".join(self._facts.timezones)
        number_label = words["credit_number" if is_credit else "number"]
        rows: list[tuple[str, str]] = [
            (number_label, one_line(head["statement_number"]) if self._facts.is_issued else ""),
            (
                words["refers_to"],
                one_line(", ".join(self._facts.corrected)) if is_credit else "",
            ),
            (words["statement"], one_line(head["statement_id"])),
            (words["issue_date"], formats.day(head["issue_date"]) if head["issue_date"] else ""),
            (
                words["due_date"],
                formats.day(head["due_date"]) if head["due_date"] and not is_credit else "",
            ),
            (words["period"], f"{span} ({zones})" if zones else span),
            (words["currency"], one_line(head["currency"])),
            (words["po_number"], one_line(", ".join(self._facts.po_numbers))),
        ]
        return [{"label": label, "value": value} for label, value in rows if value]

    def _headline(self, *, is_credit: bool) -> dict[str, str | None]:
        head, words, formats = self._head, self._words, self._formats
        label = words["total"]
        note = None
        if self._facts.is_issued:
            label = words["total_credit" if is_credit else "total_due"]
            if head["due_date"] and not is_credit:
                note = words["by"].format(date=formats.day(head["due_date"]))
            if self._is_paid and not is_credit:
                label, note = words["total"], words["paid"]
            elif head["amount_paid"] and not is_credit:
                note = words["paid_part"].format(
                    amount=self._with_currency(head["amount_paid"]),
                    due=self._with_currency(head["amount_due"]),
                    date=formats.short_day(head["observed_at"].date()),
                )
        amount = -head["total"] if is_credit and self._facts.is_issued else head["total"]
        return {"label": label, "amount": self._with_currency(amount), "note": note}

    @property
    def _is_paid(self) -> bool:
        return bool(self._head["xero_status"] == "PAID")

    def _site_total(self, row: Row) -> dict[str, Any]:
        return {
            "site": self._site(row),
            "net": self._money(row["net"]),
            "tax": self._money(row["tax"]),
            "total": self._money(row["total"]),
        }

    def _site(self, row: Row) -> str:
        if row["site_id"] is None:
            return str(self._words["no_site"])
        name, site_id = one_line(row["site_name"]), one_line(row["site_id"])
        return f"{name} ({site_id})" if name and name != site_id else site_id

    def _groups(self) -> list[dict[str, Any]]:
        lines: dict[str | None, list[dict[str, Any]]] = defaultdict(list)
        for line, said in zip(self._facts.lines, self._labels, strict=True):
            lines[line["site_id"]].append(self._line(line, said))
        return [
            {
                "site": self._site(row),
                "country": self._formats.country(row["site_country"])
                if row["site_country"]
                else "",
                "subtotal_label": self._words["subtotal"].format(site=self._site(row)),
                "net": self._money(row["net"]),
                "tax": self._money(row["tax"]),
                "lines": lines[row["site_id"]],
            }
            for row in self._facts.sites
        ]

    def _line(self, line: Row, said: str) -> dict[str, Any]:
        formats = self._formats
        notes = []
        if self._has_several_contracts:
            notes.append(f"{self._words['contract']} {one_line(line['contract_id'])}")
        if line["adjusts_period"]:
            notes.append(adjustment_notes(line, self._said))
        estimated = line["estimated_quantity"]
        if estimated:
            notes.append(
                "~ "
                + self._words["estimated"].format(
                    quantity=formats.quantity(estimated), unit=self._said.unit(line["unit"])
                )
            )
        if line["disputed"]:
            notes.append(self._words["disputed"])
        rate, price = line["tax_rate_percent"], line["unit_price"]
        if price is None:
            price = price_of_one(line["amount"], line["quantity"])
        return {
            "description": said,
            "notes": notes,
            "quantity": formats.quantity(line["quantity"]),
            "unit": self._said.unit(line["unit"]),
            "unit_price": formats.unit_price(price, minor_units=self._minor_units),
            "amount": self._money(line["amount"]),
            "tax_rate": formats.percent(rate) if rate is not None else "–",
            "tax": self._money(line["tax_amount"]),
        }

    def _tax(self, row: Row) -> dict[str, str]:
        rate = row["tax_rate_percent"]
        return {
            "code": one_line(row["tax_code"]) or self._words["no_tax"],
            "rate": self._formats.percent(rate) if rate is not None else "",
            "net": self._money(row["net"]),
            "tax": self._money(row["tax"]),
            "note": self._tax_note(one_line(row["note"])),
        }

    def _tax_note(self, note: str) -> str:
        """The book's words; what the law wants said of reverse charge in the payer's language
        too."""
        legal = str(self._words["reverse_charge"])
        if "reverse charge" not in note.lower() or legal.lower() in note.lower():
            return note
        return f"{legal}. {note}"

    def _payment(self, *, is_credit: bool) -> dict[str, Any] | None:
        head, words = self._head, self._words
        if is_credit or self._is_paid:
            return None
        details = [
            (words["pay_to"], one_line(head["seller_name"])),
            (words["bank"], one_line(head["bank"])),
            (words["iban"], _iban(one_line(head["iban"]))),
            (words["bic"], one_line(head["bic"])),
            (words["account"], one_line(head["account"])),
            (words["reference"], one_line(head["statement_number"])),
        ]
        if not (head["iban"] or head["account"]):
            asked = words["no_account"].format(currency=one_line(head["currency"]))
            details = [(words["pay_to"], one_line(head["seller_name"])), ("", asked)]
        link = web_link(head["online_url"])
        return {
            "details": [{"label": k, "value": v} for k, v in details if v],
            "link": link,
        }

    def _rule(self, row: Row) -> dict[str, Any]:
        heading = self._words["plan"].format(plan=row["plan_id"], version=row["plan_version"])
        # The book words a version as a sentence that names it and one bullet a charge.
        lines = [one_line(text) for text in (row["words"] or "").splitlines()]
        bullets = [line.removeprefix("- ") for line in lines if line.startswith("- ")]
        return {
            "heading": one_line(heading),
            "words": bullets or [line for line in lines if line],
        }

    def _has_estimates(self) -> bool:
        return any(line["estimated_quantity"] for line in self._facts.lines)

    def _charts(self) -> list[dict[str, Any]]:
        by_metric: dict[tuple[str, str], dict[date, Row]] = defaultdict(dict)
        for row in self._facts.usage_days:
            by_metric[row["metric"], row["unit"]][row["usage_date"]] = row
        first, last = first_day(self._head["period"]), last_day(self._head["period"])
        days = [date.fromordinal(n) for n in range(first.toordinal(), last.toordinal() + 1)]
        charts = []
        for (metric, unit), found in by_metric.items():
            top = max(row["quantity"] for row in found.values())
            scale = _round_top(top)
            charts.append(
                {
                    "heading": self._words["usage_of"].format(
                        metric=self._metric(metric), unit=self._said.unit(unit)
                    ),
                    "top": self._formats.quantity(scale),
                    "half": self._formats.quantity(scale / 2),
                    "has_estimates": any(row["estimated"] for row in found.values()),
                    "days": [self._bar(day, found.get(day), unit, scale) for day in days],
                }
            )
        return charts

    def _bar(self, day: date, row: Row | None, unit: str, scale: Decimal) -> dict[str, Any]:
        metered = row["metered"] if row else Decimal(0)
        estimated = row["estimated"] if row else Decimal(0)
        decimals = _decimals_for([scale])
        shown = self._formats.fixed(row["quantity"], decimals=decimals) if row else "0"
        return {
            "day": str(day.day),
            "metered": int(metered * 1000 / scale),
            "estimated": int(estimated * 1000 / scale),
            "title": f"{self._formats.short_day(day)}: {shown} {self._said.unit(unit)}",
        }

    def _machines(self) -> list[dict[str, Any]]:
        groups: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
        for row in self._facts.usage_machines:
            groups[self._site(row), row["metric"], row["unit"]].append(row)
        return [
            {
                "site": site,
                "metric": self._metric(metric),
                "unit": self._said.unit(unit),
                "rows": self._machine_rows(rows),
            }
            for (site, metric, unit), rows in groups.items()
        ]

    def _machine_rows(self, rows: Sequence[Row]) -> list[dict[str, str]]:
        decimals = _decimals_for([row["quantity"] for row in rows])
        fixed = self._formats.fixed
        return [
            {
                "machine": one_line(row["machine_id"]),
                "metered": fixed(row["metered"], decimals=decimals),
                "estimated": fixed(row["estimated"], decimals=decimals) if row["estimated"] else "",
                "quantity": fixed(row["quantity"], decimals=decimals),
            }
            for row in rows
        ]

    def _machine_days(self) -> dict[str, Any] | None:
        if not self._facts.usage_machines:
            return None
        if len(self._facts.usage_machines) > DAILY_MATRIX_MOST_ROWS:
            many = len({row["machine_id"] for row in self._facts.usage_machines})
            return {"long": self._words["appendix_long"].format(machines=many), "groups": []}
        names = {row["site_id"]: self._site(row) for row in self._facts.usage_machines}
        cells: dict[tuple[str, str, str, str], dict[int, Decimal]] = defaultdict(dict)
        estimated: set[tuple[tuple[str, str, str, str], int]] = set()
        for row in self._facts.usage_machine_days:
            key = (names[row["site_id"]], row["metric"], row["unit"], row["machine_id"])
            day = row["usage_date"].day
            cells[key][day] = row["machine_day_quantity"]
            if row["machine_day_estimated"]:
                estimated.add((key, day))
        days = range(1, last_day(self._head["period"]).day + 1)
        all_values: dict[tuple[str, str, str], list[Decimal]] = defaultdict(list)
        for key, values in cells.items():
            all_values[key[:3]] += values.values()
        groups: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
        for key, values in cells.items():
            decimals = _decimals_for(all_values[key[:3]])
            groups[key[:3]].append(
                {
                    "machine": one_line(key[3]),
                    "days": [
                        ("~" if (key, day) in estimated else "")
                        + self._formats.fixed(values[day], decimals=decimals)
                        if day in values
                        else ""
                        for day in days
                    ],
                }
            )
        return {
            "long": None,
            "days": [str(day) for day in days],
            "groups": [
                {
                    "site": site,
                    "metric": self._metric(metric),
                    "unit": self._said.unit(unit),
                    "rows": rows,
                }
                for (site, metric, unit), rows in groups.items()
            ],
        }

    def _metric(self, metric: str) -> str:
        return str(self._words["metrics"].get(metric, one_line(metric)))

    def _money(self, value: Decimal | None) -> str:
        if value is None:
            return "–"
        return self._formats.amount(value, minor_units=self._minor_units)

    def _with_currency(self, value: Decimal) -> str:
        return self._said.money(self._head["currency"], value)


def _iban(text: str) -> str:
    """An IBAN in groups of four, as banks print it."""
    plain = text.replace(" ", "")
    return " ".join(plain[i : i + 4] for i in range(0, len(plain), 4))


def _decimals_for(values: Sequence[Decimal]) -> int:
    """How many decimals a reader can use in a column of usage with these values."""
    greatest = max((abs(value) for value in values), default=Decimal(0))
    return 1 if greatest >= 100 else 2 if greatest >= 1 else 4


def _round_top(value: Decimal) -> Decimal:
    """The least round number that is not below `value`: the top of a chart's axis."""
    if value <= 0:
        return Decimal(1)
    power = Decimal(10) ** value.adjusted()
    for step in ("1", "1.5", "2", "3", "4", "5", "6", "8"):
        if power * Decimal(step) >= value:
            return power * Decimal(step)
    return power * 10
