{{ config(materialized='view') }}

with readings as (

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
from readings
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
    site_id,
    meter_id,
    metric,
    'set' as origin,
    from_at as interval_start,
    to_at as interval_end,
    cast(quantity as decimal(38, 9)) as quantity,
    true as is_spike_allowed,
    cast(null as varchar) as batch_id,
    cast(null as varchar) as end_batch_id,
    cast(null as timestamptz) as ingested_at
from set_by_hand
