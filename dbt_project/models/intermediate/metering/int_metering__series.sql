{{ config(materialized='in_hand', meta={'phase': 'days'}) }}

-- What the readings of a day have in common, told once: their names are looked at here, and everywhere else there are numbers.
with readings as (

    select distinct
        site_id,
        {{ utc_date('interval_start') }} as usage_date,
        meter_id,
        metric,
        kind,
        unit,
        batch_id,
        ingested_at
    from {{ ref('stg_landing__readings') }}

),

units as (

    select
        metric,
        unit,
        usage_metric,
        numerator,
        denominator
    from {{ ref('units') }}

)

select
    {{ any_number() }} as series_no,
    dense_rank() over (order by readings.site_id, readings.usage_date, readings.meter_id, units.usage_metric) as meter_day_no,
    dense_rank() over (order by readings.site_id, readings.usage_date, readings.meter_id, readings.metric, readings.kind) as key_no,
    readings.site_id,
    readings.usage_date,
    readings.meter_id,
    readings.metric,
    units.usage_metric,
    readings.kind,
    readings.unit,
    readings.batch_id,
    readings.ingested_at,
    units.numerator,
    units.denominator
from readings
inner join units
    on
        readings.metric = units.metric
        and readings.unit = units.unit
