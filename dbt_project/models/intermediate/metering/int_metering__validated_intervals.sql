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

placements as (

    select
        site_id,
        meter_id,
        machine_id,
        valid_from_at,
        valid_to_at,
        rated_kw
    from {{ source('book', 'placements') }}

),

sites as (

    select
        site_id,
        default_rated_kw
    from {{ source('book', 'sites') }}

),

-- Placements of one meter do not overlap, so the first that an interval overlapping is the one whose predecessor it does not.
placements_in_turn as (

    select
        placements.site_id,
        placements.meter_id,
        placements.machine_id,
        placements.valid_from_at,
        placements.valid_to_at,
        coalesce(placements.rated_kw, sites.default_rated_kw) as rated_kw,
        lag(placements.valid_to_at) over (
            partition by placements.site_id, placements.meter_id
            order by placements.valid_from_at
        ) as earlier_valid_to_at
    from placements
    inner join sites
        on placements.site_id = sites.site_id

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
        placements_in_turn.machine_id as first_machine_id,
        placements_in_turn.rated_kw
    from intervals
    left join overlapping
        on
            intervals.site_id = overlapping.site_id
            and intervals.meter_id = overlapping.meter_id
            and intervals.metric = overlapping.metric
            and intervals.origin = overlapping.origin
            and intervals.interval_start = overlapping.interval_start
            and intervals.interval_end = overlapping.interval_end
    left join placements_in_turn
        on
            intervals.site_id = placements_in_turn.site_id
            and intervals.meter_id = placements_in_turn.meter_id
            and intervals.interval_end > placements_in_turn.valid_from_at
            and (
                placements_in_turn.valid_to_at is null
                or intervals.interval_start < placements_in_turn.valid_to_at
            )
            and (
                placements_in_turn.earlier_valid_to_at is null
                or intervals.interval_start >= placements_in_turn.earlier_valid_to_at
            )

),

-- quantity > 1.5 × rated_kw × hours, both sides times 7,200,000,000 so that nothing is divided.
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
                and {{ exact_product('quantity', 9, '7200000000', 0) }}
                > {{ exact_product('rated_kw', 9, '3 * (' ~ us('interval_end') ~ ' - ' ~ us('interval_start') ~ ')', 0) }}
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
