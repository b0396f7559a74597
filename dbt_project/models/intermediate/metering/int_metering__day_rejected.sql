{{ config(materialized='kept', meta={'phase': 'days'}) }}

with edited_readings as (

    select
        series_no,
        interval_start,
        reaches_to,
        reason
    from {{ ref('int_metering__edited_readings') }}
    where is_rejected

),

series as (

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

readings as (

    select
        series_no,
        interval_start,
        interval_end,
        canonical_value
    from {{ ref('int_metering__readings') }}

)

select
    series.site_id,
    series.usage_date,
    series.meter_id,
    series.usage_metric as metric,
    edited_readings.interval_start,
    edited_readings.reaches_to as interval_end,
    case when series.kind = 'interval' then readings.canonical_value end as quantity,
    edited_readings.reason,
    series.batch_id,
    series.ingested_at
from edited_readings
inner join series
    on edited_readings.series_no = series.series_no
inner join readings
    on
        edited_readings.series_no = readings.series_no
        and edited_readings.interval_start = readings.interval_start
        and edited_readings.reaches_to = coalesce(readings.interval_end, readings.interval_start)
