-- What rules 2 and 3 start from: each register or gauge beside the used row of its meter that comes next.
with series as (

    select
        series_no,
        site_id,
        usage_date,
        meter_id,
        usage_metric,
        kind,
        denominator,
        batch_id,
        ingested_at
    from {{ ref('int_metering__series') }}

),

used_readings as (

    select
        series_no,
        interval_start,
        parts,
        is_spike_allowed
    from {{ ref('int_metering__used_readings') }}
    where not is_interval

),

samples as (

    select
        series.site_id,
        series.meter_id,
        series.usage_metric,
        series.usage_date,
        series.kind,
        used_readings.interval_start,
        used_readings.parts,
        series.denominator,
        used_readings.is_spike_allowed,
        series.batch_id,
        series.ingested_at
    from used_readings
    inner join series
        on used_readings.series_no = series.series_no

),

edge_pairs as (

    select
        site_id,
        meter_id,
        usage_metric,
        kind,
        interval_start,
        interval_end,
        parts,
        next_parts,
        denominator,
        is_spike_allowed,
        batch_id,
        next_batch_id,
        ingested_at
    from {{ ref('int_metering__edge_pairs') }}

),

-- On one day a meter is used in one kind, so nothing of another kind lies between its samples of a day.
in_turn as (

    select
        site_id,
        meter_id,
        usage_metric,
        kind,
        interval_start,
        parts,
        denominator,
        is_spike_allowed,
        batch_id,
        ingested_at,
        lead(interval_start) over meter_in_time as next_start,
        lead(parts) over meter_in_time as next_parts,
        lead(batch_id) over meter_in_time as next_batch_id,
        lead(ingested_at) over meter_in_time as next_ingested_at
    from samples
    window meter_in_time as (
        partition by site_id, meter_id, usage_metric, usage_date
        order by interval_start
    )

)

select
    site_id,
    meter_id,
    usage_metric,
    kind,
    interval_start,
    next_start as interval_end,
    parts,
    next_parts,
    denominator,
    is_spike_allowed,
    batch_id,
    next_batch_id,
    greatest(ingested_at, next_ingested_at) as ingested_at
from in_turn
where next_start is not null
union all
select
    site_id,
    meter_id,
    usage_metric,
    kind,
    interval_start,
    interval_end,
    parts,
    next_parts,
    denominator,
    is_spike_allowed,
    batch_id,
    next_batch_id,
    ingested_at
from edge_pairs
