"""The review sheet of a close: every statement of a period with the decision about it and why, how
totals moved against the month before, and what needs a person. For finance, as a page and as a
workbook. Sums, differences and shares come from SQL over decimals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from babel.numbers import get_currency_precision

from exporters.close.completeness import IncompleteSite, incomplete_sites
from exporters.marts import Marts, open_marts
from exporters.statements import files
from exporters.statements.formats import formats_for, previous_period
from exporters.statements.html import render
from exporters.statements.text import file_stem, one_line
from exporters.statements.xlsx import PERCENT, USAGE, Book, money_format

MOST_MOVEMENTS = 10
MOST_EXCEPTIONS_SHOWN = 100

# A statement is compared with last month's of the same payer and group (the last part of its id).
_STATEMENTS = """
with now as (select * from statements where period = $1),
before as (select * from statements where period = $2),
blocking as (
    select statement_id, string_agg(detail, ' ' order by exception_id) as blocking_details
    from billing_exceptions
    where period = $1 and severity = 'blocking' and status != 'resolved'
    group by statement_id
)
select
    now.*, blocking.blocking_details, payers.name as payer_name, payers.minor_units,
    before.total as last_total,
    cast(now.total - before.total as decimal(18, 2)) as change,
    -- Whole tenths of a percent, by integers: a share to look at, not to bill by.
    case when before.total > 0 then
        cast(
            cast((now.total - before.total) * 100 as hugeint) * 1000
            // cast(before.total * 100 as hugeint) as decimal(18, 1)
        ) * 0.1
    end as change_percent,
    cast(now.missing_or_estimated_share * 100 as decimal(9, 2)) as share_percent
from now
left join before
    on now.payer_id = before.payer_id and now.statement_kind = before.statement_kind
    and now.currency = before.currency
    and split_part(now.statement_id, '/', 3) = split_part(before.statement_id, '/', 3)
left join payers on now.payer_id = payers.payer_id
left join blocking on now.statement_id = blocking.statement_id
order by now.statement_id
"""
_TOTALS = """
select
    currency,
    count(*) filter (where period = $1) as statements,
    cast(coalesce(sum(net) filter (where period = $1), 0) as decimal(18, 2)) as net,
    cast(coalesce(sum(tax) filter (where period = $1), 0) as decimal(18, 2)) as tax,
    cast(coalesce(sum(total) filter (where period = $1), 0) as decimal(18, 2)) as total,
    cast(sum(projected_total) filter (where period = $1) as decimal(18, 2)) as projected_total,
    cast(coalesce(sum(total) filter (where period = $2), 0) as decimal(18, 2)) as last_total,
    cast(
        coalesce(sum(total) filter (where period = $1), 0)
        - coalesce(sum(total) filter (where period = $2), 0) as decimal(18, 2)
    ) as change
from statements
where period in ($1, $2)
group by currency
order by currency
"""
_VANISHED = """
select before.statement_id, before.payer_id, payers.name as payer_name, payers.minor_units,
    before.currency, before.total
from statements as before
left join payers on before.payer_id = payers.payer_id
where
    before.period = $2 and before.statement_kind = 'consolidated'
    and not exists (
        select 1 from statements as now
        where
            now.period = $1 and now.payer_id = before.payer_id
            and now.statement_kind = before.statement_kind and now.currency = before.currency
            and split_part(now.statement_id, '/', 3) = split_part(before.statement_id, '/', 3)
    )
