"""The review sheet of a close: what to do next, every statement of a period with where it stands
and why, how totals moved against the month before. For finance, as a page and as a workbook, which
show the same facts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from babel.numbers import get_currency_precision

from exporters.close.completeness import IncompleteSite
from exporters.ledger import Ledger
from exporters.marts import open_marts
from exporters.statements import files
from exporters.statements.formats import formats_for, previous_period
from exporters.statements.html import render
from exporters.statements.review_facts import (
    APPROVED,
    BLOCKED,
    ISSUED,
    UNCLOSED,
    WAITING,
    ReviewFacts,
    Row,
    read_review,
)
from exporters.statements.text import file_stem, one_line
from exporters.statements.todo import (
    approve_command,
    exception_command,
    lines_command,
    next_steps,
)
from exporters.statements.xlsx import PERCENT, USAGE, Book, money_format

MOST_EXCEPTIONS_SHOWN = 100
_FORMATS = formats_for("en")
CAUSES = {
    "readings": "later readings",
    "book": "changed book",
    "code": "new version of the program",
    "dispute": "decided dispute",
}


@dataclass(frozen=True, kw_only=True)
class RenderedReview:
    """The review sheet's files by format (`html`, `xlsx`) and what it says in short."""

    period: str
    paths: Mapping[str, Path]
    statements: int
    waiting: int
    """statements that are blocked or wait for an approval"""

    def as_dict(self) -> dict[str, object]:
        return {
            "period": self.period,
            "paths": {kind: str(path) for kind, path in self.paths.items()},
            "statements": self.statements,
            "waiting": self.waiting,
        }


def render_review(
    marts_path: Path, period: str, out_dir: Path, *, ledger: Ledger | None = None
) -> RenderedReview:
    """Write `review-<period>.html` and `.xlsx` into `out_dir`.

    ledger: where approvals are read; they may be newer than the marts. Statements that are rendered
    in `out_dir` already are linked. Raises MartsError if the marts cannot be read, OSError if a
    file cannot be written.
    """
    with open_marts(marts_path) as marts:
        facts = read_review(marts, period, ledger)
    name = f"review-{file_stem(period)}"
    paths = {kind: out_dir / f"{name}.{kind}" for kind in ("html", "xlsx")}
    page = _page(facts, _rendered(facts, out_dir))
    files.write_atomically(paths["html"], render("review.html", review=page))
    files.write_atomically(paths["xlsx"], _workbook(facts))
    return RenderedReview(
        period=period,
        paths=paths,
        statements=len(facts.statements),
        waiting=len(facts.standing_at(BLOCKED, WAITING)),
    )


def waiting_statements(marts_path: Path, period: str, *, ledger: Ledger | None = None) -> list[str]:
    """The statements that a person has to look at: blocked ones and those without approval."""
    with open_marts(marts_path) as marts:
        facts = read_review(marts, period, ledger)
    return [row["statement_id"] for row in facts.standing_at(BLOCKED, WAITING)]


def _rendered(facts: ReviewFacts, out_dir: Path) -> dict[str, str]:
    """File names (without ending) of the statements whose PDF lies beside the sheet."""
    stems = files.stems_for(
        [(row["statement_id"], row["statement_number"]) for row in facts.statements]
    )
    return {one: stem for one, stem in stems.items() if (out_dir / f"{stem}.pdf").is_file()}


def _in_currency(row: Row, column: str) -> str:
    if row[column] is None:
        return "–"
    digits = row.get("minor_units")
    if digits is None:
        digits = get_currency_precision(row["currency"])
    return _FORMATS.amount(row[column], minor_units=digits)


def _percent(row: Row) -> str:
    value: Decimal | None = row["change_percent"]
    if value is None:
        return "new" if row["last_total"] is None else "–"
    return ("+" if value > 0 else "") + _FORMATS.percent(value)


def _standing(row: Row) -> str:
    if row["standing"] == APPROVED:
        who = "by rule" if row["is_automatic"] else f"by {one_line(row['approved_by'])}"
        return f"approved {who}"
    return {
        ISSUED: "issued",
        BLOCKED: "blocked",
        WAITING: "waits for approval",
        UNCLOSED: "within the rules",
    }.get(row["standing"], "running")


