-- How far the intervals go that meet a hull: what overlaps them may begin or end outside it.
with hulls as (

    select
        site_id,
        hull_start,
        hull_end
    from {{ ref('int_metering__hulls') }}

),

crossing_intervals as (

    select
        site_id,
        interval_start,
        interval_end
    from {{ ref('int_metering__crossing_intervals') }}

),

set_by_hand as (

    select
        site_id,
        from_at as interval_start,
        to_at as interval_end
    from {{ source('book', 'reading_edits') }}
    where action = 'set'

),

met as (

    select
        site_id,
        interval_start,
        interval_end
    from crossing_intervals
    union all
    select
        site_id,
        interval_start,
        interval_end
    from set_by_hand

)

select
    hulls.site_id,
    hulls.hull_start,
    hulls.hull_end,
    least(hulls.hull_start, min(met.interval_start)) as reach_start,
    greatest(hulls.hull_end, max(met.interval_end)) as reach_end
from hulls
left join met
    on
        hulls.site_id = met.site_id
        and hulls.hull_start <= met.interval_end
        and hulls.hull_end >= met.interval_start
group by hulls.site_id, hulls.hull_start, hulls.hull_end
