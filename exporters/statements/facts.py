"""What a statement report shows, read from the published marts: one set of queries a period.

Every sum comes from here, that is from SQL over decimals: totals as the mart has them, subtotals by
site and tax code, usage by day. Nothing is formatted and nothing is added up in Python.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exporters.marts import Marts
from exporters.statements.formats import first_day, last_day

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class StatementFacts:
    """One statement and all that its report shows. Rows have the columns of the queries below."""

    head: Row
    """the statement, its payer (`payer_…`), seller (`seller_…`), bank account and invoice"""
    lines: Sequence[Row]
    """in the order shown: by site, lines without site last, then by line_key"""
    sites: Sequence[Row]
    """subtotals by site, in the same order"""
    taxes: Sequence[Row]
    """sums by tax code and rate, with the note of the tax rules"""
    rules: Sequence[Row]
    """each plan version used, in words"""
    corrected: Sequence[str]
    """numbers of the statements whose lines this one adjusts"""
    timezones: Sequence[str]
    po_numbers: Sequence[str]
    usage_days: Sequence[Row]
    """by metric and day, over the sites and contracts of the statement"""
    usage_machines: Sequence[Row]
    """by site, machine and metric, over the period"""
    usage_machine_days: Sequence[Row]
    """by site, machine, contract, metric and day"""

    @property
    def statement_id(self) -> str:
        return str(self.head["statement_id"])

    @property
    def is_issued(self) -> bool:
        return self.head["statement_number"] is not None


_HEADS = """
select
    statements.*,
    payers.name as payer_name, payers.country as payer_country,
    payers.minor_units, payers.email as payer_email, payers.tax_number as payer_tax_number,
    payers.po_number as payer_po_number, payers.language,
    payers.address_line1 as payer_address_line1, payers.address_line2 as payer_address_line2,
    payers.postal_code as payer_postal_code, payers.city as payer_city,
    sellers.legal_name as seller_name, sellers.country as seller_country,
    sellers.address_line1 as seller_address_line1, sellers.address_line2 as seller_address_line2,
    sellers.postal_code as seller_postal_code, sellers.city as seller_city,
    sellers.tax_number as seller_tax_number, sellers.email as seller_email,
    sellers.registration_number as seller_registration_number, sellers.logo as seller_logo,
    accounts.iban, accounts.bic, accounts.account, accounts.bank,
    invoices.online_url, invoices.amount_due, invoices.amount_paid, invoices.xero_status,
    invoices.observed_at,
    exists (
        select 1 from disputes
        where disputes.scope = 'statement' and disputes.state = 'open'
            and disputes.subject = statements.statement_number
    ) as disputed
from statements
left join payers on statements.payer_id = payers.payer_id
left join sellers
    on coalesce(statements.seller_id, payers.seller_id) = sellers.seller_id
    or (coalesce(statements.seller_id, payers.seller_id) is null and sellers.is_default)
left join seller_bank_accounts as accounts
    on sellers.seller_id = accounts.seller_id and statements.currency = accounts.currency
left join invoices on statements.statement_id = invoices.statement_id
where statements.statement_id in (select unnest($ids))
order by statements.statement_id
"""

# What an adjustment changes is the sum of what was issued under the same key to the same payer in
# the same currency and tax code before it: its original line and earlier adjustments.
_LINES = """
with wanted as (
    select
        *,
        case when adjusts_period is not null
            then array_to_string(string_split(line_key, '/')[3:8], '/') end as original_key
    from statement_lines
    where statement_id in (select unnest($ids))
),
earlier as (
    select
        lines.line_key, lines.period, lines.payer_id, lines.currency, lines.tax_code,
        lines.quantity, lines.amount, lines.tax_amount, statements.statement_number,
        case when lines.adjusts_period is null then lines.line_key
            else array_to_string(string_split(lines.line_key, '/')[3:8], '/') end as original_key
    from statement_lines as lines
    join statements on lines.statement_id = statements.statement_id
    where statements.statement_number is not null
        and exists (
            select 1 from wanted
            where wanted.adjusts_period = coalesce(lines.adjusts_period, lines.period)
        )
),
before as (
    select
        wanted.line_key,
        coalesce(sum(earlier.quantity), 0) as old_quantity,
        coalesce(sum(earlier.amount), 0) as old_amount,
        coalesce(sum(earlier.tax_amount), 0) as old_tax_amount
    from wanted
    left join earlier
        on wanted.original_key = earlier.original_key
        and wanted.period > earlier.period
        and wanted.payer_id = earlier.payer_id
        and wanted.currency = earlier.currency
        and wanted.tax_code is not distinct from earlier.tax_code
    where wanted.adjusts_period is not null
    group by wanted.line_key
),
originals as (
    select wanted.line_key, min(earlier.statement_number) as original_number
    from wanted
    join earlier
        on wanted.original_key = earlier.line_key and wanted.adjusts_period = earlier.period
    group by wanted.line_key
)
select
    wanted.*, sites.name as site_name, sites.country as site_country,
    before.old_quantity, before.old_amount, before.old_tax_amount, originals.original_number,
    adjustments.cause,
    exists (
        select 1 from disputes
        where disputes.scope = 'line' and disputes.state = 'open'
            and disputes.subject = wanted.line_key
    ) as disputed
