"""The README of an evidence folder: what it is, how it is run, what comes out, and what is taken as
given. Text of others is shown as text: nothing in it is markup."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from exporters.ledger.words import money
from exporters.statements.evidence.inputs import METERED
from exporters.statements.evidence.model import Row
from exporters.statements.evidence.steps import STEPS

_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~&])")
_SPACE = re.compile(r"\s+")


def readme(
    *,
    statement: Row,
    lines: Sequence[Row],
    compared: Sequence[Row],
    charges: Sequence[Row],
    steps: Sequence[str],
    estimates: Sequence[Row],
    readings: int,
    given: Sequence[str],
) -> str:
    """The README as Markdown. `compared` are the rows of the comparison, `charges` the rules."""
    return "\n".join(
        [
            *_head(statement, lines, readings),
            *_how_to_run(statement),
            *_expected(lines, compared, statement["currency"]),
            *_rules(charges),
            *_steps(steps),
            *_given(lines, estimates, given),
            *_trust(statement),
        ]
    )


def _head(statement: Row, lines: Sequence[Row], readings: int) -> Iterator[str]:
    name = statement["statement_number"] or statement["statement_id"]
    total = money(statement["total"], statement["currency"])
    yield f"# Evidence of statement {plain(name)}"
    yield ""
    if statement["state"] == "issued":
        yield (
            f"Statement {plain(name)} ({plain(statement['statement_id'])}) was issued at "
            f"{statement['issued_at']:%Y-%m-%d %H:%M:%S} UTC to payer "
            f"{plain(statement['payer_id'])} for {statement['period']}: {len(lines)} "
            f"line{'s' * (len(lines) != 1)}, **{total}** with tax."
        )
    else:
        yield (
            f"Statement {plain(name)} for payer {plain(statement['payer_id'])}, "
            f"{statement['period']}, **is not issued yet**: this is what it comes to now, "
            f"{total} with tax in {len(lines)} line{'s' * (len(lines) != 1)}."
        )
    yield (
        f"This folder holds the {readings:,} landed readings that it depends on, the rows of the "
        "billing book, and the rules as SQL. With nothing but DuckDB the total is computed again "
        "from the readings and held against what is stated, line by line."
    )
    yield ""


def _how_to_run(statement: Row) -> Iterator[str]:
    total = money(statement["total"], statement["currency"])
    yield from (
        "## How to run it",
        "",
        "With DuckDB's command line (<https://duckdb.org>, version 1.5 or newer):",
        "",
        "```sh",
        "cd PATH/TO/THIS/FOLDER",
        "cat sql/*.sql | duckdb",
        "```",
        "",
        "(on Windows `type sql\\*.sql | duckdb`), or with its Python package:",
        "",
        "```sh",
        "pip install duckdb",
        'python -c "import duckdb, glob; db = duckdb.connect(); '
        "[r.show(max_width=250, max_rows=1000) for f in sorted(glob.glob('sql/*.sql')) "
        "for s in duckdb.extract_statements(open(f, encoding='utf-8').read()) "
        'if (r := db.sql(s)) is not None]"',
        "```",
        "",
        f"The last line that is printed must say `recomputed {total.replace(',', '')}, stated "
        f"{total.replace(',', '')}: equal` and `ALL EQUAL`. It says `NOT EQUAL` if any line, any "
        "file or any fact of the ledger differs. Every step prints what it found; its tables stay "
        "in the session (`select * from usage_days`, `intervals`, `readings` …) for as long as it "
        "lasts.",
        "",
    )


def _expected(lines: Sequence[Row], compared: Sequence[Row], currency: str) -> Iterator[str]:
    share = {row["line_key"]: row["measured_percent"] for row in compared}
    yield from (
        "## What comes out",
        "",
        "| line | what | amount | tax | recomputed from | measured |",
        "|---|---|---:|---:|---|---:|",
    )
    for line in lines:
        yield (
            f"| {plain(line['line_key'])} | {plain(line['description'])} | "
            f"{_amount(line['amount'])} | {_amount(line['tax_amount'])} | {_origin(line)} | "
            f"{_share(share.get(line['line_key']))} |"
        )
    yield from (
        "",
        f"Amounts are in {plain(currency)}. *Measured* is the share of the usage behind the line "
        "that was measured by readings; the rest was estimated.",
        "",
    )


def _origin(line: Row) -> str:
    model = line["charge_model"]
    if line["adjusts_period"] is not None:
        return f"the line of {line['adjusts_period']} as it is now, less what was issued"
    if model == "credit":
        return "the book"
    if model in METERED:
        return "readings"
    if model == "recurring":
        return "machines, assignments and terms of the book"
    if model == "pass_through":
        return "landed charge events"
    return "the lines it is based on, themselves recomputed"


def _rules(charges: Sequence[Row]) -> Iterator[str]:
    if not charges:
        return
    yield from ("## The rules in words", "")
    for charge in charges:
        yield (
            f"- {plain(charge['code'])} (plan {plain(charge['plan_id'])}, version "
            f"{charge['version']}): {plain(charge['words'])}"
        )
    yield ""


def _steps(steps: Sequence[str]) -> Iterator[str]:
    yield from ("## The steps", "")
    for step in steps:
        yield f"- `sql/{step}.sql`: {STEPS[step]}"
    yield from (
        "",
        "Quantities are whole numbers of 10^-9 kWh (hours, GB, litres) and decimals, never binary "
        "fractions. Quantities of intervals are rounded once to 9 decimals, amounts once to the "
        "currency's smallest unit, always half away from zero.",
        "",
    )


def _given(lines: Sequence[Row], estimates: Sequence[Row], given: Sequence[str]) -> Iterator[str]:
    yield from (
        "## What is taken as given",
        "",
        "- The rows of the billing book: who stood where, contracts, plans, taxes, exchange rates. "
        "They are what people decided; the SQL applies them.",
        "- `time_zones.parquet` and `months.parquet`: offsets from UTC and the instants at which "
        "months begin and end, from the IANA time zone database.",
    )
    if estimates:
        total = sum((row["kwh"] for row in estimates), Decimal(0))
        yield (
            f"- {total.normalize():,f} kWh were not measured but estimated, because readings are "
            "missing. The estimates are themselves recomputed (step 4) from the readings of the "
            "days named here:"
        )
        for row in estimates[:_ESTIMATES_TOLD]:
            yield (
                f"  - meter {plain(row['meter_id'])} at {plain(row['site_id'])}, "
                f"{row['starts']:%Y-%m-%d %H:%M} to {row['ends']:%Y-%m-%d %H:%M} UTC: "
                f"{row['kwh'].normalize():,f} kWh, {_METHODS[row['method']]}"
                + (f": {', '.join(sorted(row['days'].split(', ')))}" if row["days"] else "")
            )
        if len(estimates) > _ESTIMATES_TOLD:
            yield f"  - … and {len(estimates) - _ESTIMATES_TOLD} more, in the table `estimates`"
    if any(line["adjusts_period"] is not None for line in lines):
        yield (
            "- Adjustments: what was issued before, in `issued_before.parquet`. It is evidence of "
            "its own, in the folders of those statements."
        )
    if any(line["charge_model"] == "credit" for line in lines):
        yield (
            "- Credits: the book's `credits.parquet` and earlier draws, in "
            "`credits_drawn_before.parquet`."
        )
    yield from (f"- {words}" for words in given)
    yield ""


_ESTIMATES_TOLD = 50
_METHODS = {
    "interpolate": "from the intervals before and after the gap",
    "like_day": "from the same clock hours 7, 14, 21 and 28 days before, as far as measured",
}


def _trust(statement: Row) -> Iterator[str]:
    yield from (
        "## How tampering shows",
        "",
        "`manifest.json` has the sha256 of every other file (step 0 computes them again). The "
        f"lines' content hash is `{statement['content_hash']}`"
        + (
            ": it was approved and issued, and stands in the ledger, whose facts of this statement "
            "are in `ledger_facts.parquet` with their hashes; each covers all facts before it "
            "(step 90 computes them again). Ask whoever sent this for the head of the hash chain, "
            "or keep the one of `manifest.json`: later heads must build on it."
            if statement["state"] == "issued"
            else "."
        ),
        "",
    )


def plain(value: Any) -> str:
    """Text of a book or a ledger, on one line and without markup."""
    return _MARKUP.sub(r"\\\1", _SPACE.sub(" ", str(value)).strip())


def _amount(value: Decimal | None) -> str:
    return "none" if value is None else f"{value:,f}"


def _share(value: Decimal | None) -> str:
    return "" if value is None else f"{value} %"
