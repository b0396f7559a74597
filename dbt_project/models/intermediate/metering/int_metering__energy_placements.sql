-- The placements whose meter gives energy, in which gaps are looked for.
with placements as (

    select
        site_id,
        meter_id,
        machine_id,
        valid_from_at,
        valid_to_at
    from {{ source('book', 'placements') }}

),

placement_metrics as (

    select
        site_id,
        meter_id,
        machine_id,
        valid_from_at
    from {{ source('book', 'placement_metrics') }}
    where metric = 'energy'

)

select
    placements.site_id,
    placements.meter_id,
    placements.machine_id,
    placements.valid_from_at,
    placements.valid_to_at
from placements
inner join placement_metrics
    on
        placements.site_id = placement_metrics.site_id
        and placements.meter_id = placement_metrics.meter_id
        and placements.machine_id = placement_metrics.machine_id
        and placements.valid_from_at = placement_metrics.valid_from_at