def _statement(row: Row, rendered: Mapping[str, str]) -> dict[str, Any]:
    waits = row["standing"] in (BLOCKED, WAITING)
    return {
        "id": one_line(row["statement_id"]),
        "payer": one_line(row["payer_name"]) or one_line(row["payer_id"]),
        "currency": one_line(row["currency"]),
        "total": _in_currency(row, "total"),
        "last": _in_currency(row, "last_total"),
        "change": _in_currency(row, "change"),
        "percent": _percent(row),
        "lines": row["lines"],
        "standing": _standing(row),
        "reason": one_line(row["why"]).removeprefix("waits for approval: "),
        "details": one_line(row["blocking_details"]) if row["standing"] == BLOCKED else "",
        "waits": waits,
        "command": _command(row),
        "preview": rendered.get(row["statement_id"]),
        "blocking": row["blocking_exceptions"],
        "warnings": row["warnings"],
        "share": _FORMATS.percent(row["share_percent"]),
        "disputed": bool(row["disputed"]),
        "number": one_line(row["statement_number"]) or "",
        "approved_by": one_line(row["approved_by"]),
        "approval_reason": one_line(row["approval_reason"]),
    }


def _command(row: Row) -> str | None:
    if row["standing"] == WAITING:
        return approve_command(row)
    if row["standing"] == BLOCKED:
        return lines_command(row) if row["lines"] else f"m2c exceptions --period {row['period']}"
    return None


def _page(facts: ReviewFacts, rendered: Mapping[str, str]) -> dict[str, Any]:
    statements = [_statement(row, rendered) for row in facts.statements]
    shown = dict(zip((row["statement_id"] for row in facts.statements), statements, strict=True))
    counts = Counter(row["standing"] for row in facts.statements)
    codes = [row for row in facts.adjustments if row["cause"] == "code"]
    return {
        "period": _FORMATS.month(facts.period),
        "last_period": _FORMATS.month(previous_period(facts.period)),
        "steps": next_steps(facts),
        "statements": statements,
        "counts": {
            "all": len(statements),
            "issued": counts[ISSUED],
            "ready": counts[ISSUED] + counts[APPROVED],
            "waiting": counts[WAITING],
            "blocked": counts[BLOCKED],
            "running": counts["running"],
        },
        "totals": [
            {
                "currency": one_line(row["currency"]),
                "statements": row["statements"],
                "net": _in_currency(row, "net"),
                "tax": _in_currency(row, "tax"),
                "total": _in_currency(row, "total"),
                "projected": _in_currency(row, "projected_total"),
                "last": _in_currency(row, "last_total"),
                "change": _in_currency(row, "change"),
                "percent": _percent(row),
            }
            for row in facts.totals
        ],
        "running": any(row["state"] == "open" for row in facts.statements),
        "has_last": any(row["last_total"] is not None for row in facts.totals),
        "waiting": sorted(
            (s for s in statements if s["waits"]), key=lambda s: s["standing"] != "blocked"
        ),
        "disputed": [s for s in statements if s["disputed"]],
        "by_amount": [shown[row["statement_id"]] for row in facts.by_amount],
        "by_percent": [shown[row["statement_id"]] for row in facts.by_percent]
        if not _same(facts.by_amount, facts.by_percent)
        else [],
        "approved": [
            shown[row["statement_id"]]
            for row in facts.standing_at(APPROVED, ISSUED)
            if not row["is_automatic"]
        ],
        "by_rule": sum(bool(row["is_automatic"]) for row in facts.standing_at(APPROVED, ISSUED)),
        "vanished": [_payer_row(row, "statement_id") for row in facts.vanished],
        "new_payers": [_payer_row(row, "payer_id") for row in facts.new_payers],
        "adjustments": [
            {
                "cause": CAUSES.get(row["cause"], "not told"),
                "is_code": row["cause"] == "code",
                "statement": one_line(row["statement_id"]),
                "periods": one_line(row["periods"]),
                "lines": row["lines"],
                "currency": one_line(row["currency"]),
                "net": _in_currency(row, "net"),
                "tax": _in_currency(row, "tax"),
            }
            for row in facts.adjustments
        ],
        "code_statements": len({row["statement_id"] for row in codes}),
        "book_lacks": [
            {key: one_line(row[key]) for key in ("file", "subject", "what")}
            for row in facts.book_lacks
        ],
        "incomplete": [_site(site) for site in facts.incomplete],
        "kinds": [
            {k: one_line(v) if isinstance(v, str) else v for k, v in row.items()}
            for row in facts.kinds
        ],
        "exceptions": [_exception(row) for row in facts.exceptions[:MOST_EXCEPTIONS_SHOWN]],
        "more_exceptions": max(0, len(facts.exceptions) - MOST_EXCEPTIONS_SHOWN),
        "footer": f"Billing book {one_line(facts.build['book_version'])}, program"
        f" {one_line(facts.build['code_version'])}, built {facts.build['built_at']:%Y-%m-%d %H:%M}"
        " UTC",
    }


