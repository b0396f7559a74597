{{ config(materialized='kept', meta={'phase': 'days', 'wakes': true}) }}

with series as (

    select
        series_no,
        site_id,
        usage_date,
        meter_id,
        usage_metric,
        batch_id,
        ingested_at
    from {{ ref('int_metering__series') }}

),

used_readings as (

    select
        series_no,
        interval_start,
        interval_end,
        quantity,
        is_spike_allowed
    from {{ ref('int_metering__used_readings') }}
    where interval_end > {{ utc_day_end('interval_start') }}

)

select
    series.site_id,
    series.usage_date,
    series.meter_id,
    series.usage_metric as metric,
    used_readings.interval_start,
    used_readings.interval_end,
    used_readings.quantity,
    used_readings.is_spike_allowed,
    series.batch_id,
    series.ingested_at
from used_readings
inner join series
    on used_readings.series_no = series.series_no
