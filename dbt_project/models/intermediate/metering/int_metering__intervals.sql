-- The intervals at work: of the days in hand those that lie inside one UTC day; of spans in hand those that may reach over a day's bounds.
with used_intervals as (

    select
        site_id,
        meter_id,
        usage_metric,
        interval_start,
        interval_end,
        canonical_value,
        is_spike_allowed,
        batch_id,
        ingested_at
    from {{ ref('int_metering__edited_readings') }}
    where
        fate is null
        and kind = 'interval'
        and interval_end <= {{ utc_day_end('interval_start') }}

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
    site_id,
    meter_id,
    usage_metric as metric,
    'interval' as origin,
    interval_start,
    interval_end,
    canonical_value as quantity,
    is_spike_allowed,
    batch_id,
    batch_id as end_batch_id,
    ingested_at
from used_intervals
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
    cast(null as varchar) as batch_id,
    cast(null as varchar) as end_batch_id,
    cast(null as timestamptz) as ingested_at
from set_by_hand
inner join reaches
    on
        set_by_hand.site_id = reaches.site_id
        and set_by_hand.to_at >= reaches.reach_start
        and set_by_hand.from_at <= reaches.reach_end
