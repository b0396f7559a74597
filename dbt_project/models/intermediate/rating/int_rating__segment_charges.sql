with due as (

    select
        contract_id,
        period
    from {{ ref('int_rating__scope') }}
    where is_due

),

segments as (

    select
        contract_id,
        term_no,
        period,
        segment_start,
        segment_end,
        segment_us,
        period_us,
        contract_month_no,
        plan_id,
        plan_version,
        plan_currency,
        plan_minor_units
    from {{ ref('int_billing__segments') }}

),

charges as (

    select
        plan_id,
        version,
        code,
        model,
        description,
        metric,
        unit,
        per,
        rate,
        amount,
        prorate,
        size,
        price,
        included,
        calendar_id,
        index_id,
        multiplier,
        adder,
        window_minutes,
        markup_percent,
        itemise,
        percent,
        first_months,
        max_amount,
        bill_while_suspended,
        is_site_limited
    from {{ source('book', 'charges') }}

)

select
    segments.contract_id,
    segments.term_no,
    segments.period,
    segments.plan_id,
    segments.plan_version,
    segments.plan_currency,
    segments.plan_minor_units,
    segments.segment_us,
    segments.period_us,
    segments.contract_month_no,
    charges.code as charge_code,
    charges.model as charge_model,
    charges.description,
    charges.metric,
    charges.unit,
    charges.per,
    charges.rate,
    charges.amount,
    charges.prorate,
    charges.size,
    charges.price,
    charges.included,
    charges.calendar_id,
    charges.index_id,
    charges.multiplier,
    charges.adder,
    charges.window_minutes,
    charges.markup_percent,
    charges.itemise,
    charges.percent,
    charges.first_months,
    charges.max_amount,
    charges.bill_while_suspended,
    charges.is_site_limited
from segments
inner join due
    on
        segments.contract_id = due.contract_id
        and segments.period = due.period
inner join charges
    on
        segments.plan_id = charges.plan_id
        and segments.plan_version = charges.version
