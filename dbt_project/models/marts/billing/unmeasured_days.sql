-- Days on which a whole site told nothing, for whom that leaves usage unknown. A UTC day belongs to the month of its date.
with unmeasured as (

    select
        site_id,
        usage_date,
        {{ utc_day_start('usage_date') }} as day_start,
        {{ utc_day_start('usage_date + 1') }} as day_end
    from {{ ref('usage_completeness') }}
    where status = 'nothing'

),

segments as (

    select
        contract_id,
        period,
        segment_start,
        segment_end
    from {{ ref('int_billing__segments') }}

),

assignments as (

    select
        machine_id,
        contract_id,
        valid_from_at,
        valid_to_at
    from {{ source('book', 'assignments') }}

),

placement_metrics as (

    select
        site_id,
        meter_id,
        machine_id,
        valid_from_at
    from {{ source('book', 'placement_metrics') }}
    where metric = 'energy'

),

placements as (

    select
        site_id,
        meter_id,
        machine_id,
        valid_from_at,
        valid_to_at
    from {{ source('book', 'placements') }}

),

held as (

    select
        unmeasured.site_id,
        unmeasured.usage_date,
        assignments.contract_id,
        greatest(unmeasured.day_start, placements.valid_from_at, assignments.valid_from_at) as held_from,
        least(unmeasured.day_end, placements.valid_to_at, assignments.valid_to_at) as held_to
    from unmeasured
    inner join placements
        on
            unmeasured.site_id = placements.site_id
            and unmeasured.day_end > placements.valid_from_at
            and (placements.valid_to_at is null or unmeasured.day_start < placements.valid_to_at)
    inner join placement_metrics
        on
            placements.site_id = placement_metrics.site_id
            and placements.meter_id = placement_metrics.meter_id
            and placements.machine_id = placement_metrics.machine_id
            and placements.valid_from_at = placement_metrics.valid_from_at
    inner join assignments
        on placements.machine_id = assignments.machine_id

)

select distinct
    segments.contract_id,
    segments.period,
    held.site_id,
    held.usage_date
from held
inner join segments
    on
        held.contract_id = segments.contract_id
        and segments.period = strftime(held.usage_date, '%Y-%m')
        and held.held_from < segments.segment_end
        and held.held_to > segments.segment_start
where held.held_from < held.held_to
