{{ config(materialized='in_hand', meta={'phase': 'days'}) }}

-- Rule 0a: rows that cannot be are set aside before anything else looks at them.
with landed as (

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
        ingested_at,
        {{ utc_date('interval_start') }} as usage_date
    from {{ ref('stg_landing__readings') }}

),

series as (

    select
        series_no,
        site_id,
        usage_date,
        meter_id,
        metric,
        kind,
        unit,
        batch_id,
        ingested_at,
        numerator,
        denominator
    from {{ ref('int_metering__series') }}

),

-- Only differences of counters and means of gauges need their common parts; the canonical value of an interval is rounded by itself.
converted as (

    select
        series.series_no,
        landed.interval_start,
        landed.interval_end,
        landed.ingested_at,
        case when landed.kind != 'interval' then {{ scaled_integer('landed.value', 9) }} * series.numerator end as parts,
        case
            when series.numerator = series.denominator then cast(landed.value as decimal(38, 9))
            when series.numerator * 1000 = series.denominator and abs(landed.value) < 1000000000
                then cast({{ thousandth('landed.value') }} as decimal(38, 9))
            else {{ unscaled_decimal(
                divide_nearest('(' ~ scaled_integer('landed.value', 9) ~ ' * series.numerator)', 'series.denominator'), 9
            ) }}
        end as canonical_value
    from landed
    inner join series
        on
            landed.site_id = series.site_id
            and landed.usage_date = series.usage_date
            and landed.meter_id = series.meter_id
            and landed.metric = series.metric
            and landed.kind = series.kind
            and landed.unit = series.unit
            and landed.batch_id = series.batch_id
            and landed.ingested_at = series.ingested_at

)

select
    series_no,
    interval_start,
    interval_end,
    parts,
    canonical_value,
    case
        when {{ us('coalesce(interval_end, interval_start)') }} > {{ us('ingested_at') }} + 3600000000 then 'future_reading'
        when abs(canonical_value) >= 1000000000000 then 'absurd_value'
    end as impossible_kind
from converted
