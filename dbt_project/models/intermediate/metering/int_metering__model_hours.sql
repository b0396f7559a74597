{{ config(materialized='in_hand', meta={'phase': 'spans'}) }}

-- Rule 5, `like_day`: what was measured in the same local hour 7, 14, 21 and 28 local days before an hour of a gap.
{% set hour_us = 3600000000 %}
{% set day_us = 24 * 3600 * 1000000 %}
with gap_hours as (

    select
        site_id,
        meter_id,
        machine_id,
        timezone,
        local_hour
    from {{ ref('int_metering__gap_hours') }}

),

accepted as (

    select
        site_id,
        meter_id,
        interval_start,
        interval_end,
        quantity
    from {{ ref('int_metering__wide_intervals') }}
    where
        verdict = 'accepted'
        and metric = 'energy'

),

usage_hours as (

    select
        site_id,
        meter_id,
        machine_id,
        hour_start,
        quantity,
        covered_us
    from {{ ref('int_metering__usage_hours') }}

),

placements as (

    select
        site_id,
        meter_id,
        machine_id,
        valid_from_at,
        valid_to_at
    from {{ source('book', 'placements') }}

),

zone_spans as (

    select
        timezone,
        from_at,
        to_at,
        utc_offset_seconds
    from {{ source('book', 'zone_spans') }}

),

weeks as (

    select {{ each_number(1, 4) }} as weeks_before

),

wanted as (

    select distinct
        gap_hours.site_id,
        gap_hours.meter_id,
        gap_hours.machine_id,
        gap_hours.timezone,
        gap_hours.local_hour - weeks.weeks_before * 7 * 24 as local_hour
    from gap_hours
    cross join weeks

),

offsets as (

    select
        timezone,
        {{ us('from_at') }} as from_us,
        {{ us('to_at') }} as to_us,
        utc_offset_seconds * cast(1000000 as bigint) as offset_us
    from zone_spans

),

-- A local hour that the clocks skip finds no span; one that is lived twice finds two and counts as two hours.
lived as (

    select
        wanted.site_id,
        wanted.meter_id,
        wanted.machine_id,
        wanted.local_hour,
        {{ instant_of_us('wanted.local_hour * ' ~ hour_us ~ ' - offsets.offset_us') }} as hour_start,
        {{ instant_of_us('(wanted.local_hour + 1) * ' ~ hour_us ~ ' - offsets.offset_us') }} as hour_end
    from wanted
    inner join offsets
        on
            wanted.timezone = offsets.timezone
            and wanted.local_hour * {{ hour_us }} - offsets.offset_us >= offsets.from_us
            and (wanted.local_hour + 1) * {{ hour_us }} - offsets.offset_us <= offsets.to_us

),

wanted_meters as (

    select
        site_id,
        meter_id,
        min(hour_start) as earliest,
        max(hour_end) as latest
    from lived
    group by site_id, meter_id

),

-- Hours meet intervals by UTC day; a part belongs to the day on which it begins.
intervals as (

    select
        accepted.site_id,
        accepted.meter_id,
        accepted.interval_start,
        accepted.interval_end,
        accepted.quantity,
        {{ each_number(
            int_div(us('accepted.interval_start'), day_us),
            int_div(us('accepted.interval_end') ~ ' - 1', day_us)
        ) }} as utc_day
    from accepted
    inner join wanted_meters
        on
            accepted.site_id = wanted_meters.site_id
            and accepted.meter_id = wanted_meters.meter_id
            and accepted.interval_start < wanted_meters.latest
            and accepted.interval_end > wanted_meters.earliest

),

lived_by_day as (

    select
        site_id,
        meter_id,
        machine_id,
        local_hour,
        hour_start,
        hour_end,
        {{ each_number(int_div(us('hour_start'), day_us), int_div(us('hour_end') ~ ' - 1', day_us)) }} as utc_day
    from lived

),

parts as (

    select
        lived_by_day.site_id,
        lived_by_day.meter_id,
        lived_by_day.machine_id,
        lived_by_day.local_hour,
        lived_by_day.hour_start,
        intervals.interval_start,
        intervals.interval_end,
        intervals.quantity,
        greatest(lived_by_day.hour_start, intervals.interval_start, placements.valid_from_at) as part_start,
        least(lived_by_day.hour_end, intervals.interval_end, coalesce(placements.valid_to_at, intervals.interval_end)) as part_end
    from lived_by_day
    inner join intervals
        on
            lived_by_day.site_id = intervals.site_id
            and lived_by_day.meter_id = intervals.meter_id
            and lived_by_day.utc_day = intervals.utc_day
            and lived_by_day.hour_start < intervals.interval_end
            and lived_by_day.hour_end > intervals.interval_start
            and {{ int_div(us('greatest(lived_by_day.hour_start, intervals.interval_start)'), day_us) }} = intervals.utc_day
    inner join placements
        on
            lived_by_day.site_id = placements.site_id
            and lived_by_day.meter_id = placements.meter_id
            and lived_by_day.machine_id = placements.machine_id
            and placements.valid_from_at < least(lived_by_day.hour_end, intervals.interval_end)
            and (
                placements.valid_to_at is null
                or placements.valid_to_at > greatest(lived_by_day.hour_start, intervals.interval_start)
            )

),

in_us as (

    select
        site_id,
        meter_id,
        machine_id,
        local_hour,
        hour_start,
        quantity,
        {{ us('part_start') }} - {{ us('interval_start') }} as from_us,
        {{ us('part_end') }} - {{ us('interval_start') }} as to_us,
        {{ us('interval_end') }} - {{ us('interval_start') }} as whole_us
    from parts

),

measured as (

    select
        site_id,
        meter_id,
        machine_id,
        local_hour,
        hour_start,
        to_us - from_us as covered_us,
        {{ prorate('quantity', 'to_us', 'whole_us') }} - {{ prorate('quantity', 'from_us', 'whole_us') }} as quantity
    from in_us
    union all
    select
        lived.site_id,
        lived.meter_id,
        lived.machine_id,
        lived.local_hour,
        lived.hour_start,
        usage_hours.covered_us,
        usage_hours.quantity
    from lived
    inner join usage_hours
        on
            lived.site_id = usage_hours.site_id
            and lived.meter_id = usage_hours.meter_id
            and lived.machine_id = usage_hours.machine_id
            and lived.hour_start = usage_hours.hour_start

)

select
    site_id,
    meter_id,
    machine_id,
    local_hour,
    hour_start,
    cast(sum(quantity) as decimal(38, 9)) as quantity
from measured
group by site_id, meter_id, machine_id, local_hour, hour_start
having sum(covered_us) = {{ hour_us }}
