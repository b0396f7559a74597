{{ config(materialized='in_hand', meta={'phase': 'spans'}) }}

with interpolated as (

    select
        site_id,
        meter_id,
        gap_start,
        gap_end,
        quantity
    from {{ ref('int_metering__interpolated') }}

),

like_day as (

    select
        site_id,
        meter_id,
        billing_timezone,
        is_open,
        gap_start,
        gap_end,
        interval_start,
        interval_end,
        quantity
    from {{ ref('int_metering__like_day') }}

)

select
    site_id,
    meter_id,
    'energy' as metric,
    'interpolate' as method,
    false as is_open,
    cast(null as string) as billing_timezone,
    gap_start,
    gap_end,
    gap_start as interval_start,
    gap_end as interval_end,
    quantity
from interpolated
union all
select
    site_id,
    meter_id,
    'energy' as metric,
    'like_day' as method,
    is_open,
    billing_timezone,
    gap_start,
    gap_end,
    interval_start,
    interval_end,
    quantity
from like_day
