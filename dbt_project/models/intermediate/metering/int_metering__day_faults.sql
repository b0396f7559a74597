{{ config(materialized='kept', meta={'phase': 'days'}) }}

with series as (

    select
        series_no,
        site_id,
        usage_date,
        meter_id,
        usage_metric,
        kind,
        batch_id,
        ingested_at
    from {{ ref('int_metering__series') }}

),

impossible_readings as (

    select
        series_no,
        interval_start,
        interval_end,
        canonical_value,
        impossible_kind
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
    impossible_readings.impossible_kind as kind,
    series.site_id,
    series.usage_date,
    series.meter_id,
    series.usage_metric as metric,
    impossible_readings.interval_start as span_start,
    coalesce(impossible_readings.interval_end, impossible_readings.interval_start) as span_end,
    case when series.kind = 'interval' then impossible_readings.canonical_value end as quantity,
    series.batch_id,
    series.ingested_at
from impossible_readings
inner join series
    on impossible_readings.series_no = series.series_no
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
