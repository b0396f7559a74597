-- Placements with the power that what stands there is rated for, its own or the site's, and the end of the one before.
with placements as (

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

)

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
