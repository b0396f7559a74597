{{ config(materialized='in_hand', meta={'phase': 'days'}) }}

-- Intervals that meet the days in hand and reach over a day's bounds, or are set by hand.
with days_in_hand as (

    select
        site_id,
        usage_date
    from {{ ref('int_metering__days_in_hand') }}

),

bounds as (

    select
        site_id,
        min({{ utc_day_start('usage_date') }}) as first_at,
        max({{ utc_day_start('usage_date + 1') }}) as last_at
    from days_in_hand
    group by site_id

),

series as (

    select
        series_no,
        site_id,
        meter_id,
        usage_metric
    from {{ ref('int_metering__series') }}

),

used_readings as (

    select
        series_no,
        interval_start,
        interval_end,
        quantity
    from {{ ref('int_metering__used_readings') }}
    where interval_end > {{ utc_day_end('interval_start') }}

),

crossing_intervals as (

    select
        site_id,
        usage_date,
        meter_id,
        metric,
        interval_start,
        interval_end,
        quantity
    from {{ ref('int_metering__crossing_intervals') }}

),

set_by_hand as (

    select
        site_id,
        meter_id,
        metric,
        from_at,
        to_at
    from {{ source('book', 'reading_edits') }}
    where action = 'set'

)

select
    series.site_id,
    series.meter_id,
    series.usage_metric as metric,
    used_readings.interval_start,
    used_readings.interval_end
from used_readings
inner join series
    on used_readings.series_no = series.series_no
where used_readings.quantity >= 0
union all
select
    crossing_intervals.site_id,
    crossing_intervals.meter_id,
    crossing_intervals.metric,
    crossing_intervals.interval_start,
    crossing_intervals.interval_end
from crossing_intervals
inner join bounds
    on
        crossing_intervals.site_id = bounds.site_id
        and crossing_intervals.interval_end > bounds.first_at
        and crossing_intervals.interval_start < bounds.last_at
left join days_in_hand
    on
        crossing_intervals.site_id = days_in_hand.site_id
        and crossing_intervals.usage_date = days_in_hand.usage_date
where
    crossing_intervals.quantity >= 0
    and days_in_hand.site_id is null
union all
select
    set_by_hand.site_id,
    set_by_hand.meter_id,
    set_by_hand.metric,
    set_by_hand.from_at as interval_start,
    set_by_hand.to_at as interval_end
from set_by_hand
inner join bounds
    on
        set_by_hand.site_id = bounds.site_id
        and set_by_hand.to_at > bounds.first_at
        and set_by_hand.from_at < bounds.last_at