def _same(some: Sequence[Row], others: Sequence[Row]) -> bool:
    """Whether the second list would only repeat what the first has shown."""
    return {row["statement_id"] for row in others} <= {row["statement_id"] for row in some}


def _payer_row(row: Row, key: str) -> dict[str, str]:
    return {
        "id": one_line(row[key]),
        "payer": one_line(row["payer_name"]) or one_line(row["payer_id"]),
        "currency": one_line(row["currency"]),
        "total": _in_currency(row, "total"),
    }


def _exception(row: Row) -> dict[str, str]:
    return {
        "id": one_line(row["exception_id"]),
        "severity": one_line(row["severity"]),
        "kind": one_line(row["kind"]).replace("_", " "),
        "statement": one_line(row["statement_id"]),
        "detail": one_line(row["detail"]),
        "status": one_line(row["status"]),
        "command": exception_command(row) if row["status"] == "open" else "",
    }


def _site(site: IncompleteSite) -> dict[str, Any]:
    return {
        "site": one_line(site.site_id),
        "expected": _FORMATS.fixed(site.expected_hours, decimals=1),
        "received": _FORMATS.fixed(site.received_hours, decimals=1),
        "missing": _FORMATS.percent(site.missing_percent),
        "days": ", ".join(str(day) for day in site.unmeasured_days),
        "last": _instant(site),
        "statements": len(site.statement_ids),
    }


def _instant(site: IncompleteSite) -> str:
    return f"{site.last_reading_at:%Y-%m-%d %H:%M} UTC" if site.last_reading_at else "none"


def _workbook(facts: ReviewFacts) -> bytes:
    book = Book(title=f"Review of {facts.period}")
    money = money_format(2)
    sheet = book.sheet("To do")
    sheet.table(
        [("Urgency", "", 9), ("What", "", 100), ("Command", "", 70)],
        [
            row
            for step in next_steps(facts)
            for row in [
                (step.urgency, step.what, step.commands[0] if step.commands else None),
                *((None, None, command) for command in step.commands[1:]),
            ]
        ],
    )
    waiting = facts.standing_at(BLOCKED, WAITING)
    if waiting:
        sheet.row += 1
        sheet.table(
            [("Urgency", "", 0), ("Statement, and why it waits", "", 0), ("Command", "", 0)],
            [
                (
                    "stop" if row["standing"] == BLOCKED else "wait",
                    f"{row['statement_id']}: {_why(row)}",
                    _command(row),
                )
                for row in waiting
            ],
        )
    if facts.book_lacks:
        sheet.row += 1
        sheet.table(
            [("File", "", 0), ("What the book lacks", "", 0)],
            [(r["file"], f"{r['subject']}: {r['what']}") for r in facts.book_lacks],
        )
    _statements_sheet(book, facts, money)
    sheet = book.sheet("Totals")
    sheet.table(
        [
            ("Currency", "", 10),
            ("Statements", "0", 11),
            ("Net", money, 16),
            ("Tax", money, 16),
            ("Total", money, 16),
            ("Projected total", money, 16),
            ("Last month", money, 16),
            ("Change", money, 16),
            ("Change %", PERCENT, 10),
        ],
        [
            (r["currency"], r["statements"], r["net"], r["tax"], r["total"], r["projected_total"],
             r["last_total"], r["change"], r["change_percent"])
            for r in facts.totals
        ],
    )  # fmt: skip
    if facts.adjustments:
        sheet = book.sheet("Adjustments")
        sheet.table(
            [("Cause", "", 26), ("Statement", "", 28), ("Months corrected", "", 30),
             ("Lines", "0", 8), ("Currency", "", 10), ("Net", money, 16), ("Tax", money, 16)],
            [(CAUSES.get(r["cause"], "not told"), r["statement_id"], r["periods"], r["lines"],
              r["currency"], r["net"], r["tax"]) for r in facts.adjustments],
        )  # fmt: skip
    sheet = book.sheet("Exceptions")
    sheet.table(
        [
            ("Exception", "", 20),
            ("Severity", "", 10),
            ("Kind", "", 24),
            ("Status", "", 14),
            ("Statement", "", 28),
            ("Site", "", 12),
            ("Machine", "", 20),
            ("Contract", "", 14),
            ("Occurrences", "0", 12),
            ("Quantity", USAGE, 16),
            ("What", "", 90),
        ],
        [
            (r["exception_id"], r["severity"], r["kind"], r["status"], r["statement_id"],
             r["site_id"], r["machine_id"], r["contract_id"], r["occurrences"], r["quantity"],
             r["detail"])
            for r in facts.exceptions
        ],
        freeze=True,
    )  # fmt: skip
    if facts.incomplete:
        sheet = book.sheet("Incomplete sites")
        sheet.table(
            [
                ("Site", "", 16),
                ("Expected hours", USAGE, 16),
                ("Received hours", USAGE, 16),
                ("Missing %", PERCENT, 10),
                ("Expected intervals", "0", 12),
                ("Received intervals", "0", 12),
                ("Last reading (UTC)", "", 20),
                ("Statements", "0", 11),
                ("Days without anything", "", 60),
            ],
            [
                (s.site_id, s.expected_hours, s.received_hours, s.missing_percent,
                 s.expected_intervals, s.received_intervals, _instant(s), len(s.statement_ids),
                 ", ".join(str(day) for day in s.unmeasured_days))
                for s in facts.incomplete
            ],
        )  # fmt: skip
    _payers_sheet(book, "Not there any more", "Statement last month", facts.vanished, money)
    _payers_sheet(book, "New payers", "Payer", facts.new_payers, money)
    return book.finish()