order by before.statement_id
"""
_EXCEPTIONS = """
select * from billing_exceptions where period = $1
order by severity, status = 'resolved', kind, site_id nulls last, exception_id
"""
_KINDS = """
select severity, kind, count(*) as exceptions, count(*) filter (where status = 'open') as open
from billing_exceptions where period = $1
group by severity, kind order by severity, exceptions desc, kind
"""

DECISIONS = {
    "auto": "automatic",
    "needs_approval": "needs approval",
    "blocked": "blocked",
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


def render_review(marts_path: Path, period: str, out_dir: Path) -> RenderedReview:
    """Write `review-<period>.html` and `.xlsx` into `out_dir`.

    Raises MartsError if the marts cannot be read, OSError if a file cannot be written.
    """
    with open_marts(marts_path) as marts:
        facts = _read(marts, period)
    name = f"review-{file_stem(period)}"
    paths = {kind: out_dir / f"{name}.{kind}" for kind in ("html", "xlsx")}
    files.write_atomically(paths["html"], render("review.html", review=_page(facts)))
    files.write_atomically(paths["xlsx"], _workbook(facts))
    return RenderedReview(
        period=period,
        paths=paths,
        statements=len(facts.statements),
        waiting=sum(_waits(row) for row in facts.statements),
    )


@dataclass(frozen=True, kw_only=True)
class _Facts:
    period: str
    statements: list[dict[str, Any]]
    totals: list[dict[str, Any]]
    vanished: list[dict[str, Any]]
    exceptions: list[dict[str, Any]]
    kinds: list[dict[str, Any]]
    incomplete: tuple[IncompleteSite, ...]
    build: dict[str, Any]


def _read(marts: Marts, period: str) -> _Facts:
    both = (period, previous_period(period))
    return _Facts(
        period=period,
        statements=marts.rows(_STATEMENTS, both),
        totals=marts.rows(_TOTALS, both),
        vanished=marts.rows(_VANISHED, both),
        exceptions=marts.rows(_EXCEPTIONS, (period,)),
        kinds=marts.rows(_KINDS, (period,)),
        incomplete=incomplete_sites(marts, period),
        build=marts.build_info(),
    )


def _waits(row: Mapping[str, Any]) -> bool:
    return row["state"] != "issued" and (
        row["decision"] == "blocked"
        or (row["decision"] == "needs_approval" and not row["is_approved"])
    )


def _decision(row: Mapping[str, Any]) -> str:
    if row["is_approved"]:
        if row["decision"] == "auto":
            return "approved automatically"
        return f"approved by {one_line(row['approved_by'])}"
    return DECISIONS.get(row["decision"], one_line(row["decision"]))


def _page(facts: _Facts) -> dict[str, Any]:
    formats = formats_for("en")

    def money(row: Mapping[str, Any], column: str) -> str:
        value = row[column]
        if value is None:
            return "–"
        return formats.amount(value, minor_units=_minor_units(row))

    def in_currency(row: Mapping[str, Any], column: str) -> str:
        if row[column] is None:
            return "–"
        digits = get_currency_precision(row["currency"])
        return formats.amount(row[column], minor_units=digits)

    def percent(row: Mapping[str, Any]) -> str:
        value: Decimal | None = row["change_percent"]
        if value is None:
            return "new" if row["last_total"] is None else "–"
        return ("+" if value > 0 else "") + formats.percent(value)

    statements = [
        {
            "id": one_line(row["statement_id"]),
            "payer": one_line(row["payer_name"]) or one_line(row["payer_id"]),
            "kind": one_line(row["statement_kind"]),
            "currency": one_line(row["currency"]),
            "total": money(row, "total"),
            "last": money(row, "last_total"),
            "change": money(row, "change"),
            "percent": percent(row),
            "lines": row["lines"],
            "decision": _decision(row),
            "reason": one_line(row["decision_reason"]),
            "details": one_line(row["blocking_details"]),
            "waits": _waits(row),
            "blocked": row["decision"] == "blocked" and row["state"] != "issued",
            "blocking": row["blocking_exceptions"],
            "warnings": row["warnings"],
            "share": formats.percent(row["share_percent"]),
            "state": one_line(row["state"]),
            "number": one_line(row["statement_number"]) or "",
        }
        for row in facts.statements
    ]
    moved = sorted(
        (
            (row, shown)
            for row, shown in zip(facts.statements, statements, strict=True)
            if row["change"]
        ),
        key=lambda pair: (-abs(pair[0]["change_percent"] or 0), pair[0]["statement_id"]),
    )
    counts = Counter(
        "blocked" if s["blocked"] else "waiting" if s["waits"] else "ready" for s in statements
    )
    return {
        "period": formats.month(facts.period),
        "last_period": formats.month(previous_period(facts.period)),
        "statements": statements,
        "counts": {
            "all": len(statements),
            "issued": sum(s["state"] == "issued" for s in statements),
            "ready": counts["ready"],
            "waiting": counts["waiting"],
            "blocked": counts["blocked"],
        },
        "totals": [
            {
                "currency": one_line(row["currency"]),
                "statements": row["statements"],
                "net": in_currency(row, "net"),
                "tax": in_currency(row, "tax"),
                "total": in_currency(row, "total"),
                "projected": in_currency(row, "projected_total"),
                "last": in_currency(row, "last_total"),
                "change": in_currency(row, "change"),
            }
            for row in facts.totals
        ],
        "running": any(row["state"] == "open" for row in facts.statements),
        "waiting": [s for s in statements if s["waits"]],
        "movements": [shown for _, shown in moved[:MOST_MOVEMENTS]],
        "vanished": [
            {
                "id": one_line(row["statement_id"]),
                "payer": one_line(row["payer_name"]) or one_line(row["payer_id"]),
                "currency": one_line(row["currency"]),
                "total": money(row, "total"),
            }
            for row in facts.vanished
        ],
        "incomplete": [
            {
                "site": one_line(site.site_id),
                "expected": formats.fixed(site.expected_hours, decimals=1),
                "received": formats.fixed(site.received_hours, decimals=1),
                "missing": formats.percent(site.missing_percent),
                "days": ", ".join(str(day) for day in site.unmeasured_days),
                "last": _instant(site),
                "statements": len(site.statement_ids),
            }
            for site in facts.incomplete
        ],
        "kinds": [
            {k: one_line(v) if isinstance(v, str) else v for k, v in row.items()}
            for row in facts.kinds
        ],
        "exceptions": [
            {
                "severity": one_line(row["severity"]),
                "kind": one_line(row["kind"]),
                "statement": one_line(row["statement_id"]),
                "detail": one_line(row["detail"]),
                "status": one_line(row["status"]),
            }
            for row in facts.exceptions[:MOST_EXCEPTIONS_SHOWN]
        ],
        "more_exceptions": max(0, len(facts.exceptions) - MOST_EXCEPTIONS_SHOWN),
        "footer": f"Billing book {one_line(facts.build['book_version'])}, program"
        f" {one_line(facts.build['code_version'])}, built {facts.build['built_at']:%Y-%m-%d %H:%M}"
        " UTC",
    }


def _instant(site: IncompleteSite) -> str:
    return f"{site.last_reading_at:%Y-%m-%d %H:%M} UTC" if site.last_reading_at else "none"


def _minor_units(row: Mapping[str, Any]) -> int:
    return 2 if row["minor_units"] is None else int(row["minor_units"])


def _workbook(facts: _Facts) -> bytes:
    book = Book(title=f"Review of {facts.period}")
    money = money_format(2)
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
            ("Decision", "", 22),
            ("Reason", "", 50),
            ("Needs a person", "", 10),
            ("Blocking", "0", 9),
            ("Warnings", "0", 9),
            ("Missing or estimated", PERCENT, 11),
            ("State", "", 10),
            ("Number", "", 18),
            ("Approved by", "", 18),
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
                _decision(row),
                ". ".join(x for x in (row["decision_reason"], row["blocking_details"]) if x),
                "yes" if _waits(row) else None,
                row["blocking_exceptions"],
                row["warnings"],
                row["share_percent"],
                row["state"],
                row["statement_number"],
                row["approved_by"],
                row["projected_total"],
            )
            for row in facts.statements
        ],
        freeze=True,
    )
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
        ],
        [
            (r["currency"], r["statements"], r["net"], r["tax"], r["total"], r["projected_total"],
             r["last_total"], r["change"])
            for r in facts.totals
        ],
    )  # fmt: skip
    sheet = book.sheet("Exceptions")
    sheet.table(
        [
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
            (r["severity"], r["kind"], r["status"], r["statement_id"], r["site_id"],
             r["machine_id"], r["contract_id"], r["occurrences"], r["quantity"], r["detail"])
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
    if facts.vanished:
        sheet = book.sheet("Not there any more")
        sheet.table(
            [("Statement last month", "", 28), ("Payer", "", 28), ("Currency", "", 10),
             ("Total then", money, 16)],
            [(r["statement_id"], r["payer_name"], r["currency"], r["total"])
             for r in facts.vanished],
        )  # fmt: skip
    return book.finish()
