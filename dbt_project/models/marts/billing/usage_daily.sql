{{ config(
    materialized='kept',
    meta={
        'phase': 'totals',
        'replaces': '(site_id, usage_date) in (select site_id, usage_date from [touched] where not is_settled)',
        'published_by': 'date'
    }
) }}

with daily_now as (

    select
        site_id,
        machine_id,
        contract_id,
        usage_date,
        metric,
        metered_quantity,
        estimated_quantity
    from {{ ref('int_metering__daily_now') }}

),

units as (

    select distinct
        usage_metric,
        canonical_unit
    from {{ ref('units') }}
    where metric = usage_metric

)

select
    daily_now.site_id,
    daily_now.machine_id,
    daily_now.contract_id,
    daily_now.usage_date,
    daily_now.metric,
    daily_now.metered_quantity,
    daily_now.estimated_quantity,
    units.canonical_unit as unit
from daily_now
inner join units
    on daily_now.metric = units.usage_metric
order by daily_now.usage_date, daily_now.site_id, daily_now.machine_id
