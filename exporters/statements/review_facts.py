"""What the review sheet of a close shows, read from the published marts and the ledger: statements
with where they stand, how totals moved, and what needs a person. Sums, differences and shares come
from SQL over decimals; nothing is put into words here but a statement's standing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from exporters.close.approvals import approvals_by_statement, approvers_needed, standing
from exporters.close.completeness import IncompleteSite, incomplete_sites
from exporters.ledger import Ledger
from exporters.marts import Marts
from exporters.statements.formats import previous_period

Row = Mapping[str, Any]

ISSUED, APPROVED, BLOCKED = "issued", "approved", "blocked"
WAITING, UNCLOSED, RUNNING = "waiting", "unclosed", "running"
"""Waits for a person; within the rules, so that a close approves it; its month is not over."""
MOST_MOVEMENTS: Final = 10
MOST_MOVEMENTS_A_CURRENCY: Final = 5

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
    payers.approval_owner,
    before.total as last_total,
    cast(now.total - before.total as decimal(18, 2)) as change,
    -- Whole tenths of a percent, by integers: a share to look at, not to bill by.
    case when before.total > 0 then
        cast(
            cast((now.total - before.total) * 100 as hugeint) * 1000
            // cast(before.total * 100 as hugeint) as decimal(18, 1)
        ) * 0.1
    end as change_percent,
    cast(now.missing_or_estimated_share * 100 as decimal(9, 2)) as share_percent,
    exists (
        select 1 from disputes
        where disputes.statement_id = now.statement_id and disputes.state = 'open'
    ) as disputed
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
with sums as (
    select
        currency,
        count(*) filter (where period = $1) as statements,
        cast(coalesce(sum(net) filter (where period = $1), 0) as decimal(18, 2)) as net,
        cast(coalesce(sum(tax) filter (where period = $1), 0) as decimal(18, 2)) as tax,
        cast(coalesce(sum(total) filter (where period = $1), 0) as decimal(18, 2)) as total,
        cast(sum(projected_total) filter (where period = $1) as decimal(18, 2)) as projected_total,
        cast(sum(total) filter (where period = $2) as decimal(18, 2)) as last_total
    from statements
    where period in ($1, $2)
    group by currency
)
select
    *,
    cast(total - coalesce(last_total, 0) as decimal(18, 2)) as change,
    case when last_total > 0 then
        cast(
            cast((total - last_total) * 100 as hugeint) * 1000
            // cast(last_total * 100 as hugeint) as decimal(18, 1)
        ) * 0.1
    end as change_percent
from sums
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
_NEW_PAYERS = """
select
    statements.payer_id, any_value(payers.name) as payer_name,
    any_value(payers.minor_units) as minor_units, statements.currency,
    count(*) as statements, cast(sum(statements.total) as decimal(18, 2)) as total
from statements
left join payers on statements.payer_id = payers.payer_id
where
    statements.period = $1
    and exists (select 1 from statements as earlier where earlier.period < $1)
    and not exists (
        select 1 from statements as earlier
        where earlier.period < $1 and earlier.payer_id = statements.payer_id
    )
group by statements.payer_id, statements.currency
order by statements.payer_id, statements.currency
"""
_ADJUSTMENTS = """
select
    coalesce(adjustments.cause, '') as cause, lines.statement_id, lines.currency,
    any_value(payers.minor_units) as minor_units,
    count(*) as lines,
    string_agg(distinct lines.adjusts_period, ', ' order by lines.adjusts_period) as periods,
    cast(sum(lines.amount) as decimal(18, 2)) as net,
    cast(sum(lines.tax_amount) as decimal(18, 2)) as tax
from statement_lines as lines
left join adjustments
    on lines.line_key = adjustments.line_key and lines.period = adjustments.period
left join payers on lines.payer_id = payers.payer_id
where lines.period = $1 and lines.adjusts_period is not null
group by coalesce(adjustments.cause, ''), lines.statement_id, lines.currency
order by cause, lines.statement_id
"""
# What the law or a bank asks of an invoice and the book does not have.
_BOOK_LACKS = """
with open as (
    select
        statements.statement_id, statements.payer_id, statements.currency, statements.total,
        payers.name as payer_name, payers.address_line1, payers.city, payers.tax_number,
        sellers.seller_id, sellers.tax_number as seller_tax_number,
        accounts.seller_id is not null as has_account,
        exists (
            select 1 from statement_lines as lines
            join tax_rules
                on lines.tax_code = tax_rules.tax_code
                and lines.tax_rate_percent = tax_rules.rate_percent
                and coalesce(tax_rules.payer_country, payers.country) = payers.country
            where lines.statement_id = statements.statement_id
                and tax_rules.note ilike '%reverse charge%'
        ) as is_reverse_charge
    from statements
    left join payers on statements.payer_id = payers.payer_id
    left join sellers
        on coalesce(statements.seller_id, payers.seller_id) = sellers.seller_id
        or (coalesce(statements.seller_id, payers.seller_id) is null and sellers.is_default)
    left join seller_bank_accounts as accounts
        on sellers.seller_id = accounts.seller_id and statements.currency = accounts.currency
    where statements.period = $1 and statements.statement_number is null
),
lacks as (
    select 'seller.yml' as file, 'no seller' as subject,
        'a statement must say who issues it' as what
    from open where seller_id is null
    union
    select 'payers.csv', 'payer ' || payer_id, 'no address_line1: nothing is issued without it'
    from open where address_line1 is null
    union
    select 'payers.csv', 'payer ' || payer_id, 'no city: nothing is issued without it'
    from open where city is null
    union
    select 'payers.csv', 'payer ' || payer_id,
        'no tax_number, which an invoice with reverse charge must show'
    from open where is_reverse_charge and tax_number is null
    union
    select 'seller.yml', 'seller ' || seller_id,
        'no tax_number, which an invoice with reverse charge must show'
    from open where is_reverse_charge and seller_tax_number is null
    union
    select 'seller.yml', 'seller ' || seller_id,
        'no bank account in ' || currency || ': the invoice asks the customer to ask for one'
    from open where seller_id is not null and not has_account and total > 0
)
select * from lacks order by file, subject, what
"""
_EXCEPTIONS = """
select * from billing_exceptions where period = $1
order by severity, status = 'resolved', status = 'acknowledged', kind, site_id nulls last,
    exception_id
