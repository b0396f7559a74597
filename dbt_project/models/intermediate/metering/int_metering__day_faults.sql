{{ config(materialized='kept', meta={'phase': 'days'}) }}

with impossible_readings as (

    select
        impossible_kind as kind,
        site_id,
        usage_date,
        meter_id,
        usage_metric as metric,
        interval_start as span_start,
        coalesce(interval_end, interval_start) as span_end,
        case when kind = 'interval' then canonical_value end as quantity,
        batch_id,
        ingested_at
    from {{ ref('int_metering__readings') }}
    where impossible_kind is not null

),

resets as (

    select
        site_id,
        {{ utc_date('interval_start') }} as usage_date,
        meter_id,
        metric,
        interval_start,
        interval_end,
        batch_id,
        ingested_at
    from {{ ref('int_metering__register_intervals') }}
    where is_reset

),

quarantined as (

    select
        verdict,
        site_id,
        {{ utc_date('interval_start') }} as usage_date,
        meter_id,
        metric,
        interval_start,
        interval_end,
        quantity,
        batch_id,
        ingested_at
    from {{ ref('int_metering__validated_intervals') }}
    where verdict != 'accepted'

)

select
    kind,
    site_id,
    usage_date,
    meter_id,
    metric,
    span_start,
    span_end,
    quantity,
    batch_id,
    ingested_at
from impossible_readings
union all
select
    'register_reset' as kind,
    site_id,
    usage_date,
    meter_id,
    metric,
    interval_start as span_start,
    interval_end as span_end,
    cast(null as decimal(38, 9)) as quantity,
    batch_id,
    ingested_at
from resets
union all
select
    verdict as kind,
    site_id,
    usage_date,
    meter_id,
    metric,
    interval_start as span_start,
    interval_end as span_end,
    quantity,
    batch_id,
    ingested_at
from quarantined
