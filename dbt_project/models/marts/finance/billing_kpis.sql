-- depends_on: {{ ref('int_metering__days') }}
with statements as (

    select
        period,
        statement_id,
        statement_number,
        payer_id,
        currency,
        total,
        blocking_exceptions,
        decision,
        issued_at
    from {{ ref('statements') }}

),

statement_lines as (

    select
        period,
        statement_id,
        contract_id,
        site_id
    from {{ ref('int_billing__statement_lines') }}

),

exceptions as (

    select period
    from {{ ref('int_rating__exceptions') }}

),

usage as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        quantity,
        estimated_quantity
    from {{ ref('int_metering__month_usage') }}
    where metric = 'energy'

),

energy_charges as (

    select
        plan_id,
        version,
        code
    from {{ source('book', 'charges') }}
    where metric = 'energy' or model in ('index', 'demand')

),

rated_lines as (

    select
        contract_id,
        term_no,
        period,
        plan_id,
        plan_version,
        charge_code,
        site_id
    from {{ ref('int_billing__charge_lines') }}
    where amount is not null

),

segments as (

    select
        period,
        period_end
    from {{ ref('int_billing__segments') }}

),

invoices as (

    select
        statement_id,
        amount_due,
        amount_paid
    from {{ ref('invoices') }}

),

payments as (

    select
        statement_id,
        status
    from {{ ref('payments') }}

),

build_context as (

    select now_at
    from {{ source('context', 'build_context') }}

),

period_ends as (

    select
        period,
        max(period_end) as period_end
    from segments
    group by period

),

by_statement as (

    select
        statements.period,
        count(*) as statements,
        count(statements.statement_number) as statements_issued,
        count(distinct statements.payer_id) as payers,
        count(*) filter (where statements.blocking_exceptions > 0) as statements_blocked,
        count(*) filter (where statements.decision = 'auto') as statements_auto,
        count(distinct statements.currency) filter (where statements.statement_number is not null) as currencies,
        min(statements.currency) filter (where statements.statement_number is not null) as currency,
        sum(statements.total) filter (where statements.statement_number is not null) as billed_total,
        sum(invoices.amount_paid) as paid_total,
        sum(invoices.amount_due) as open_total,
        cast(avg({{ int_div(us('statements.issued_at'), 1000000) }} - {{ int_div(us('period_ends.period_end'), 1000000) }}) as decimal(18, 0)) as seconds_to_issue,
        max({{ days_between(utc_date('period_ends.period_end'), utc_date('build_context.now_at')) }}) as days_since_end
    from statements
    cross join build_context
    left join period_ends
        on statements.period = period_ends.period
    left join invoices
        on statements.statement_id = invoices.statement_id
    group by statements.period

),

by_line as (

    select
        period,
        count(*) as statement_lines,
        count(distinct contract_id || '/' || coalesce(site_id, '-')) as contract_sites
    from statement_lines
    group by period

),

by_exception as (

    select
        period,
        count(*) as exceptions
    from exceptions
    group by period

),

priced_places as (

    select distinct
        rated_lines.contract_id,
        rated_lines.term_no,
        rated_lines.period,
        rated_lines.site_id
    from rated_lines
    inner join energy_charges
        on
            rated_lines.plan_id = energy_charges.plan_id
            and rated_lines.plan_version = energy_charges.version
            and rated_lines.charge_code = energy_charges.code

),

by_usage as (

    select
        usage.period,
        sum(usage.quantity) as metered_kwh,
        sum(usage.estimated_quantity) as estimated_kwh,
        sum(case when priced_places.site_id is not null then usage.quantity else 0 end) as billed_kwh
    from usage
    left join priced_places
        on
            usage.contract_id = priced_places.contract_id
            and usage.term_no = priced_places.term_no
            and usage.period = priced_places.period
            and usage.site_id = priced_places.site_id
    group by usage.period

),

by_payment as (

    select
        statements.period,
        count(*) as payments,
        count(*) filter (where payments.status is distinct from 'DELETED') as payments_kept
    from payments
    inner join statements
        on payments.statement_id = statements.statement_id
    group by statements.period

)

select
    by_statement.period,
    cast(by_statement.statements as integer) as statements,
    cast(by_statement.statements_issued as integer) as statements_issued,
    cast(by_statement.payers as integer) as payers,
    cast(coalesce(by_line.statement_lines, 0) as integer) as statement_lines,
    cast({{ divide_round('by_statement.statements', 0, 'by_statement.payers', 0, 4) }} as decimal(18, 4)) as statements_per_payer,
    cast({{ divide_round('coalesce(by_line.contract_sites, 0)', 0, 'by_statement.statements', 0, 4) }} as decimal(18, 4))
        as consolidation_ratio,
    cast(coalesce(by_exception.exceptions, 0) as bigint) as exceptions,
    cast({{ divide_round('by_statement.statements_blocked', 0, 'by_statement.statements', 0, 4) }} as decimal(18, 4)) as exception_rate,
    cast({{ divide_round('by_statement.statements_auto', 0, 'by_statement.statements', 0, 4) }} as decimal(18, 4)) as auto_approved_share,
    cast(round(coalesce(by_usage.billed_kwh, 0), 6) as decimal(38, 6)) as billed_kwh,
    cast(round(coalesce(by_usage.metered_kwh, 0), 6) as decimal(38, 6)) as metered_kwh,
    cast({{ divide_round('by_usage.billed_kwh', 9, 'by_usage.metered_kwh', 9, 4) }} as decimal(18, 4)) as billed_share,
    cast({{ divide_round('by_usage.estimated_kwh', 9, 'by_usage.metered_kwh', 9, 4) }} as decimal(18, 4)) as estimated_share,
    cast({{ divide_round('by_statement.seconds_to_issue', 0, '86400', 0, 4) }} as decimal(18, 4)) as days_to_issue,
    case when by_statement.currencies = 1 then by_statement.currency end as currency,
    case when by_statement.currencies = 1 then cast(by_statement.billed_total as decimal(18, 2)) end as billed_total,
    case when by_statement.currencies = 1 then cast(by_statement.paid_total as decimal(18, 2)) end as paid_total,
    case
        when by_statement.currencies = 1
            then cast({{ divide_round(
                exact_product('by_statement.open_total', 2, 'by_statement.days_since_end', 0), 2, 'by_statement.billed_total', 2, 4
            ) }} as decimal(18, 4))
    end as dso_days,
    cast({{ divide_round('by_payment.payments_kept', 0, 'by_payment.payments', 0, 4) }} as decimal(18, 4)) as payment_success
from by_statement
left join by_line
    on by_statement.period = by_line.period
left join by_exception
    on by_statement.period = by_exception.period
left join by_usage
    on by_statement.period = by_usage.period
left join by_payment
    on by_statement.period = by_payment.period
