with interpolated as (

    select
        site_id,
        meter_id,
        machine_id,
        interval_start,
        interval_end,
        quantity
    from {{ ref('int_metering__interpolated') }}

),

like_day as (

    select
        site_id,
        meter_id,
        machine_id,
        billing_timezone,
        interval_start,
        interval_end,
        quantity
    from {{ ref('int_metering__like_day') }}

)

select
    site_id,
    meter_id,
    'energy' as metric,
    machine_id,
    cast(null as varchar) as billing_timezone,
    interval_start,
    interval_end,
    quantity,
    'interpolate' as method
from interpolated
union all
select
    site_id,
    meter_id,
    'energy' as metric,
    machine_id,
    billing_timezone,
    interval_start,
    interval_end,
    quantity,
    'like_day' as method
from like_day
