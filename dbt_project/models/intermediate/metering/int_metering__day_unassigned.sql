{{ config(materialized='kept', meta={'phase': 'days'}) }}

-- Rule 7 inside days. Usage that several parts of one interval leave unassigned is one occurrence.
with series as (

    select
        series_no,
        ingested_at
    from {{ ref('int_metering__series') }}

),

used_readings as (

    select
        meter_day_no,
        series_no,
        interval_start,
        interval_end,
        quantity
    from {{ ref('int_metering__used_readings') }}

),

used_tallies as (

    select
        meter_day_no,
        site_id,
        meter_id,
        metric
    from {{ ref('int_metering__used_tallies') }}
    where is_plain

),

validated_intervals as (

    select
        site_id,
        meter_id,
        metric,
        interval_start,
        interval_end,
        quantity,
        ingested_at
    from {{ ref('int_metering__validated_intervals') }}
    where verdict = 'accepted'

),

nobodys as (

    select
        site_id,
        meter_id,
        machine_id,
        span_start,
        span_end
    from {{ ref('int_metering__responsibilities') }}
    where contract_id is null

),

plain_nobodys as (

    select
        used_tallies.meter_day_no,
        used_tallies.site_id,
        used_tallies.meter_id,
        used_tallies.metric,
        nobodys.machine_id,
        nobodys.span_start,
        nobodys.span_end
    from used_tallies
    inner join nobodys
        on
            used_tallies.site_id = nobodys.site_id
            and used_tallies.meter_id = nobodys.meter_id

),

met as (

    select
        plain_nobodys.site_id,
        plain_nobodys.meter_id,
        plain_nobodys.metric,
        plain_nobodys.machine_id,
        plain_nobodys.span_start,
        plain_nobodys.span_end,
        used_readings.interval_start,
        used_readings.interval_end,
        used_readings.quantity,
        series.ingested_at
    from used_readings
    inner join plain_nobodys
        on
            used_readings.meter_day_no = plain_nobodys.meter_day_no
            and used_readings.interval_start < plain_nobodys.span_end
            and used_readings.interval_end > plain_nobodys.span_start
    inner join series
        on used_readings.series_no = series.series_no
    union all
    select
        nobodys.site_id,
        nobodys.meter_id,
        validated_intervals.metric,
        nobodys.machine_id,
        nobodys.span_start,
        nobodys.span_end,
        validated_intervals.interval_start,
        validated_intervals.interval_end,
        validated_intervals.quantity,
        validated_intervals.ingested_at
    from validated_intervals
    inner join nobodys
        on
            validated_intervals.site_id = nobodys.site_id
            and validated_intervals.meter_id = nobodys.meter_id
            and validated_intervals.interval_start < nobodys.span_end
            and validated_intervals.interval_end > nobodys.span_start

),

pieces as (

    select
        site_id,
        meter_id,
        metric,
        machine_id,
        interval_start,
        interval_end,
        quantity,
        ingested_at,
        {{ us('greatest(interval_start, span_start)') }} - {{ us('interval_start') }} as from_us,
        {{ us('least(interval_end, span_end)') }} - {{ us('interval_start') }} as to_us,
        {{ us('interval_end') }} - {{ us('interval_start') }} as whole_us
    from met

),

of_intervals as (

    select
        site_id,
        meter_id,
        metric,
        machine_id,
        interval_start,
        interval_end,
        cast(
            sum(case
                when to_us - from_us = whole_us then quantity
                else {{ prorate('quantity', 'to_us', 'whole_us') }} - {{ prorate('quantity', 'from_us', 'whole_us') }}
            end) as decimal(38, 9)
        ) as quantity,
        min(ingested_at) as ingested_at
    from pieces
    group by site_id, meter_id, metric, machine_id, interval_start, interval_end

)

select
    site_id,
    {{ utc_date('interval_start') }} as usage_date,
    meter_id,
    metric,
    machine_id,
    count(*) as intervals,
    cast(sum(quantity) as decimal(38, 9)) as quantity,
    min(interval_start) as first_start,
    min(ingested_at) as first_seen
from of_intervals
where quantity > 0
group by site_id, {{ utc_date('interval_start') }}, meter_id, metric, machine_id