def _why(row: Row) -> str:
    details = row["blocking_details"] if row["standing"] == BLOCKED else None
    return ". ".join(text for text in (row["why"], details) if text)


def _statements_sheet(book: Book, facts: ReviewFacts, money: str) -> None:
    sheet = book.sheet("Statements")
    sheet.table(
        [
            ("Statement", "", 28),
            ("Payer", "", 12),
            ("Name", "", 28),
            ("Kind", "", 13),
            ("Currency", "", 9),
            ("Net", money, 15),
            ("Tax", money, 14),
            ("Total", money, 15),
            ("Last month", money, 15),
            ("Change", money, 15),
            ("Change %", PERCENT, 10),
            ("Lines", "0", 7),
            ("Standing", "", 22),
            ("Why", "", 50),
            ("Needs a person", "", 10),
            ("Blocking", "0", 9),
            ("Warnings", "0", 9),
            ("Missing or estimated", PERCENT, 11),
            ("State", "", 10),
            ("Number", "", 18),
            ("Approved by", "", 18),
            ("Reason of the approval", "", 30),
            ("Projected total", money, 15),
        ],
        [
            (
                row["statement_id"],
                row["payer_id"],
                row["payer_name"],
                row["statement_kind"],
                row["currency"],
                row["net"],
                row["tax"],
                row["total"],
                row["last_total"],
                row["change"],
                row["change_percent"],
                row["lines"],
                _standing(row),
                _why(row),
                "yes" if row["standing"] in (BLOCKED, WAITING) else None,
                row["blocking_exceptions"],
                row["warnings"],
                row["share_percent"],
                row["state"],
                row["statement_number"],
                row["approved_by"],
                row["approval_reason"],
                row["projected_total"],
            )
            for row in facts.statements
        ],
        freeze=True,
    )


def _payers_sheet(book: Book, title: str, key: str, rows: Iterable[Row], money: str) -> None:
    found = list(rows)
    if not found:
        return
    column = "statement_id" if key.startswith("Statement") else "payer_id"
    book.sheet(title).table(
        [(key, "", 28), ("Name", "", 28), ("Currency", "", 10), ("Total", money, 16)],
        [(row[column], row["payer_name"], row["currency"], row["total"]) for row in found],
    )
