with readings as (

    select
        interval_start,
        coalesce(interval_end, interval_start) as reaches_to
    from {{ ref('int_metering__readings') }}
    where impossible_kind is null

),

reading_edits as (

    select
        from_at,
        to_at
    from {{ source('book', 'reading_edits') }}
    where action = 'set'

),

landed as (

    select
        min(interval_start) as first_landed_at,
        max(interval_start) as newest_landed_at,
        max(reaches_to) as landed_to
    from readings

),

edited as (

    select
        min(from_at) as edited_from,
        max(to_at) as edited_to
    from reading_edits

)

-- Two months of room on both sides: enough for any timezone's month around the first and the last instant.
select
    landed.first_landed_at,
    landed.newest_landed_at,
    least(landed.first_landed_at, edited.edited_from) - interval 62 day as spans_from,
    greatest(landed.landed_to, edited.edited_to) + interval 62 day as spans_to
from landed
cross join edited
