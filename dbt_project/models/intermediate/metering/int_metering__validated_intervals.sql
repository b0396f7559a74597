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

-- Placements of one meter do not overlap, so the first that an interval overlaps is the one whose predecessor it does not.
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

with_neighbours as (

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
        is_negative,
        max(interval_end) over (
            partition by site_id, meter_id, metric, is_negative
            order by interval_start, interval_end, origin
            rows between unbounded preceding and 1 preceding
        ) as earlier_reach_to,
        lead(interval_start) over (
            partition by site_id, meter_id, metric, is_negative
            order by interval_start, interval_end, origin
        ) as later_start
    from intervals

),

with_placement as (

    select
        with_neighbours.site_id,
        with_neighbours.meter_id,
        with_neighbours.metric,
        with_neighbours.origin,
        with_neighbours.interval_start,
        with_neighbours.interval_end,
        with_neighbours.quantity,
        with_neighbours.is_spike_allowed,
        with_neighbours.batch_id,
        with_neighbours.end_batch_id,
        with_neighbours.ingested_at,
        with_neighbours.is_negative,
        coalesce(with_neighbours.earlier_reach_to > with_neighbours.interval_start, false)
        or coalesce(with_neighbours.later_start < with_neighbours.interval_end, false) as is_overlapping,
        placements_in_turn.machine_id as first_machine_id,
        placements_in_turn.rated_kw
    from with_neighbours
    left join placements_in_turn
        on
            with_neighbours.site_id = placements_in_turn.site_id
            and with_neighbours.meter_id = placements_in_turn.meter_id
            and with_neighbours.interval_end > placements_in_turn.valid_from_at
            and (
                placements_in_turn.valid_to_at is null
                or with_neighbours.interval_start < placements_in_turn.valid_to_at
            )
            and (
                placements_in_turn.earlier_valid_to_at is null
                or with_neighbours.interval_start >= placements_in_turn.earlier_valid_to_at
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