from wanted
left join sites on wanted.site_id = sites.site_id
left join before on wanted.line_key = before.line_key
left join originals on wanted.line_key = originals.line_key
left join adjustments
    on wanted.line_key = adjustments.line_key and wanted.period = adjustments.period
order by
    wanted.statement_id, wanted.site_id is null, sites.name, wanted.site_id,
    wanted.adjusts_period is not null, wanted.line_key
"""

_SITES = """
select
    lines.statement_id, lines.site_id, any_value(sites.name) as site_name,
    any_value(sites.country) as site_country, any_value(sites.region) as region,
    count(*) as lines,
    cast(sum(lines.amount) as decimal(18, 2)) as net,
    cast(sum(lines.tax_amount) as decimal(18, 2)) as tax,
    cast(sum(lines.amount) + coalesce(sum(lines.tax_amount), 0) as decimal(18, 2)) as total
from statement_lines as lines
left join sites on lines.site_id = sites.site_id
where lines.statement_id in (select unnest($ids))
group by lines.statement_id, lines.site_id
order by lines.statement_id, lines.site_id is null, site_name, lines.site_id
"""

# A note belongs to a line by tax code and rate, and by the country it was written for.
_TAXES = """
with notes as (
    select
        tax_code, rate_percent, payer_country,
        string_agg(distinct note, '; ' order by note) as note
    from tax_rules
    where
        note is not null and note != ''
        and valid_from <= $last_day and (valid_to is null or valid_to > $last_day)
    group by tax_code, rate_percent, payer_country
),
sums as (
    select
        lines.statement_id, lines.payer_id, lines.tax_code, lines.tax_rate_percent,
        cast(sum(lines.amount) as decimal(18, 2)) as net,
        cast(sum(lines.tax_amount) as decimal(18, 2)) as tax
    from statement_lines as lines
    where lines.statement_id in (select unnest($ids))
    group by lines.statement_id, lines.payer_id, lines.tax_code, lines.tax_rate_percent
)
select
    sums.statement_id, sums.tax_code, sums.tax_rate_percent, sums.net, sums.tax,
    coalesce(exact.note, general.note) as note
from sums
left join payers on sums.payer_id = payers.payer_id
left join notes as exact
    on sums.tax_code = exact.tax_code and sums.tax_rate_percent = exact.rate_percent
    and payers.country = exact.payer_country
left join notes as general
    on sums.tax_code = general.tax_code and sums.tax_rate_percent = general.rate_percent
    and general.payer_country is null
order by sums.statement_id, sums.tax_code nulls last, sums.tax_rate_percent
"""

_RULES = """
select distinct
    lines.statement_id, lines.plan_id, lines.plan_version, plan_versions.words
from statement_lines as lines
join plan_versions
    on lines.plan_id = plan_versions.plan_id and lines.plan_version = plan_versions.version
where lines.statement_id in (select unnest($ids))
order by lines.statement_id, lines.plan_id, lines.plan_version
"""

_CONTRACTS = """
select distinct lines.statement_id, contracts.billing_timezone, contracts.po_number
from statement_lines as lines
join contracts on lines.contract_id = contracts.contract_id
where
    lines.statement_id in (select unnest($ids))
    and contracts.valid_from_at < $after and coalesce(contracts.valid_to_at, $after) > $before
order by all
"""

# The usage that the statement charges for: by contract, site and, where the line's unit tells it,
# metric. Usage whose lines are routed to another payer is that payer's to see.
_USAGE = """
with scopes as (
    select distinct
        statement_id, contract_id, site_id,
        case
            when unit in ('Wh', 'kWh', 'MWh', 'GWh', 'J', 'kJ', 'MJ', 'GJ', 'kW') then 'energy'
            when unit in ('s', 'min', 'h') then 'runtime'
            when unit in ('B', 'kB', 'MB', 'GB', 'TB', 'KiB', 'MiB', 'GiB', 'TiB') then 'traffic'
            when unit in ('l', 'm3') then 'fuel'
        end as metric
    from statement_lines
    where
        charge_model in (
            'per_unit', 'graduated', 'volume', 'package', 'stairstep', 'time_of_use', 'index',
            'demand'
        )
        and adjusts_period is null and site_id is not null
        and statement_id in (select unnest($ids))
),
usage as (
    select distinct
        scopes.statement_id, usage_daily.site_id, usage_daily.machine_id,
        usage_daily.contract_id, usage_daily.metric, usage_daily.unit, usage_daily.usage_date,
        usage_daily.metered_quantity, usage_daily.estimated_quantity
    from scopes
    join usage_daily
        on scopes.contract_id = usage_daily.contract_id and scopes.site_id = usage_daily.site_id
    where
        usage_daily.usage_date between $first_day and $last_day
        and (scopes.metric is null or scopes.metric = usage_daily.metric)
        and (usage_daily.metered_quantity != 0 or usage_daily.estimated_quantity != 0)
)
"""
_USAGE_DAYS = f"""{_USAGE}
select
    statement_id, metric, unit, usage_date,
    cast(sum(metered_quantity) as decimal(38, 9)) as metered,
    cast(sum(estimated_quantity) as decimal(38, 9)) as estimated,
    cast(sum(metered_quantity + estimated_quantity) as decimal(38, 9)) as quantity
