{{ config(materialized='in_hand', meta={'phase': 'days and spans'}) }}

-- Rule 4: the checks in their order, each on what the earlier ones left. An interval set by hand passes them all.
with intervals as (

    select
        site_id,
        meter_id,
        metric,
        origin,
        interval_start,
        interval_end,
        quantity,
        is_spike_allowed,
        batch_id,
        end_batch_id,
        ingested_at,
        origin != 'set' and quantity < 0 as is_negative
    from {{ ref('int_metering__intervals') }}

),

rated_placements as (

    select
        site_id,
        meter_id,
        machine_id,
        valid_from_at,
        valid_to_at,
        rated_kw,
        earlier_valid_to_at
    from {{ ref('int_metering__rated_placements') }}

),

overlapping as (

    select
        site_id,
        meter_id,
        metric,
        origin,
        interval_start,
        interval_end
    from {{ ref('int_metering__overlaps') }}

),

with_placement as (

    select
        intervals.site_id,
        intervals.meter_id,
        intervals.metric,
        intervals.origin,
        intervals.interval_start,
        intervals.interval_end,
        intervals.quantity,
        intervals.is_spike_allowed,
        intervals.batch_id,
        intervals.end_batch_id,
        intervals.ingested_at,
        intervals.is_negative,
        overlapping.site_id is not null as is_overlapping,
        rated_placements.machine_id as first_machine_id,
        rated_placements.rated_kw
    from intervals
    left join overlapping
        on
            intervals.site_id = overlapping.site_id
            and intervals.meter_id = overlapping.meter_id
            and intervals.metric = overlapping.metric
            and intervals.origin = overlapping.origin
            and intervals.interval_start = overlapping.interval_start
            and intervals.interval_end = overlapping.interval_end
    -- Placements of one meter do not overlap, so the first that an interval overlaps is the one whose predecessor it does not.
    left join rated_placements
        on
            intervals.site_id = rated_placements.site_id
            and intervals.meter_id = rated_placements.meter_id
            and intervals.interval_end > rated_placements.valid_from_at
            and (
                rated_placements.valid_to_at is null
                or intervals.interval_start < rated_placements.valid_to_at
            )
            and (
                rated_placements.earlier_valid_to_at is null
                or intervals.interval_start >= rated_placements.earlier_valid_to_at
            )

),

judged as (

    select
        site_id,
        meter_id,
        metric,
        origin,
        interval_start,
        interval_end,
        quantity,
        batch_id,
        end_batch_id,
        ingested_at,
        first_machine_id,
        rated_kw,
        case
            when origin = 'set' then 'accepted'
            when is_negative then 'negative_quantity'
            when is_overlapping then 'overlapping_intervals'
            when
                metric = 'energy'
                and not is_spike_allowed
                and rated_kw is not null
                and {{ is_spike('quantity', 'rated_kw', us('interval_end') ~ ' - ' ~ us('interval_start')) }}
                then 'spike'
            when first_machine_id is null then 'unknown_meter'
            else 'accepted'
        end as verdict
    from with_placement

)

select
    site_id,
    meter_id,
    metric,
    origin,
    interval_start,
    interval_end,
    quantity,
    batch_id,
    end_batch_id,
    ingested_at,
    first_machine_id,
    rated_kw,
    verdict
from judged
