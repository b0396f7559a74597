-- What has landed, before the rest of this run is computed; impossible rows aside.
with landed_days as (

    select
        first_possible_at,
        last_possible_at
    from {{ ref('int_metering__landed_days') }}

),

set_by_hand as (

    select
        from_at,
        to_at
    from {{ source('book', 'reading_edits') }}
    where action = 'set'

),

landed as (

    select
        min(first_possible_at) as first_landed_at,
        max(last_possible_at) as newest_landed_at
    from landed_days

),

edited as (

    select
        min(from_at) as edited_from,
        max(to_at) as edited_to
    from set_by_hand

)

-- Two months of room: enough for any timezone's month around the first and the last instant.
select
    landed.first_landed_at,
    landed.newest_landed_at,
    landed.first_landed_at - interval 62 day as cut_from,
    least(landed.first_landed_at, edited.edited_from) - interval 62 day as all_from,
    greatest(landed.newest_landed_at, edited.edited_to) + interval 62 day as all_to
from landed
cross join edited
