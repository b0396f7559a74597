with candidates as (

    select
        credit_id,
        contract_id,
        kind,
        credit_amount,
        drawn_before,
        credit_currency,
        note,
        is_valid,
        period,
        customer_id,
        term_no,
        payer_id,
        currency,
        minor_units,
        statement_id,
        last_day,
        tax_code,
        tax_rate_percent,
        fx_rate,
        is_given_once,
        given_once
    from {{ ref('int_billing__credit_candidates') }}

),

draws as (

    select
        credit_id,
        period,
        drawn,
        is_used_up
    from {{ ref('int_billing__draws') }}

),

-- From when on nothing is left of a balance: a rate for it is not needed any more.
used_up as (

    select
        credit_id,
        min(period) as period
    from draws
    where is_used_up
    group by credit_id

),

given as (

    select
        credit_id,
        period,
        given_once as amount
    from candidates
    where is_given_once
    union all
    select
        credit_id,
        period,
        -drawn as amount
    from draws
    where drawn > 0

)

select
    candidates.period,
    candidates.statement_id,
    'consolidated' as statement_kind,
    candidates.payer_id,
    candidates.customer_id,
    candidates.contract_id,
    candidates.term_no,
    cast(null as string) as plan_id,
    cast(null as integer) as plan_version,
    'credit' as charge_code,
    'credit' as charge_model,
    'variable' as classification,
    cast(null as string) as site_id,
    cast(null as string) as region,
    cast(null as string) as band,
    cast(null as string) as event_id,
    {{ month_in_words('candidates.period') }} || ' ' || candidates.kind || ' credit ' || candidates.credit_id
    || coalesce(' (' || candidates.note || ')', '') || ': '
    || {{ money_in_words('given.amount', 'candidates.currency', 'candidates.minor_units') }} as description,
    cast(1 as decimal(18, 6)) as quantity,
    'flat' as unit,
    cast(given.amount as decimal(38, 9)) as unit_price,
    given.amount,
    candidates.currency,
    candidates.tax_code,
    candidates.tax_rate_percent,
    {{ to_minor_unit(
        exact_product('given.amount', 2, exact_product('candidates.tax_rate_percent', 4, '0.01', 2), 6), 'candidates.minor_units'
    ) }} as tax_amount,
    cast(0 as decimal(18, 6)) as estimated_quantity,
    {{ credit_line_key('candidates.contract_id', 'candidates.period', 'candidates.credit_id') }} as line_key,
    case when candidates.fx_rate is null then 'missing_fx_rate' end as problem,
    cast(1 as bigint) as problem_count,
    case
        when candidates.fx_rate is null
            then
                'No exchange rate of at most 7 days from ' || candidates.credit_currency || ' to ' || candidates.currency || ' on '
                || candidates.last_day
    end as problem_detail
from candidates
inner join given
    on
        candidates.credit_id = given.credit_id
        and candidates.period = given.period
where given.amount is distinct from 0
union all
select
    candidates.period,
    candidates.statement_id,
    'consolidated' as statement_kind,
    candidates.payer_id,
    candidates.customer_id,
    candidates.contract_id,
    candidates.term_no,
    cast(null as string) as plan_id,
    cast(null as integer) as plan_version,
    'credit' as charge_code,
    'credit' as charge_model,
    'variable' as classification,
    cast(null as string) as site_id,
    cast(null as string) as region,
    cast(null as string) as band,
    cast(null as string) as event_id,
    cast(null as string) as description,
    cast(1 as decimal(18, 6)) as quantity,
    'flat' as unit,
    cast(null as decimal(38, 9)) as unit_price,
    cast(null as decimal(18, 2)) as amount,
    candidates.currency,
    candidates.tax_code,
    candidates.tax_rate_percent,
    cast(null as decimal(18, 2)) as tax_amount,
    cast(0 as decimal(18, 6)) as estimated_quantity,
    {{ credit_line_key('candidates.contract_id', 'candidates.period', 'candidates.credit_id') }} as line_key,
    'missing_fx_rate' as problem,
    cast(1 as bigint) as problem_count,
    'No exchange rate of at most 7 days from ' || candidates.credit_currency || ' to ' || candidates.currency || ' on '
    || candidates.last_day as problem_detail
from candidates
left join used_up
    on
        candidates.credit_id = used_up.credit_id
        and candidates.period > used_up.period
where
    candidates.kind = 'prepaid'
    and candidates.fx_rate is null
    and candidates.is_valid
    and used_up.credit_id is null
    and candidates.drawn_before < candidates.credit_amount
