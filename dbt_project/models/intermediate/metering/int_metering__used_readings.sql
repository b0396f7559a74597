{{ config(materialized='in_hand', meta={'phase': 'days'}) }}

-- What rules 0a, 0, 1 and 1a leave of the readings.
with series as (

    select
        series_no,
        meter_day_no,
        kind
    from {{ ref('int_metering__series') }}

),

kinds as (

    select series_no
    from {{ ref('int_metering__kinds') }}
    where not is_unused

),

readings as (

    select
        series_no,
        interval_start,
        interval_end,
        parts,
        canonical_value
    from {{ ref('int_metering__readings') }}
    where impossible_kind is null

),

superseded as (

    select
        series_no,
        interval_start,
        reaches_to
    from {{ ref('int_metering__superseded') }}

),

edited_readings as (

    select
        series_no,
        interval_start,
        reaches_to,
        is_rejected
    from {{ ref('int_metering__edited_readings') }}

),

used_series as (

    select
        series.series_no,
        series.meter_day_no,
        series.kind
    from series
    inner join kinds
        on series.series_no = kinds.series_no

)

select
    used_series.meter_day_no,
    readings.series_no,
    used_series.kind = 'interval' as is_interval,
    readings.interval_start,
    readings.interval_end,
    readings.parts,
    readings.canonical_value as quantity,
    edited_readings.series_no is not null as is_spike_allowed
from readings
inner join used_series
    on readings.series_no = used_series.series_no
left join superseded
    on
        readings.series_no = superseded.series_no
        and readings.interval_start = superseded.interval_start
        and coalesce(readings.interval_end, readings.interval_start) = superseded.reaches_to
left join edited_readings
    on
        readings.series_no = edited_readings.series_no
        and readings.interval_start = edited_readings.interval_start
        and coalesce(readings.interval_end, readings.interval_start) = edited_readings.reaches_to
where
    superseded.series_no is null
    and not coalesce(edited_readings.is_rejected, false)
