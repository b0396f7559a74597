{{ config(materialized='kept', meta={'phase': 'days'}) }}

-- What gaps are found between: stretches of accepted energy inside a day, without a hole. Accepted intervals do not overlap, so a day whose
-- intervals are as long as the time between its ends is one run.
with used_readings as (

    select
        meter_day_no,
        interval_start,
        interval_end,
        quantity
    from {{ ref('int_metering__used_readings') }}

),

used_tallies as (

    select
        meter_day_no,
        site_id,
        usage_date,
        meter_id,
        first_start,
        last_end,
        {{ us('last_end') }} - {{ us('first_start') }} = covered_us as is_one_run
    from {{ ref('int_metering__used_tallies') }}
    where
        metric = 'energy'
        and is_plain

),

validated_intervals as (

    select
        site_id,
        {{ utc_date('interval_start') }} as usage_date,
        meter_id,
        interval_start,
        interval_end,
        quantity
    from {{ ref('int_metering__validated_intervals') }}
    where
        metric = 'energy'
        and verdict = 'accepted'

),

meter_days as (

    select
        meter_day_no,
        site_id,
        usage_date,
        meter_id
    from {{ ref('int_metering__used_tallies') }}
    where metric = 'energy'

),

looked_at as (

    select
        used_readings.meter_day_no,
        used_readings.interval_start,
        used_readings.interval_end,
        used_readings.quantity
    from used_readings
    inner join used_tallies
        on used_readings.meter_day_no = used_tallies.meter_day_no
    where not used_tallies.is_one_run
    union all
    select
        meter_days.meter_day_no,
        validated_intervals.interval_start,
        validated_intervals.interval_end,
        validated_intervals.quantity
    from validated_intervals
    inner join meter_days
        on
            validated_intervals.site_id = meter_days.site_id
            and validated_intervals.usage_date = meter_days.usage_date
            and validated_intervals.meter_id = meter_days.meter_id

),

in_turn as (

    select
        meter_day_no,
        interval_start,
        interval_end,
        quantity,
        lag(interval_end) over meter_in_time as earlier_end,
        lead(interval_start) over meter_in_time as later_start
    from looked_at
    window meter_in_time as (
        partition by meter_day_no
        order by interval_start
    )

),

-- The first and the last interval of each run, side by side.
ends as (

    select
        meter_day_no,
        interval_start,
        interval_end,
        quantity,
        coalesce(earlier_end != interval_start, true) as begins_run,
        coalesce(later_start != interval_end, true) as ends_run
    from in_turn
    where
        coalesce(earlier_end != interval_start, true)
        or coalesce(later_start != interval_end, true)

),

paired as (

    select
        meter_day_no,
        begins_run,
        interval_start as run_start,
        quantity as first_quantity,
        {{ us('interval_end') }} - {{ us('interval_start') }} as first_us,
        case when ends_run then interval_end else lead(interval_end) over meter_in_time end as run_end,
        case when ends_run then quantity else lead(quantity) over meter_in_time end as last_quantity,
        case
            when ends_run then {{ us('interval_end') }} - {{ us('interval_start') }}
            else lead({{ us('interval_end') }} - {{ us('interval_start') }}) over meter_in_time
        end as last_us
    from ends
    window meter_in_time as (
        partition by meter_day_no
        order by interval_start
    )

),

runs as (

    select
        meter_day_no,
        run_start,
        run_end,
        first_quantity,
        first_us,
        last_quantity,
        last_us
    from paired
    where begins_run
    union all
    select
        used_tallies.meter_day_no,
        used_tallies.first_start as run_start,
        used_tallies.last_end as run_end,
        first_rows.quantity as first_quantity,
        {{ us('first_rows.interval_end') }} - {{ us('first_rows.interval_start') }} as first_us,
        last_rows.quantity as last_quantity,
        {{ us('last_rows.interval_end') }} - {{ us('last_rows.interval_start') }} as last_us
    from used_tallies
    inner join used_readings as first_rows
        on
            used_tallies.meter_day_no = first_rows.meter_day_no
            and used_tallies.first_start = first_rows.interval_start
    inner join used_readings as last_rows
        on
            used_tallies.meter_day_no = last_rows.meter_day_no
            and used_tallies.last_end = last_rows.interval_end
    where used_tallies.is_one_run

)

select
    meter_days.site_id,
    meter_days.usage_date,
    meter_days.meter_id,
    runs.run_start,
    runs.run_end,
    runs.first_quantity,
    runs.first_us,
    runs.last_quantity,
    runs.last_us
from runs
inner join meter_days
    on runs.meter_day_no = meter_days.meter_day_no
order by meter_days.site_id, meter_days.meter_id, runs.run_start