"""
_KINDS = """
select severity, kind, count(*) as exceptions, count(*) filter (where status = 'open') as open
from billing_exceptions where period = $1
group by severity, kind order by severity, exceptions desc, kind
"""


@dataclass(frozen=True, kw_only=True)
class ReviewFacts:
    """Everything the sheet shows. Statements have the columns of their query, and `standing` (one
    of the above), `why` in words, `approved_by`, `approval_reason` and `is_automatic`."""

    period: str
    statements: Sequence[Row]
    totals: Sequence[Row]
    vanished: Sequence[Row]
    new_payers: Sequence[Row]
    adjustments: Sequence[Row]
    book_lacks: Sequence[Row]
    exceptions: Sequence[Row]
    kinds: Sequence[Row]
    incomplete: Sequence[IncompleteSite]
    build: Row
    by_amount: Sequence[Row] = field(default=())
    by_percent: Sequence[Row] = field(default=())

    def standing_at(self, *wanted: str) -> list[Row]:
        return [row for row in self.statements if row["standing"] in wanted]


def read_review(marts: Marts, period: str, ledger: Ledger | None) -> ReviewFacts:
    """Read a period's review. Without a ledger approvals are those that the marts know."""
    both = (period, previous_period(period))
    given: dict[str, list[dict[str, Any]]] | None = None
    if ledger is not None:
        with ledger.snapshot() as reader:
            given = approvals_by_statement(reader, period)
    statements = [_stands(row, given) for row in marts.rows(_STATEMENTS, both)]
    return ReviewFacts(
        period=period,
        statements=statements,
        totals=marts.rows(_TOTALS, both),
        vanished=marts.rows(_VANISHED, both),
        new_payers=marts.rows(_NEW_PAYERS, (period,)),
        adjustments=marts.rows(_ADJUSTMENTS, (period,)),
        book_lacks=marts.rows(_BOOK_LACKS, (period,)),
        exceptions=marts.rows(_EXCEPTIONS, (period,)),
        kinds=marts.rows(_KINDS, (period,)),
        incomplete=incomplete_sites(marts, period),
        build=marts.build_info(),
        by_amount=_by_amount(statements),
        by_percent=_by_percent(statements),
    )


def _stands(row: dict[str, Any], given: dict[str, list[dict[str, Any]]] | None) -> Row:
    """A statement with where it stands now: its lines against the approvals given for them."""
    why = row["decision_reason"]
    found = {"approval_reason": None, "is_automatic": row["decision"] == "auto"}
    if given is None:
        approved = bool(row["is_approved"])
    else:
        past = given.get(row["statement_id"], [])
        stands = standing(row, past, needed=approvers_needed({**row}))
        approved, why = stands.approved, stands.reason
        found["approved_by"] = " and ".join(stands.by)
        by_hand = [
            one
            for one in past
            if not one["automatic"] and one["content_hash"] == row["content_hash"]
        ]
        found["is_automatic"] = not by_hand
        found["approval_reason"] = "; ".join(dict.fromkeys(one["reason"] for one in by_hand))
    if row["statement_number"] is not None:
        stands_at = ISSUED
    elif row["decision"] == "blocked" or row["blocking_exceptions"]:
        stands_at, why = BLOCKED, row["decision_reason"]
    elif approved:
        stands_at = APPROVED
    elif row["state"] == "open":
        stands_at, why = RUNNING, row["decision_reason"]
    else:
        stands_at = UNCLOSED if row["decision"] == "auto" else WAITING
    return {**row, **found, "standing": stands_at, "why": why}


def _by_amount(statements: Sequence[Row]) -> list[Row]:
    """The largest changes of each currency: amounts in different ones cannot be compared."""
    found: list[Row] = []
    for currency in sorted({row["currency"] for row in statements}):
        moved = [row for row in statements if row["change"] and row["currency"] == currency]
        moved.sort(key=lambda row: (-abs(row["change"]), row["statement_id"]))
        found += moved[:MOST_MOVEMENTS_A_CURRENCY]
    return found


def _by_percent(statements: Sequence[Row]) -> list[Row]:
    moved = [row for row in statements if row["change_percent"]]
    moved.sort(key=lambda row: (-abs(row["change_percent"]), row["statement_id"]))
    return moved[:MOST_MOVEMENTS]
