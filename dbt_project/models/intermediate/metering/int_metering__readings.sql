{{ config(materialized='in_hand', meta={'phase': 'days'}) }}

-- Rule 0a: rows that cannot be are set aside before anything else looks at them.
with readings as (

    select
        site_id,
        meter_id,
        metric,
        kind,
        unit,
        interval_start,
        interval_end,
        value,
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

),

-- Only differences of counters and means of gauges need their common parts; the canonical value of an interval is rounded by itself.
converted as (

    select
        readings.site_id,
        readings.meter_id,
        readings.metric,
        units.usage_metric,
        readings.kind,
        readings.interval_start,
        readings.interval_end,
        case when readings.kind != 'interval' then {{ scaled_integer('readings.value', 9) }} * units.numerator end as parts,
        units.denominator,
        case
            when units.numerator = units.denominator then cast(readings.value as decimal(38, 9))
            when units.numerator * 1000 = units.denominator and abs(readings.value) < 1000000000
                then cast({{ thousandth('readings.value') }} as decimal(38, 9))
            else {{ unscaled_decimal(
                divide_nearest('(' ~ scaled_integer('readings.value', 9) ~ ' * units.numerator)', 'units.denominator'), 9
            ) }}
        end as canonical_value,
        readings.batch_id,
        readings.ingested_at
    from readings
    inner join units
        on
            readings.metric = units.metric
            and readings.unit = units.unit

)

select
    row_number() over () as reading_no,
    site_id,
    meter_id,
    metric,
    usage_metric,
    kind,
    interval_start,
    interval_end,
    {{ utc_date('interval_start') }} as usage_date,
    parts,
    denominator,
    canonical_value,
    batch_id,
    ingested_at,
    case
        when coalesce(interval_end, interval_start) > ingested_at + interval 1 hour then 'future_reading'
        when abs(canonical_value) >= 1000000000000 then 'absurd_value'
    end as impossible_kind
from converted
