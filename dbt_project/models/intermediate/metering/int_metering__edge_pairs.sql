{{ config(materialized='in_hand', meta={'phase': 'spans'}) }}

-- Rules 2 and 3 over the bounds of days: the last sample of a meter's day beside the first used row of the next day that has one.
with reaches as (

    select
        site_id,
        reach_start,
        reach_end
    from {{ ref('int_metering__reaches') }}

),

meter_days as (

    select
        site_id,
        usage_date,
        meter_id,
        metric,
        kind,
        denominator,
        first_start,
        first_parts,
        first_batch_id,
        first_ingested_at,
        last_start,
        last_parts,
        last_batch_id,
        last_ingested_at,
        is_spike_allowed_after_last
    from {{ ref('int_metering__meter_days') }}

),

days_inside as (

    select
        meter_days.site_id,
        meter_days.meter_id,
        meter_days.metric,
        meter_days.usage_date
    from meter_days
    inner join reaches
        on
            meter_days.site_id = reaches.site_id
            and meter_days.usage_date >= {{ utc_date('reaches.reach_start') }}
            and meter_days.usage_date <= {{ utc_date('reaches.reach_end') }}

),

days_before as (

    select
        meter_days.site_id,
        meter_days.meter_id,
        meter_days.metric,
        max(meter_days.usage_date) as usage_date
    from meter_days
    inner join reaches
        on
            meter_days.site_id = reaches.site_id
            and meter_days.usage_date < {{ utc_date('reaches.reach_start') }}
    group by meter_days.site_id, meter_days.meter_id, meter_days.metric

),

days_after as (

    select
        meter_days.site_id,
        meter_days.meter_id,
        meter_days.metric,
        min(meter_days.usage_date) as usage_date
    from meter_days
    inner join reaches
        on
            meter_days.site_id = reaches.site_id
            and meter_days.usage_date > {{ utc_date('reaches.reach_end') }}
    group by meter_days.site_id, meter_days.meter_id, meter_days.metric

),

days as (

    select
        site_id,
        meter_id,
        metric,
        usage_date
    from days_inside
    union all
    select
        site_id,
        meter_id,
        metric,
        usage_date
    from days_before
    union all
    select
        site_id,
        meter_id,
        metric,
        usage_date
    from days_after

),

in_turn as (

    select
        meter_days.site_id,
        meter_days.meter_id,
        meter_days.metric,
        meter_days.kind,
        meter_days.denominator,
        meter_days.last_start,
        meter_days.last_parts,
        meter_days.last_batch_id,
        meter_days.last_ingested_at,
        meter_days.is_spike_allowed_after_last,
        lead(meter_days.kind) over meter_in_time as next_kind,
        lead(meter_days.first_start) over meter_in_time as next_start,
        lead(meter_days.first_parts) over meter_in_time as next_parts,
        lead(meter_days.first_batch_id) over meter_in_time as next_batch_id,
        lead(meter_days.first_ingested_at) over meter_in_time as next_ingested_at
    from meter_days
    inner join days
        on
            meter_days.site_id = days.site_id
            and meter_days.meter_id = days.meter_id
            and meter_days.metric = days.metric
            and meter_days.usage_date = days.usage_date
    window meter_in_time as (
        partition by meter_days.site_id, meter_days.meter_id, meter_days.metric
        order by meter_days.usage_date
    )

)

select
    site_id,
    meter_id,
    metric as usage_metric,
    kind,
    last_start as interval_start,
    next_start as interval_end,
    last_parts as parts,
    next_parts,
    denominator,
    is_spike_allowed_after_last as is_spike_allowed,
    last_batch_id as batch_id,
    next_batch_id,
    greatest(last_ingested_at, next_ingested_at) as ingested_at
from in_turn
where
    kind != 'interval'
    and kind = next_kind
