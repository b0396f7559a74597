"""Finding a line by its key and putting its explanation together."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from exporters.explain import facts
from exporters.explain.calculation import calculation, canonical_unit
from exporters.explain.figures import amount, instant, number
from exporters.explain.intervals import reading_levels
from exporters.explain.levels import METERED, credit_level, issued_level, levels, local_span
from exporters.explain.model import (
    Check,
    ExplainError,
    Explanation,
    Level,
    Row,
    UnknownLineError,
)
from exporters.landed import LandedFiles
from exporters.line_keys import original_key
from exporters.marts import Marts, reading

_NEAR: Final = 3


def explain(
    marts: Marts | Path,
    data_dir: Path | LandedFiles,
    line_key: str,
    *,
    day: date | None = None,
    machine: str | None = None,
) -> Explanation:
    """Take a statement line apart.

    `data_dir` is where the landed files' paths begin, or says how they are read. With `day` (on the
    contract's clock; of index lines, UTC) or `machine` the readings behind are read too. Raises
    UnknownLineError for a key that no line has, ExplainError for a day or machine that the line has
    nothing of, MartsError where the marts or a landed file that they name are missing.
    """
    with reading(marts) as opened:
        return _explain(opened, LandedFiles.of(data_dir), line_key, day, machine)


def _explain(
    marts: Marts, landed: LandedFiles, line_key: str, day: date | None, machine: str | None
) -> Explanation:
    line = facts.line(marts, line_key)
    calc = facts.calculation(marts, original_key(line_key))
    if line is None:
        if calc is None or line_key != calc["line_key"]:
            raise UnknownLineError(line_key, _near(marts, line_key))
        line = _of_no_statement(marts, calc)
    tax_note = facts.tax_note(marts, line)
    line = {**line, "tax_note": tax_note}
    if line["charge_model"] == "credit":
        return _credit(marts, line, day, machine)

    of_rule = line if calc is None or line["line_key"] == calc["line_key"] else calc
    rule = facts.rule(marts, of_rule)
    since, revisions = _since_issue(marts, line, calc)
    how: list[str] = []
    checks: list[Check] = []
    found: list[Level] = []
    adjusts = line["adjusts_period"] is not None
    if adjusts:
        how += _adjustment(marts, line)
    if calc is None:
        how.append("The line is not rated any more: the last build gives it nothing.")
    else:
        words, checks = calculation(calc)
        how += [f"As rated now: {words[0]}", *words[1:]] if adjusts or since else words
    if adjusts or line["state"] == "issued":
        under_key = issued_level(marts, line, original_key(line_key), calc)
        # An issued line alone, and still what is rated, needs no comparison with itself.
        if adjusts or len(under_key.rows) > 1 or under_key.agrees is not True:
            found.append(under_key)
    if calc is not None:
        found += levels(marts, landed, calc)
        if day is not None or machine is not None:
            found += reading_levels(marts, landed, calc, day=day, machine=machine)
    elif day is not None or machine is not None:
        raise ExplainError(f"line {line_key} is not rated any more: it has no readings behind it")
    return Explanation(
        line=line,
        rule=None
        if rule is None
        else {
            **rule,
            "book_version": line["book_version"],
            "words_of_book": marts.build_info()["book_version"],
        },
        how=how,
        checks=checks,
        levels=found,
        rated_now=calc,
        since_issue=since,
        revisions=revisions,
        hints=_hints(line_key, calc, found, day, machine),
    )


def _credit(marts: Marts, line: Row, day: date | None, machine: str | None) -> Explanation:
    if day is not None or machine is not None:
        raise ExplainError(f"line {line['line_key']} is a credit: it is not made of readings")
    credit_id = str(line["line_key"]).split("/")[5]
    credit = facts.credit(marts, credit_id)
    digits = 2 if line["minor_units"] is None else line["minor_units"]
    how = []
    if credit is not None:
        how.append(
            f"Credit {credit_id} ({credit['kind']}"
            + (f", {credit['note']}" if credit["note"] else "")
            + f") of {amount(credit['amount'], credit['currency'], digits)}, "
            f"valid from {instant(credit['valid_from_at'])}"
            + (f" to {instant(credit['valid_to_at'])}." if credit["valid_to_at"] else ".")
        )
        how.append(
            "It is a balance: every statement of the contract draws on it, at most its total "
            "before tax after other credits."
            if credit["kind"] == "prepaid"
            else "It is given once, in the first open period after it becomes valid."
        )
    return Explanation(
        line=line,
        rule=None,
        how=how,
        checks=(),
        levels=(credit_level(marts, line, credit_id),),
    )


def _adjustment(marts: Marts, line: Row) -> list[str]:
    known = facts.adjustment(marts, str(line["line_key"]))
    cause = known["cause"] if known else None
    reasons = {
        "readings": "readings that came later or were corrected",
        "book": "a change of the book",
        "code": "a new version of the program",
        "dispute": "a dispute that was decided",
    }
    why = reasons.get(cause or "", "not told")
    return [
        f"It adjusts line {original_key(str(line['line_key']))} of {line['adjusts_period']} by "
        f"{_figures({**line, 'unit': 'flat'})}: what is rated now less all that was issued under "
        "that key before.",
        f"Cause: {why}.",
    ]


def _since_issue(marts: Marts, line: Row, calc: Row | None) -> tuple[list[str], list[Row]]:
    """What changed since an issued line was issued, in words, and the revisions of its usage."""
    if line["state"] != "issued" or line["adjusts_period"] is not None or calc is None:
        return [], []
    said = []
    if (calc["quantity"], calc["amount"]) != (line["quantity"], line["amount"]):
        kept = facts.why_not_adjusted(marts, calc, str(line["line_key"]))
        said.append(
            f"Issued with {_figures(line)}; rated now with {_figures({**line, **_now(calc)})}. "
            "The levels show what is rated now; "
            + (
                f"the line stays as it is: {kept}"
                if kept
                else "an adjustment carries the difference."
            )
        )
    if calc["charge_model"] not in METERED:
        return said, []
    first, last = local_span(calc["segment_start"], calc["segment_end"], calc["billing_timezone"])
    revisions = facts.revisions(marts, calc, first, last, line["issued_at"])
    if revisions:
        days = len({row["usage_date"] for row in revisions})
        said.append(
            f"Usage of {days} {'day' if days == 1 else 'days'} at {calc['site_id']} was revised "
            f"since {instant(line['issued_at'])}."
        )
    return said, list(revisions)


def _now(calc: Row) -> dict[str, Any]:
    return {
        "quantity": calc["quantity"],
        "amount": Decimal(0) if calc["amount"] is None else calc["amount"],
        "currency": calc["currency"] or calc["plan_currency"],
    }


def _figures(line: Row) -> str:
    """Quantity and amount of a line; the amount alone where the quantity says nothing."""
    digits = 2 if line["minor_units"] is None else line["minor_units"]
    shown = amount(line["amount"], line["currency"], digits)
    return (
        shown if line["unit"] == "flat" else f"{number(line['quantity'])} {line['unit']}, {shown}"
    )


def _hints(
    line_key: str, calc: Row | None, found: list[Level], day: date | None, machine: str | None
) -> tuple[str, ...]:
    if calc is None or calc["charge_model"] not in METERED or day is not None:
        return ()
    days = next((level for level in found if level.name == "days"), None)
    machines = next((level for level in found if level.name == "machines"), None)
    if days is None or not days.rows or machines is None or not machines.rows:
        return ()
    a_day = max(days.rows, key=lambda row: row["quantity"])["day"]
    options = f"--day {a_day}"
    if machine is None:
        options += f" or --machine {machines.rows[0]['machine_id']}, or both"
    return (f"readings: m2c explain {line_key} {options}",)


def _near(marts: Marts, line_key: str) -> list[str]:
    parts = original_key(line_key).split("/")
    same = facts.keys_like(marts, parts[0], parts[1] if len(parts) > 1 else "")
    keys = same or facts.all_keys(marts)
    close = get_close_matches(line_key, keys, n=_NEAR, cutoff=0.5)
    return close or same[:_NEAR]


def _of_no_statement(marts: Marts, calc: Row) -> dict[str, Any]:
    """A rated line that is on no statement, in the columns of one that is."""
    return {
        **calc,
        "statement_id": None,
        "statement_number": None,
        "state": None,
        "issued_at": None,
        "issue_date": None,
        "payer_name": None,
        "adjusts_period": None,
        "description": f"{calc['charge_code']}, on no statement",
        "unit": calc["charge_unit"] or "flat",
        "unit_price": calc["plan_unit_price"],
        "amount": calc["plan_amount"],
        "currency": calc["plan_currency"],
        "tax_code": None,
        "tax_rate_percent": None,
        "estimated_quantity": None,
        "book_version": marts.build_info()["book_version"],
        "unit_of_usage": canonical_unit(calc),
    }