from usage
group by all
order by statement_id, metric, unit, usage_date
"""
_USAGE_MACHINES = f"""{_USAGE}
select
    usage.statement_id, usage.site_id, any_value(sites.name) as site_name, usage.machine_id,
    usage.metric, usage.unit, count(distinct usage.usage_date) as days,
    cast(sum(metered_quantity) as decimal(38, 9)) as metered,
    cast(sum(estimated_quantity) as decimal(38, 9)) as estimated,
    cast(sum(metered_quantity + estimated_quantity) as decimal(38, 9)) as quantity
from usage
left join sites on usage.site_id = sites.site_id
group by usage.statement_id, usage.site_id, usage.machine_id, usage.metric, usage.unit
order by usage.statement_id, site_name, usage.site_id, usage.metric, usage.machine_id
"""
_USAGE_MACHINE_DAYS = f"""{_USAGE}
select
    usage.*, cast(metered_quantity + estimated_quantity as decimal(38, 9)) as quantity,
    cast(
        sum(metered_quantity + estimated_quantity) over machine_day as decimal(38, 9)
    ) as machine_day_quantity,
    max(estimated_quantity) over machine_day > 0 as machine_day_estimated
from usage
left join sites on usage.site_id = sites.site_id
window machine_day as (
    partition by
        usage.statement_id, usage.site_id, usage.machine_id, usage.metric, usage.usage_date
)
order by
    usage.statement_id, sites.name, usage.site_id, usage.metric, usage.machine_id,
    usage.contract_id, usage.usage_date
"""


def read_facts(
    marts: Marts, period: str, statement_ids: Sequence[str] | None = None
) -> list[StatementFacts]:
    """Statements of `period` with all that their reports show, by statement_id; None = all of them.

    Raises MartsError if the marts cannot be read.
    """
    if statement_ids is None:
        statement_ids = [statement_id for statement_id, _ in read_names(marts, period)]
    if not statement_ids:
        return []
    given: dict[str, object] = {
        "ids": list(statement_ids),
        "first_day": first_day(period),
        "last_day": last_day(period),
    }
    lines = _by_statement(_read(marts, _LINES, given))
    sites = _by_statement(_read(marts, _SITES, given))
    taxes = _by_statement(_read(marts, _TAXES, given))
    rules = _by_statement(_read(marts, _RULES, given))
    # A day of slack on both sides: months begin and end at the contract's own midnight.
    contracts = _by_statement(
        _read(
            marts,
            _CONTRACTS.replace("$after", "cast($last_day as date) + interval 1 day").replace(
                "$before", "cast($first_day as date)"
            ),
            given,
        )
    )
    days = _by_statement(_read(marts, _USAGE_DAYS, given))
    machines = _by_statement(_read(marts, _USAGE_MACHINES, given))
    machine_days = _by_statement(_read(marts, _USAGE_MACHINE_DAYS, given))
    return [
        StatementFacts(
            head=head,
            lines=lines[key],
            sites=sites[key],
            taxes=taxes[key],
            rules=rules[key],
            corrected=_distinct(lines[key], "original_number"),
            timezones=_distinct(contracts[key], "billing_timezone"),
            po_numbers=_distinct(contracts[key], "po_number")
            or _distinct([head], "payer_po_number"),
            usage_days=days[key],
            usage_machines=machines[key],
            usage_machine_days=machine_days[key],
        )
        for head in _read(marts, _HEADS, given)
        for key in (head["statement_id"],)
    ]


def _read(marts: Marts, sql: str, bounds: Mapping[str, object]) -> list[Row]:
    named = {name: value for name, value in bounds.items() if f"${name}" in sql}
    for position, name in enumerate(named, start=1):
        sql = sql.replace(f"${name}", f"${position}")
    return list(marts.rows(sql, list(named.values())))


def _by_statement(rows: Sequence[Row]) -> defaultdict[str, list[Row]]:
    found: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["statement_id"]].append(row)
    return found


def _distinct(rows: Sequence[Row], column: str) -> list[str]:
    return sorted({row[column] for row in rows if row[column]})


def read_names(marts: Marts, period: str) -> list[tuple[str, str | None]]:
    """(statement_id, statement_number or None) of all statements of `period`."""
    rows = marts.rows(
        "select statement_id, statement_number from statements where period = ? order by 1",
        [period],
    )
    return [(row["statement_id"], row["statement_number"]) for row in rows]
