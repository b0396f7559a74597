"""An explanation as people read it in a terminal: headings, lines and tables, in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

from exporters.explain.figures import amount, instant, number, price, ratio
from exporters.explain.model import Explanation, Level, Row, added

_ROWS: Final = 12
_TITLES: Final = {
    "in_charge_unit": "in the charge's unit",
    "newest_fetch": "newest fetch",
    "exact_amount": "exact amount",
    "peak_start": "greatest window from",
    "peak_kwh": "kWh in it",
    "machine_id": "machine",
    "meter_id": "meter",
    "site_id": "site",
    "batch_id": "batch",
    "fetched_at": "fetched",
    "event_id": "event",
    "occurred_at": "occurred",
    "unit_amount": "price",
    "markup_percent": "markup %",
    "line_key": "line",
    "statement_id": "statement",
    "tax_amount": "tax",
}


_SUMMED: Final = {
    "sites": "sites",
    "machines": "machines",
    "days": "days",
    "lines": "lines",
    "events": "events",
    "intervals": "parts",
    "batches": "batches",
}
_AMOUNTS: Final = ("amount", "tax_amount")


@dataclass(frozen=True, kw_only=True)
class Part:
    """A heading, lines under it, and a table."""

    heading: str | None = None
    lines: Sequence[str] = ()
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    after: Sequence[str] = ()


def page(told: Explanation, *, in_full: bool = False) -> Iterator[Part]:
    """The parts of the page. At most 12 rows a table unless `in_full`; the rest is one row."""
    yield Part(heading=str(told.line["description"]), lines=list(_head(told.line)))
    if told.rule is not None:
        rule = told.rule
        until = f", to {rule['valid_to_month']}" if rule["valid_to_month"] else ""
        yield Part(
            heading="Rule",
            lines=[
                str(rule["words"]),
                f"plan {rule['plan_id']}, version {rule['plan_version']}, in force from "
                f"{rule['valid_from_month']}{until}; book {rule['book_version']}{_read_in(rule)}",
            ],
        )
    if told.since_issue:
        yield Part(heading="Since it was issued", lines=told.since_issue, **_revisions(told))
    yield Part(
        heading="How the number comes about",
        lines=[*told.how, *(f"{_mark(check.agrees)} {check.words}" for check in told.checks)],
    )
    for level in told.levels:
        yield _level(level, in_full=in_full)
    if told.hints:
        yield Part(lines=["", *told.hints])


def _read_in(rule: Row) -> str:
    """Where the sentence is not that of the book which the line was rated by."""
    if rule["words_of_book"] == rule["book_version"]:
        return ""
    return f" (the sentence is read in today's, {rule['words_of_book']})"


def _head(line: Row) -> Iterator[str]:
    digits = line["minor_units"] if line["minor_units"] is not None else 2
    currency = line["currency"]
    yield str(line["line_key"])
    quantity = f"{number(line['quantity'])} {line['unit']}"
    flat = line["unit"] == "flat"
    yield (
        (f"{quantity} × {price(line['unit_price'], currency)} = " if not flat else "")
        + amount(line["amount"], currency, digits)
        + _tax(line, digits)
    )
    if line["statement_id"] is None:
        yield "on no statement"
        return
    number_of = f" ({line['statement_number']})" if line["statement_number"] else ""
    issued = f" {instant(line['issued_at'])}" if line["issued_at"] else ""
    payer = line["payer_name"] or line["payer_id"]
    yield f"statement {line['statement_id']}{number_of}, {line['state']}{issued}; payer {payer}"
    if line["estimated_quantity"]:
        yield f"of it estimated: {number(line['estimated_quantity'])} {line['unit']}"


def _tax(line: Row, digits: int) -> str:
    if line["tax_code"] is None:
        return ", no tax rule"
    note = f" ({line['tax_note']})" if line["tax_note"] else ""
    return (
        f", tax {line['tax_code']} {number(line['tax_rate_percent'])} %{note}: "
        f"{amount(line['tax_amount'], line['currency'], digits)}"
    )


def _revisions(told: Explanation) -> dict[str, Any]:
    if not told.revisions:
        return {}
    columns = ("usage_date", "machine_id", "before", "after", "unit", "why", "revised_at")
    rows = [
        {
            **row,
            "before": row["metered_before"] + row["estimated_before"],
            "after": row["metered_after"] + row["estimated_after"],
        }
        for row in told.revisions[:_ROWS]
    ]
    more = len(told.revisions) - len(rows)
    return {
        "columns": [_title(column) for column in columns],
        "rows": [[_cell(column, row[column]) for column in columns] for row in rows],
        "after": [f"… and {more} more"] if more > 0 else [],
    }


def _level(level: Level, *, in_full: bool) -> Part:
    rows = list(level.rows)
    kept, rest = (rows, []) if in_full or len(rows) <= _ROWS + 1 else _telling(level)
    columns = [column for column in level.columns if _is_told(column, rows)]
    cells = [[_cell(column, row[column]) for column in columns] for row in kept]
    if rest:
        summed = [
            _cell(column, added(rest, column)) if column in (level.sum_column, "counted") else ""
            for column in columns
        ]
        summed[0] = f"… {len(rest)} more"
        cells.append(summed)
    return Part(
        heading=level.title if level.unit in (None, "µs") else f"{level.title}, {level.unit}",
        columns=[_title(column) for column in columns],
        rows=cells,
        after=[*_sums(level), *level.notes],
    )


def _telling(level: Level) -> tuple[list[Row], list[Row]]:
    """The rows of a long level that are shown, in their order, and the rest. Of readings, those
    that are no plain usage come before those that count, and these before the others."""
    order = list(range(len(level.rows)))
    if level.name == "intervals":
        order.sort(key=lambda n: _plainness(level.rows[n]))
    chosen = set(order[:_ROWS])
    kept = [row for n, row in enumerate(level.rows) if n in chosen]
    return kept, [row for n, row in enumerate(level.rows) if n not in chosen]


def _plainness(row: Row) -> int:
    if row["fate"] != "accepted" or not row["readings"]:
        return 0
    return 1 if row["counted"] else 2


def _sums(level: Level) -> Iterator[str]:
    if level.sum is None:
        return
    words = f"{_SUMMED.get(level.name, 'they')} add up to {_total(level, level.sum)}"
    if level.agrees is None:
        yield f"  {words}"
    elif level.agrees:
        yield f"{_mark(True)} {words}, {level.of}: yes"
    elif level.expected is None:
        yield f"{_mark(False)} {words}, {level.of}: no"
    else:
        yield f"{_mark(False)} {words}, {level.of}: no, that is {_total(level, level.expected)}"


def _total(level: Level, value: Decimal) -> str:
    if level.unit == "µs":
        return f"{number(ratio(int(value), 3_600_000_000, 6))} h"
    if level.sum_column in _AMOUNTS:
        return f"{level.unit} {value:,f}"
    return f"{number(value)} {level.unit or ''}".rstrip()


def _is_told(column: str, rows: Sequence[Row]) -> bool:
    return any(row[column] is not None for row in rows)


def _title(column: str) -> str:
    return _TITLES.get(column, column.replace("_", " "))


def _cell(column: str, value: Any) -> str:
    if value is None:
        return ""
    if column == "batches":
        return str(len(value))
    if isinstance(value, Decimal):
        return f"{value:,f}" if column in _AMOUNTS else number(value)
    if isinstance(value, datetime):
        shown = value.astimezone(UTC)
        form = "%Y-%m-%d %H:%M" if not (shown.second or shown.microsecond) else "%Y-%m-%d %H:%M:%S"
        return shown.strftime(form)
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


def _mark(agrees: bool) -> str:
    return "✓" if agrees else "✗"
