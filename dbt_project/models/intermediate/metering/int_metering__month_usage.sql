{{ config(
    materialized='kept',
    meta={
        'phase': 'totals',
        'replaces': "(site_id, period) in (select near.site_id, left(cast(near.usage_date as string), 7) from (select site_id, usage_date - 1 as usage_date"
            " from [touched] where not is_settled union all select site_id, usage_date from [touched] where not is_settled union all"
            " select site_id, usage_date + 1 from [touched] where not is_settled) as near)"
    }
) }}

-- Usage by segment and machine. Months are totalled anew whole; a date may belong to the month of the day beside it on another clock.
with touched_dates as (

    select
        site_id,
        usage_date
    from {{ ref('int_metering__touched_dates') }}
    where not is_settled

),

usage_days as (

    select
        site_id,
        usage_date,
        machine_id,
        contract_id,
        term_no,
        period,
        metric,
        quantity
    from {{ ref('int_metering__usage_days') }}
    where contract_id is not null

),

pieces as (

    select
        site_id,
        machine_id,
        contract_id,
        term_no,
        period,
        metric,
        is_estimated,
        quantity
    from {{ ref('int_metering__pieces') }}
    where contract_id is not null

),

near_dates as (

    select
        site_id,
        {{ each_of(['usage_date - 1', 'usage_date', 'usage_date + 1']) }} as usage_date
    from touched_dates

),

touched_months as (

    select distinct
        site_id,
        {{ month_of('usage_date') }} as period
    from near_dates

),

measured as (

    select
        site_id,
        machine_id,
        contract_id,
        term_no,
        period,
        metric,
        false as is_estimated,
        quantity
    from usage_days
    -- Days far from every touched month need not be read.
    where
        usage_date >= (select cast(date_trunc('month', min(near_dates.usage_date)) as date) - 2 from near_dates)
        and usage_date <= (select cast(date_trunc('month', max(near_dates.usage_date)) as date) + 33 from near_dates)
    union all
    select
        site_id,
        machine_id,
        contract_id,
        term_no,
        period,
        metric,
        is_estimated,
        quantity
    from pieces

)

select
    measured.site_id,
    measured.contract_id,
    measured.term_no,
    measured.period,
    measured.metric,
    measured.machine_id,
    cast(sum(measured.quantity) as decimal(38, 9)) as quantity,
    cast(sum(case when measured.is_estimated then measured.quantity else 0 end) as decimal(38, 9)) as estimated_quantity
from measured
inner join touched_months
    on
        measured.site_id = touched_months.site_id
        and measured.period = touched_months.period
group by measured.site_id, measured.contract_id, measured.term_no, measured.period, measured.metric, measured.machine_id
