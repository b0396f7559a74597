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
        quality,
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

in_parts as (

    select
        readings.site_id,
        readings.meter_id,
        readings.metric,
        units.usage_metric,
        readings.kind,
        readings.interval_start,
        readings.interval_end,
        {{ utc_date('readings.interval_start') }} as usage_date,
        readings.value,
        {{ scaled_integer('readings.value', 9) }} * units.numerator as parts,
        units.numerator,
        units.denominator,
        readings.quality,
        readings.batch_id,
        readings.ingested_at
    from readings
    inner join units
        on
            readings.metric = units.metric
            and readings.unit = units.unit

),

converted as (

    select
        site_id,
        meter_id,
        metric,
        usage_metric,
        kind,
        interval_start,
        interval_end,
        usage_date,
        parts,
        denominator,
        case
            when numerator = denominator then cast(value as decimal(38, 9))
            else {{ unscaled_decimal(divide_nearest('parts', 'denominator'), 9) }}
        end as canonical_value,
        quality,
        batch_id,
        ingested_at
    from in_parts

)

select
    site_id,
    meter_id,
    metric,
    usage_metric,
    kind,
    interval_start,
    interval_end,
    usage_date,
    parts,
    denominator,
    canonical_value,
    quality,
    batch_id,
    ingested_at,
    case
        when coalesce(interval_end, interval_start) > ingested_at + interval 1 hour then 'future_reading'
        when abs(canonical_value) >= 1000000000000 then 'absurd_value'
    end as impossible_kind
from converted
