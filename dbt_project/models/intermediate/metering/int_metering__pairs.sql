-- What rules 2 and 3 start from: each register or gauge beside the used row of its meter that comes next.
with used as (

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
        ingested_at
    from {{ ref('int_metering__edited_readings') }}
    where fate is null

),

sampled_meters as (

    select distinct
        site_id,
        meter_id,
        usage_metric
    from used
    where kind != 'interval'

),

-- Rows of two kinds never share a start: they would be of one day, on which one kind is used.
in_turn as (

    select
        used.site_id,
        used.meter_id,
        used.usage_metric,
        used.kind,
        used.interval_start,
        used.parts,
        used.denominator,
        used.is_spike_allowed,
        used.batch_id,
        used.ingested_at,
        lead(used.kind) over meter_in_time as next_kind,
        lead(used.interval_start) over meter_in_time as next_start,
        lead(used.parts) over meter_in_time as next_parts,
        lead(used.batch_id) over meter_in_time as next_batch_id,
        lead(used.ingested_at) over meter_in_time as next_ingested_at
    from used
    inner join sampled_meters
        on
            used.site_id = sampled_meters.site_id
            and used.meter_id = sampled_meters.meter_id
            and used.usage_metric = sampled_meters.usage_metric
    window meter_in_time as (
        partition by used.site_id, used.meter_id, used.usage_metric
        order by used.interval_start
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
where
    kind != 'interval'
    and kind = next_kind
