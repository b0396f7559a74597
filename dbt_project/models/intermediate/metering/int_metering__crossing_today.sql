-- Landed intervals that reach over a day's end and meet the days in hand: those that begin in them, and those that do not.
with edited_readings as (

    select
        site_id,
        meter_id,
        usage_metric,
        kind,
        interval_start,
        interval_end,
        canonical_value,
        fate
    from {{ ref('int_metering__edited_readings') }}

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

days_in_hand as (

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

)

select
    site_id,
    meter_id,
    usage_metric as metric,
    interval_start,
    interval_end
from edited_readings
where
    fate is null
    and kind = 'interval'
    and canonical_value >= 0
    and interval_end > {{ utc_day_end('interval_start') }}
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
