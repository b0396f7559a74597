{{ config(materialized='view') }}

with readings as (

    select
        site_id,
        meter_id,
        metric,
        usage_metric,
        kind,
        interval_start,
        interval_end,
        usage_date,
        canonical_value,
        batch_id,
        ingested_at,
        fate,
        fate_reason
    from {{ ref('int_metering__edited_readings') }}

),

quarantined as (

    select
        site_id,
        meter_id,
        metric,
        origin,
        interval_start,
        interval_end,
        verdict
    from {{ ref('int_metering__validated_intervals') }}
    where verdict != 'accepted'

)

-- A register or gauge shares the fate of the interval that begins with it.
select
    readings.site_id,
    readings.meter_id,
    readings.metric,
    readings.usage_metric,
    readings.kind,
    readings.interval_start,
    readings.interval_end,
    readings.usage_date,
    readings.canonical_value,
    readings.batch_id,
    readings.ingested_at,
    case
        when readings.fate is not null then readings.fate
        when quarantined.verdict is not null then 'quarantined'
        else 'accepted'
    end as fate,
    coalesce(readings.fate_reason, quarantined.verdict) as fate_reason
from readings
left join quarantined
    on
        readings.fate is null
        and readings.site_id = quarantined.site_id
        and readings.meter_id = quarantined.meter_id
        and readings.usage_metric = quarantined.metric
        and readings.kind = quarantined.origin
        and readings.interval_start = quarantined.interval_start
        and (readings.kind != 'interval' or readings.interval_end = quarantined.interval_end)
