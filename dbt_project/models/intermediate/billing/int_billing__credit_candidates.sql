with credits as (

    select
        credit_id,
        contract_id,
        kind,
        cast(amount as decimal(38, 9)) as amount,
        currency,
        valid_from_at,
        valid_to_at,
        note
    from {{ source('book', 'credits') }}

),

segments as (

    select
        contract_id,
        term_no,
        period,
        period_start,
        period_end,
        customer_id
    from {{ ref('int_billing__segments') }}

),

destinations as (

    select
        contract_id,
        term_no,
        period,
        payer_id,
        currency,
        minor_units,
        statement_id,
        last_day,
        tax_code,
        tax_rate_percent
    from {{ ref('int_billing__destinations') }}
    where charge_code = 'credit' and site_id is null

),

issued_statements as (

    select
        period,
        statement_id
    from {{ source('ledger', 'issued_statements') }}

),

issued_lines as (

    select
        contract_id,
        period,
        line_key,
        amount,
        currency
    from {{ source('ledger', 'issued_lines') }}
    where charge_code = 'credit'

),

fx_spans as (

    select
        base,
        quote,
        valid_from,
        valid_to,
        rate
    from {{ ref('int_rating__fx_spans') }}

),

last_issued as (

    select max(period) as period
    from issued_statements

),

-- A statement that can still change keeps its period open for its payer.
waiting as (

    select
        payer_id,
        period
    from {{ ref('int_billing__waiting') }}

),

-- Issued draws, converted back by the rate of their own period where currencies differ.
drawn_before as (

    select
        credits.credit_id,
        sum(
            case
                when issued_lines.currency = credits.currency then cast(-issued_lines.amount as decimal(38, 9))
                else {{ divide_round('-issued_lines.amount', 2, 'fx_spans.rate', 12, 9) }}
            end
        ) as drawn
    from credits
    inner join issued_lines
        on
            credits.contract_id = issued_lines.contract_id
            and issued_lines.line_key = {{ credit_line_key('credits.contract_id', 'issued_lines.period', 'credits.credit_id') }}
    left join fx_spans
        on
            credits.currency = fx_spans.base
            and issued_lines.currency = fx_spans.quote
            and last_day(cast(issued_lines.period || '-01' as date)) >= fx_spans.valid_from
            and last_day(cast(issued_lines.period || '-01' as date)) < fx_spans.valid_to
    where credits.kind = 'prepaid'
    group by credits.credit_id

),

candidates as (

    select
        credits.credit_id,
        credits.contract_id,
        credits.kind,
        credits.amount as credit_amount,
        credits.currency as credit_currency,
        credits.valid_from_at,
        credits.note,
        segments.period,
        segments.customer_id,
        segments.term_no,
        destinations.payer_id,
        destinations.currency,
        destinations.minor_units,
        destinations.statement_id,
        destinations.last_day,
        destinations.tax_code,
        destinations.tax_rate_percent,
        case when credits.currency = destinations.currency then cast(1 as decimal(38, 12)) else fx_spans.rate end as fx_rate,
        credits.valid_to_at is null or credits.valid_to_at > segments.period_start as is_valid
    from credits
    inner join segments
        on
            credits.contract_id = segments.contract_id
            and credits.valid_from_at < segments.period_end
    inner join destinations
        on
            segments.contract_id = destinations.contract_id
            and segments.term_no = destinations.term_no
            and segments.period = destinations.period
    left join fx_spans
        on
            credits.currency = fx_spans.base
            and destinations.currency = fx_spans.quote
            and destinations.last_day >= fx_spans.valid_from
            and destinations.last_day < fx_spans.valid_to
    cross join last_issued
    left join issued_statements
        on destinations.statement_id = issued_statements.statement_id
    left join waiting
        on
            destinations.payer_id = waiting.payer_id
            and segments.period = waiting.period
    where
        last_issued.period is null
        or segments.period > last_issued.period
        or (issued_statements.statement_id is null and waiting.period is not null)

),

-- What an issued statement holds is never given again.
first_open as (

    select
        candidates.credit_id,
        min(candidates.period) as period
    from candidates
    where
        candidates.kind != 'prepaid'
        and not exists (
            select 1
            from issued_lines
            where
                issued_lines.contract_id = candidates.contract_id
                and issued_lines.line_key = {{ credit_line_key('candidates.contract_id', 'issued_lines.period', 'candidates.credit_id') }}
        )
    group by candidates.credit_id

)

select
    candidates.credit_id,
    candidates.contract_id,
    candidates.kind,
    candidates.credit_amount,
    candidates.credit_currency,
    candidates.valid_from_at,
    candidates.note,
    candidates.period,
    candidates.customer_id,
    candidates.term_no,
    candidates.payer_id,
    candidates.currency,
    candidates.minor_units,
    candidates.statement_id,
    candidates.last_day,
    candidates.tax_code,
    candidates.tax_rate_percent,
    candidates.fx_rate,
    candidates.is_valid,
    first_open.credit_id is not null as is_given_once,
    case
        when first_open.credit_id is not null
            then -{{ to_minor_unit(exact_product('candidates.credit_amount', 9, 'candidates.fx_rate', 12), 'candidates.minor_units') }}
    end as given_once,
    cast(coalesce(drawn_before.drawn, 0) as decimal(38, 9)) as drawn_before
from candidates
left join first_open
    on
        candidates.credit_id = first_open.credit_id
        and candidates.period = first_open.period
        and candidates.is_valid
left join drawn_before
    on candidates.credit_id = drawn_before.credit_id
