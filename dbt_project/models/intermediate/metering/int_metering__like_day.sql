-- Rule 5, `like_day`: the mean of at least two model hours, in proportion to the part of the hour that lies in the gap.
with gap_hours as (

    select
        site_id,
        meter_id,
        machine_id,
        billing_timezone,
        is_open,
        gap_start,
        gap_end,
        local_hour,
        part_start,
        part_end
    from {{ ref('int_metering__gap_hours') }}

),

model_hours as (

    select
        site_id,
        meter_id,
        machine_id,
        local_hour,
        quantity
    from {{ ref('int_metering__model_hours') }}

),

compared as (

    select
        gap_hours.site_id,
        gap_hours.meter_id,
        gap_hours.machine_id,
        gap_hours.billing_timezone,
        gap_hours.is_open,
        gap_hours.gap_start,
        gap_hours.gap_end,
        gap_hours.part_start,
        gap_hours.part_end,
        count(*) as hours,
        cast(sum(model_hours.quantity) as decimal(38, 9)) as hours_quantity
    from gap_hours
    inner join model_hours
        on
            gap_hours.site_id = model_hours.site_id
            and gap_hours.meter_id = model_hours.meter_id
            and gap_hours.machine_id = model_hours.machine_id
            and model_hours.local_hour in (
                gap_hours.local_hour - 168,
                gap_hours.local_hour - 336,
                gap_hours.local_hour - 504,
                gap_hours.local_hour - 672
            )
    group by
        gap_hours.site_id,
        gap_hours.meter_id,
        gap_hours.machine_id,
        gap_hours.billing_timezone,
        gap_hours.is_open,
        gap_hours.gap_start,
        gap_hours.gap_end,
        gap_hours.part_start,
        gap_hours.part_end
    having count(*) >= 2

)

select
    site_id,
    meter_id,
    machine_id,
    billing_timezone,
    is_open,
    gap_start,
    gap_end,
    part_start as interval_start,
    part_end as interval_end,
    {{ prorate('hours_quantity', us('part_end') ~ ' - ' ~ us('part_start'), 'hours * 3600000000') }} as quantity
from compared
