-- The intervals that are looked at one by one: of the days in hand those inside one UTC day, of meters that are not plain on it; of
-- spans in hand those that may reach over a day's bounds.
with series as (

    select
        series_no,
        site_id,
        meter_id,
        usage_metric,
        batch_id,
        ingested_at
    from {{ ref('int_metering__series') }}

),

used_readings as (

    select
        meter_day_no,
        series_no,
        interval_start,
        interval_end,
        quantity,
        is_spike_allowed
    from {{ ref('int_metering__used_readings') }}
    where
        is_interval
        and interval_end <= {{ utc_day_end('interval_start') }}

),

used_tallies as (

    select meter_day_no
    from {{ ref('int_metering__used_tallies') }}
    where not is_plain

),

register_intervals as (

    select
        site_id,
        meter_id,
        metric,
        interval_start,
        interval_end,
        quantity,
        is_spike_allowed,
        batch_id,
        next_batch_id,
        ingested_at
    from {{ ref('int_metering__register_intervals') }}
    where not is_reset

),

gauge_intervals as (

    select
        site_id,
        meter_id,
        metric,
        interval_start,
        interval_end,
        quantity,
        is_spike_allowed,
        batch_id,
        next_batch_id,
        ingested_at
    from {{ ref('int_metering__gauge_intervals') }}

),

reaches as (

    select
        site_id,
        reach_start,
        reach_end
    from {{ ref('int_metering__reaches') }}

),

crossing_intervals as (

    select
        site_id,
        meter_id,
        metric,
        interval_start,
        interval_end,
        quantity,
        is_spike_allowed,
        batch_id,
        ingested_at
    from {{ ref('int_metering__crossing_intervals') }}

),

set_by_hand as (

    select
        site_id,
        meter_id,
        metric,
        from_at,
        to_at,
        quantity
    from {{ source('book', 'reading_edits') }}
    where action = 'set'

)

select
    series.site_id,
    series.meter_id,
    series.usage_metric as metric,
    'interval' as origin,
    used_readings.interval_start,
    used_readings.interval_end,
    used_readings.quantity,
    used_readings.is_spike_allowed,
    series.batch_id,
    series.batch_id as end_batch_id,
    series.ingested_at
from used_readings
inner join used_tallies
    on used_readings.meter_day_no = used_tallies.meter_day_no
inner join series
    on used_readings.series_no = series.series_no
union all
select
    site_id,
    meter_id,
    metric,
    'register' as origin,
    interval_start,
    interval_end,
    quantity,
    is_spike_allowed,
    batch_id,
    next_batch_id as end_batch_id,
    ingested_at
from register_intervals
union all
select
    site_id,
    meter_id,
    metric,
    'gauge' as origin,
    interval_start,
    interval_end,
    quantity,
    is_spike_allowed,
    batch_id,
    next_batch_id as end_batch_id,
    ingested_at
from gauge_intervals
union all
select
    crossing_intervals.site_id,
    crossing_intervals.meter_id,
    crossing_intervals.metric,
    'interval' as origin,
    crossing_intervals.interval_start,
    crossing_intervals.interval_end,
    crossing_intervals.quantity,
    crossing_intervals.is_spike_allowed,
    crossing_intervals.batch_id,
    crossing_intervals.batch_id as end_batch_id,
    crossing_intervals.ingested_at
from crossing_intervals
inner join reaches
    on
        crossing_intervals.site_id = reaches.site_id
        and crossing_intervals.interval_end >= reaches.reach_start
        and crossing_intervals.interval_start <= reaches.reach_end
union all
select
    set_by_hand.site_id,
    set_by_hand.meter_id,
    set_by_hand.metric,
    'set' as origin,
    set_by_hand.from_at as interval_start,
    set_by_hand.to_at as interval_end,
    cast(set_by_hand.quantity as decimal(38, 9)) as quantity,
    true as is_spike_allowed,
    cast(null as string) as batch_id,
    cast(null as string) as end_batch_id,
    cast(null as {{ instant_type() }}) as ingested_at
from set_by_hand
inner join reaches
    on
        set_by_hand.site_id = reaches.site_id
        and set_by_hand.to_at >= reaches.reach_start
        and set_by_hand.from_at <= reaches.reach_end
