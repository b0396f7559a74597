{{ config(materialized='in_hand', meta={'phase': 'days and spans'}) }}

-- Rule 4, the intervals that overlap another. Intervals below zero are out already and overlap nothing.
with intervals as (

    select
        site_id,
        meter_id,
        metric,
        origin,
        interval_start,
        interval_end,
        {{ us('interval_start') }} as start_us,
        {{ us('interval_end') }} - {{ us('interval_start') }} as span_us
    from {{ ref('int_metering__intervals') }}
    where
        origin = 'set'
        or quantity >= 0

),

visitors as (

    select
        site_id,
        meter_id,
        metric,
        interval_start,
        interval_end
    from {{ ref('int_metering__visitors') }}

),

-- Intervals of one length on one grid cannot overlap, having different keys. What is left is compared one by one.
irregular_meters as (

    select
        site_id,
        meter_id,
        metric
    from intervals
    group by site_id, meter_id, metric
    having
        min(span_us) < max(span_us)
        or min(start_us % span_us) < max(start_us % span_us)
        or bool_or(origin = 'set')
    union
    select
        site_id,
        meter_id,
        metric
    from visitors

),

compared as (

    select
        intervals.site_id,
        intervals.meter_id,
        intervals.metric,
        intervals.origin,
        intervals.interval_start,
        intervals.interval_end
    from intervals
    inner join irregular_meters
        on
            intervals.site_id = irregular_meters.site_id
            and intervals.meter_id = irregular_meters.meter_id
            and intervals.metric = irregular_meters.metric
    union all
    select
        site_id,
        meter_id,
        metric,
        'visitor' as origin,
        interval_start,
        interval_end
    from visitors

),

with_neighbours as (

    select
        site_id,
        meter_id,
        metric,
        origin,
        interval_start,
        interval_end,
        max(interval_end) over (
            partition by site_id, meter_id, metric
            order by interval_start, interval_end, origin
            rows between unbounded preceding and 1 preceding
        ) as earlier_reach_to,
        lead(interval_start) over (
            partition by site_id, meter_id, metric
            order by interval_start, interval_end, origin
        ) as later_start
    from compared

)

select distinct
    site_id,
    meter_id,
    metric,
    origin,
    interval_start,
    interval_end
from with_neighbours
where
    origin not in ('set', 'visitor')
    and (
        earlier_reach_to > interval_start
        or later_start < interval_end
    )
