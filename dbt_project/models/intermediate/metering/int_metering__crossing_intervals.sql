{{ config(materialized='kept', meta={'phase': 'days', 'wakes': true}) }}

with edited_readings as (

    select
        site_id,
        meter_id,
        usage_metric,
        kind,
        interval_start,
        interval_end,
        usage_date,
        canonical_value,
        batch_id,
        ingested_at,
        fate,
        is_spike_allowed
    from {{ ref('int_metering__edited_readings') }}

)

select
    site_id,
    usage_date,
    meter_id,
    usage_metric as metric,
    interval_start,
    interval_end,
    canonical_value as quantity,
    is_spike_allowed,
    batch_id,
    ingested_at
from edited_readings
where
    fate is null
    and kind = 'interval'
    and interval_end > {{ utc_day_end('interval_start') }}
