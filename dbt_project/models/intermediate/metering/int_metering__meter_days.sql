{{ config(materialized='kept', meta={'phase': 'days'}) }}

-- Between which rows a meter's usage of a day lies. Only samples are looked at again from another day.
with used_tallies as (

    select
        meter_day_no,
        site_id,
        usage_date,
        meter_id,
        metric,
        first_start,
        last_start
    from {{ ref('int_metering__used_tallies') }}

),

series as (

    select
        series_no,
        kind,
        denominator,
        batch_id,
        ingested_at
    from {{ ref('int_metering__series') }}

),

samples as (

    select
        used_readings.meter_day_no,
        used_readings.interval_start,
        used_readings.parts,
        used_readings.is_spike_allowed,
        series.kind,
        series.denominator,
        series.batch_id,
        series.ingested_at
    from {{ ref('int_metering__used_readings') }} as used_readings
    inner join series
        on used_readings.series_no = series.series_no
    where not used_readings.is_interval

)

select
    used_tallies.site_id,
    used_tallies.usage_date,
    used_tallies.meter_id,
    used_tallies.metric,
    coalesce(last_samples.kind, 'interval') as kind,
    last_samples.denominator,
    used_tallies.first_start,
    first_samples.parts as first_parts,
    first_samples.batch_id as first_batch_id,
    first_samples.ingested_at as first_ingested_at,
    used_tallies.last_start,
    last_samples.parts as last_parts,
    last_samples.batch_id as last_batch_id,
    last_samples.ingested_at as last_ingested_at,
    coalesce(last_samples.is_spike_allowed, false) as is_spike_allowed_after_last
from used_tallies
left join samples as first_samples
    on
        used_tallies.meter_day_no = first_samples.meter_day_no
        and used_tallies.first_start = first_samples.interval_start
left join samples as last_samples
    on
        used_tallies.meter_day_no = last_samples.meter_day_no
        and used_tallies.last_start = last_samples.interval_start
order by used_tallies.site_id, used_tallies.meter_id
